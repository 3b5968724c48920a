"""Distances to triangles, which lie in boxes within boxes: the loops of `kernels.mesh_measure.Surface`, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import inner, njit
from ophiolite.kernels.lattice_loops import box_of

_LEAF = 4
_STACK = 128


@njit(cache=True, nogil=True)
def curve_codes(points: Any) -> Any:
    """Places of points (n, 3), n above 0, along a Z-curve through their box, 30 bits, with the row of each below."""
    box = box_of(points)
    low, high = box[0], box[1]
    scale = 1023.0 / max(high[0] - low[0], high[1] - low[1], high[2] - low[2], 1e-300)
    out = np.empty(len(points), np.int64)
    for i in range(len(points)):
        code = 0
        for d in range(3):
            code |= _spread(int((points[i, d] - low[d]) * scale)) << d
        out[i] = code << 32 | i
    return out


@inner
def _spread(q: int) -> Any:
    """Ten bits, two places between each and the next."""
    q = (q | q << 16) & 0x030000FF
    q = (q | q << 8) & 0x0300F00F
    q = (q | q << 4) & 0x030C30C3
    return (q | q << 2) & 0x09249249


@njit(cache=True, nogil=True)
def centres(v: Any, f: Any) -> Any:
    """The middles (m, 3) of faces."""
    out = np.empty((len(f), 3))
    for i in range(len(f)):
        for d in range(3):
            out[i, d] = (v[f[i, 0], d] + v[f[i, 1], d] + v[f[i, 2], d]) / 3
    return out


@njit(cache=True, nogil=True)
def corners(v: Any, f: Any, order: Any) -> Any:
    """The corners (m, 9) of faces, one after the other, in an order (m,)."""
    out = np.empty((len(f), 9))
    for i in range(len(f)):
        for j in range(3):
            for d in range(3):
                out[i, 3 * j + d] = v[f[order[i], j], d]
    return out


@njit(cache=True, nogil=True)
def tree(t: Any) -> Any:
    """Boxes (2 leaves, 6) of a complete binary tree, root at row 1; leaf i holds triangles 4 i ... 4 i + 3."""
    leaves = 1
    while leaves * _LEAF < len(t):
        leaves *= 2
    box = np.empty((2 * leaves, 6))
    box[:, :3] = np.inf
    box[:, 3:] = -np.inf
    for i in range(len(t)):
        row = box[leaves + i // _LEAF]
        for k in range(9):
            row[k % 3] = min(row[k % 3], t[i, k])
            row[3 + k % 3] = max(row[3 + k % 3], t[i, k])
    for i in range(leaves - 1, 0, -1):
        for d in range(3):
            box[i, d] = min(box[2 * i, d], box[2 * i + 1, d])
            box[i, 3 + d] = max(box[2 * i, 3 + d], box[2 * i + 1, 3 + d])
    return box


@inner
def _descended(
    t: Any, box: Any, stack: Any, top: int, x: float, y: float, z: float, found: float, enough: float
) -> Any:
    """The least squared distance below `found` to what lies under the first `top` nodes of a stack, and its leaf.

    Ends as soon as it is no more than `enough`. The leaf is -1 where nothing is nearer.
    """
    leaves, leaf = len(box) // 2, -1
    while top > 0 and found > enough:
        top -= 1
        node = stack[top]
        if _box_distance2(box[node], x, y, z) > found:
            continue
        if node < leaves:
            a, b = 2 * node, 2 * node + 1
            if _box_distance2(box[a], x, y, z) < _box_distance2(box[b], x, y, z):
                a, b = b, a
            stack[top] = a
            stack[top + 1] = b
            top += 2
        else:
            for k in range((node - leaves) * _LEAF, min((node - leaves + 1) * _LEAF, len(t))):
                d2 = triangle_distance2(t[k], x, y, z)
                if d2 < found:
                    found, leaf = d2, node
    return found, leaf


@njit(cache=True, nogil=True)
def nearest(p: Any, t: Any, box: Any) -> Any:
    """The distance (n,) of each point (n, 3) to the nearest of triangles t (m, 9), of which `tree` made the boxes."""
    out = np.empty(len(p))
    stack = np.empty(_STACK, np.int64)
    last = np.inf
    for i in range(len(p)):
        x, y, z = p[i, 0], p[i, 1], p[i, 2]
        best = np.inf
        if i > 0:
            dx, dy, dz = x - p[i - 1, 0], y - p[i - 1, 1], z - p[i - 1, 2]
            # A point is no farther from the surface than its neighbour plus their distance; the slack covers rounding.
            reach = (last + np.sqrt(dx * dx + dy * dy + dz * dz)) * (1 + 1e-9) + 1e-300
            best = reach * reach
        stack[0] = 1
        found, _ = _descended(t, box, stack, 1, x, y, z, best, -1.0)
        last = np.sqrt(found)
        out[i] = last
    return out


@njit(cache=True, nogil=True)
def farthest(p: Any, t: Any, box: Any, worst: float) -> Any:
    """As `nearest`, but a point is done as soon as one triangle is no farther than the farthest point so far."""
    leaf = len(box) // 2
    stack = np.empty(_STACK, np.int64)
    for i in range(len(p)):
        x, y, z = p[i, 0], p[i, 1], p[i, 2]
        # The leaf that served the point before often serves this one.
        stack[0], stack[1] = 1, leaf
        found, served = _descended(t, box, stack, 2, x, y, z, np.inf, worst)
        leaf = served if served >= 0 else leaf
        worst = max(worst, found)
    return np.sqrt(worst)


@njit(cache=True, nogil=True)
def within(p: Any, t: Any, box: Any, bound2: float) -> Any:
    """Which points (n, 3) lie no farther from the triangles, arguments as of `nearest`, than the root of `bound2`."""
    out = np.zeros(len(p), np.bool_)
    leaves = len(box) // 2
    stack = np.empty(_STACK, np.int64)
    for i in range(len(p)):
        x, y, z = p[i, 0], p[i, 1], p[i, 2]
        top = 1
        stack[0] = 1
        while top > 0 and not out[i]:
            top -= 1
            node = stack[top]
            if node < leaves:
                a, b = 2 * node, 2 * node + 1
                da, db = _box_distance2(box[a], x, y, z), _box_distance2(box[b], x, y, z)
                if da < db:
                    a, b, da, db = b, a, db, da
                if da <= bound2:
                    stack[top] = a
                    top += 1
                if db <= bound2:
                    stack[top] = b
                    top += 1
            else:
                for k in range((node - leaves) * _LEAF, min((node - leaves + 1) * _LEAF, len(t))):
                    if triangle_distance2(t[k], x, y, z) <= bound2:
                        out[i] = True
                        break
    return out


@inner
def _box_distance2(b: Any, x: float, y: float, z: float) -> Any:
    dx = max(b[0] - x, 0.0, x - b[3])
    dy = max(b[1] - y, 0.0, y - b[4])
    dz = max(b[2] - z, 0.0, z - b[5])
    return dx * dx + dy * dy + dz * dz


@inner
def _segment_distance2(ax: float, ay: float, az: float, bx: float, by: float, bz: float) -> float:
    """Squared distance from the origin to the segment a b."""
    ux, uy, uz = bx - ax, by - ay, bz - az
    length = ux * ux + uy * uy + uz * uz
    s = 0.0
    if length > 0:
        s = min(max(-(ax * ux + ay * uy + az * uz) / length, 0.0), 1.0)
    cx, cy, cz = ax + s * ux, ay + s * uy, az + s * uz
    return cx * cx + cy * cy + cz * cz


@inner
def triangle_distance2(t: Any, x: float, y: float, z: float) -> Any:
    """Squared distance from a point to the triangle t (9,), its corners one after the other."""
    ax, ay, az = t[0] - x, t[1] - y, t[2] - z
    bx, by, bz = t[3] - x, t[4] - y, t[5] - z
    cx, cy, cz = t[6] - x, t[7] - y, t[8] - z
    ux, uy, uz = bx - ax, by - ay, bz - az
    wx, wy, wz = cx - ax, cy - ay, cz - az
    nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
    nn = nx * nx + ny * ny + nz * nz
    if nn > 0:
        # Barycentric signs of the foot of the perpendicular: n . (b x c), n . (c x a), n . (a x b).
        s = nx * (by * cz - bz * cy) + ny * (bz * cx - bx * cz) + nz * (bx * cy - by * cx)
        r = nx * (cy * az - cz * ay) + ny * (cz * ax - cx * az) + nz * (cx * ay - cy * ax)
        q = nx * (ay * bz - az * by) + ny * (az * bx - ax * bz) + nz * (ax * by - ay * bx)
        if s >= 0 and r >= 0 and q >= 0:
            h = ax * nx + ay * ny + az * nz
            return h * h / nn
    return min(
        _segment_distance2(ax, ay, az, bx, by, bz),
        _segment_distance2(bx, by, bz, cx, cy, cz),
        _segment_distance2(cx, cy, cz, ax, ay, az),
    )
