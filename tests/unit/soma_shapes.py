"""A drawn soma with neurites, and its skeleton traced task by task, for tests of what is seen whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box
from ophiolite.geometry.grid import Grid
from ophiolite.kernels.skeleton_merge import Skeleton, stitch_skeletons
from ophiolite.kernels.skeletonize import SkeletonOptions, skeletonize_labels

VOXEL_NM = (100.0, 100.0, 100.0)
SIDE_VX = 96
# Off the middle of the volume, where the borders of tasks cross.
MIDDLE = (44.0, 49.0, 52.0)
RADIUS_VX = 21
TUBE_VX = 3
# No two opposite, none along an axis or a border of tasks: ways of different neurites meet at the root alone.
WAYS = ((1.0, 0.3, 0.2), (-0.8, 0.6, 0.3), (0.2, -1.0, 0.4), (-0.2, 0.5, 1.0), (-0.3, -0.4, -1.0))
OPTIONS = SkeletonOptions(
    scale=4, const_nm=300, soma_detect_nm=900, soma_accept_nm=1200, soma_scale=1, soma_const_nm=300
)


def ball(shape: Sequence[int], centre: Sequence[float], radius: float) -> NDArray[np.bool_]:
    """Voxels nearer to a point than `radius`, in voxels."""
    grid = np.indices(tuple(shape)).transpose(1, 2, 3, 0) - np.array(centre)
    return np.asfortranarray((grid**2).sum(axis=-1) <= radius**2)


def tube(shape: Sequence[int], start: Sequence[float], along: Sequence[float], radius: float) -> NDArray[np.bool_]:
    """Voxels nearer than `radius` to a ray, in voxels."""
    way = np.array(along) / np.linalg.norm(along)
    grid = np.indices(tuple(shape)).transpose(1, 2, 3, 0) - np.array(start)
    ahead = grid @ way
    apart = (grid**2).sum(axis=-1) - ahead**2
    return np.asfortranarray((apart <= radius**2) & (ahead >= 0))


def soma(ways: Sequence[Sequence[float]] = WAYS) -> NDArray[np.bool_]:
    """A ball in the middle with a tube along each way, as far as the volume reaches."""
    shape = (SIDE_VX,) * 3
    found = ball(shape, MIDDLE, RADIUS_VX)
    for way in ways:
        found |= tube(shape, MIDDLE, way, TUBE_VX)
    return found


def traced(mask: NDArray[np.bool_], task_vx: int, options: SkeletonOptions = OPTIONS) -> Skeleton:
    """The skeleton of a mask of voxels of `VOXEL_NM`, traced task by task and stitched."""
    nx, ny, nz = mask.shape
    whole = Box((0, 0, 0), (nx, ny, nz))
    pieces = []
    for cell in Grid(whole, (task_vx,) * 3):
        core = Grid(whole, (task_vx,) * 3).cell(cell)
        low = tuple(core.start[d] > 0 for d in range(3))
        high = tuple(core.stop[d] < mask.shape[d] for d in range(3))
        seen = core.grow((0, 0, 0), (int(high[0]), int(high[1]), int(high[2])))
        labels = np.asfortranarray(mask[seen.slices()]).astype(np.uint32)
        for _, piece in skeletonize_labels(labels, VOXEL_NM, core.shape, low, high, options=options):  # type: ignore[arg-type]
            pieces.append((core.start, piece))
    return stitch_skeletons(pieces)
