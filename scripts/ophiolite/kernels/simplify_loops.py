"""The loops of `kernels.simplify`, compiled; what they follow is cited there."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import inner, njit
from ophiolite.kernels.edge_loops import fits, place

# The first sweep takes edges up to this share of the mean price of each vertex's cheapest, every further one up to this
# many times more.
_FIRST = 1 / 4
_GROWTH = 4.0


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
            elif not fits(v, a, c, d, p):
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
                if not fits(v, b, c, d, p):
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
            x, y, z, cost, weight, price = place(v, q, locked, a, u)
            # No two edges cost the same, so that all can be tried in turn.
            price *= 1 + 1e-15 * u
            if cost <= most * weight and above < price and price < best:
                best, end = price, u
                p[0], p[1], p[2] = x, y, z
    return best, end


@njit(cache=True, nogil=True)
def collapse(
    v: Any,
    f: Any,
    q: Any,
    locked: Any,
    into: Any,
    target: int,
    most: float,
    pairs: Any,
    places: Any,
    held: Any,
    settled: bool,
) -> Any:
    """Collapse edges until `target` faces are left or none may go; which faces (m,) are left, and if none may go.

    v (n, 3) float64, f (m, 3) int32 and q (n, 11) are changed in place; into (n,) int32 takes the row that each vertex
    was merged into, its own where it stays. locked : (n,) never moves; both ends of open edges are.
    most : bounds the mean squared distance.
    pairs (n, 2), places (n, 3) : the record of all collapses, which end stays, which goes, and where to; rows of -1
    follow the last. Those of an earlier run come first, but for what has to do with the vertices `held` (n,).
    settled : that run left none that may go, so that now only some near these may.
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
    count, stamp, gone_faces, near = _repeat(mesh, stars, into, pairs, places, held, mark)
    alive = m - gone_faces
    if settled:
        # All edges elsewhere may not go, as long as nothing around them changes.
        least[:], above[:] = np.inf, np.inf
        for i in range(m):
            if not dead[i] and (near[f[i, 0]] or near[f[i, 1]] or near[f[i, 2]]):
                for j in range(3):
                    least[f[i, j]] = above[f[i, j]] = -1.0
    for row in range(n):
        if into[row] != row:
            least[row] = np.inf
    following = 0.0
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
    return ~dead, following == np.inf


@njit(cache=True, nogil=True)
def survivors(v: Any, f: Any, left: Any, further: Any, centre: Any, rows: Any, into: Any, still: Any) -> Any:
    """What the faces (m,) that are `left` of a mesh hold, as `kernels.simplify.Simplified`, and which vertices.

    v (n, 3) : about the `centre`. further (n,) : where each was merged. rows (n,), into (k,) : one of the first
    vertices (k,) that each stands for, and what stood for each of these. still : (k,).
    """
    n, count, kept = len(v), 0, 0
    used, number = np.zeros(n, np.bool_), np.empty(n, np.int32)
    for i in range(len(f)):
        if left[i]:
            kept += 1
            for j in range(3):
                used[f[i, j]] = True
    for row in range(n):
        count += used[row]
        number[row] = count - 1
    vertices, faces = np.empty((count, 3)), np.empty((kept, 3), np.uint32)
    own, stay, out = np.empty(count, np.int32), np.empty(count, np.bool_), np.empty(len(into), np.int32)
    for row in range(n):
        if used[row]:
            new = number[row]
            own[new], stay[new] = rows[row], still[rows[row]]
            for d in range(3):
                vertices[new, d] = v[row, d] + centre[d]
    kept = 0
    for i in range(len(f)):
        if left[i]:
            for j in range(3):
                faces[kept, j] = number[f[i, j]]
            kept += 1
    for i in range(len(into)):
        out[i] = number[further[into[i]]]
    return vertices, faces, own, stay, out, used


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

    And which vertices (n,) are not as they were, or are next to one.

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
    return kept_rows, stamp, vanished, near


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
