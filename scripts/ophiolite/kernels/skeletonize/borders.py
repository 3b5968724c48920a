"""Where centrelines of neighbouring tasks meet: one point in each cross-section of a label in the plane they share.

Both tasks compute it from the same voxels of that plane and of the layers beside it, so it is the same to the bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.skeletonize.borders_loops import best, squared_distance

Numbers = NDArray[np.unsignedinteger[Any]]
Ints = NDArray[np.int64]
Flags = tuple[bool, bool, bool]
Slices = tuple[slice, slice, slice]
_NONE = np.zeros((0, 3), np.int64)
Vector = tuple[float, float, float]


def border_targets(
    plane: Numbers, resolution_nm: tuple[float, float], inner: tuple[slice, slice] = (slice(None), slice(None))
) -> tuple[Ints, Numbers]:
    """One target in each 8-connected cross-section of every label but 0 of a plane (u, v) of at most 32 bits a label.

    Returns voxels (k, 2) int64 of the plane and their labels (k,), in the order of the sections' first voxels. The
    target is the voxel of the greatest exact distance to the section's edge (Meijster et al. 2000); of equals the one
    nearest to the section's centroid, then the first in (u, v). Distances are compared as the same products of whole
    numbers of voxels wherever the section lies, so moving it moves its target, with no rounding between.
    inner : what both tasks own of the plane. Around it the plane is context for the distances alone; where the plane
    ends, nothing is known of an edge, and there is none.
    """
    numbers = sections(plane[inner])
    squared = to_edge(plane, resolution_nm)[inner]
    voxels = best(numbers, np.ascontiguousarray(squared), int(numbers.max(initial=0)), *map(float, resolution_nm))
    corner = np.array([range(n)[s][0] if n else 0 for n, s in zip(plane.shape, inner, strict=True)], np.int64)
    voxels += corner
    return voxels, plane[voxels[:, 0], voxels[:, 1]]


def to_edge(plane: Numbers, resolution_nm: tuple[float, float]) -> NDArray[np.float64]:
    """(u, v) squared nm from each voxel of a plane to the nearest of another label; infinite where there is none."""
    out: NDArray[np.float64] = squared_distance(np.ascontiguousarray(plane), *map(float, resolution_nm))
    return out


def sections(plane: Numbers) -> NDArray[np.uint32]:
    """Numbers 1, 2, ... of the 8-connected parts of the labels (u, v), by their first voxels in (u, v); 0 outside.

    Two voxels of one plane are 26-connected in space exactly where they are 8-connected here.
    """
    import cc3d

    parts = np.ascontiguousarray(cc3d.connected_components(np.ascontiguousarray(plane), connectivity=8))
    names, first = np.unique(parts, return_index=True)
    place = np.zeros(len(names), np.uint32)
    place[np.argsort(np.where(names == 0, -1, first), kind="stable")] = np.arange(len(names), dtype=np.uint32)
    place += np.uint32(names[0] != 0) if len(names) else np.uint32(0)
    table = np.zeros(int(parts.max(initial=0)) + 1, np.uint32)
    table[names] = place
    return table[parts]


def continued(numbers: NDArray[np.uint32], plane: Numbers, beside: Numbers) -> NDArray[np.bool_]:
    """(count + 1,) whether each section of a plane touches its label in the layer beside it, 26-connected.

    numbers (u, v) : from `sections`; plane, beside (u, v) : labels of the plane and of the layer.
    """
    touches = np.zeros(int(numbers.max(initial=0)) + 1, np.bool_)
    nu, nv = plane.shape
    for du in (-1, 0, 1):
        for dv in (-1, 0, 1):
            here = np.s_[max(du, 0) : nu + min(du, 0), max(dv, 0) : nv + min(dv, 0)]
            there = np.s_[max(-du, 0) : nu + min(-du, 0), max(-dv, 0) : nv + min(-dv, 0)]
            touches[numbers[here][plane[here] == beside[there]]] = True
    touches[0] = False
    return touches


class FaceSections(NamedTuple):
    """What becomes of the cross-sections in the faces of a task; voxels int64, relative to what it traces.

    targets (k, 3) : where ways must end, sorted, each once. left (l, 3) : voxels left to the neighbour, likewise.
    entries (m, 3) : all voxels of the sections through which parts go on to a neighbour; number (m,) of the section.
    """

    targets: Ints
    left: Ints
    entries: Ints
    number: Ints


NO_FACES = FaceSections(_NONE, _NONE, _NONE, np.zeros(0, np.int64))


def face_sections(
    numbers: Numbers, inner: Slices, seams_low: Flags, seams_high: Flags, resolution_nm: Vector
) -> FaceSections:
    """What becomes of the cross-sections in the faces of a task.

    numbers (x, y, z) : of at most 32 bits, all that the task sees. inner : what it traces, its core with the plane that
    it shares above, where `seams_high` says so; the plane shared below is the first layer of the core.
    A section of a shared plane through which its part goes on to both sides has a target; one that goes on to one side
    only is left to the task on that side, and one that goes on to neither to the task above, whose core it is. Where
    the layer beyond is not seen, the part is taken to go on, and what a task has in its core it keeps. Where the volume
    ends, every section has a target; not here, if that is a neighbour's.
    """
    targets, left, entries = [_NONE], [_NONE], [_NONE]
    number, count = [np.zeros(0, np.int64)], 0
    for axis in range(3):
        for upper, shared in enumerate((seams_low[axis], seams_high[axis])):
            face = _face(numbers, inner, axis, bool(upper), resolution_nm)
            if not shared:
                away = _of_neighbours(numbers, inner, axis, face.targets, (seams_low, seams_high), resolution_nm)
                targets.append(face.targets[~away])
                continue
            through = face.within & face.beyond
            away = ~face.within if upper else ~face.within & face.beyond & face.seen
            targets.append(face.targets[through])
            left.append(face.voxels[away[face.owner]])
            entries.append(face.voxels[through[face.owner]])
            number.append(face.owner[through[face.owner]] + count)
            count += len(through)
    shape = tuple(w.stop - w.start for w in inner)
    return FaceSections(
        each_once(np.concatenate(targets), shape),
        each_once(np.concatenate(left), shape),
        np.concatenate(entries),
        np.concatenate(number),
    )


def each_once(voxels: Ints, shape: tuple[int, ...]) -> Ints:
    """Voxels (n, 3) of a volume without repeats, sorted."""
    flat = np.unique(np.ravel_multi_index(tuple(voxels.T), shape))
    return np.stack(np.unravel_index(flat, shape), axis=1).astype(np.int64)


def _of_neighbours(
    numbers: Numbers, inner: Slices, axis: int, targets: Ints, shared: tuple[Flags, Flags], resolution_nm: Vector
) -> NDArray[np.bool_]:
    """Which targets (k, 3) where the volume ends lie on a plane shared along another axis, and are the neighbour's.

    That is below, if the section is deeper there; above, if it goes on there, for the plane is the core of that task.
    What stays is where the section is deepest, and no end is drawn because of a plane.
    """
    across = [d for d in range(3) if d != axis]
    asked = []
    for k, d in enumerate(across):
        for outward, seams, end in ((-1, shared[0], 0), (1, shared[1], inner[d].stop - inner[d].start - 1)):
            if seams[d]:
                asked += [(int(row), k, outward) for row in np.flatnonzero(targets[:, d] == end)]
    out = np.zeros(len(targets), np.bool_)
    if not asked:
        return out
    plane = np.moveaxis(numbers, axis, 0)[int(targets[0, axis]) + inner[axis].start]
    squared = to_edge(plane, (resolution_nm[across[0]], resolution_nm[across[1]]))
    for row, k, outward in asked:
        here = [int(targets[row, d]) + inner[d].start for d in across]
        beyond = [
            slice(max(inner[d].start, v - 1), min(inner[d].stop, v + 2)) for d, v in zip(across, here, strict=True)
        ]
        beyond[k] = slice(here[k] + outward, here[k] + outward + 1)
        same = plane[tuple(beyond)] == plane[tuple(here)]
        deeper = squared[tuple(beyond)] > squared[tuple(here)]
        out[row] |= bool((same if outward > 0 else same & deeper).any())
    return out


class _Face(NamedTuple):
    """The sections of a face: target of each, whether its part goes on, all voxels and the section of each.

    within, beyond : (k,) bool, into the task and out of it. seen : whether the layer beyond is.
    """

    targets: Ints
    within: NDArray[np.bool_]
    beyond: NDArray[np.bool_]
    seen: bool
    voxels: Ints
    owner: Ints


def _face(numbers: Numbers, inner: Slices, axis: int, upper: bool, resolution_nm: Vector) -> _Face:
    across = [d for d in range(3) if d != axis]
    window = (inner[across[0]], inner[across[1]])
    at, outward = (inner[axis].stop - 1, 1) if upper else (inner[axis].start, -1)
    plane = np.ascontiguousarray(np.moveaxis(numbers, axis, 0)[at])
    parts = sections(plane[window])
    count = int(parts.max(initial=0))

    def goes_on(layer: int) -> NDArray[np.bool_]:
        if not 0 <= layer < numbers.shape[axis]:
            return np.ones(count, np.bool_)
        return continued(parts, plane[window], np.moveaxis(numbers, axis, 0)[layer][window])[1:]

    def in_space(voxels: Ints) -> Ints:
        return np.insert(voxels, axis, at - inner[axis].start, axis=1)

    voxels, _ = border_targets(plane, (resolution_nm[across[0]], resolution_nm[across[1]]), window)
    places = np.argwhere(parts)
    return _Face(
        targets=in_space(voxels - [w.start for w in window]),
        within=goes_on(at - outward),
        beyond=goes_on(at + outward),
        seen=0 <= at + outward < numbers.shape[axis],
        voxels=in_space(places),
        owner=parts[tuple(places.T)].astype(np.int64) - 1,
    )
