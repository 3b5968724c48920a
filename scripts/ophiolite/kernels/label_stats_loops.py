"""The compiled loop of kernels.label_stats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_jit: Any = njit(cache=True, nogil=True)


@_jit
def count_runs(src):  # type: ignore[no-untyped-def]
    """Labels (n,) uint64 and table (n, 10) int64 of the non-zero voxels of (z, y, x), in order of appearance.

    Columns: voxels; first x, y, z; last x, y, z plus one; sums of x, y, z.
    """
    # open addressing with linear probes (Knuth, The Art of Computer Programming 3, 6.4), at most half full;
    # key 0 is a free slot, for 0 is never counted
    bits = 10
    keys = np.zeros(1 << bits, np.uint64)
    rows = np.empty(1 << bits, np.int64)
    labels = np.empty(1 << (bits - 1), np.uint64)
    table = np.empty((1 << (bits - 1), 10), np.int64)
    n = 0
    zero = np.uint64(0)
    for z in range(src.shape[0]):
        for y in range(src.shape[1]):
            line = src[z, y]
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
                while keys[slot] != zero and keys[slot] != key:
                    slot = (slot + 1) & (len(keys) - 1)
                if keys[slot] == zero:
                    if n == len(labels):
                        bits += 1
                        keys, rows = _rehash(labels, bits)
                        labels = np.concatenate((labels, np.empty_like(labels)))
                        table = np.concatenate((table, np.empty_like(table)))
                        slot = _slot(key, bits)
                        while keys[slot] != zero:
                            slot = (slot + 1) & (len(keys) - 1)
                    keys[slot] = key
                    rows[slot] = n
                    labels[n] = key
                    row = table[n]
                    row[:] = 0
                    row[1], row[2], row[3] = x0, y, z
                    n += 1
                row = table[rows[slot]]
                run = x1 - x0
                row[0] += run
                row[1] = min(row[1], x0)
                row[2] = min(row[2], y)
                row[4] = max(row[4], x1)
                row[5] = max(row[5], y + 1)
                row[6] = z + 1
                row[7] += run * (x0 + x1 - 1) // 2
                row[8] += run * y
                row[9] += run * z
    return labels[:n].copy(), table[:n].copy()


@_jit
def _slot(key, bits):  # type: ignore[no-untyped-def]
    """Fibonacci hashing (Knuth, 6.4): the top bits of the product with 2^64 / golden ratio."""
    return np.int64((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits))


@_jit
def _rehash(labels, bits):  # type: ignore[no-untyped-def]
    """Keys and rows of a table of 2^bits slots that holds `labels`."""
    keys = np.zeros(1 << bits, np.uint64)
    rows = np.empty(1 << bits, np.int64)
    for i in range(len(labels)):
        slot = _slot(labels[i], bits)
        while keys[slot] != np.uint64(0):
            slot = (slot + 1) & (len(keys) - 1)
        keys[slot] = labels[i]
        rows[slot] = i
    return keys, rows
