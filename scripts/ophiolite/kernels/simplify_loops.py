"""The loops of `kernels.simplify`, compiled; what they follow is cited there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# A face may turn by about 78 degrees, and become no worse in shape than this share of an equilateral triangle.
_LEAST_COSINE = 0.2
_LEAST_COMPACTNESS = 0.05
# Where planes fix no point (flat and ridge regions) shorter edges go first.
_LENGTH_SHARE = 1e-6
# The queue sorts prices into buckets, four to a factor of two, first in first out.
_PER_OCTAVE = 4
_BUCKETS = 80 * _PER_OCTAVE


@njit(cache=True, nogil=True)
def _at(q: Any, x: float, y: float, z: float) -> Any:
    out = q[0] * x * x + q[3] * y * y + q[5] * z * z + 2 * (q[1] * x * y + q[2] * x * z + q[4] * y * z)
    return max(out + 2 * (q[6] * x + q[7] * y + q[8] * z) + q[9], 0.0)


@njit(cache=True, nogil=True)
def _place(v: Any, q: Any, locked: Any, a: Any, b: Any, out: Any, s: Any) -> Any:
    """Where edge a b should collapse to, into `out`; returns the mean squared distance there and the heap's cost."""
    for k in range(11):
        s[k] = q[a, k] + q[b, k]
    dx, dy, dz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    length2 = dx * dx + dy * dy + dz * dz
    if locked[a] or locked[b]:
        keep = a if locked[a] else b
        out[0], out[1], out[2] = v[keep, 0], v[keep, 1], v[keep, 2]
    else:
        mx, my, mz = (v[a, 0] + v[b, 0]) / 2, (v[a, 1] + v[b, 1]) / 2, (v[a, 2] + v[b, 2]) / 2
        gx = s[0] * mx + s[1] * my + s[2] * mz + s[6]
        gy = s[1] * mx + s[3] * my + s[4] * mz + s[7]
        gz = s[2] * mx + s[4] * my + s[5] * mz + s[8]
        cxx, cxy, cxz = s[3] * s[5] - s[4] * s[4], s[2] * s[4] - s[1] * s[5], s[1] * s[4] - s[2] * s[3]
        cyy, cyz, czz = s[0] * s[5] - s[2] * s[2], s[1] * s[2] - s[0] * s[4], s[0] * s[3] - s[1] * s[1]
        det = s[0] * cxx + s[1] * cxy + s[2] * cxz
        mean = (s[0] + s[3] + s[5]) / 3
        out[0], out[1], out[2] = mx, my, mz
        solved = False
        if det > 1e-5 * mean * mean * mean:
            x = -(cxx * gx + cxy * gy + cxz * gz) / det
            y = -(cxy * gx + cyy * gy + cyz * gz) / det
            z = -(cxz * gx + cyz * gy + czz * gz) / det
            if x * x + y * y + z * z <= 4 * length2:
                out[0], out[1], out[2] = mx + x, my + y, mz + z
                solved = True
        if not solved:
            best = _at(s, mx, my, mz)
            for end in (a, b):
                here = _at(s, v[end, 0], v[end, 1], v[end, 2])
                if here < best * (1 - 1e-9):
                    best = here
                    out[0], out[1], out[2] = v[end, 0], v[end, 1], v[end, 2]
    cost = _at(s, out[0], out[1], out[2])
    weight = max(s[10], 1e-300)
    return cost / weight, cost + _LENGTH_SHARE * length2 * weight


@njit(cache=True, nogil=True)
def _fits(v: Any, a: int, b: int, c: int, p: Any) -> Any:
    """Whether face a b c stays sound when corner a moves to p."""
    ux, uy, uz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    wx, wy, wz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
    ex, ey, ez = v[c, 0] - v[b, 0], v[c, 1] - v[b, 1], v[c, 2] - v[b, 2]
    ox, oy, oz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
    edge = ex * ex + ey * ey + ez * ez
    before = ox * ox + oy * oy + oz * oz
    sides = edge + ux * ux + uy * uy + uz * uz + wx * wx + wy * wy + wz * wz
    ux, uy, uz = v[b, 0] - p[0], v[b, 1] - p[1], v[b, 2] - p[2]
    wx, wy, wz = v[c, 0] - p[0], v[c, 1] - p[1], v[c, 2] - p[2]
    nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
    after = nx * nx + ny * ny + nz * nz
    if after <= 0:
        return False
    if before > 0 and ox * nx + oy * ny + oz * nz < _LEAST_COSINE * np.sqrt(before * after):
        return False
    shape = 2 * np.sqrt(3.0) * np.sqrt(after) / (edge + ux * ux + uy * uy + uz * uz + wx * wx + wy * wy + wz * wz)
    return shape >= min(_LEAST_COMPACTNESS, 2 * np.sqrt(3.0) * np.sqrt(before) / max(sides, 1e-300))


