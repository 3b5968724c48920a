"""The loops of `kernels.simplify`, compiled; what they follow is cited there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ophiolite.kernels.inner import inner

# A face may turn by 60 degrees, and become no worse in shape than this share of an equilateral triangle.
_LEAST_COSINE = 0.5
_LEAST_COMPACTNESS = 0.05
# Where planes fix no point (flat and ridge regions) shorter edges go first.
_LENGTH_SHARE = 1e-6
# The first sweep takes edges up to this share of the mean price of each vertex's cheapest, every further one up to this
# many times more.
_FIRST = 1 / 4
_GROWTH = 4.0


@inner
def _place(v: Any, q: Any, locked: Any, a: int, b: int) -> Any:
    """Where edge a b should collapse to: x, y, z, the sum of squared distances there, its weight, and the price."""
    xx, xy, xz = q[a, 0] + q[b, 0], q[a, 1] + q[b, 1], q[a, 2] + q[b, 2]
    yy, yz, zz = q[a, 3] + q[b, 3], q[a, 4] + q[b, 4], q[a, 5] + q[b, 5]
    # About the middle of the edge: what is added up then is small.
    mx, my, mz = (v[a, 0] + v[b, 0]) / 2, (v[a, 1] + v[b, 1]) / 2, (v[a, 2] + v[b, 2]) / 2
    dx, dy, dz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    length2 = dx * dx + dy * dy + dz * dz
    sx, sy, sz = q[a, 6] + q[b, 6], q[a, 7] + q[b, 7], q[a, 8] + q[b, 8]
    gx = xx * mx + xy * my + xz * mz + sx
    gy = xy * mx + yy * my + yz * mz + sy
    gz = xz * mx + yz * my + zz * mz + sz
    base = (gx + sx) * mx + (gy + sy) * my + (gz + sz) * mz + q[a, 9] + q[b, 9]
    weight = max(q[a, 10] + q[b, 10], 1e-300)
    x, y, z = 0.0, 0.0, 0.0
    if locked[a]:
        x, y, z = -dx / 2, -dy / 2, -dz / 2
    elif locked[b]:
        x, y, z = dx / 2, dy / 2, dz / 2
    else:
        cxx, cxy, cxz = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
        det = xx * cxx + xy * cxy + xz * cxz
        mean = (xx + yy + zz) / 3
        solved = False
        if det > 1e-5 * mean * mean * mean:
            cyy, cyz, czz = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
            scale = -1 / det
            x = (cxx * gx + cxy * gy + cxz * gz) * scale
            y = (cxy * gx + cyy * gy + cyz * gz) * scale
            z = (cxz * gx + cyz * gy + czz * gz) * scale
            solved = x * x + y * y + z * z <= 4 * length2
        if not solved:
            # Half the edge's quadratic and linear parts: the ends are cheaper where these outweigh the middle.
            bend = (dx * (xx * dx + 2 * (xy * dy + xz * dz)) + dy * (yy * dy + 2 * yz * dz) + dz * zz * dz) / 4
            slope = gx * dx + gy * dy + gz * dz
            x, y, z = 0.0, 0.0, 0.0
            if bend - abs(slope) < -1e-9 * max(base, 0.0):
                side = -0.5 if slope > 0 else 0.5
                x, y, z = side * dx, side * dy, side * dz
    cost = x * (xx * x + 2 * (xy * y + xz * z + gx)) + y * (yy * y + 2 * (yz * z + gy)) + z * (zz * z + 2 * gz) + base
    cost = max(cost, 0.0)
    return mx + x, my + y, mz + z, cost, weight, cost + _LENGTH_SHARE * length2 * weight


@inner
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
    along = ox * nx + oy * ny + oz * nz
    # Squares on both sides: no roots.
    if after <= 0 or (before > 0 and (along <= 0 or along * along < _LEAST_COSINE**2 * before * after)):
        return False
    sum2 = edge + ux * ux + uy * uy + uz * uz + wx * wx + wy * wy + wz * wz
    return after >= _LEAST_COMPACTNESS**2 / 12 * sum2 * sum2 or after * sides * sides >= before * sum2 * sum2


@inner
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


@inner
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


@inner
def _best(mesh: Any, stars: Any, a: int, above: float, most: float, p: Any) -> Any:
    """Of the edges from a to higher rows that cost more than `above` the cheapest: its price, other end; place in p."""
    v, f, q, locked = mesh
    dead, head, chain = stars
    best, end = np.inf, -1
    corner = head[a]
    while corner >= 0:
        i, j = corner // 3, corner % 3
        corner = chain[corner]
        if dead[i]:
            continue
        # Each neighbour follows a in one face; where an edge is open, both its ends are locked.
        u = f[i, j + 1 if j < 2 else 0]
        if u > a and not (locked[a] and locked[u]):
            x, y, z, cost, weight, price = _place(v, q, locked, a, u)
            # No two edges cost the same, so that all can be tried in turn.
            price *= 1 + 1e-15 * u
            if cost <= most * weight and above < price and price < best:
                best, end = price, u
                p[0], p[1], p[2] = x, y, z
    return best, end


@njit(cache=True, nogil=True)
def collapse(
    v: Any, f: Any, q: Any, locked: Any, into: Any, target: int, most: float, pairs: Any, places: Any, held: Any
) -> Any:
    """Collapse edges until `target` faces are left or none may go; returns which faces (m,) are left.

    v (n, 3) float64, f (m, 3) int32 and q (n, 11) are changed in place; into (n,) int32 takes the row that each vertex
    was merged into, its own where it stays. locked : (n,) never moves; both ends of open edges are.
    most : bounds the mean squared distance.
    pairs (n, 2), places (n, 3) : the record of all collapses, which end stays, which goes, and where to; rows of -1
    follow the last. Those of an earlier run come first, but for what has to do with the vertices `held` (n,).
    """
    n, m = len(v), len(f)
    dead = np.zeros(m, np.bool_)
    head, chain = np.full(n, -1, np.int32), np.full(3 * m, -1, np.int32)
    for corner in range(3 * m - 1, -1, -1):
        a = f[corner // 3, corner % 3]
        chain[corner] = head[a]
        head[a] = corner
    mesh, stars = (v, f, q, locked), (dead, head, chain)
    # Per vertex the price of its cheapest edge to a higher row, -1 where that has changed; edges to `above` may not go.
    least, above = np.full(n, -1.0), np.full(n, -1.0)
    p, mark = np.empty(3), np.zeros(n, np.int64)
    count, stamp, gone_faces = _repeat(mesh, stars, into, pairs, places, held, mark)
    alive = m - gone_faces
    for row in range(n):
        if into[row] != row:
            least[row] = np.inf
    limit = _FIRST * _priced(mesh, stars, least, above, most, p)
    while alive > target:
        limit = _fair(mesh, stars, least, above, most, p, limit, (alive - target + 1) // 2)
        following = np.inf
        for a in range(n):
            if least[a] > limit:
                following = min(following, least[a])
                continue
            price, b = _best(mesh, stars, a, above[a], most, p)
            while price <= limit:
                stamp += 2
                if _allowed(v, f, locked, dead, head, chain, mark, stamp, a, b, p):
                    break
                above[a] = price
                price, b = _best(mesh, stars, a, price, most, p)
            least[a] = price
            if price > limit:
                following = min(following, price)
                continue
            kept, gone = (b, a) if locked[b] else (a, b)
            alive -= _collapsed(mesh, stars, into, kept, gone, p)
            _record(pairs, places, count, kept, gone, p)
            count += 1
            least[gone], least[kept], above[kept], following = np.inf, -1.0, -1.0, limit
            corner = head[kept]
            while corner >= 0:
                i, j = corner // 3, corner % 3
                corner = chain[corner]
                u = f[i, j + 1 if j < 2 else 0]
                if u < kept or above[u] >= 0:
                    least[u], above[u] = -1.0, -1.0
            if alive <= target:
                break
        if following == np.inf:
            break
        limit = max(_GROWTH * limit, following)
    for row in range(n):
        a = into[row]
        while into[a] != a:
            a = into[a]
        into[row] = a
    return ~dead


@inner
def _collapsed(mesh: Any, stars: Any, into: Any, kept: int, gone: int, p: Any) -> Any:
    """Do it; returns how many faces vanish."""
    v, f, q, _ = mesh
    dead, head, chain = stars
    for d in range(3):
        v[kept, d] = p[d]
    for k in range(11):
        q[kept, k] += q[gone, k]
    into[gone] = kept
    return _merge(f, dead, head, chain, kept, gone)


@inner
def _record(pairs: Any, places: Any, row: int, kept: int, gone: int, p: Any) -> None:
    pairs[row, 0], pairs[row, 1] = kept, gone
    for d in range(3):
        places[row, d] = p[d]


@njit(cache=True, nogil=True)
def _repeat(mesh: Any, stars: Any, into: Any, pairs: Any, places: Any, held: Any, mark: Any) -> Any:
    """Do again what is on record; returns how many collapses were, the last stamp in `mark`, faces that vanished.

    What is left out now leaves its ends other than they were. No collapse with such an end is repeated; one next to it
    is where it is still allowed. All others find what they found before, and need no test.
    """
    v, f, _, locked = mesh
    dead, head, chain = stars
    other, near = held.copy(), held.copy()
    told = np.zeros(len(held), np.bool_)
    kept_rows, stamp, vanished = 0, 0, 0
    for row in range(len(pairs)):
        a, b, p = pairs[row, 0], pairs[row, 1], places[row]
        if a < 0:
            break
        sound = not (other[a] or other[b])
        if sound and (near[a] or near[b]):
            stamp += 2
            sound = _allowed(v, f, locked, dead, head, chain, mark, stamp, a, b, p)
        if sound:
            vanished += _collapsed(mesh, stars, into, a, b, p)
            near[a] = near[a] or near[b]
            _record(pairs, places, kept_rows, a, b, p)
            kept_rows += 1
            continue
        for end in (a, b):
            if not told[end]:
                told[end] = other[end] = True
                corner = head[end]
                while corner >= 0:
                    i = corner // 3
                    corner = chain[corner]
                    if not dead[i]:
                        for j in range(3):
                            near[f[i, j]] = True
    for row in range(kept_rows, len(pairs)):
        pairs[row, 0] = -1
    return kept_rows, stamp, vanished


@njit(cache=True, nogil=True)
def _priced(mesh: Any, stars: Any, least: Any, above: Any, most: float, p: Any) -> Any:
    """Price what has changed; returns about the mean of the prices (n,) that are finite."""
    total, count = 0.0, 0
    for a in range(len(least)):
        if least[a] < 0:
            least[a] = _best(mesh, stars, a, above[a], most, p)[0]
        if least[a] < np.inf:
            total += least[a]
            count += 1
    # A power of two, so that a lock more or less changes what happens around it only.
    return 2.0 ** np.round(np.log2(max(total / max(count, 1), 1e-290)))


@njit(cache=True, nogil=True)
def _fair(mesh: Any, stars: Any, least: Any, above: Any, most: float, p: Any, limit: float, wanted: int) -> Any:
    """The limit, or where more vertices than are wanted would go, one below which there are no more than these.

    Or else the last sweep would end where it has enough, and leave the higher rows finer than the lower ones.
    """
    if _below(least, limit) <= wanted:
        return limit
    _priced(mesh, stars, least, above, most, p)
    low, high = 0.0, limit
    for _ in range(30):
        middle = (low + high) / 2
        if _below(least, middle) <= wanted:
            low = middle
        else:
            high = middle
    return high


@inner
def _below(least: Any, limit: float) -> Any:
    count = 0
    for row in range(len(least)):
        count += least[row] <= limit
    return count
