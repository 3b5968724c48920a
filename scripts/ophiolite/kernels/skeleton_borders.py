"""What happens to a skeleton at the planes where tasks meet: crossings that lack, are double, or run in parallel.

A plane is the layer of voxels that both tasks see. A face is an 8-connected part of the object in it, through which the
object continues on both sides: 26-connected, within the window around the face, to a depth of `2 k` voxels with k the
greatest distance to the surface in the face.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.skeleton_graph_loops import component_roots, contract
from ophiolite.kernels.skeleton_measure import Bones, Floats, Ints, Mask, connected, inside_box, sample, voxels_of

LEAST_VX, MOST_VX = 4, 24


@dataclass(frozen=True)
class BorderMeasures:
    """Counts over all faces of an object, and spurs over its planes.

    uncrossed : faces that the skeleton does not cross. broken : those of them near which it ends on one side, or runs
    on both sides, in parts that nothing connects with the other side. doubled : faces crossed twice or more in one part
    of what two tasks share; where more tasks meet in a face, each two of them may join there, and in each part.
    parallel : sides of faces on which two chains run within one radius of each other, at the depths k and 2 k.
    spurs : terminals on a plane, where one task ran to the border and the other had nothing to go on with.
    """

    faces: int = 0
    uncrossed: int = 0
    broken: int = 0
    doubled: int = 0
    parallel: int = 0
    spurs: int = 0

    def __add__(self, other: BorderMeasures) -> BorderMeasures:
        return BorderMeasures(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class _Graph:
    """A skeleton in the voxels of its box: voxels (n, 3), and the chain of each edge."""

    bones: Bones
    voxels: Ints
    roots: Ints
    degree: Ints
    chains: Ints


@dataclass(frozen=True)
class _Face:
    """A face in the window (slices of the box) around it: the object's part there, and how the face is crossed.

    crossings : in all. most : in one part of what two tasks share of it.
    """

    window: tuple[slice, slice, slice]
    part: Mask
    crossings: int
    most: int
    depth_vx: int


def border_measures(
    bones: Bones,
    mask: Mask,
    field: NDArray[np.float32],
    start_vx: tuple[int, int, int],
    voxel_nm: Floats,
    planes_vx: Sequence[Sequence[int]],
) -> BorderMeasures:
    """Measure a skeleton at absolute planes `planes_vx` along x, y, z; mask and field are boxes from `start_vx` on."""
    graph = _graph(bones, start_vx, voxel_nm)
    found = BorderMeasures()
    for axis, planes in enumerate(planes_vx):
        for plane in planes:
            at = plane - start_vx[axis]
            found += BorderMeasures(spurs=int(((graph.degree == 1) & (graph.voxels[:, axis] == at)).sum()))
            if 0 < at < mask.shape[axis] - 1:
                across = [[p - start_vx[d] for p in planes_vx[d]] for d in range(3) if d != axis]
                for face in _faces(graph, mask, field, axis, at, voxel_nm, across):
                    found += _measure(graph, face, axis, at)
    return found


def _graph(bones: Bones, start_vx: tuple[int, int, int], voxel_nm: Floats) -> _Graph:
    start, order, ends = contract(len(bones.vertices_nm), bones.edges)
    chains = np.empty(len(bones.edges), np.int64)
    chains[order] = np.repeat(np.arange(len(ends)), np.diff(start))
    return _Graph(bones, voxels_of(bones.vertices_nm, start_vx, voxel_nm), bones.roots, bones.degree, chains)


def _faces(
    graph: _Graph,
    mask: Mask,
    field: NDArray[np.float32],
    axis: int,
    at: int,
    voxel_nm: Floats,
    across: Sequence[Sequence[int]],
) -> Iterator[_Face]:
    """The faces of one plane through which the object continues; `across` : the tasks' planes along the other axes."""
    from scipy import ndimage

    layer = np.ascontiguousarray(np.moveaxis(mask, axis, 0)[at])
    if not layer.any():
        return
    numbers, _ = connected(layer, 8)
    spots = _crossings(graph, numbers.shape, axis, at)
    crossed = np.bincount(numbers[tuple(spots.T)], minlength=int(numbers.max()) + 1)
    most = _most_in_a_part(layer, numbers, spots, across)
    depths = np.moveaxis(field, axis, 0)[at]
    for number, rectangle in enumerate(ndimage.find_objects(numbers), start=1):
        here = numbers[rectangle] == number
        radius_nm = float(depths[rectangle][here].max())
        depth = int(np.clip(np.ceil(radius_nm / voxel_nm[axis]), LEAST_VX, MOST_VX))
        reach = np.minimum(np.ceil(2 * depth * voxel_nm[axis] / voxel_nm).astype(np.int64), 2 * MOST_VX)
        low, high = at - 2 * depth, at + 2 * depth
        if low < 0 or high >= mask.shape[axis]:
            continue
        window = _window(rectangle, reach, axis, slice(low, high + 1), mask.shape)
        parts, _ = connected(mask[window], 26)
        spot = [int(v[0]) for v in np.nonzero(here)]
        spot = [v + r.start for v, r in zip(spot, rectangle, strict=True)]
        spot.insert(axis, at)
        part = parts == parts[tuple(v - w.start for v, w in zip(spot, window, strict=True))]
        ends = np.moveaxis(part, axis, 0)
        if ends[0].any() and ends[-1].any():
            yield _Face(window, part, int(crossed[number]), int(most[number]), depth)