@njit(cache=True, nogil=True)
def _allowed(
    v: Any, f: Any, locked: Any, dead: Any, head: Any, chain: Any, mark: Any, stamp: Any, a: Any, b: Any, p: Any
) -> Any:
    """The link condition for edge a b, sound faces after it collapses to p, and no new edge between locked vertices.

    Such an edge would cut across a seam, where the neighbour may make the same one: four faces at one edge.
    """
    shared, closing = 0, 0
    left, right = -1, -1
    corner = head[a]
    while corner >= 0:
        i, j = corner // 3, corner % 3
        corner = chain[corner]
        if not dead[i]:
            c, d = f[i, (j + 1) % 3], f[i, (j + 2) % 3]
            mark[c] = stamp
            mark[d] = stamp
            if c == b or d == b:
                shared += 1
                left, right = right, (d if c == b else c)
            elif not _fits(v, a, c, d, p):
                return False
    if shared != 2:
        return False
    common = 0
    corner = head[b]
    while corner >= 0:
        i, j = corner // 3, corner % 3
        corner = chain[corner]
        if not dead[i]:
            c, d = f[i, (j + 1) % 3], f[i, (j + 2) % 3]
            if c != a and d != a:
                if not _fits(v, b, c, d, p):
                    return False
                if (c == left and d == right) or (c == right and d == left):
                    closing += 1
            for u in (c, d):
                if u != a and mark[u] == stamp:
                    mark[u] = stamp + 1
                    common += 1
                elif u != a and mark[u] < stamp and locked[a] and locked[u]:
                    return False
    if common != 2:
        return False
    corner = head[a]
    while corner >= 0 and (closing > 0 or locked[b]):
        i, j = corner // 3, corner % 3
        corner = chain[corner]
        c, d = f[i, (j + 1) % 3], f[i, (j + 2) % 3]
        if dead[i]:
            continue
        if closing > 0 and ((c == left and d == right) or (c == right and d == left)):
            return False
        for u in (c, d):
            if locked[b] and u != b and mark[u] == stamp and locked[u]:
                return False
    return True


