"""Whether a simplified piece stays near what it was, its volume, and what has changed since the last time: compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import inner, njit
from ophiolite.kernels.quadrics import adjacency
from ophiolite.kernels.surface_loops import triangle_distance2


@njit(cache=True, nogil=True)
def far_from_own(points: Any, into: Any, v: Any, f: Any, bound: float) -> Any:
    """Which points (n, 3) are not within `bound` of the faces of the vertex `into` (n,) that stands for them.

    Looks at these faces only, so a point may lie near others and count as far.
    And which vertices (k,) have none of their points within the bound.
    """
    start, around = adjacency(f, len(v))
    far, t, bound2 = np.zeros(len(points), np.bool_), np.empty(9), bound * bound
    lost = np.ones(len(v), np.bool_)
    for i in range(len(points)):
        own = into[i]
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        if (v[own, 0] - x) ** 2 + (v[own, 1] - y) ** 2 + (v[own, 2] - z) ** 2 <= bound2:
            lost[own] = False
        else:
            near = _near_centres(x, y, z, v, f, start[own], start[own + 1], around, bound2)
            far[i] = not near and not _near_faces(x, y, z, v, f, start[own], start[own + 1], around, t, bound2)
    return far, lost


@inner
def _near_centres(
    x: float, y: float, z: float, v: Any, f: Any, start: int, stop: int, around: Any, bound2: float
) -> Any:
    """Whether one of the centres of faces is near: at a fifth of the price of the faces themselves, and mostly so."""
    for k in range(start, stop):
        a, b, c = f[around[k], 0], f[around[k], 1], f[around[k], 2]
        dx = v[a, 0] + v[b, 0] + v[c, 0] - 3 * x
        dy = v[a, 1] + v[b, 1] + v[c, 1] - 3 * y
        dz = v[a, 2] + v[b, 2] + v[c, 2] - 3 * z
        if dx * dx + dy * dy + dz * dz <= 9 * bound2:
            return True
    return False


@inner
def _near_faces(
    x: float, y: float, z: float, v: Any, f: Any, start: int, stop: int, around: Any, t: Any, bound2: float
) -> Any:
    for k in range(start, stop):
        for j in range(3):
            for d in range(3):
                t[3 * j + d] = v[f[around[k], j], d]
        if triangle_distance2(t, x, y, z) <= bound2:
            return True
    return False


@njit(cache=True, nogil=True)
def astray(points: Any, into: Any, v: Any, f: Any, bound: float) -> Any:
    """Samples (k, 3) of faces, centres and middles of edges, that no point is near to; the nearest (k,); the face (k,).

    points (n, 3) : those looked at are the ones that a face's corners stand for, by `into` (n,). They are near within
    `bound`; the surface between them may be where none of them is. An edge is looked at where it runs upwards, so once.
    """
    start, own = _grouped(into, len(v))
    samples, nearest, face, count = np.empty((8, 3)), np.empty(8, np.int64), np.empty(8, np.int64), 0
    at = np.empty(3)
    for i in range(len(f)):
        for side in range(4):
            a, b = f[i, side % 3], f[i, (side + 1) % 3]
            if side < 3 and a > b:
                continue
            for d in range(3):
                at[d] = (v[a, d] + v[b, d]) / 2 if side < 3 else (v[f[i, 0], d] + v[f[i, 1], d] + v[f[i, 2], d]) / 3
            row, near = _nearest_own(points, start, own, f[i], at, bound * bound)
            if not near and row >= 0:
                if count == len(nearest):
                    samples = np.concatenate((samples, np.empty_like(samples)))
                    nearest, face = np.concatenate((nearest, nearest)), np.concatenate((face, face))
                samples[count], nearest[count], face[count] = at, row, i
                count += 1
    return samples[:count], nearest[:count], face[:count]


@njit(cache=True, nogil=True)
def _grouped(into: Any, n: int) -> Any:
    """The points of each vertex: those of row u are own[start[u] : start[u + 1]]."""
    start = np.zeros(n + 2, np.int32)
    for i in range(len(into)):
        start[into[i] + 2] += 1
    for u in range(n):
        start[u + 2] += start[u + 1]
    own = np.empty(len(into), np.int32)
    for i in range(len(into)):
        own[start[into[i] + 1]] = i
        start[into[i] + 1] += 1
    return start, own


@inner
def _nearest_own(points: Any, start: Any, own: Any, corners: Any, at: Any, bound2: float) -> Any:
    """Any point of the corners within the bound, or the nearest; and whether it is within."""
    least, row = np.inf, -1
    for corner in corners:
        for k in range(start[corner], start[corner + 1]):
            x, y, z = points[own[k], 0] - at[0], points[own[k], 1] - at[1], points[own[k], 2] - at[2]
            away = x * x + y * y + z * z
            if away <= bound2:
                return own[k], True
            if away < least:
                least, row = away, own[k]
    return row, False


@njit(cache=True, nogil=True)
def faces_at(faces: Any, chosen: Any) -> Any:
    """Which faces (m, 3) have a corner among the `chosen` (n,) vertices."""
    out = np.empty(len(faces), np.bool_)
    for i in range(len(faces)):
        out[i] = chosen[faces[i, 0]] | chosen[faces[i, 1]] | chosen[faces[i, 2]]
    return out


@njit(cache=True, nogil=True)
def faces_among(faces: Any, chosen: Any) -> Any:
    """Which faces (m, 3) have all corners among the `chosen` (n,) vertices."""
    out = np.empty(len(faces), np.bool_)
    for i in range(len(faces)):
        out[i] = chosen[faces[i, 0]] & chosen[faces[i, 1]] & chosen[faces[i, 2]]
    return out


@njit(cache=True, nogil=True)
def volume_about(v: Any, f: Any, point: Any) -> Any:
    """Volume of the cones from a point to the faces."""
    out, x, y, z = 0.0, point[0], point[1], point[2]
    for i in range(len(f)):
        a, b, c = f[i, 0], f[i, 1], f[i, 2]
        ax, ay, az = v[a, 0] - x, v[a, 1] - y, v[a, 2] - z
        bx, by, bz = v[b, 0] - x, v[b, 1] - y, v[b, 2] - z
        cx, cy, cz = v[c, 0] - x, v[c, 1] - y, v[c, 2] - z
        out += ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    return out / 6


@njit(cache=True, nogil=True)
def restoring_length(v: Any, f: Any, free: Any, missing: float, most: float) -> Any:
    """By how much all vertices that are free (n,) must move outwards to add a volume; `most` at most, either way."""
    sums, rate = _normals(v, f), 0.0
    for u in range(len(v)):
        if free[u]:
            rate += np.sqrt(sums[u, 0] ** 2 + sums[u, 1] ** 2 + sums[u, 2] ** 2)
    return min(max(missing / rate, -most), most) if rate > 0 else 0.0


@njit(cache=True, nogil=True)
def moved_outwards(v: Any, f: Any, free: Any, length: float) -> Any:
    """Vertices (n, 3), those that are free (n,) moved along their normals."""
    sums, out = _normals(v, f), v.copy()
    for u in range(len(v)):
        size = np.sqrt(sums[u, 0] ** 2 + sums[u, 1] ** 2 + sums[u, 2] ** 2)
        if free[u] and size > 0:
            for d in range(3):
                out[u, d] += length * sums[u, d] / size
    return out


@njit(cache=True, nogil=True)
def _normals(v: Any, f: Any) -> Any:
    """Per vertex (n, 3) a third of the sum of the area vectors of its faces: the rate of volume as it moves."""
    sums = np.zeros((len(v), 3))
    for i in range(len(f)):
        a, b, c = f[i, 0], f[i, 1], f[i, 2]
        ux, uy, uz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
        wx, wy, wz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
        for u in (a, b, c):
            sums[u, 0] += (uy * wz - uz * wy) / 6
            sums[u, 1] += (uz * wx - ux * wz) / 6
            sums[u, 2] += (ux * wy - uy * wx) / 6
    return sums


@njit(cache=True, nogil=True)
def altered(before: Any, after: Any) -> Any:
    """Which vertices (n,) are not where they were, stand for others, or have other faces around them, or faces moved.

    before, after : vertices (n, 3), faces (m, 3), which faces are left (m,), the vertex that stands for each (n,).
    """
    v, f, left, into = before
    now_v, now_f, now_left, now_into = after
    moved, out = np.zeros(len(v), np.bool_), np.zeros(len(v), np.bool_)
    for u in range(len(v)):
        moved[u] = v[u, 0] != now_v[u, 0] or v[u, 1] != now_v[u, 1] or v[u, 2] != now_v[u, 2]
        if into[u] != now_into[u]:
            out[into[u]] = out[now_into[u]] = True
    for i in range(len(f)):
        if not (left[i] or now_left[i]):
            continue
        a, b, c = now_f[i, 0], now_f[i, 1], now_f[i, 2]
        other = left[i] != now_left[i] or f[i, 0] != a or f[i, 1] != b or f[i, 2] != c
        if other or moved[a] or moved[b] or moved[c]:
            out[a] = out[b] = out[c] = True
            out[f[i, 0]] = out[f[i, 1]] = out[f[i, 2]] = True
    return out
