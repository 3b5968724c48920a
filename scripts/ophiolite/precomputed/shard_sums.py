"""Which entries of a shard were altered, told by a few numbers that were written down with it.

A checksum per entry would be as long as an index. Here the CRC-32 c_i of entry i = 1, 2, ... are summed up as
S_j = sum_i c_i i^j modulo a prime, j = 0 ... 2t - 1. The differences to the sums of the altered file are power sums of
the altered places, from which up to t places follow: the recurrence they obey has these places as its roots (Massey,
Shift-register synthesis and BCH decoding, 1969). More than t altered entries leave no such roots, but for a chance of
(entries / 2^32)^t.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError
from ophiolite.precomputed.sharding import ShardingSpec, ShardReader

# The largest prime below 2^32: products of two residues fit 64 bits.
PRIME = 4_294_967_291
# Altered entries that can be told.
LOCATED = 4
READ_BYTES = 8 * 2**20


def entry_sums(spec: ShardingSpec, shard: bytes) -> str:
    """The number of entries of a shard, and the sums of their checksums: decimal, a colon, hexadecimal.

    Empty where it holds none. Raises FormatError where it is no shard of `spec`.
    """
    reader = ShardReader(spec, lambda offset, size: shard[offset : offset + size], "a shard just made", len(shard))
    view = memoryview(shard)
    checks = [zlib.crc32(view[a:b]) for a, b in _spans(reader.entries(), spec)]
    return f"{len(checks)}:{''.join(f'{s:08x}' for s in _sums(checks))}" if checks else ""


def altered_entries(
    spec: ShardingSpec, entries: NDArray[np.uint64], read_range: Callable[[int, int], bytes], recorded: str
) -> list[int] | None:
    """The keys of the entries that differ from what `entry_sums` recorded, in the order of the file.

    entries : (3, n), as `ShardReader.entries` of the shard as it now is. None where more than LOCATED of them differ.
    Raises FormatError where their number is another.
    """
    count, _, text = (recorded or "0:").partition(":")
    if int(count) != entries.shape[1]:
        raise FormatError(f"it lists {entries.shape[1]} entries, {count} were written")
    if not text:
        return []
    before = [int(text[i : i + 8], 16) for i in range(0, len(text), 8)]
    now = _sums(_checksums(_spans(entries, spec), read_range))
    places = _places([(b - a) % PRIME for a, b in zip(now, before, strict=True)], int(count))
    return None if places is None else entries[0, places].tolist()


def _spans(entries: NDArray[np.uint64], spec: ShardingSpec) -> list[tuple[int, int]]:
    """First and last byte of each entry with what lies before it, so that all data belong to one of them."""
    ends = (entries[1] + entries[2]).tolist()
    return list(zip([spec.index_bytes, *ends[:-1]], ends, strict=True)) if ends else []


def _checksums(spans: Sequence[tuple[int, int]], read_range: Callable[[int, int], bytes]) -> list[int]:
    """The CRC-32 of every span, some megabytes read at a time."""
    out: list[int] = []
    while len(out) < len(spans):
        first = stop = len(out)
        while stop < len(spans) and (stop == first or spans[stop][1] - spans[first][0] <= READ_BYTES):
            stop += 1
        start = spans[first][0]
        view = memoryview(read_range(start, max(0, spans[stop - 1][1] - start)))
        out += [zlib.crc32(view[a - start : b - start]) for a, b in spans[first:stop]]
    return out


def _sums(checks: Sequence[int]) -> list[int]:
    """The power sums of checksums, modulo PRIME."""
    place = np.arange(1, len(checks) + 1, dtype=np.uint64)
    terms = np.array(checks, dtype=np.uint64) % np.uint64(PRIME)
    out = []
    for _ in range(2 * LOCATED):
        out.append(int(terms.sum()) % PRIME)
        terms = terms * place % np.uint64(PRIME)
    return out


def _places(sums: Sequence[int], count: int) -> list[int] | None:
    """The places, from 0, of which these are the power sums; None where they are of more than LOCATED places."""
    recurrence = _recurrence(sums)
    if len(recurrence) - 1 > LOCATED:
        return None
    place = np.arange(1, count + 1, dtype=np.uint64)
    value = np.zeros(count, dtype=np.uint64)
    for coefficient in recurrence:
        value = (value * place + np.uint64(coefficient)) % np.uint64(PRIME)
    roots: list[int] = np.flatnonzero(value == 0).tolist()
    return roots if len(roots) == len(recurrence) - 1 else None


def _recurrence(sums: Sequence[int]) -> list[int]:
    """The shortest c with sums[n] + c[1] sums[n - 1] + ... + c[L] sums[n - L] = 0, c[0] = 1 (Berlekamp and Massey)."""
    now, before = [1], [1]
    length, gap, last = 0, 1, 1
    for n in range(len(sums)):
        wrong = sum(c * sums[n - i] for i, c in enumerate(now)) % PRIME
        if wrong == 0:
            gap += 1
            continue
        factor = wrong * pow(last, -1, PRIME) % PRIME
        shifted = [0] * gap + before
        width = max(len(now), len(shifted))
        padded = (values + [0] * (width - len(values)) for values in (now, shifted))
        mended = [(a - factor * b) % PRIME for a, b in zip(*padded, strict=True)]
        if 2 * length <= n:
            length, before, last, gap = n + 1 - length, now, wrong, 1
        else:
            gap += 1
        now = mended
    return (now + [0] * (length + 1))[: length + 1]
