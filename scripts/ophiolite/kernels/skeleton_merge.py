"""From pieces to one clean skeleton: stitch, break loops, heal scars, drop dust, join what touches, prune, measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import ConfigError, explain
from ophiolite.geometry import morton
from ophiolite.geometry.box import Vec
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, SkeletonPiece
from ophiolite.kernels.skeleton_cover_loops import trim
from ophiolite.kernels.skeleton_graph_loops import component_roots, contract, first_marked, reaches, spanning, ticks
from ophiolite.kernels.skeleton_join_loops import join

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
_MORTON_CELLS = 1 << 16
# How many radii a branch goes on beyond a seam if the object does, too.
_WIDTHS = 2.0


@dataclass(frozen=True)
class Skeleton:
    """A whole label: vertices (n, 3) int64 on the absolute 1/256-voxel lattice, edges (m, 2) uint32, radius_nm (n,).

    seam : (n,) bool, vertices on a plane shared by two tasks.
    """

    vertices: Ints
    edges: NDArray[np.uint32]
    radius_nm: NDArray[np.float32]
    seam: NDArray[np.bool_]


@dataclass(frozen=True)
class CleanOptions:
    """How a stitched skeleton is cleaned.

    min_cable_nm : connected parts of a shorter cable are dropped, 0 for none.
    max_cable_nm : a skeleton of a longer cable is left as stitched, None for no limit.
    tick_nm : terminal branches shorter than this are removed, shortest first, 0 for none.
    remove_loops : make it a tree. join_close : connect parts whose balls touch.
    scale, const_nm : what tracing cleared around its paths, balls of `scale` times the radius plus `const_nm`.
    """

    min_cable_nm: float = 1000.0
    max_cable_nm: float | None = None
    tick_nm: float = 0.0
    remove_loops: bool = True
    join_close: bool = True
    scale: float = 3.0
    const_nm: float = 10.0

    def __post_init__(self) -> None:
        for name in ("min_cable_nm", "max_cable_nm", "tick_nm", "scale", "const_nm"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ConfigError(
                    explain(f"skeleton {name}", "not a length", expected="0 or more", got=value, do="Change the config")
                )


@dataclass(frozen=True)
class SkeletonMeasures:
    """What a skeleton amounts to.

    cable_nm : sum of the edges' lengths. terminals, branch_points : vertices of one, and of three or more edges.
    mean_radius_nm : mean along the cable; over the vertices where there is no cable; 0 where there are no vertices.
    """

    cable_nm: float
    vertices: int
    terminals: int
    branch_points: int
    components: int
    mean_radius_nm: float


def stitch_skeletons(pieces: Sequence[tuple[Vec, SkeletonPiece]]) -> Skeleton:
    """One graph of the pieces of one label, each with the voxel its coordinates are relative to.

    Vertices at the same lattice point are one: across tasks only those on a shared plane can be. Of their radii the
    smaller is kept, for a task that sees the surface only up to its own faces can only find too large a distance.
    Vertices are sorted by z, y, x and edges by vertex, so the order of the pieces makes no difference.
    """
    parts = [piece.vertices.astype(np.int64) + np.array(at, np.int64) * STEPS_PER_VOXEL for at, piece in pieces]
    starts = np.cumsum([0] + [len(part) for part in parts])
    vertices = np.concatenate([np.zeros((0, 3), np.int64), *parts])
    radius = np.concatenate([np.zeros(0, np.float32), *(piece.radius_nm for _, piece in pieces)])
    edges = np.concatenate(
        [np.zeros((0, 2), np.int64)]
        + [piece.edges.astype(np.int64) + start for (_, piece), start in zip(pieces, starts, strict=False)]
    )
    order = np.lexsort((vertices[:, 0], vertices[:, 1], vertices[:, 2]))
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(vertices[order], axis=0) != 0).any(axis=1)
    place = np.empty(len(order), np.int64)
    place[order] = np.cumsum(new) - 1
    smallest = np.full(int(new.sum()), np.inf, np.float32)
    np.minimum.at(smallest, place, radius)
    seam = np.zeros(len(smallest), np.bool_)
    seam[place[np.concatenate([np.zeros(0, np.bool_), *(piece.seam for _, piece in pieces)])]] = True
    return Skeleton(vertices[order[new]], _sorted_edges(place[edges]).astype(np.uint32), smallest, seam)


def clean_skeleton(
    vertices_nm: Floats,
    edges: NDArray[np.unsignedinteger[Any]],
    radius_nm: Floats,
    options: CleanOptions = CleanOptions(),
    seam: NDArray[np.bool_] | None = None,
    ball_nm: Floats | None = None,
) -> tuple[Floats, NDArray[np.uint32], Floats]:
    """Break loops, take scars away, drop dust, join close parts and prune ticks, in this order and in n log n.

    vertices_nm (n, 3), edges (m, 2), radius_nm (n,); seam (n,) bool, vertices on planes that tasks share, None for
    none. ball_nm (n,): what tracing cleared around each, where it is not what the options say, below 0 for nothing.
    Returns the first three for what is left, no vertex moved or added.

    Loops. Chains (runs of vertices of degree 2) enter a spanning forest in order of their length measured in local
    radii, so what is left out is the longest and thinnest chain of each loop. Where the ball of every vertex of it
    touches that of the nearest vertex of the forest, it runs beside the forest in the same lumen, as the traces of two
    tasks do: the whole chain goes. Otherwise the object itself has a hole, and only the thinnest edge is cut.
    Scars. See `_without_scars`: branches that are there only because a task ended. Dust is judged without them.
    Joins. A pair of vertices of different parts no further apart than the sum of their radii: nearest pairs first.
    Ticks. See `skeleton_graph_loops.ticks`.
    """
    points = vertices_nm.astype(np.float64)
    radius = radius_nm.astype(np.float64)
    kept = _sorted_edges(edges.astype(np.int64))
    total = float(_lengths(points, kept).sum())
    if options.max_cable_nm is None or total <= options.max_cable_nm:
        stitched = kept
        if options.remove_loops:
            kept = _without_loops(points, radius, kept)
        if seam is not None and seam.any():
            ball = options.scale * radius + options.const_nm if ball_nm is None else ball_nm.astype(np.float64)
            kept = _without_scars(points, radius, kept, ball, seam)
            kept = _trimmed(points, kept, _Cover(seam, ball, np.zeros(len(points)), np.arange(len(points))))
            tasks = component_roots(len(points), stitched[~seam[stitched].any(axis=1)])
            kept = _trimmed(points, kept, _Cover(~seam, radius, radius, tasks))
        kept = _without_dust(points, kept, options.min_cable_nm)
        if options.join_close:
            kept = _with_joins(points, radius, kept)
        if options.tick_nm > 0:
            kept = _without_branches(points, kept, np.full(len(points), float(options.tick_nm)))
    used = np.zeros(len(points), np.bool_)
    used[kept] = True
    place = np.cumsum(used) - 1
    return vertices_nm[used], place[kept].astype(np.uint32).reshape(-1, 2), radius_nm[used]


def skeleton_measures(
    vertices_nm: Floats, edges: NDArray[np.unsignedinteger[Any]], radius_nm: Floats
) -> SkeletonMeasures:
    """Measure a skeleton: vertices_nm (n, 3), edges (m, 2) without repeats, radius_nm (n,)."""
    ends = edges.astype(np.int64)
    lengths = _lengths(vertices_nm.astype(np.float64), ends)
    radius = radius_nm.astype(np.float64)
    degree = np.bincount(ends.ravel(), minlength=len(radius))
    cable = float(lengths.sum())
    mean = float(radius.mean()) if len(radius) else 0.0
    if cable > 0:
        mean = float((radius[ends].mean(axis=1) * lengths).sum() / cable)
    return SkeletonMeasures(
        cable_nm=cable,
        vertices=len(radius),
        terminals=int((degree == 1).sum()),
        branch_points=int((degree > 2).sum()),
        components=len(np.unique(component_roots(len(radius), ends))),
        mean_radius_nm=mean,
    )


def _sorted_edges(edges: Ints) -> Ints:
    """Each edge once, lower vertex first, in order; none from a vertex to itself."""
    edges = np.sort(edges.reshape(-1, 2), axis=1)
    edges = edges[edges[:, 0] != edges[:, 1]]
    edges = edges[np.lexsort((edges[:, 1], edges[:, 0]))]
    new = np.ones(len(edges), np.bool_)
    new[1:] = (np.diff(edges, axis=0) != 0).any(axis=1)
    return np.ascontiguousarray(edges[new])


def _lengths(points: NDArray[np.float64], edges: Ints) -> NDArray[np.float64]:
    steps = points[edges[:, 0]] - points[edges[:, 1]]
    lengths: NDArray[np.float64] = np.sqrt((steps**2).sum(axis=1))
    return lengths


def _without_dust(points: NDArray[np.float64], edges: Ints, min_cable_nm: float) -> Ints:
    """The edges of components whose cable is at least `min_cable_nm`."""
    roots = component_roots(len(points), edges)[edges[:, 0]]
    cable = np.bincount(roots, weights=_lengths(points, edges), minlength=len(points))
    kept: Ints = edges[cable[roots] >= min_cable_nm]
    return kept


def _without_loops(points: NDArray[np.float64], radius: NDArray[np.float64], edges: Ints) -> Ints:
    """A forest of `edges`, by the rule that `clean_skeleton` states."""
    from scipy.spatial import cKDTree

    start, order, ends = contract(len(points), edges)
    if len(ends) == 0:
        return edges
    lengths = _lengths(points, edges)
    thickness = radius[edges].mean(axis=1)
    smallest = radius[radius > 0].min() if (radius > 0).any() else 1.0
    cost = np.add.reduceat((lengths / np.maximum(thickness, smallest))[order], start[:-1])
    tree = spanning(len(points), ends, np.argsort(cost, kind="stable"))
    chain = np.empty(len(edges), np.int64)
    chain[order] = np.repeat(np.arange(len(ends)), np.diff(start))
    if tree.all():
        return edges
    forest = np.unique(edges[tree[chain]])
    beside = np.zeros(len(points), np.bool_)
    beside[ends] = True
    open_vertices = np.setdiff1d(edges[~tree[chain]], ends)
    if len(forest) and len(open_vertices):
        distance, near = cKDTree(points[forest]).query(points[open_vertices])
        near = forest[near]
        roots = component_roots(len(points), edges)
        beside[open_vertices] = distance <= radius[open_vertices] + radius[near]
        beside[open_vertices] &= roots[open_vertices] == roots[near]
    along = np.all(beside[edges], axis=1)[order]
    same_lumen = np.logical_and.reduceat(along, start[:-1]) & ~_rings(ends, tree)
    keep = tree[chain] | ~same_lumen[chain]
    # One cut for each chain that closes a real hole: thinnest, then longest, then first.
    rank = np.lexsort((np.arange(len(edges)), -lengths, thickness, chain))
    first = np.ones(len(rank), np.bool_)
    first[1:] = chain[rank][1:] != chain[rank][:-1]
    cut = rank[first]
    keep[cut[~tree[chain[cut]]]] = False
    kept: Ints = edges[keep]
    return kept


def _rings(ends: Ints, tree: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Chains that are components of their own: both ends at a vertex of no tree chain and no other chain."""
    count = np.bincount(ends.ravel(), minlength=int(ends.max()) + 1)
    alone: NDArray[np.bool_] = ~tree & (ends[:, 0] == ends[:, 1]) & (count[ends[:, 0]] == 2)
    return alone


