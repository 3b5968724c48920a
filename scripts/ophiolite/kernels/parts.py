"""Connected parts of triangle meshes, and the volume that each encloses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.compiled import njit


def parts_of(faces: NDArray[np.uint32], vertices: int) -> NDArray[np.int32]:
    """The part (n,) of each vertex, from 0 by the lowest vertex of each; vertices that no face uses are parts too."""
    return np.asarray(_parts(faces, vertices))


def part_volumes(
    vertices: NDArray[np.float64], faces: NDArray[np.uint32], part: NDArray[np.int32], count: int
) -> NDArray[np.float64]:
    """Signed volumes (count,) of parts (n,) of vertices (n, 3); exact of whole numbers that span less than 2**16."""
    return np.asarray(_volumes(vertices, faces, part, count))


@njit(cache=True, nogil=True)
def _root(above: Any, row: Any) -> Any:
    while above[row] != row:
        above[row] = above[above[row]]
        row = above[row]
    return row


@njit(cache=True, nogil=True)
def _parts(faces: Any, n: int) -> Any:
    above = np.arange(n).astype(np.int32)
    for i in range(len(faces)):
        a = _root(above, np.int32(faces[i, 0]))
        for j in (1, 2):
            b = _root(above, np.int32(faces[i, j]))
            # The lowest vertex is the root, whatever the order of faces.
            if a < b:
                above[b] = a
            else:
                above[a] = b
                a = b
    count = 0
    for row in range(n):
        if above[row] == row:
            above[row] = ~count
            count += 1
        else:
            # Roots come before all others of their part and are numbered by now.
            up = above[row]
            while above[up] >= 0:
                up = above[up]
            above[row] = above[up]
    for row in range(n):
        above[row] = ~above[row]
    return above


@njit(cache=True, nogil=True)
def _volumes(v: Any, faces: Any, part: Any, count: int) -> Any:
    out = np.zeros(count)
    base = np.full(count, -1, np.int64)
    at = np.empty((3, 3))
    for i in range(len(faces)):
        p = part[faces[i, 0]]
        if base[p] < 0:
            base[p] = faces[i, 0]
        o, a, b, c = base[p], faces[i, 0], faces[i, 1], faces[i, 2]
        for d in range(3):
            at[0, d] = v[a, d] - v[o, d]
            at[1, d] = v[b, d] - v[o, d]
            at[2, d] = v[c, d] - v[o, d]
        x = at[1, 1] * at[2, 2] - at[1, 2] * at[2, 1]
        y = at[1, 2] * at[2, 0] - at[1, 0] * at[2, 2]
        z = at[1, 0] * at[2, 1] - at[1, 1] * at[2, 0]
        out[p] += (at[0, 0] * x + at[0, 1] * y + at[0, 2] * z) / 6
    return out
