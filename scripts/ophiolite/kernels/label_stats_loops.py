"""The compiled loops of kernels.label_stats."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit

_jit: Any = njit(cache=True, nogil=True)


@_jit
def count_runs(src):  # type: ignore[no-untyped-def]
    """Labels (n,) uint64 and table (n, 10) int64 of the non-zero voxels of (z, y, x), in order of appearance.

    Columns: voxels; first x, y, z; last x, y, z plus one; sums of x, y, z.
    """
    bits = 10
    keys, rows = _slots(np.empty(0, np.uint64), bits)
    labels = np.empty(1 << (bits - 1), np.uint64)
    table = np.empty((1 << (bits - 1), 10), np.int64)
    n = 0
    for z in range(src.shape[0]):
        for y in range(src.shape[1]):
            # room for a line of new labels, so that the inner loop never grows
            while n + src.shape[2] > len(labels):
                bits += 1
                labels = np.concatenate((labels, np.empty_like(labels)))
                table = np.concatenate((table, np.empty_like(table)))
                keys, rows = _slots(labels[:n], bits)
            n = _count_line(src[z, y], y, z, keys, rows, bits, labels, table, n)
    return labels[:n].copy(), table[:n].copy()


@_jit
def _count_line(line, y, z, keys, rows, bits, labels, table, n):  # type: ignore[no-untyped-def]
    """Add the runs of one line; the new number of labels."""
    x1 = 0
    while x1 < len(line):
        x0 = x1
        v = line[x0]
        x1 += 1
        while x1 < len(line) and line[x1] == v:
            x1 += 1
        if v == 0:
            continue
        key = np.uint64(v)
        slot = _slot(key, bits)
        while keys[slot] != key and keys[slot] != 0:
            slot = (slot + 1) & (len(keys) - 1)
        if keys[slot] == 0:
            keys[slot] = key
            rows[slot] = n
            labels[n] = key
            table[n, :] = 0
            table[n, 1], table[n, 2], table[n, 3] = x0, y, z
            n += 1
        r = rows[slot]
        run = x1 - x0
        table[r, 0] += run
        table[r, 1] = min(table[r, 1], x0)
        table[r, 2] = min(table[r, 2], y)
        table[r, 4] = max(table[r, 4], x1)
        table[r, 5] = max(table[r, 5], y + 1)
        table[r, 6] = z + 1
        table[r, 7] += (run * (x0 + x1 - 1)) >> 1
        table[r, 8] += run * y
        table[r, 9] += run * z
    return n


# Open addressing with linear probes (Knuth, The Art of Computer Programming 3, 6.4), at most half full; key 0 is a
# free slot, for 0 is never counted.


@_jit
def _slot(key, bits):  # type: ignore[no-untyped-def]
    """Fibonacci hashing (Knuth, 6.4): the top bits of the product with 2^64 / golden ratio."""
    return np.int64((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits))


@_jit
def _slots(labels, bits):  # type: ignore[no-untyped-def]
    """Keys and rows of a table of 2^bits slots that holds `labels`."""
    keys = np.zeros(1 << bits, np.uint64)
    rows = np.empty(1 << bits, np.int64)
    for i in range(len(labels)):
        slot = _slot(labels[i], bits)
        while keys[slot] != 0:
            slot = (slot + 1) & (len(keys) - 1)
        keys[slot] = labels[i]
        rows[slot] = i
    return keys, rows