def _with_joins(points: NDArray[np.float64], radius: NDArray[np.float64], edges: Ints) -> Ints:
    """`edges` and one more for each two parts joined."""
    used = np.unique(edges)
    roots = component_roots(len(points), edges)[used]
    if len(used) == 0 or (roots == roots[0]).all():
        return edges
    near = _along_curve(points[used])
    names = used[near]
    return _sorted_edges(np.concatenate([edges, join(points[names], radius[names], names, roots[near])]))


def _without_scars(
    points: NDArray[np.float64],
    radius: NDArray[np.float64],
    edges: Ints,
    ball_nm: NDArray[np.float64],
    seam: NDArray[np.bool_],
) -> Ints:
    """The edges without terminal branches to seams that tracing the whole object would not have drawn.

    That is: that go no further beyond the first seam from their end than the object is wide there, and whose end lies,
    along the skeleton, in the ball that tracing cleared around a vertex of another branch. Of branches that may go
    themselves no ball counts.
    """
    chains = start, order, ends = contract(len(points), edges)
    if len(ends) == 0:
        return edges
    lengths = _lengths(points, edges)
    degree = np.bincount(edges.ravel(), minlength=len(points))
    at, beyond = first_marked(chains, edges, lengths, degree, seam & (degree < 3))
    asked = (at >= 0) & (beyond < _WIDTHS * radius[at])
    foot = np.where(degree[ends[:, 0]] == 1, ends[:, 1], ends[:, 0])
    short = np.add.reduceat(lengths[order], start[:-1]) < reaches(edges, lengths, ball_nm)[foot]
    inside = np.repeat((degree[foot] > 2) & asked & short, np.diff(start))
    ball = ball_nm.copy()
    members = edges[order[inside]]
    ball[members[degree[members] < 3]] = -1.0
    return _without_branches(points, edges, reaches(edges, lengths, ball), asked)


