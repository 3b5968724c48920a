"""Labels of a volume as small ascending numbers, and the voxels of each; compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def number_labels(labels: Any, ids: Any, numbers: Any, out: Any, voxels: Any) -> None:
    """Write the number of each voxel's label into out, and add the voxels of each number to `voxels`.

    labels : (x, y, z), at least as large as out. ids : (n,) all that occur there, ascending. numbers : (n,) of them.
    """
    nx, ny, nz = out.shape
    last, number = ids[0], numbers[0]
    for z in range(nz):
        for y in range(ny):
            first = 0
            for x in range(nx):
                if labels[x, y, z] != last:
                    voxels[number] += x - first
                    first, last = x, labels[x, y, z]
                    number = numbers[np.searchsorted(ids, last)]
                out[x, y, z] = number
            voxels[number] += nx - first
