"""What is promised of skeletons, measured by plain code that the kernels do not use."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from benchmarks.skeleton_blocks import tasks_of
from numpy.typing import NDArray
from scipy import ndimage

from ophiolite.geometry.box import Box
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, SkeletonPiece
from ophiolite.kernels.skeleton_merge import CleanOptions, clean_skeleton, stitch_skeletons
from ophiolite.kernels.skeletonize import HALO_LOW_VX, SkeletonOptions, skeletonize_labels
from ophiolite.precomputed.skeleton import DecodedSkeleton
from ophiolite.precomputed.swc import SwcTree, decode_swc, encode_swc

Vector = tuple[float, float, float]
Lines = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
Voxel = tuple[int, int, int]
Pieces = list[tuple[Box, dict[int, SkeletonPiece]]]
AROUND = [step for step in product((-1, 0, 1), repeat=3) if any(step)]
FULL = np.ones((3, 3, 3))
# A centreline may lie in a voxel of the label and nowhere else; this many of a part make it one that must have a line.
LEAST_VX = 2
# What is a voxel thick may be crossed twice, where the lower task has it in parts that only the plane holds together;
# and be parted, where it goes corner by corner through an edge in which four tasks meet.
DOUBLED_THIN, APART_THIN = "doubled where thin", "apart where thin"


class Made(NamedTuple):
    """The pieces of each task, and the finished skeletons (vertices nm, edges, radius nm) by label."""

    pieces: Pieces
    finished: dict[int, Lines]


def made(
    labels: NDArray[Any],
    task: Voxel,
    nm: Vector,
    options: SkeletonOptions,
    join: bool = False,
    halo: int = HALO_LOW_VX,
) -> Made:
    """Trace and finish a volume in tasks; `join` as well what touches without meeting, as at edges of tasks."""
    pieces = []
    for core, low, high, window, below, above in tasks_of(labels, task, halo):
        found = skeletonize_labels(window, nm, core.shape, low, high, None, options, below, above)
        pieces.append((core, dict(found)))
    return Made(pieces, finished(pieces, nm, options, join))


def finished(pieces: Pieces, nm: Vector, options: SkeletonOptions, join: bool = False) -> dict[int, Lines]:
    """The skeletons of all labels, stitched and cleaned."""
    clean = CleanOptions(min_cable_nm=0, join_close=join, scale=options.scale, const_nm=options.const_nm)
    out = {}
    for label in sorted({label for _, of in pieces for label in of}):
        whole = stitch_skeletons([(core.start, of[label]) for core, of in pieces if label in of])
        vertices_nm = whole.vertices / STEPS_PER_VOXEL * np.array(nm)
        out[label] = clean_skeleton(vertices_nm, whole.edges, whole.radius_nm, clean, whole.seam)
    return out


def broken_promises(labels: NDArray[Any], task: Voxel, nm: Vector, got: Made) -> set[str]:
    """The promises that skeletons of a volume in tasks do not keep.

    outside : a vertex is not in its label. radius : one is not the distance to the surface of the whole object, as far
    as tasks are to see. unmet : two tasks have no end in common in a section of their plane through which the label
    goes on. doubled : two tasks meet twice in one. lost : a part of the label has no skeleton. apart : it has more than
    one. loop : one is no tree.
    """
    out: set[str] = set()
    whole = {label: labels == label for label in np.unique(labels[labels > 0]).tolist()}
    depth = {label: ndimage.distance_transform_edt(mask, sampling=nm) for label, mask in whole.items()}
    for core, of in got.pieces:
        for label, piece in of.items():
            out |= _broken_piece(piece, core, whole[label], depth[label], HALO_LOW_VX * min(nm))
    out |= _broken_faces(labels, got.pieces)
    on_edges = _edges_of([box for box, _ in got.pieces], labels.shape)
    for label, mask in whole.items():
        out |= _broken_object(mask, got.finished.get(label), nm, on_edges)
    return out


def voxels(piece: SkeletonPiece) -> NDArray[np.int64]:
    """(n, 3) voxels of the vertices, which are their centres."""
    return np.asarray((piece.vertices.astype(np.int64) - STEPS_PER_VOXEL // 2) // STEPS_PER_VOXEL)


def _broken_piece(
    piece: SkeletonPiece, core: Box, mask: NDArray[np.bool_], depth: NDArray[np.float64], seen_nm: float
) -> set[str]:
    at = voxels(piece) + np.array(core.start)
    if not _within(at, mask):
        return {"outside"}
    true_nm = np.minimum(depth[tuple(at.T)], seen_nm)
    return set() if np.allclose(np.minimum(piece.radius_nm, seen_nm), true_nm, rtol=1e-5) else {"radius"}


def _within(places: NDArray[np.int64], mask: NDArray[np.bool_]) -> bool:
    inside = (places >= 0).all() and (places < mask.shape).all()
    return bool(inside and mask[tuple(places.T)].all())


def _broken_faces(labels: NDArray[Any], pieces: Pieces) -> set[str]:
    out: set[str] = set()
    on_edges = _edges_of([box for box, _ in pieces], labels.shape)
    for (one, first), (other, second) in product(pieces, repeat=2):
        axis = _neighbours(one, other)
        if axis is None:
            continue
        at = other.start[axis]
        for label, places, edge in _sections(labels, one, axis, at):
            sides = [of.get(label) for of in (first, second)]
            if None in sides:
                out |= set() if edge else {"unmet"}
                continue
            # What lies in an edge of tasks may be the end of other two.
            own = {place for place in places if not on_edges[place]}
            times = _meetings([_in_plane(p, b, axis, at) for p, b in zip(sides, (one, other), strict=True)], own)
            if times > 1:
                thin = _hangs_by_a_thread(labels == label, places, one, axis)
                out.add(DOUBLED_THIN if thin else "doubled")
            elif times == 0 and not edge:
                out.add("unmet")
    return out


def _hangs_by_a_thread(mask: NDArray[np.bool_], places: set[Voxel], lower: Box, axis: int) -> bool:
    """Whether a section is nowhere two voxels deep, and what it touches in the lower task is more than one part."""
    at = np.array(sorted(places))
    flat = np.delete(at - at.min(axis=0), axis, axis=1) + 1
    section = np.zeros(flat.max(axis=0) + 2, np.bool_)
    section[tuple(flat.T)] = True
    if ndimage.distance_transform_edt(section).max() >= 2:
        return False
    parts = np.zeros(mask.shape, np.int64)
    parts[lower.slices()] = ndimage.label(mask[lower.slices()], FULL)[0]
    beside = np.concatenate([at + np.array(step) for step in AROUND if step[axis] == -1])
    beside = beside[((beside >= 0) & (beside < mask.shape)).all(axis=1)]
    touched = parts[tuple(beside.T)]
    return len(np.unique(touched[touched > 0])) > 1


def _neighbours(one: Box, other: Box) -> int | None:
    """The axis along which the second task is the first one's upper neighbour, sharing a face with it."""
    apart = [d for d in range(3) if one.start[d] != other.start[d]]
    if len(apart) == 1 and other.start[apart[0]] == one.stop[apart[0]]:
        return apart[0]
    return None


