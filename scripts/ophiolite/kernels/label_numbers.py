"""The labels of a volume, as small ascending numbers, and the voxels of each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


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


@njit(cache=True, nogil=True)
def number_labels(labels: Any, shape: Any, ids: Any, numbers: Any, out: Any, start: Any, voxels: Any) -> None:
    """Write the number of each voxel's label into out, from `start` (3,) on; add the voxels of each to `voxels`.

    labels : (x, y, z), of which the first `shape` (3,) are read. ids : (n,) all that occur there, ascending.
    numbers : (n,) theirs.
    """
    nx, ny, nz = shape
    at_x, at_y, at_z = start
    last, number = ids[0], numbers[0]
    for z in range(nz):
        for y in range(ny):
            first = 0
            for x in range(nx):
                if labels[x, y, z] != last:
                    voxels[number] += x - first
                    first, last = x, labels[x, y, z]
                    number = numbers[np.searchsorted(ids, last)]
                out[at_x + x, at_y + y, at_z + z] = number
            voxels[number] += nx - first
