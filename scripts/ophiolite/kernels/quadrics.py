"""What edge collapse and clustering know of each vertex: its planes, its faces, and whether it may move; compiled.

Garland & Heckbert 1997, "Surface simplification using quadric error metrics".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit


@njit(cache=True, nogil=True)
def quadrics(v: Any, f: Any) -> Any:
    """Per vertex (n, 11) the quadric of its planes, and (n, 3) the sum of the area vectors of its faces.

    The quadric holds xx, xy, xz, yy, yz, zz, x, y, z, 1 of the sum of squared distances, and the planes' weight.
    """
    q, normals = np.zeros((len(v), 11)), np.zeros((len(v), 3))
    for i in range(len(f)):
        a, b, c = v[f[i, 0]], v[f[i, 1]], v[f[i, 2]]
        ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        wx, wy, wz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        x, y, z = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        size = np.sqrt(x * x + y * y + z * z)
        if size > 0:
            # The plane's quadric, of unit normals, times the area: of normals as long as twice the area, over that.
            d, w = -(x * a[0] + y * a[1] + z * a[2]), 0.5 / size
            wx, wy, wz = w * x, w * y, w * z
            xx, xy, xz, yy, yz, zz = wx * x, wx * y, wx * z, wy * y, wy * z, wz * z
            xd, yd, zd, dd = wx * d, wy * d, wz * d, w * d * d
            for j in range(3):
                r, n = q[f[i, j]], normals[f[i, j]]
                r[0] += xx
                r[1] += xy
                r[2] += xz
                r[3] += yy
                r[4] += yz
                r[5] += zz
                r[6] += xd
                r[7] += yd
                r[8] += zd
                r[9] += dd
                r[10] += size / 2
                n[0] += x / 2
                n[1] += y / 2
                n[2] += z / 2
    return q, normals


@njit(cache=True, nogil=True)
def adjacency(f: Any, n: int) -> Any:
    """The faces around each vertex: those of row i are around[start[i] : start[i + 1]]."""
    start = np.zeros(n + 2, np.int32)
    for i in range(len(f)):
        for j in range(3):
            start[f[i, j] + 2] += 1
    for i in range(n):
        start[i + 2] += start[i + 1]
    around = np.empty(3 * len(f), np.int32)
    for i in range(len(f)):
        for j in range(3):
            a = f[i, j] + 1
            around[start[a]] = i
            start[a] += 1
    return start, around


@njit(cache=True, nogil=True)
def odd_ends(f: Any, n: int) -> Any:
    """Which vertices (n,) are ends of edges that are not shared by exactly two faces in opposite directions.

    Around a sound vertex every neighbour comes once after it and once before it.
    """
    start, around = adjacency(f, n)
    odd, mark = np.zeros(n, np.bool_), np.zeros(n, np.int64)
    stamp = 0
    for row in range(n):
        stamp += 2
        for step in range(3):
            for k in range(start[row], start[row + 1]):
                i = around[k]
                j = 0 if f[i, 0] == row else 1 if f[i, 1] == row else 2
                u = f[i, (j + (2 if step == 1 else 1)) % 3]
                if step == 0 and mark[u] != stamp:
                    mark[u] = stamp
                elif step == 1 and mark[u] == stamp:
                    mark[u] = stamp + 1
                elif step < 2 or mark[u] == stamp:
                    odd[u] = True
                    odd[row] = True
    return odd