def _sections(labels: NDArray[Any], one: Box, axis: int, at: int) -> Iterator[tuple[int, set[Voxel], bool]]:
    """Sections of what two tasks share of the plane `at`, through which their label goes on to both sides.

    And whether one reaches an edge of the task: there more than two tasks meet, so that these two need not.
    """
    window = [slice(a, min(b + 1, n)) for a, b, n in zip(one.start, one.stop, labels.shape, strict=True)]
    window[axis] = slice(at, at + 1)
    plane = labels[tuple(window)]
    for label in np.unique(plane[plane > 0]).tolist():
        parts, count = ndimage.label(plane == label, FULL)
        for number in range(1, count + 1):
            places = np.argwhere(parts == number) + [w.start for w in window]
            on = [_touches(labels, places, label, axis, side, window) for side in (-1, 1)]
            edge = any(np.isin(places[:, d], [w.start, w.stop - 1]).any() for d, w in enumerate(window) if d != axis)
            if all(on):
                yield label, {(int(x), int(y), int(z)) for x, y, z in places}, bool(edge)


def _touches(
    labels: NDArray[Any], places: NDArray[Any], label: int, axis: int, side: int, window: Sequence[slice]
) -> bool:
    """Whether a voxel 26-connected to one of the section has the label in the layer on a side, within the window."""
    for step in AROUND:
        if step[axis] != side:
            continue
        there = places + np.array(step)
        inside = (there >= 0).all(axis=1) & (there < labels.shape).all(axis=1)
        for d, w in enumerate(window):
            if d != axis:
                inside &= (there[:, d] >= w.start) & (there[:, d] < w.stop)
        if (labels[tuple(there[inside].T)] == label).any():
            return True
    return False


def _in_plane(piece: SkeletonPiece | None, core: Box, axis: int, at: int) -> tuple[set[Voxel], list[list[Voxel]]]:
    """Voxels of a piece in a plane, and its edges within it."""
    assert piece is not None
    places = [(int(x), int(y), int(z)) for x, y, z in voxels(piece) + np.array(core.start)]
    edges = [[places[a], places[b]] for a, b in piece.edges.tolist()]
    return {p for p in places if p[axis] == at}, [e for e in edges if e[0][axis] == e[1][axis] == at]