@njit(cache=True, nogil=True)
def _merge(f: Any, dead: Any, head: Any, chain: Any, a: Any, b: Any) -> Any:
    """Give b's faces to a; returns how many vanish."""
    gone = 0
    corner = head[b]
    while corner >= 0:
        i, j = corner // 3, corner % 3
        corner = chain[corner]
        if not dead[i]:
            if f[i, (j + 1) % 3] == a or f[i, (j + 2) % 3] == a:
                dead[i] = True
                gone += 1
            else:
                f[i, j] = a
    last = -1
    for start in (head[a], head[b]):
        corner = start
        while corner >= 0:
            following = chain[corner]
            if not dead[corner // 3]:
                if last < 0:
                    head[a] = corner
                else:
                    chain[last] = corner
                last = corner
            corner = following
    if last < 0:
        head[a] = -1
    else:
        chain[last] = -1
    head[b] = -1
    return gone


@njit(cache=True, nogil=True)
def _push(queue: Any, first: Any, last: Any, state: Any, price: float, a: int, b: int, seen: int) -> None:
    """Append edge a b to the bucket of its price; state holds next free row, lowest bucket used, log2 of its price."""
    bucket = 0
    if price > 0:
        bucket = min(max(int((np.log2(price) - state[2]) * _PER_OCTAVE), 0), len(first) - 1)
    row = state[0]
    state[0] = queue[row, 3]
    queue[row, 0], queue[row, 1], queue[row, 2], queue[row, 3] = a, b, seen, -1
    if first[bucket] < 0:
        first[bucket] = row
    else:
        queue[last[bucket], 3] = row
    last[bucket] = row
    state[1] = min(state[1], bucket)


@njit(cache=True, nogil=True)
def collapse(v: Any, f: Any, q: Any, locked: Any, into: Any, target: int, most: float) -> Any:
    """Collapse edges until `target` faces are left or none may go; returns which faces (m,) are left.

    v (n, 3) float64, f (m, 3) int32 and q (n, 11) are changed in place; into (n,) int32 takes the row that each vertex
    was merged into, its own where it stays. locked : (n,) never moves. most : bounds the mean squared distance.
    """
    n, m = len(v), len(f)
    dead = np.zeros(m, np.bool_)
    head, chain = np.full(n, -1, np.int32), np.full(3 * m, -1, np.int32)
    for corner in range(3 * m - 1, -1, -1):
        a = f[corner // 3, corner % 3]
        chain[corner] = head[a]
        head[a] = corner
    mark, version = np.zeros(n, np.int64), np.zeros(n, np.int32)
    queue = np.empty((3 * m + 64, 4), np.int32)
    for row in range(len(queue)):
        queue[row, 3] = row + 1
    queue[len(queue) - 1, 3] = -1
    first, last = np.full(_BUCKETS, -1, np.int32), np.full(_BUCKETS, -1, np.int32)
    state = np.array([0, _BUCKETS - 1, 0])
    weight, reach = 0.0, 0.0
    for i in range(n):
        weight += q[i, 10]
        for d in range(3):
            reach = max(reach, abs(v[i, d]))
    state[2] = int(np.log2(max(weight * reach * reach, 1e-290))) - _BUCKETS // _PER_OCTAVE
    p, s = np.empty(3), np.empty(11)
    stamp, alive = 0, m
    for i in range(m):
        for j in range(3):
            a, b = f[i, j], f[i, (j + 1) % 3]
            if a < b and not (locked[a] and locked[b]):
                mean, price = _place(v, q, locked, a, b, p, s)
                if mean <= most:
                    _push(queue, first, last, state, price, a, b, 0)
    while alive > target:
        while state[1] < _BUCKETS and first[state[1]] < 0:
            state[1] += 1
        if state[1] == _BUCKETS:
            break
        row = first[state[1]]
        a, b, seen = queue[row, 0], queue[row, 1], queue[row, 2]
        first[state[1]] = queue[row, 3]
        queue[row, 3] = state[0]
        state[0] = row
        if seen != version[a] + version[b] or head[a] < 0 or head[b] < 0:
            continue
        _place(v, q, locked, a, b, p, s)
        stamp += 2
        if not _allowed(v, f, locked, dead, head, chain, mark, stamp, a, b, p):
            continue
        if locked[b]:
            a, b = b, a
        v[a, 0], v[a, 1], v[a, 2] = p[0], p[1], p[2]
        for k in range(11):
            q[a, k] = s[k]
        alive -= _merge(f, dead, head, chain, a, b)
        into[b] = a
        version[a] += 1
        stamp += 2
        corner = head[a]
        while corner >= 0:
            i, j = corner // 3, corner % 3
            corner = chain[corner]
            for u in (f[i, (j + 1) % 3], f[i, (j + 2) % 3]):
                if mark[u] != stamp and not (locked[a] and locked[u]):
                    mark[u] = stamp
                    mean, price = _place(v, q, locked, min(a, u), max(a, u), p, s)
                    if mean <= most:
                        if state[0] < 0:
                            queue = _more(queue, state)
                        _push(queue, first, last, state, price, min(a, u), max(a, u), version[a] + version[u])
    for row in range(n):
        a = into[row]
        while into[a] != a:
            a = into[a]
        into[row] = a
    return ~dead


@njit(cache=True, nogil=True)
def _more(queue: Any, state: Any) -> Any:
    size = len(queue)
    out = np.empty((size + size // 2, 4), np.int32)
    # Whole arrays are copied in loops here: numba takes two seconds to compile each kind of slice assignment.
    for row in range(size):
        for column in range(4):
            out[row, column] = queue[row, column]
    for row in range(size, len(out)):
        out[row, 3] = row + 1
    out[len(out) - 1, 3] = -1
    state[0] = size
    return out
