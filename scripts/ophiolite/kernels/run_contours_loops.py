"""Compiled loops of kernels.run_contours."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit

_jit: Any = njit(cache=True, nogil=True)

# The ends of a side of a run, where the outline goes on in the row above or below.
UP, DOWN = 0, 1


@_jit
def link_sides(runs, links):  # type: ignore[no-untyped-def]
    """Connect the sides of the runs of one label or more into closed outlines.

    runs (n, 4) : row, start, stop, label; by label, then in raster order. Side 2 i is the left one of run i, 2 i + 1
    the right one. links (2 n, 2) : for the upper and lower end of a side, which end of which side follows along the
    line between the rows, as 2 side + end. Pixels that touch at a corner are kept together.
    """
    first = 0
    above, above_stop = 0, 0
    while first < len(runs):
        stop = first
        while stop < len(runs) and runs[stop, 0] == runs[first, 0] and runs[stop, 3] == runs[first, 3]:
            stop += 1
        follows = above < above_stop and runs[above, 3] == runs[first, 3] and runs[above, 0] + 1 == runs[first, 0]
        if follows:
            _link_line(runs, above, above_stop, first, stop, links)
        else:
            _link_line(runs, above, above_stop, first, first, links)
            _link_line(runs, first, first, first, stop, links)
        above, above_stop, first = first, stop, stop
    _link_line(runs, above, above_stop, above_stop, above_stop, links)


@_jit
def _link_line(runs, above, above_stop, below, below_stop, links):  # type: ignore[no-untyped-def]
    """Connect, along one line between two rows, the lower ends of the sides above and the upper ends of those below."""
    a, a_stop, b, b_stop = 2 * above, 2 * above_stop, 2 * below, 2 * below_stop
    far = np.iinfo(np.int64).max
    waiting = -1
    while a < a_stop or b < b_stop:
        xa = side_x(runs, a) if a < a_stop else far
        xb = side_x(runs, b) if b < b_stop else far
        if xa == xb and waiting < 0:
            _link(links, 2 * a + DOWN, 2 * b + UP)
            a += 1
            b += 1
        elif xa == xb:
            # Two pixels touch at a corner here: the outline that comes along the line turns to the other pixel's side.
            # It comes along the lower edge of the upper pixel, if that side is its right one, so goes on below.
            if a % 2 == 1:
                _link(links, waiting, 2 * b + UP)
                waiting = 2 * a + DOWN
            else:
                _link(links, waiting, 2 * a + DOWN)
                waiting = 2 * b + UP
            a += 1
            b += 1
        else:
            if xa < xb:
                end = 2 * a + DOWN
                a += 1
            else:
                end = 2 * b + UP
                b += 1
            if waiting < 0:
                waiting = end
            else:
                _link(links, waiting, end)
                waiting = -1


@_jit
def _link(links, p, q):  # type: ignore[no-untyped-def]
    links[p // 2, p % 2] = q
    links[q // 2, q % 2] = p


@_jit
def side_x(runs, side):  # type: ignore[no-untyped-def]
    """Where a side lies along x."""
    return np.int64(runs[side // 2, 1 + side % 2])


@_jit
def follow_sides(runs, links, points, ring_stops, ring_labels):  # type: ignore[no-untyped-def]
    """Walk along all outlines, objects on the right hand where x runs right and y down.

    points (6 n, 2) int64 : in half pixels, the middles of the pixel edges where the outline turns. ring_stops,
    ring_labels (n,) : the end of each ring in `points`, and its label. Returns the number of rings.
    """
    seen = np.zeros(len(links), np.bool_)
    count, rings = 0, 0
    for start in range(len(links)):
        if seen[start]:
            continue
        side, label = start, runs[start // 2, 3]
        while not seen[side]:
            seen[side] = True
            # Left sides are walked upwards, right sides downwards.
            end = UP if side % 2 == 0 else DOWN
            x, y = side_x(runs, side), np.int64(runs[side // 2, 0])
            points[count, 0], points[count, 1] = 2 * x, 2 * y + 1
            count += 1
            line = 2 * (y + end)
            side = links[side, end] // 2
            other = side_x(runs, side)
            if other != x:
                step = 1 if other > x else -1
                points[count, 0], points[count, 1] = 2 * x + step, line
                count += 1
                if abs(other - x) > 1:
                    points[count, 0], points[count, 1] = 2 * other - step, line
                    count += 1
        ring_stops[rings], ring_labels[rings] = count, label
        rings += 1
    return rings


@_jit
def twice_area(ring):  # type: ignore[no-untyped-def]
    """Twice the signed area of a ring (n, 2): positive where it is walked from x towards y."""
    total = 0
    for i in range(len(ring)):
        j = i + 1 if i + 1 < len(ring) else 0
        total += ring[i, 0] * ring[j, 1] - ring[j, 0] * ring[i, 1]
    return total


@_jit
def kept_points(ring, limit, keep):  # type: ignore[no-untyped-def]
    """Mark the points of a ring (n, 2) that stay: none left out is farther than `limit` from the simplified ring.

    Douglas and Peucker (Cartographica 10, 1973) from two anchors: the first point, and the one farthest from it.
    """
    n = len(ring)
    far, best = 0, -1.0
    for i in range(n):
        away = float(ring[i, 0] - ring[0, 0]) ** 2 + float(ring[i, 1] - ring[0, 1]) ** 2
        if away > best:
            far, best = i, away
    keep[:] = False
    keep[0] = keep[far] = True
    stack = [(0, far), (far, n)]
    while len(stack) > 0:
        a, b = stack.pop()
        worst, at = limit * limit, -1
        for i in range(a + 1, b):
            away = _squared_distance(ring[i], ring[a], ring[b % n])
            if away > worst:
                worst, at = away, i
        if at >= 0:
            keep[at] = True
            stack.append((a, at))
            stack.append((at, b))


@_jit
def _squared_distance(point, a, b):  # type: ignore[no-untyped-def]
    """Of a point from the segment a b."""
    ax, ay = float(point[0] - a[0]), float(point[1] - a[1])
    bx, by = float(b[0] - a[0]), float(b[1] - a[1])
    length = bx * bx + by * by
    along = ax * bx + ay * by
    if along <= 0 or length == 0:
        return ax * ax + ay * ay
    if along >= length:
        return (ax - bx) ** 2 + (ay - by) ** 2
    across = ax * by - ay * bx
    return across * across / length


@_jit
def rings_meet(points, stops):  # type: ignore[no-untyped-def]
    """Whether any two segments of some rings touch, other than neighbours at their common point.

    points (m, 2), integers; stops (k,) : end of each ring. Sweeps the segments of each band of rows by their left ends.
    """
    m = len(points)
    after = np.empty(m, np.int64)
    first = 0
    for k in range(len(stops)):
        for i in range(first, stops[k]):
            after[i] = i + 1 if i + 1 < stops[k] else first
        first = stops[k]
    low, high = np.empty(m, np.int64), np.empty(m, np.int64)
    for i in range(m):
        low[i] = min(points[i, 0], points[after[i], 0])
        high[i] = max(points[i, 0], points[after[i], 0])
    starts, members = _bands(points, after, np.argsort(low))
    for band in range(len(starts) - 1):
        for p in range(starts[band], starts[band + 1]):
            i = members[p]
            for q in range(p + 1, starts[band + 1]):
                j = members[q]
                if low[j] > high[i]:
                    break
                if after[i] != j and after[j] != i and _segments_meet(points, i, after[i], j, after[j]):
                    return True
                if (after[i] == j or after[j] == i) and _fold_back(points, after, i, j):
                    return True
    return False


@_jit
def _bands(points, after, order):  # type: ignore[no-untyped-def]
    """The segments that reach into each band of rows, as `starts` (bands + 1,) in `members`, those in `order`.

    Bands are as high as segments are on average, so that all bands together hold at most three times the segments.
    """
    bottom, top, total = points[0, 1], points[0, 1], 0
    for i in range(len(points)):
        bottom, top = min(bottom, points[i, 1]), max(top, points[i, 1])
        total += abs(points[after[i], 1] - points[i, 1])
    height = total // len(points) + 1
    starts = np.zeros((top - bottom) // height + 2, np.int64)
    for i in range(len(points)):
        one, other = points[i, 1] - bottom, points[after[i], 1] - bottom
        for band in range(min(one, other) // height, max(one, other) // height + 1):
            starts[band + 1] += 1
    starts = np.cumsum(starts)
    members, at = np.empty(starts[-1], np.int64), starts[:-1].copy()
    for i in order:
        one, other = points[i, 1] - bottom, points[after[i], 1] - bottom
        for band in range(min(one, other) // height, max(one, other) // height + 1):
            members[at[band]] = i
            at[band] += 1
    return starts, members


@_jit
def _fold_back(points, after, i, j):  # type: ignore[no-untyped-def]
    """Whether two neighbouring segments lie on each other."""
    if after[i] != j:
        i, j = j, i
    k = after[j]
    if _side(points, i, j, k) != 0:
        return False
    ax, ay = points[i, 0] - points[j, 0], points[i, 1] - points[j, 1]
    bx, by = points[k, 0] - points[j, 0], points[k, 1] - points[j, 1]
    return ax * bx + ay * by > 0


@_jit
def _side(points, a, b, c):  # type: ignore[no-untyped-def]
    """The sign of the turn a, b, c."""
    turn = (points[b, 0] - points[a, 0]) * (points[c, 1] - points[a, 1]) - (points[b, 1] - points[a, 1]) * (
        points[c, 0] - points[a, 0]
    )
    return (turn > 0) - (turn < 0)


@_jit
def _segments_meet(points, a, b, c, d):  # type: ignore[no-untyped-def]
    """Whether the segments a b and c d have a point in common."""
    if max(points[a, 1], points[b, 1]) < min(points[c, 1], points[d, 1]):
        return False
    if max(points[c, 1], points[d, 1]) < min(points[a, 1], points[b, 1]):
        return False
    first, second = _side(points, a, b, c), _side(points, a, b, d)
    third, fourth = _side(points, c, d, a), _side(points, c, d, b)
    if first != second and third != fourth:
        return True
    if first == 0 and _within(points, a, b, c):
        return True
    if second == 0 and _within(points, a, b, d):
        return True
    if third == 0 and _within(points, c, d, a):
        return True
    return fourth == 0 and _within(points, c, d, b)


@_jit
def _within(points, a, b, c):  # type: ignore[no-untyped-def]
    """Whether c, on the line a b, lies between them."""
    return min(points[a, 0], points[b, 0]) <= points[c, 0] <= max(points[a, 0], points[b, 0]) and min(
        points[a, 1], points[b, 1]
    ) <= points[c, 1] <= max(points[a, 1], points[b, 1])