def _window(
    rectangle: tuple[slice, slice], reach: Ints, axis: int, along: slice, shape: tuple[int, ...]
) -> tuple[slice, slice, slice]:
    """The box around a rectangle of a plane, grown by `reach` voxels within it."""
    across = [d for d in range(3) if d != axis]
    out = [along, along, along]
    for d, side in zip(across, rectangle, strict=True):
        out[d] = slice(max(0, side.start - int(reach[d])), min(shape[d], side.stop + int(reach[d])))
    return out[0], out[1], out[2]


def _crossings(graph: _Graph, shape: tuple[int, ...], axis: int, at: int) -> Ints:
    """(n, 2) voxels of a plane of `shape` at which the skeleton crosses it; what runs along it is one, at its first."""
    edges, side = graph.bones.edges, np.sign(graph.voxels[:, axis] - at)
    on = side == 0
    along = edges[on[edges].all(axis=1)]
    groups = component_roots(len(side), along)
    reached = np.zeros((len(side), 2), np.bool_)
    for one, other in ((edges[:, 0], edges[:, 1]), (edges[:, 1], edges[:, 0])):
        np.logical_or.at(reached[:, 0], groups[one][on[one]], side[other][on[one]] < 0)
        np.logical_or.at(reached[:, 1], groups[one][on[one]], side[other][on[one]] > 0)
    places = [graph.voxels[on & reached.all(axis=1)]]
    jumps = edges[side[edges].prod(axis=1) < 0]
    steps = graph.voxels[jumps]
    share = (at - steps[:, 0, axis]) / np.where(len(jumps), steps[:, 1, axis] - steps[:, 0, axis], 1)
    places.append(np.rint(steps[:, 0] + share[:, None] * (steps[:, 1] - steps[:, 0])).astype(np.int64))
    spots = np.delete(np.concatenate(places), axis, axis=1)
    return spots[inside_box(spots, shape)]


def _most_in_a_part(
    layer: Mask, numbers: NDArray[np.unsignedinteger], spots: Ints, across: Sequence[Sequence[int]]
) -> Ints:
    """The most crossings in one part of what two tasks share of each face, by its number.

    What lies where two such parts meet belongs to both, and is not counted.
    """
    for d, planes in enumerate(across):
        spots = spots[~np.isin(spots[:, d], planes)]
    bounds = [[0, *(p for p in planes if 0 < p < n), n] for planes, n in zip(across, layer.shape, strict=True)]
    most = np.zeros(int(numbers.max()) + 1, np.int64)
    for u0, u1 in pairwise(bounds[0]):
        for v0, v1 in pairwise(bounds[1]):
            own = spots[((spots >= (u0, v0)) & (spots < (u1, v1))).all(axis=1)]
            parts, _ = connected(np.ascontiguousarray(layer[u0:u1, v0:v1]), 8)
            times = np.bincount(parts[tuple((own - (u0, v0)).T)])
            np.maximum.at(most, numbers[tuple(own.T)], times[parts[tuple((own - (u0, v0)).T)]])
    return most


def _measure(graph: _Graph, face: _Face, axis: int, at: int) -> BorderMeasures:
    origin = np.array([w.start for w in face.window])
    near = sample(face.part, graph.voxels - origin)
    place = graph.voxels[:, axis] - at
    uncrossed = face.crossings == 0 and not _crosses(graph, near, place)
    broken = uncrossed and _broken(graph, near, place)
    return BorderMeasures(
        faces=1,
        uncrossed=int(uncrossed),
        broken=int(broken),
        doubled=int(face.most > 1),
        parallel=sum(_parallel(graph, near, place, side * face.depth_vx) for side in (-1, 1)),
    )


def _broken(graph: _Graph, near: Mask, place: Ints) -> bool:
    """Whether no part of the skeleton in the window is on both sides of the plane, there or by another way."""
    low, high = graph.roots[near & (place < 0)], graph.roots[near & (place > 0)]
    if len(low) and len(high):
        return len(np.intersect1d(low, high)) == 0
    beyond = graph.roots[place > 0] if len(low) else graph.roots[place < 0]
    ends = bool((graph.degree[near] == 1).any())
    return ends and len(np.intersect1d(graph.roots[near], beyond)) == 0


def _crosses(graph: _Graph, near: Mask, place: Ints) -> bool:
    """Whether the skeleton passes through the window from one side of the plane to the other, by another face."""
    inner = graph.bones.edges[near[graph.bones.edges].all(axis=1)]
    roots = component_roots(len(near), inner)
    return len(np.intersect1d(roots[near & (place < 0)], roots[near & (place > 0)])) > 0


def _parallel(graph: _Graph, near: Mask, place: Ints, depth_vx: int) -> bool:
    """Whether two chains pass the layers at `depth_vx` and twice that from the plane within a radius of each other."""
    return all(_pair(graph, near, place - layer) for layer in (depth_vx, 2 * depth_vx))


def _pair(graph: _Graph, near: Mask, place: Ints) -> bool:
    """Whether two chains pass a layer (place 0) within the larger of their radii."""
    edges = graph.bones.edges
    passing = np.flatnonzero((place[edges].min(axis=1) <= 0) & (place[edges].max(axis=1) > 0) & near[edges].any(axis=1))
    # The vertex of each edge on the near side of the layer; edges that start at one vertex pass it as one.
    first = edges[passing, np.argmin(place[edges[passing]], axis=1)]
    first, row = np.unique(first, return_index=True)
    chains = graph.chains[passing[row]]
    if len(first) < 2:
        return False
    points, radius = graph.bones.vertices_nm[first], graph.bones.radius_nm[first]
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    close = apart <= np.maximum(radius[:, None], radius[None])
    return bool((close & (chains[:, None] != chains[None])).any())