def _meetings(sides: list[tuple[set[Voxel], list[list[Voxel]]]], section: set[Voxel]) -> int:
    """How often pieces of two tasks meet in a section; along what runs in the plane, of either, they do once."""
    both = sorted((sides[0][0] | sides[1][0]) & section)
    number = {place: i for i, place in enumerate(both)}
    runs = [[number[a], number[b]] for _, edges in sides for a, b in edges if a in number and b in number]
    group = grouped(len(both), runs)
    return len({group[number[place]] for place in sides[0][0] & sides[1][0] & section})


def _broken_object(mask: NDArray[np.bool_], lines: Lines | None, nm: Vector, on_edges: NDArray[np.bool_]) -> set[str]:
    parts, count = ndimage.label(mask, FULL)
    large = {p for p in range(1, count + 1) if (parts == p).sum() >= LEAST_VX}
    if lines is None or not len(lines[1]):
        return {"lost"} if large else set()
    vertices, edges, _ = lines
    places = np.floor(vertices / np.array(nm)).astype(np.int64)
    if not _within(places, mask):
        return {"outside"}
    home = parts[tuple(places.T)]
    out: set[str] = set()
    group = grouped(len(vertices), edges.tolist())
    homes = {(g, int(h)) for g, h in zip(group, home, strict=True)}
    out |= {"lost"} if large - {h for _, h in homes} else set()
    if len(homes) > len({h for _, h in homes}):
        thin = ndimage.distance_transform_edt(mask) < 2
        parted = _parted_elsewhere(places, np.array(group), home, (thin & on_edges)[tuple(places.T)])
        out.add("apart" if parted else APART_THIN)
    out |= {"loop"} if len(np.unique(np.sort(edges, axis=1), axis=0)) != len(vertices) - len(set(group)) else set()
    return out


def _parted_elsewhere(
    places: NDArray[np.int64], group: NDArray[np.int64], home: NDArray[Any], may_end: NDArray[np.bool_]
) -> bool:
    """Whether skeletons of one part stay apart though all that come within two voxels at places that may are joined."""
    near = np.abs(places[:, None] - places[None]).max(axis=2) <= 2
    near &= (home[:, None] == home[None]) & (may_end[:, None] | may_end[None])
    joined = grouped(int(group.max()) + 1, np.stack([group[i] for i in np.nonzero(near)], axis=1).tolist())
    return len({(joined[g], int(h)) for g, h in zip(group, home, strict=True)}) > len(set(home.tolist()))


