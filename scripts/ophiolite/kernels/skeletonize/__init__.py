"""Centrelines of every label of a task (TEASAR, Sato et al. 2000, doi:10.1109/PCCGA.2000.883951).

Halo: none below, one voxel above wherever a neighbouring task exists. Both tasks see that shared plane, and each
cross-section of a label in it is given one end point, chosen from the plane alone: centrelines meet there to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.lattice import STEPS_PER_VOXEL, SkeletonPiece
from ophiolite.kernels.skeletonize.kimimaro import Lines, trace_with_kimimaro
from ophiolite.kernels.skeletonize.labels import Labels, face_targets, fill_holes, leave_to_neighbour, wanted
from ophiolite.kernels.skeletonize.options import SkeletonOptions
from ophiolite.kernels.skeletonize.trace import NO_TARGETS, trace_labels

__all__ = ["HALO_HIGH_VX", "HALO_LOW_VX", "SkeletonOptions", "skeletonize_labels"]

HALO_LOW_VX = 0
HALO_HIGH_VX = 1

Flags = tuple[bool, bool, bool]


def skeletonize_labels(
    labels: Labels,
    resolution_nm: tuple[float, float, float],
    core_shape_vx: tuple[int, int, int],
    seams_low: Flags,
    seams_high: Flags,
    skip: NDArray[np.uint64] | None = None,
    options: SkeletonOptions = SkeletonOptions(),
) -> Iterator[tuple[int, SkeletonPiece]]:
    """Trace the centrelines of every label of a task; yields (label, piece), labels ascending.

    labels : (x, y, z) unsigned integers, 0 is background; core plus one voxel at the high side of each axis that has a
        neighbour there, so its shape is `core_shape_vx` plus `seams_high`.
    seams_low, seams_high : which faces a neighbouring task shares.
    skip : labels to leave out. Whether an object is dust is for the caller to say, who knows all of it: here even the
        smallest part of a label is traced, or the tips of large objects would be lost at the borders of tasks.
    Pieces are relative to the first voxel of the core; the centre of voxel i is 256 i + 128. Radii are distances to the
    surface as far as this task sees it. A part of a label in the halo that does not reach into the core belongs to the
    neighbour and is left to it. A part of one voxel has no centreline; a label without any yields nothing.
    Raises ValueError where the shape does not follow from core and seams.
    """
    expected = tuple(n + int(s) for n, s in zip(core_shape_vx, seams_high, strict=True))
    if labels.shape != expected:
        raise ValueError(
            f"labels have shape {labels.shape}; core {core_shape_vx} and seams {seams_high} make {expected}"
        )
    numbers, names = wanted(labels, skip, options)
    for axis in range(3):
        if seams_high[axis]:
            leave_to_neighbour(numbers, axis)
    found: dict[int, list[Lines]] = {}
    while numbers.any():
        inner = fill_holes(numbers) if options.fill_holes else None
        for number, skeleton in _engine(numbers, resolution_nm, options).items():
            found.setdefault(int(number), []).append(skeleton)
        if inner is None:
            break
        numbers = inner
    for number in sorted(found):
        yield int(names[number]), _piece(found[number], labels.shape, seams_low, seams_high)


def _engine(
    numbers: NDArray[np.uint32], resolution_nm: tuple[float, float, float], options: SkeletonOptions
) -> dict[int, Lines]:
    if options.engine == "kimimaro":
        return trace_with_kimimaro(numbers, resolution_nm, options)
    targets = face_targets(numbers, resolution_nm) if options.fix_borders else NO_TARGETS
    return trace_labels(numbers, resolution_nm, options, targets)


def _piece(
    parts: list[Lines],
    shape: tuple[int, ...],
    seams_low: Flags,
    seams_high: Flags,
) -> SkeletonPiece:
    """One piece of the engine's voxel indices."""
    counts = np.cumsum([0] + [len(part[0]) for part in parts])
    voxels = np.concatenate([part[0] for part in parts])
    edges = np.concatenate([part[1] + np.uint32(start) for part, start in zip(parts, counts, strict=False)])
    seam = np.zeros(len(voxels), np.bool_)
    for axis in range(3):
        if seams_low[axis]:
            seam |= voxels[:, axis] == 0
        if seams_high[axis]:
            seam |= voxels[:, axis] == shape[axis] - 1
    vertices = (voxels * STEPS_PER_VOXEL + STEPS_PER_VOXEL // 2).astype(np.int32)
    return SkeletonPiece(vertices, edges, np.concatenate([part[2] for part in parts]), seam)
