"""Centrelines of every label of a task (TEASAR, Sato et al. 2000, doi:10.1109/PCCGA.2000.883951).

Halo: one voxel above wherever a neighbouring task exists, and context on both sides. Both tasks see that shared plane,
and each cross-section through which a label goes on is given one end point: centrelines meet there to the bit. From the
context come distances to the surface that do not end with the task.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.lattice import STEPS_PER_VOXEL, SkeletonPiece
from ophiolite.kernels.skeletonize.borders import NO_FACES, FaceSections, each_once, face_sections
from ophiolite.kernels.skeletonize.kimimaro import Lines, trace_with_kimimaro
from ophiolite.kernels.skeletonize.labels import Labels, fill_holes, wanted
from ophiolite.kernels.skeletonize.nuclei import unite_nuclei
from ophiolite.kernels.skeletonize.options import SkeletonOptions
from ophiolite.kernels.skeletonize.trace import (
    NOTHING_ASKED,
    Asked,
    distance_to_surface,
    trace_labels,
)

__all__ = ["HALO_HIGH_VX", "HALO_LOW_VX", "SkeletonOptions", "skeletonize_labels"]

HALO_LOW_VX = 16
HALO_HIGH_VX = 17

Flags = tuple[bool, bool, bool]
DEFAULT = SkeletonOptions()


def skeletonize_labels(
    labels: Labels,
    resolution_nm: tuple[float, float, float],
    core_shape_vx: tuple[int, int, int],
    seams_low: Flags,
    seams_high: Flags,
    skip: NDArray[np.uint64] | None = None,
    options: SkeletonOptions = DEFAULT,
    context_low_vx: tuple[int, int, int] = (0, 0, 0),
    context_high_vx: tuple[int, int, int] = (0, 0, 0),
) -> Iterator[tuple[int, SkeletonPiece]]:
    """Trace the centrelines of every label of a task; yields (label, piece), labels ascending.

    labels : (x, y, z) unsigned integers, 0 is background; core plus one voxel at the high side of each axis that has a
        neighbour there, so its shape is `core_shape_vx` plus `seams_high`, plus the context.
    context_low_vx, context_high_vx : voxels more at both ends of each axis. Nothing is traced there; they say where the
        surface is, and whether a part goes on beyond a shared plane.
    seams_low, seams_high : which faces a neighbouring task shares.
    skip : labels to leave out. Whether an object is dust is for the caller to say, who knows all of it: here even the
        smallest part of a label is traced, or the tips of large objects would be lost at the borders of tasks.
    Pieces are relative to the first voxel of the core; the centre of voxel i is 256 i + 128. Radii are distances to the
    surface as far as this task sees it. What belongs to a neighbour is left to it, see `face_sections`. A part of one
    voxel has no centreline; a label without any yields nothing.
    Raises ValueError where the shape does not follow from core, seams and context.
    """
    low, high = context_low_vx, context_high_vx
    whole = zip(core_shape_vx, seams_high, low, high, strict=True)
    expected = tuple(n + int(s) + before + after for n, s, before, after in whole)
    if labels.shape != expected:
        raise ValueError(
            f"labels have shape {labels.shape}; core {core_shape_vx}, seams {seams_high} and context {low}, {high} "
            f"make {expected}"
        )
    shape = tuple(n + int(s) for n, s in zip(core_shape_vx, seams_high, strict=True))
    seen, names = wanted(labels, skip, options)
    del labels
    if options.fix_avocados and options.engine == "ophiolite":
        unite_nuclei(seen, resolution_nm, options.soma_detect_nm)
    inner = _inner(core_shape_vx, seams_high, low)
    faces = face_sections(seen, inner, seams_low, seams_high, resolution_nm)
    found: dict[int, list[Lines]] = {}
    more = bool(seen[inner].any())
    while more:
        within = fill_holes(seen[inner]) if options.fill_holes else None
        ready = _ready(seen, inner, seams_high, faces, resolution_nm, options)
        more = within is not None and bool(within.any())
        if within is None:
            del seen  # what is traced last needs the room
        else:
            # What lay in a void is closed in: it has no part in the faces.
            seen[inner], faces = within, NO_FACES
        for number, skeleton in _traced(ready, resolution_nm, options).items():
            found.setdefault(int(number), []).append(skeleton)
    for number in sorted(found):
        yield int(names[number]), _piece(found[number], shape, seams_low, seams_high, _keeps_below(options))


def _inner(core: tuple[int, int, int], seams_high: Flags, low: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    x, y, z = (slice(a, a + n + int(s)) for a, n, s in zip(low, core, seams_high, strict=True))
    return x, y, z


def _ready(
    seen: NDArray[np.uint32],
    inner: tuple[slice, slice, slice],
    seams_high: Flags,
    faces: FaceSections,
    resolution_nm: tuple[float, float, float],
    options: SkeletonOptions,
) -> list[Any]:
    """What an engine takes: the numbers to trace, without voxels left to a neighbour; what is asked, depths.

    The planes shared above are the neighbours' cores: there ways are laid from this side to the targets alone, or both
    sides would trace what runs along a plane, each a little differently.
    """
    numbers = np.array(seen[inner], order="F")
    numbers[tuple(faces.left.T)] = 0
    if options.engine == "kimimaro":
        return [numbers]
    depth = np.asfortranarray(distance_to_surface(seen, resolution_nm)[inner])
    if _keeps_below(options):
        shunned = _shared_above(numbers, seams_high)
        return [numbers, Asked(faces.targets, shunned, faces.entries, faces.number), depth]
    return [numbers, NOTHING_ASKED, depth]


def _keeps_below(options: SkeletonOptions) -> bool:
    """Whether ways keep out of the plane shared above, but for their ends."""
    return options.engine == "ophiolite" and options.fix_borders


def _traced(ready: list[Any], resolution_nm: tuple[float, float, float], options: SkeletonOptions) -> dict[int, Lines]:
    """The centrelines of each number. `ready` is emptied, so that the engine can let go of what it needs no more."""
    if options.engine == "kimimaro":
        return trace_with_kimimaro(ready.pop(), resolution_nm, options)
    return trace_labels(ready.pop(0), resolution_nm, options, ready.pop(0), ready.pop(0))


def _shared_above(numbers: NDArray[np.uint32], seams_high: Flags) -> NDArray[np.int64]:
    """(n, 3) the voxels of objects in the planes that neighbours above share, each once."""
    found = [np.zeros((0, 3), np.int64)]
    for axis, shared in enumerate(seams_high):
        if shared:
            plane = np.argwhere(np.moveaxis(numbers, axis, 0)[-1])
            found.append(np.insert(plane, axis, numbers.shape[axis] - 1, axis=1))
    return each_once(np.concatenate(found), numbers.shape)


def _piece(
    parts: list[Lines],
    shape: tuple[int, ...],
    seams_low: Flags,
    seams_high: Flags,
    keeps_below: bool,
) -> SkeletonPiece:
    """One piece of the engine's voxel indices; what keeps below the plane shared above has ends one layer below it."""
    counts = np.cumsum([0] + [len(part[0]) for part in parts])
    voxels = np.concatenate([part[0] for part in parts])
    edges = np.concatenate([part[1] + np.uint32(start) for part, start in zip(parts, counts, strict=False)])
    seam = np.zeros(len(voxels), np.bool_)
    for axis in range(3):
        if seams_low[axis]:
            seam |= voxels[:, axis] == 0
        if seams_high[axis]:
            seam |= voxels[:, axis] >= shape[axis] - 1 - keeps_below
    vertices = (voxels * STEPS_PER_VOXEL + STEPS_PER_VOXEL // 2).astype(np.int32)
    return SkeletonPiece(vertices, edges, np.concatenate([part[2] for part in parts]), seam)
