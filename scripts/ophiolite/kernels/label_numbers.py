"""Labels of a volume as small ascending numbers, and the voxels of each; compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


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
