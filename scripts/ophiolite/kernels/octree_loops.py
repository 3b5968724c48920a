"""The loops of `kernels.octree`, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit


@njit(cache=True, nogil=True)
def crossing(points: Any, faces: Any, axis: int, size: int, half: int) -> Any:
    """Which faces (m, 3) have corners strictly on both sides of one of the planes `k size + half` of an axis."""
    out = np.empty(len(faces), np.bool_)
    for i in range(len(faces)):
        a, b, c = points[faces[i, 0], axis], points[faces[i, 1], axis], points[faces[i, 2], axis]
        low, high = min(a, b, c), max(a, b, c)
        out[i] = low < high and (low - half) // size != (high - 1 - half) // size
    return out


@njit(cache=True, nogil=True)
def gather(points: Any, faces: Any, origin: Any, number: Any) -> Any:
    """The vertices (n, 3) int32 that faces (m, 3) use, less `origin`, in order of use, and the faces among them.

    number : (all vertices,) int32 of -1, which it is again afterwards.
    """
    renamed = np.empty((len(faces), 3), np.uint32)
    count = 0
    for i in range(len(faces)):
        for j in range(3):
            row = faces[i, j]
            if number[row] < 0:
                number[row] = count
                count += 1
            renamed[i, j] = number[row]
    out = np.empty((count, 3), np.int32)
    for i in range(len(faces)):
        for j in range(3):
            row = faces[i, j]
            if number[row] >= 0:
                for d in range(3):
                    out[number[row], d] = points[row, d] - origin[d]
                number[row] = -1
    return out, renamed
