"""Which points lie inside a mesh: the majority of the winding numbers that three slanted rays count.

A ray counts +1 for each face it leaves through and -1 for each it enters by, which sums to the winding number of the
surface around its start (Jacobson et al. 2013, doi:10.1145/2461912.2461916, for closed surfaces). A ray that slips
through a crack or past an edge is outvoted by two of other directions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.kernels.compiled import njit

_jit: Any = njit(cache=True, nogil=True)
# Irrational, so that no ray from one lattice point runs along edges or through vertices of a mesh on another.
SLANTS = ((0.0917157, 0.0628931), (-0.0735027, 0.1180339), (0.0529150, -0.1045361))
MOST_CELLS = 1024


def inside_mesh(points_nm: ArrayLike, vertices_nm: ArrayLike, faces: ArrayLike) -> NDArray[np.bool_]:
    """(n,) whether points (n, 3) lie inside a surface of vertices (v, 3) and faces (f, 3); none does without faces."""
    points = np.ascontiguousarray(points_nm, dtype=np.float64).reshape(-1, 3)
    corners = np.ascontiguousarray(vertices_nm, dtype=np.float64).reshape(-1, 3)
    triangles = np.ascontiguousarray(faces, dtype=np.int64).reshape(-1, 3)
    votes = np.zeros(len(points), np.int64)
    if len(triangles) and len(points):
        for axis, (a, b) in enumerate(SLANTS):
            order = [(axis + 1) % 3, (axis + 2) % 3, axis]
            p, v = points[:, order], corners[:, order]
            for seen in (p, v):
                seen[:, 0] -= a * seen[:, 2]
                seen[:, 1] -= b * seen[:, 2]
            votes += _winding(p, v, triangles) != 0
    inside: NDArray[np.bool_] = votes >= 2
    return inside


def _winding(points: NDArray[np.float64], vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> Any:
    """(n,) winding numbers along the last axis, through a grid of the faces across it."""
    low = vertices[:, :2].min(axis=0)
    extent = np.maximum(vertices[:, :2].max(axis=0) - low, 1e-9)
    cells = int(np.clip(np.sqrt(len(faces) / 2), 1, MOST_CELLS))
    return _count(points, vertices, faces, low, cells / (extent * (1 + 1e-9)), cells)


@_jit
def _count(points, vertices, faces, low, scale, cells):  # type: ignore[no-untyped-def]
    spans = np.empty((len(faces), 4), np.int64)
    start = np.zeros(cells * cells + 1, np.int64)
    for f in range(len(faces)):
        for d in range(2):
            a, b, c = vertices[faces[f, 0], d], vertices[faces[f, 1], d], vertices[faces[f, 2], d]
            spans[f, d] = min(int((min(a, b, c) - low[d]) * scale[d]), cells - 1)
            spans[f, 2 + d] = min(int((max(a, b, c) - low[d]) * scale[d]), cells - 1)
        for i in range(spans[f, 0], spans[f, 2] + 1):
            for j in range(spans[f, 1], spans[f, 3] + 1):
                start[i * cells + j + 1] += 1
    for k in range(cells * cells):
        start[k + 1] += start[k]
    rows = np.empty(start[-1], np.int32)
    at = start[:-1].copy()
    for f in range(len(faces)):
        for i in range(spans[f, 0], spans[f, 2] + 1):
            for j in range(spans[f, 1], spans[f, 3] + 1):
                rows[at[i * cells + j]] = f
                at[i * cells + j] += 1
    out = np.zeros(len(points), np.int64)
    for n in range(len(points)):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        i, j = np.floor((x - low[0]) * scale[0]), np.floor((y - low[1]) * scale[1])
        if i < 0 or j < 0 or i >= cells or j >= cells:
            continue
        cell = int(i) * cells + int(j)
        for k in range(start[cell], start[cell + 1]):
            a, b, c = vertices[faces[rows[k], 0]], vertices[faces[rows[k], 1]], vertices[faces[rows[k], 2]]
            u = (b[0] - x) * (c[1] - y) - (c[0] - x) * (b[1] - y)
            v = (c[0] - x) * (a[1] - y) - (a[0] - x) * (c[1] - y)
            w = (a[0] - x) * (b[1] - y) - (b[0] - x) * (a[1] - y)
            hit = (u > 0 and v > 0 and w > 0) or (u < 0 and v < 0 and w < 0)
            if hit and (u * a[2] + v * b[2] + w * c[2]) / (u + v + w) > z:
                out[n] += 1 if u > 0 else -1
    return out