def _edges_of(boxes: Iterable[Box], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(x, y, z) the voxels in which planes between tasks meet."""
    planes = [np.isin(np.arange(n), [b.start[d] for b in boxes if b.start[d]]) for d, n in enumerate(shape)]
    x, y, z = (p.astype(np.int64) for p in planes)
    found: NDArray[np.bool_] = x[:, None, None] + y[None, :, None] + z[None, None, :] > 1
    return found


def grouped(count: int, edges: Iterable[Sequence[int]]) -> list[int]:
    """The lowest vertex that each is connected with."""
    beside: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        beside[a].append(b)
        beside[b].append(a)
    group = [-1] * count
    for first in range(count):
        waiting = [first] if group[first] < 0 else []
        while waiting:
            here = waiting.pop()
            if group[here] < 0:
                group[here] = first
                waiting += beside[here]
    return group


class Part(NamedTuple):
    """A part for plain searches: its voxels, their neighbours (voxel, whole-number length), depths and nm a unit."""

    places: list[Voxel]
    beside: list[list[tuple[int, int]]]
    depth: NDArray[np.float64]
    unit_nm: float


def part_of(mask: NDArray[np.bool_], nm: Vector) -> Part:
    """A mask of one part, its voxels x fastest; its ends are background. Lengths are in 1/1024 of the shortest step."""
    places = [(int(x), int(y), int(z)) for z, y, x in np.argwhere(mask.T)]
    number = {place: i for i, place in enumerate(places)}
    length = {s: round(float(np.linalg.norm(np.array(s) * nm)) / min(nm) * 1024) for s in AROUND}
    beside = [
        [(number[there], length[s]) for s in AROUND if (there := (p[0] + s[0], p[1] + s[1], p[2] + s[2])) in number]
        for p in places
    ]
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=nm)[1:-1, 1:-1, 1:-1].astype(np.float32)
    return Part(places, beside, depth[tuple(np.array(places).T)].astype(np.float64), min(nm) / 1024)


def plain_dijkstra(part: Part, sources: dict[int, int], weight: Sequence[int] | None = None) -> list[float]:
    """Least cost from sources (voxel: cost there): of steps' lengths, or of the weights of what is stepped into."""
    cost = [float("inf")] * len(part.places)
    heap = [(start, voxel) for voxel, start in sources.items()]
    for start, voxel in heap:
        cost[voxel] = start
    heapq.heapify(heap)
    while heap:
        here, voxel = heapq.heappop(heap)
        if here > cost[voxel]:
            continue
        for other, length in part.beside[voxel]:
            way = here + (length if weight is None else weight[other])
            if way < cost[other]:
                cost[other] = way
                heapq.heappush(heap, (way, other))
    return cost


def broken_trace(mask: NDArray[np.bool_], nm: Vector, options: SkeletonOptions, lines: Lines) -> set[str]:
    """The promises that the trace of one part without targets does not keep, its ways repeated one after the other.

    lines : voxels, edges (voxel, the one before on the way to the root) and radii, in the order in which they were
    laid. step : an edge joins no neighbours. root : it is no end of the part. target : a way does not end at the
    farthest voxel that is not cleared. dear : there is a cheaper way to what is laid. left : voxels remain that no ball
    about a way holds. radius : a radius is not the distance to the surface.
    """
    part = part_of(mask, nm)
    number = {place: i for i, place in enumerate(part.places)}
    laid = [number[tuple(v)] for v in lines[0].tolist()]
    parent = dict(lines[1].tolist())
    if any(b not in [o for o, _ in part.beside[a]] for a, b in ((laid[i], laid[j]) for i, j in parent.items())):
        return {"step"}
    out = set() if np.allclose(lines[2], part.depth[laid], rtol=1e-5) else {"radius"}
    first = plain_dijkstra(part, {0: 0})
    if laid[0] != first.index(max(first)):
        return out | {"root"}
    far = [int(f) for f in plain_dijkstra(part, {laid[0]: 0})]
    weight = _weights(part, far, options)
    weight[laid[0]] = 0
    cleared = np.zeros(len(part.places), np.bool_)
    done = 1
    while not cleared.all():
        target = min(np.flatnonzero(~cleared).tolist(), key=lambda v: (-far[v], v))
        if target not in laid[done:]:
            return out | ({"left"} if done == len(laid) else {"target"})
        stop = laid.index(target) + 1
        way = laid[done:stop]
        joined = laid[parent[done]]
        # Ways are searched from their end, which itself costs nothing; what is laid costs nothing to step into.
        least = plain_dijkstra(part, {target: 0}, weight)
        open_ends = [least[v] for v in laid[:done]]
        if sum(weight[v] for v in way) - weight[target] > min(open_ends):
            out.add("dear")
        for voxel in way:
            weight[voxel] = 0
        for voxel in [joined, *way]:
            ball = int((options.scale * np.float32(part.depth[voxel]) + options.const_nm) / part.unit_nm)
            cleared |= np.array(plain_dijkstra(part, {voxel: 0})) <= ball
        done = stop
    return out | ({"target"} if done < len(laid) else set())


def _weights(part: Part, far: list[int], options: SkeletonOptions) -> list[int]:
    """The penalties of Bitter et al. 2001, with the distance from the root, as whole numbers of 16 bits."""
    farthest, deepest = max(1, *far), part.depth.max()
    scale = (min(2**16 - 1, (2**32 - 2) // (farthest // 1024 + 2)) - 1) / (options.pdrf_scale + 1)
    out = []
    for depth, distance in zip(part.depth.tolist(), far, strict=True):
        penalty = options.pdrf_scale
        for _ in range(options.pdrf_exponent):
            penalty *= max(0.0, 1.0 - depth / deepest)
        out.append(1 + int((penalty + distance / farthest) * scale))
    return out


def swc_is_whole(skeleton: DecodedSkeleton, trees: Iterable[SwcTree]) -> bool:
    """Whether trees written as SWC and read back hold every vertex, edge and radius of a skeleton without loops."""
    read = [decode_swc(encode_swc(tree)) for tree in trees]
    points, edges = [], set()
    for tree in read:
        names = [tuple(p) for p in np.column_stack([tree.points_nm, tree.radius_nm]).astype(np.float32).tolist()]
        points += names
        edges |= {frozenset((names[i], names[j])) for i, j in enumerate(tree.parent.tolist()) if j >= 0}
    table = np.column_stack([skeleton.vertices_nm, skeleton.attributes[0]]).astype(np.float32)
    want = [tuple(p) for p in table.tolist()]
    links = {frozenset((want[a], want[b])) for a, b in skeleton.edges.tolist()}
    return sorted(points) == sorted(want) and edges == links
