"""A skeleton with what lies in the somata of its object replaced: one root each, one way in for each neurite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.skeleton_graph_loops import component_roots
from ophiolite.kernels.skeleton_merge import CleanOptions, Skeleton, clean_skeleton
from ophiolite.kernels.soma import SomaRegion, bridges, reached, way

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Grafted:
    """A skeleton, which of its vertices replace others, and are roots, how many those were, neurites led to a root."""

    skeleton: Skeleton
    new: NDArray[np.bool_]
    root: NDArray[np.bool_]
    removed: int = 0
    neurites: int = 0

    @classmethod
    def of(cls, skeleton: Skeleton) -> Grafted:
        """A skeleton in which nothing is replaced yet."""
        none = np.zeros(len(skeleton.vertices), np.bool_)
        return cls(skeleton, none, none)


def healed(grafted: Grafted, step_nm: NDArray[np.float64], options: CleanOptions) -> Skeleton:
    """The skeleton without the loops and scars that borders of tasks left outside somata; no vertex is at a seam then.

    It is done here since a merge would take the new vertices, deep inside, to have cleared wide balls of neurites.
    step_nm : of the lattice. Dust, joins and ticks are left to the merge.
    """
    old = grafted.skeleton
    ball = np.where(grafted.new, -1.0, options.scale * old.radius_nm.astype(np.float64) + options.const_nm)
    these = replace(options, min_cable_nm=0, tick_nm=0, join_close=False)
    points, edges, radius = clean_skeleton(old.vertices * step_nm, old.edges, old.radius_nm, these, old.seam, ball)
    vertices = np.rint(points / step_nm).astype(np.int64)
    whole = Skeleton(vertices, edges, radius.astype(np.float32), np.zeros(len(vertices), np.bool_))
    return _without_lost_ways(whole, grafted)


def _without_lost_ways(skeleton: Skeleton, before: Grafted) -> Skeleton:
    """The skeleton without ways to neurites that are no more: scars alongside the trace of another task.

    A way goes as far as it is its own: to its root, or where it meets another. The last of a root stays.
    """
    degree = np.bincount(before.skeleton.edges.ravel().astype(np.int64), minlength=len(before.new))
    inner = before.new & ~before.root
    of_way = _among(skeleton.vertices, before.skeleton.vertices[inner])
    edges = skeleton.edges.astype(np.int64)
    tips = np.bincount(edges.ravel(), minlength=len(of_way)) == 1
    tips &= _among(skeleton.vertices, before.skeleton.vertices[inner & (degree > 1)])
    if not tips.any():
        return skeleton
    kept = _without_ways(edges, np.flatnonzero(tips), of_way)
    used = np.unique(kept)
    number = np.zeros(len(of_way), np.int64)
    number[used] = np.arange(len(used))
    return Skeleton(
        skeleton.vertices[used], number[kept].astype(np.uint32), skeleton.radius_nm[used], skeleton.seam[used]
    )


def _among(places: Ints, others: Ints) -> NDArray[np.bool_]:
    """Which places (n, 3) are among others (m, 3)."""
    known = {tuple(place) for place in others.tolist()}
    return np.array([tuple(place) in known for place in places.tolist()], np.bool_)


def _without_ways(edges: Ints, tips: Ints, of_way: NDArray[np.bool_]) -> Ints:
    """The edges without the dead ends that begin at `tips`, each through vertices of ways to the first fork or other.

    What would leave that vertex without an edge stays.
    """
    degree, gone = np.bincount(edges.ravel(), minlength=len(of_way)), np.zeros(len(of_way), np.bool_)
    ends = np.concatenate([edges, edges[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    first = np.searchsorted(ends[:, 0], np.arange(len(of_way) + 1))
    for tip in tips.tolist():
        here, track = tip, list[int]()
        while of_way[here] and degree[here] == 1 + bool(track):
            track.append(here)
            beyond = [b for b in ends[first[here] : first[here + 1], 1].tolist() if not gone[b] and b not in track[-2:]]
            if not beyond:
                break
            here = beyond[0]
        if here not in track[-1:] and degree[here] > 1:
            gone[track] = True
            degree[here] -= 1
    found: Ints = edges[~gone[edges].any(axis=1)]
    return found


class _Ways:
    """Ways laid so far; a way ends where it meets one laid before it, so that they form trees."""

    def __init__(self, region: SomaRegion, first: int) -> None:
        self._region, self._first = region, first
        self._vertex: dict[int, int] = {}
        self.edges: list[tuple[int, int]] = []

    @property
    def voxels(self) -> list[int]:
        """The voxel of each new vertex, in the order of their numbers."""
        return list(self._vertex)

    def vertex(self, voxel: int) -> int:
        """The number of the vertex in a voxel, a new one where there is none."""
        return self._vertex.setdefault(voxel, self._first + len(self._vertex))

    def enter(self, outer: int, vertex: int, inner: int) -> None:
        """Lay the way of a neurite whose last vertex lies in the voxel `outer`, the one before it in `inner`."""
        start = reached(self._region, outer, inner)
        self._lay(way(self._region, start)[int(start == outer) :], vertex)

    def lay(self, start: int) -> int:
        """Lay the way from a voxel to its root; returns its first vertex."""
        return self._lay(way(self._region, start), None)

    def _lay(self, track: list[int], before: int | None) -> int:
        first = before
        for voxel in track:
            met = voxel in self._vertex
            here = self.vertex(voxel)
            if before is not None:
                self.edges.append((before, here))
            first, before = (here if first is None else first), here
            if met:
                break
        assert first is not None
        return first


def graft(
    before: Grafted,
    region: SomaRegion,
    locate: Callable[[Ints], tuple[Ints, NDArray[np.bool_]]],
    place: Callable[[Ints], Ints],
) -> Grafted:
    """Replace what lies in the regions of somata; each neurite that enters one is led to its root.

    before : the skeleton, vertices on the absolute lattice, as other regions left it. locate : (n, 3) vertices -> flat
    voxels of the region's box, and which lie in it. place : flat voxels -> (n, 3) vertices.
    Where traces cross the border of a region, those of one connected skeleton in one connected part of the band around
    it are one neurite: the deepest is led to the root, the others are pruned as far as the band reaches. A place that
    no neurite enters gets the way to its farthest voxel.
    """
    skeleton = before.skeleton
    at, known = locate(skeleton.vertices)
    gone = np.zeros(len(at), np.bool_)
    gone[known] = _inside(region, at[known])
    edges = skeleton.edges.astype(np.int64)
    kept = edges[~gone[edges].any(axis=1)]
    crossing = edges[gone[edges].sum(axis=1) == 1]
    crossing = np.where(gone[crossing[:, :1]], crossing[:, ::-1], crossing)
    chosen = _entries(region, at, known, crossing, component_roots(len(at), kept))
    ways = _Ways(region, len(at))
    for root in region.roots.tolist():
        ways.vertex(root)
    for u, v in crossing[chosen].tolist():
        ways.enter(int(at[u if known[u] else v]), u, int(at[v]))
    for a, b in bridges(region):
        ways.edges.append((ways.lay(a), ways.lay(b)))
    _reach_out(region, ways)
    kept = _pruned(kept, np.setdiff1d(crossing[:, 0], crossing[chosen, 0]), _in_band(region, at, known) > 0)
    return Grafted(
        *_assembled(before, kept, np.array(ways.edges, np.int64), region, ways, place),
        before.removed + int((gone & ~before.new).sum()),
        before.neurites + len(chosen),
    )


def _inside(region: SomaRegion, at: Ints) -> NDArray[np.bool_]:
    """Which voxels lie in a region; one that the object lost at a coarse mip does where a neighbour does."""
    found: NDArray[np.bool_] = region.inside[at].copy()
    lost = np.flatnonzero(~region.filled[at])
    found[lost] = region.inside[at[lost][:, None] + region.flat.steps].any(axis=1)
    return found


def _in_band(region: SomaRegion, at: Ints, known: NDArray[np.bool_]) -> Ints:
    """The part of the band that each vertex lies in, or next to; 0 for none."""
    found = np.zeros(len(at), np.int64)
    found[known] = region.band[at[known]]
    lost = np.flatnonzero(known & (found == 0))
    found[lost] = region.band[at[lost][:, None] + region.flat.steps].max(axis=1)
    return found


def _entries(region: SomaRegion, at: Ints, known: NDArray[np.bool_], crossing: Ints, parts: Ints) -> Ints:
    """Of the edges (outside, inside) that cross a border, the one for each neurite: rows, those that go on first.

    A part of the skeleton that ends within the band is no neurite where another one enters beside it.
    """
    if len(crossing) == 0:
        return np.zeros(0, np.int64)
    outer = crossing[:, 0]
    near = _in_band(region, at, known)
    beyond = np.bincount(parts, weights=near == 0, minlength=len(at)) > 0
    band = np.where(near[outer] > 0, near[outer], -1 - outer)
    depth = np.where(known[outer], region.field[at[outer]], 0)
    order = np.lexsort((crossing[:, 1], outer, -depth, ~beyond[parts[outer]]))
    pairs = np.stack([band, parts[outer]], axis=1)[order]
    _, of_pair = np.unique(pairs, axis=0, return_index=True)
    _, of_band = np.unique(pairs[:, 0], return_index=True)
    goes_on = of_pair[beyond[pairs[of_pair, 1]]]
    found: Ints = order[np.union1d(goes_on, of_band)]
    return found


def _reach_out(region: SomaRegion, ways: _Ways) -> None:
    """Lay the way from the farthest voxel to each root that has none."""
    for number, root in enumerate(region.roots.tolist(), start=1):
        vertex = ways.vertex(root)
        if any(vertex in edge for edge in ways.edges):
            continue
        own = np.flatnonzero(region.owner == number)
        if len(own) > 1:
            ways.lay(int(own[np.argmax(region.flat.apart_nm(own, root))]))


def _pruned(edges: Ints, tips: Ints, near: NDArray[np.bool_]) -> Ints:
    """The edges without the dead ends that begin at `tips`, each as far as it runs through vertices that are `near`."""
    count = len(near)
    degree = np.bincount(edges.ravel(), minlength=count)
    gone = np.zeros(count, np.bool_)
    ends = np.concatenate([edges, edges[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    first = np.searchsorted(ends[:, 0], np.arange(count + 1))
    for tip in tips.tolist():
        here = tip
        while near[here] and degree[here] <= 1 and not gone[here]:
            gone[here] = True
            beyond = [b for b in ends[first[here] : first[here + 1], 1].tolist() if not gone[b]]
            if not beyond:
                break
            here = beyond[0]
            degree[here] -= 1
    found: Ints = edges[~gone[edges].any(axis=1)]
    return found


def _assembled(
    before: Grafted,
    kept: Ints,
    added: Ints,
    region: SomaRegion,
    ways: _Ways,
    place: Callable[[Ints], Ints],
) -> tuple[Skeleton, NDArray[np.bool_], NDArray[np.bool_]]:
    """One skeleton of what is kept and what is new; which vertices are new, and roots; without those of no edge."""
    skeleton = before.skeleton
    new = np.array(ways.voxels, np.int64)
    vertices = np.concatenate([skeleton.vertices, place(new)])
    radius = np.concatenate([skeleton.radius_nm, region.field[new]]).astype(np.float32)
    edges = np.concatenate([kept, added.reshape(-1, 2)])
    used = np.zeros(len(vertices), np.bool_)
    used[edges] = True
    number = np.cumsum(used) - 1
    seam = np.concatenate([skeleton.seam, np.zeros(len(new), np.bool_)])
    fresh = np.concatenate([before.new, np.ones(len(new), np.bool_)])
    root = np.concatenate([before.root, np.isin(new, region.roots)])
    return Skeleton(vertices[used], number[edges].astype(np.uint32), radius[used], seam[used]), fresh[used], root[used]