@dataclass(frozen=True)
class _Cover:
    """What covers an end: it lies in the ball of a vertex on another side, or no farther outside it than its own ball.

    Of those with a ball only what is covered for longer than it is wide goes: it runs beside what covers it.

    ends : (n,) bool, which vertices are asked where they are ends. ball_nm, own_nm (n,). side : (n,) number.
    """

    ends: NDArray[np.bool_]
    ball_nm: NDArray[np.float64]
    own_nm: NDArray[np.float64]
    side: Ints


def _trimmed(points: NDArray[np.float64], edges: Ints, cover: _Cover) -> Ints:
    """The edges with branches shortened to where no other branch covers their end.

    Again, until nothing changes: a branch gone whole makes one of two.
    """
    while True:
        start, order, ends = contract(len(points), edges)
        degree = np.bincount(edges.ravel(), minlength=len(points))
        tips = (degree[ends] == 1) & cover.ends[ends]
        asked = np.flatnonzero(tips.any(axis=1) & (degree[ends] > 2).any(axis=1))
        if len(asked) == 0:
            return edges
        length = np.add.reduceat(_lengths(points, edges)[order], start[:-1])
        asked = asked[np.argsort(length[asked], kind="stable")]
        used = np.flatnonzero(degree)
        part = component_roots(len(points), edges)
        chains = (start, order, ends)
        near = used[_along_curve(points[used])]
        gone = trim(points, cover.ball_nm, cover.own_nm, part, cover.side, edges, chains, asked, near)
        if not gone.any():
            return edges
        edges = edges[~gone]


