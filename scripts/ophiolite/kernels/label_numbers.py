"""The labels of a volume, as small ascending numbers, and the voxels of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.compiled import njit


def labels_of(volume: NDArray[Any], shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """The labels (n,) that occur in a volume (x, y, z), or in its first `shape` voxels, ascending."""
    out: NDArray[Any] = np.unique(_first_voxels(volume, *(shape or volume.shape)))
    return out


@njit(cache=True, nogil=True)
def _first_voxels(volume: Any, nx: int, ny: int, nz: int) -> Any:
    """The labels of voxels that differ from those before them along every axis: of each label one at least."""
    out, count = np.empty(1024, volume.dtype), 0
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                label = volume[x, y, z]
                if x > 0 and volume[x - 1, y, z] == label:
                    continue
                if (y > 0 and volume[x, y - 1, z] == label) or (z > 0 and volume[x, y, z - 1] == label):
                    continue
                if count == len(out):
                    out = np.concatenate((out, np.empty_like(out)))
                out[count] = label
                count += 1
    return out[:count]


def numbered(
    labels: NDArray[Any],
    counted: tuple[slice, slice, slice],
    shape: Sequence[int],
    around: tuple[Sequence[int], Sequence[int]],
    include: Sequence[int],
    exclude: Sequence[int],
) -> tuple[NDArray[Any], NDArray[np.uint64], NDArray[np.int64]]:
    """Labels (x, y, z), of which the first `shape` are read, as numbers: 0 background, then ascending.

    counted : where voxels are counted. around : layers of background below and above. include : the labels that get a
    number, empty for all. exclude : those that do not.
    Returns numbers, Fortran order, and the label and the counted voxels of each number.
    """
    x, y, z = shape
    ids = labels_of(labels, (x, y, z))
    wanted = ids != 0
    if include:
        wanted &= np.isin(ids, np.array(include, np.uint64))
    if exclude:
        wanted &= ~np.isin(ids, np.array(exclude, np.uint64))
    kept = np.concatenate([np.zeros(1, np.uint64), ids[wanted]])
    # At least 16 bits: one compiled version then serves nearly every task.
    dtype = np.promote_types(np.uint16, np.min_scalar_type(len(kept) - 1))
    numbers = np.zeros(len(ids), dtype)
    numbers[wanted] = np.arange(1, len(kept))
    low, high = around
    volume = np.zeros([low[d] + shape[d] + high[d] for d in range(3)], dtype, order="F")
    voxels = np.zeros(len(kept), np.int64)
    box = (tuple(s.start for s in counted), tuple(s.stop for s in counted))
    number_labels(labels, (x, y, z), box, ids, numbers, volume, tuple(low), voxels)
    return volume, kept, voxels


@njit(cache=True, nogil=True)
def number_labels(
    labels: Any, shape: Any, counted: Any, ids: Any, numbers: Any, out: Any, start: Any, voxels: Any
) -> None:
    """Write the number of each voxel's label into out, from `start` (3,) on; add the voxels of each to `voxels`.

    labels : (x, y, z), of which the first `shape` (3,) are read, and counted those from counted[0] (3,) to counted[1].
    ids : (n,) all that occur there, ascending. numbers : (n,) theirs.
    """
    nx, ny, nz = shape
    at_x, at_y, at_z = start
    low, high = counted
    last, number = ids[0], numbers[0]
    for z in range(nz):
        for y in range(ny):
            inside = low[1] <= y < high[1] and low[2] <= z < high[2]
            first = 0
            for x in range(nx):
                if labels[x, y, z] != last:
                    if inside:
                        voxels[number] += max(min(x, high[0]) - max(first, low[0]), 0)
                    first, last = x, labels[x, y, z]
                    number = numbers[np.searchsorted(ids, last)]
                out[at_x + x, at_y + y, at_z + z] = number
            if inside:
                voxels[number] += max(min(nx, high[0]) - max(first, low[0]), 0)
