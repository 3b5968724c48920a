"""The compiled loops of kernels.downsample: arrays in C order with x last, coarse voxels given by their cuts.

`zs`, `ys`, `xs` are the n + 1 indices where the n coarse voxels of an axis begin and end; `fx` is the factor on x.
The rows under a coarse voxel are numbered y first, then z.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit

# numpy's error model leaves out the test for a zero divisor, which would keep loops from becoming SIMD
_jit: Any = njit(cache=True, nogil=True, error_model="numpy")


@_jit
def sum_rows(src, out, zs, ys, xs, fx):  # type: ignore[no-untyped-def]
    """Sums of (c, z, y, x) into (c, z', y', x'), added in the type of `out`."""
    zero = out.dtype.type(0)
    nx = len(xs) - 1
    first, last = _whole(xs, fx)
    head = xs[first]
    column = np.empty(src.shape[3], out.dtype)
    for c in range(src.shape[0]):
        for k in range(len(zs) - 1):
            for j in range(len(ys) - 1):
                z, y, ny = zs[k], ys[j], ys[j + 1] - ys[j]
                rows = (zs[k + 1] - z) * ny
                a = src[c, z, y]
                b = src[c, z + 1 // ny, y + 1 % ny] if rows > 1 else a
                if rows == 1:
                    for x in range(len(column)):
                        column[x] = a[x]
                elif rows == 4:
                    d = src[c, z + 2 // ny, y + 2 % ny]
                    e = src[c, z + 3 // ny, y + 3 % ny]
                    for x in range(len(column)):
                        column[x] = zero + a[x] + b[x] + d[x] + e[x]
                else:
                    for x in range(len(column)):
                        column[x] = zero + a[x] + b[x]
                    for r in range(2, rows):
                        d = src[c, z + r // ny, y + r % ny]
                        for x in range(len(column)):
                            column[x] += d[x]
                o = out[c, k, j]
                if fx == 1:
                    for i in range(nx):
                        o[i] = column[i]
                    continue
                if fx == 2:
                    inner, to = column[head:], o[first:last]
                    for i in range(len(to)):
                        to[i] = zero + inner[2 * i] + inner[2 * i + 1]
                    if first > 0:
                        o[0] = column[0]
                    if last < nx:
                        o[last] = column[len(column) - 1]
                    continue
                for i in range(nx):
                    total = column[xs[i]]
                    for x in range(xs[i] + 1, xs[i + 1]):
                        total += column[x]
                    o[i] = total


@_jit
def _whole(xs, fx):  # type: ignore[no-untyped-def]
    """The range of coarse voxels with all fx fine ones on x: all but a cut first and a cut last."""
    nx = len(xs) - 1
    first = 0 if xs[1] - xs[0] == fx else 1
    last = nx if xs[nx] - xs[nx - 1] == fx else nx - 1
    return first, max(first, last)


@_jit
def extreme_rows(src, out, zs, ys, xs, fx, largest):  # type: ignore[no-untyped-def]
    """Extremes of (c, z, y, x) into (c, z', y', x'); NaN gives way to any number."""
    nx = len(xs) - 1
    column = np.empty(src.shape[3], src.dtype)
    for c in range(src.shape[0]):
        for k in range(len(zs) - 1):
            for j in range(len(ys) - 1):
                column[:] = src[c, zs[k], ys[j]]
                for z in range(zs[k], zs[k + 1]):
                    for y in range(ys[j], ys[j + 1]):
                        a = src[c, z, y]
                        if largest:
                            for x in range(len(column)):
                                v, w = column[x], a[x]
                                column[x] = w if w > v or v != v else v
                        else:
                            for x in range(len(column)):
                                v, w = column[x], a[x]
                                column[x] = w if w < v or v != v else v
                for i in range(nx):
                    v = column[xs[i]]
                    for x in range(xs[i] + 1, xs[i + 1]):
                        w = column[x]
                        if v != v or (w > v if largest else w < v):
                            v = w
                    out[c, k, j, i] = v


@_jit
def _rounded(s, n, one):  # type: ignore[no-untyped-def]
    """s / n rounded half to even; all three of one integer type."""
    q = s // n
    r = s - q * n
    # r against n - r, not 2 r against n: the double may not fit
    if r > n - r or (r == n - r and q & one == one):
        return q + one
    return q


@_jit
def divide_int(sums, out, cx, cy, cz, stops):  # type: ignore[no-untyped-def]
    """Integer means of (c, z, y, x) sums; `stops` ends the runs of equal cx."""
    one = sums.dtype.type(1)
    for c in range(sums.shape[0]):
        for k in range(sums.shape[1]):
            for j in range(sums.shape[2]):
                s, o = sums[c, k, j], out[c, k, j]
                begin = 0
                for stop in stops:
                    n = cx[begin] * cy[j] * cz[k]
                    part, to = s[begin:stop], o[begin:stop]
                    if n == 0:
                        to[:] = 0
                    elif n == 1:
                        for i in range(len(part)):
                            to[i] = part[i]
                    elif n & (n - 1) == 0:
                        steps = 0
                        while (1 << steps) < n:
                            steps += 1
                        shift = sums.dtype.type(steps)
                        mask = sums.dtype.type(n - 1)
                        half = sums.dtype.type(n >> 1)
                        for i in range(len(part)):
                            # the rest passes one half, or equals it and the quotient is odd
                            q = part[i] >> shift
                            up = (part[i] & mask) + (q & one) > half
                            to[i] = q + one if up else q
                    else:
                        d = sums.dtype.type(n)
                        for i in range(len(part)):
                            to[i] = _rounded(part[i], d, one)
                    begin = stop


@_jit
def divide_float(sums, out, cx, cy, cz, stops):  # type: ignore[no-untyped-def]
    """Floating means of (c, z, y, x) sums; `stops` ends the runs of equal cx."""
    for c in range(sums.shape[0]):
        for k in range(sums.shape[1]):
            for j in range(sums.shape[2]):
                begin = 0
                for stop in stops:
                    n = np.float64(cx[begin] * cy[j] * cz[k])
                    for i in range(begin, stop):
                        out[c, k, j, i] = sums[c, k, j, i] / n if n > 0 else 0.0
                    begin = stop


@_jit
def divide_each_int(sums, counts, out):  # type: ignore[no-untyped-def]
    """Integer means of (c, z, y, x) sums over counts of the same shape."""
    one = sums.dtype.type(1)
    for at in np.ndindex(sums.shape):
        out[at] = _rounded(sums[at], sums.dtype.type(counts[at]), one) if counts[at] > 0 else sums.dtype.type(0)


@_jit
def divide_each_float(sums, counts, out):  # type: ignore[no-untyped-def]
    """Floating means of (c, z, y, x) sums over counts of the same shape."""
    for at in np.ndindex(sums.shape):
        out[at] = sums[at] / np.float64(counts[at]) if counts[at] > 0 else 0.0


@_jit
def mode_rows(src, out, zs, ys, xs, fx, sparse):  # type: ignore[no-untyped-def]
    """Modes of (z, y, x) into (z', y', x'); ties to the first voxel of the cell, x fastest."""
    nx = len(xs) - 1
    largest = fx
    for k in range(len(zs) - 1):
        for j in range(len(ys) - 1):
            largest = max(largest, fx * (zs[k + 1] - zs[k]) * (ys[j + 1] - ys[j]))
    cell = np.empty(largest, src.dtype)
    seen = np.empty(largest, src.dtype)
    votes = np.empty(largest, np.int64)
    mixed = np.empty(src.shape[2], src.dtype)
    split = np.ones(src.shape[2], src.dtype)
    first, last = _whole(xs, fx)
    head = xs[first]
    for k in range(len(zs) - 1):
        for j in range(len(ys) - 1):
            z, y, ny = zs[k], ys[j], ys[j + 1] - ys[j]
            rows = (zs[k + 1] - z) * ny
            a, o = src[z, y], out[k, j]
            if rows * fx <= 2 and not sparse:
                # of two, the first is the mode or wins the tie
                for i in range(nx):
                    o[i] = a[xs[i]]
                continue
            if fx == 2 and (rows == 2 or rows == 4) and not sparse:
                b, to = src[z + 1 // ny, y + 1 % ny, head:], o[first:last]
                if rows == 2:
                    _mode_4(a[head:], b, to)
                else:
                    d, e = src[z + 2 // ny, y + 2 % ny, head:], src[z + 3 // ny, y + 3 % ny, head:]
                    _mode_8(a[head:], b, d, e, to)
                if first > 0:
                    _mode_line(src[z : zs[k + 1], y : ys[j + 1]], o[:1], xs, split, cell, seen, votes, sparse)
                if last < nx:
                    _mode_line(src[z : zs[k + 1], y : ys[j + 1]], o[last:], xs[last:], split, cell, seen, votes, sparse)
                continue
            mixed[:] = 0
            for r in range(1, rows):
                b = src[z + r // ny, y + r % ny]
                for x in range(len(mixed)):
                    mixed[x] |= b[x] ^ a[x]
            _mode_line(src[z : zs[k + 1], y : ys[j + 1]], o, xs, mixed, cell, seen, votes, sparse)


@_jit
def _mode_line(block, out, xs, mixed, cell, seen, votes, sparse):  # type: ignore[no-untyped-def]
    """Modes of a line of cells of any size; where `mixed` is 0 all rows of the block hold the same label."""
    for i in range(len(out)):
        v = block[0, 0, xs[i]]
        same = True
        for x in range(xs[i], xs[i + 1]):
            same &= mixed[x] == 0 and block[0, 0, x] == v
        if same:
            out[i] = v
            continue
        n = 0
        for z in range(block.shape[0]):
            for y in range(block.shape[1]):
                for x in range(xs[i], xs[i + 1]):
                    cell[n] = block[z, y, x]
                    n += 1
        distinct = 0
        for m in range(n):
            d = 0
            while d < distinct and seen[d] != cell[m]:
                d += 1
            if d == distinct:
                seen[d] = cell[m]
                votes[d] = 0
                distinct += 1
            votes[d] += 1
        best = 0
        for d in range(1, distinct):
            if sparse and seen[d] == 0:
                continue
            if votes[d] > votes[best] or (sparse and seen[best] == 0):
                best = d
        out[i] = seen[best]


# For each voxel of a cell the two functions below count the equal voxels behind it: the first voxel of a label then
# holds the label's votes less one, so the first largest count is the first mode. No branches, hence SIMD.


@_jit
def _mode_4(a, b, out):  # type: ignore[no-untyped-def]
    """Modes of cells of two voxels on x in two rows."""
    for i in range(len(out)):
        v0, v1, v2, v3 = a[2 * i], a[2 * i + 1], b[2 * i], b[2 * i + 1]
        most = (v0 == v1) + (v0 == v2) + (v0 == v3)
        n1 = (v1 == v2) + (v1 == v3)
        best = v1 if n1 > most else v0
        most = n1 if n1 > most else most
        out[i] = v2 if (v2 == v3) > most else best


@_jit
def _mode_8(a, b, c, d, out):  # type: ignore[no-untyped-def]
    """Modes of cells of two voxels on x in four rows."""
    for i in range(len(out)):
        v0, v1, v2, v3 = a[2 * i], a[2 * i + 1], b[2 * i], b[2 * i + 1]
        v4, v5, v6, v7 = c[2 * i], c[2 * i + 1], d[2 * i], d[2 * i + 1]
        most = (v0 == v1) + (v0 == v2) + (v0 == v3) + (v0 == v4) + (v0 == v5) + (v0 == v6) + (v0 == v7)
        n1 = (v1 == v2) + (v1 == v3) + (v1 == v4) + (v1 == v5) + (v1 == v6) + (v1 == v7)
        n2 = (v2 == v3) + (v2 == v4) + (v2 == v5) + (v2 == v6) + (v2 == v7)
        n3 = (v3 == v4) + (v3 == v5) + (v3 == v6) + (v3 == v7)
        n4 = (v4 == v5) + (v4 == v6) + (v4 == v7)
        n5 = (v5 == v6) + (v5 == v7)
        best = v1 if n1 > most else v0
        most = n1 if n1 > most else most
        best = v2 if n2 > most else best
        most = n2 if n2 > most else most
        best = v3 if n3 > most else best
        most = n3 if n3 > most else most
        best = v4 if n4 > most else best
        most = n4 if n4 > most else most
        best = v5 if n5 > most else best
        most = n5 if n5 > most else most
        out[i] = v6 if (v6 == v7) > most else best