def _along_curve(points: NDArray[np.float64]) -> Ints:
    """The order of points (n, 3) along a curve that keeps neighbours together (Morton 1966)."""
    low = points.min(axis=0)
    extent = float((points.max(axis=0) - low).max())
    cells = ((points - low) * ((_MORTON_CELLS - 1) / max(extent, 1e-9))).astype(np.uint64)
    near: Ints = np.argsort(morton.encode(cells, (_MORTON_CELLS,) * 3), kind="stable")
    return near


def _without_branches(
    points: NDArray[np.float64],
    edges: Ints,
    limit_nm: NDArray[np.float64],
    asked: NDArray[np.bool_] | None = None,
) -> Ints:
    """The edges that are left when terminal branches shorter than the limit at their foot are pruned, shortest first.

    asked : for each chain whether it may go, as far as it is one of its own; None for any.
    """
    start, order, ends = contract(len(points), edges)
    if len(ends) == 0:
        return edges
    length = np.add.reduceat(_lengths(points, edges)[order], start[:-1])
    asked = np.ones(len(ends), np.bool_) if asked is None else asked
    gone = np.repeat(ticks(len(points), ends, length, limit_nm, asked), np.diff(start))
    keep = np.ones(len(edges), np.bool_)
    keep[order] = ~gone
    return edges[keep]
