"""The sharded container `neuroglancer_uint64_sharded_v1`: hashing, planning, writing and reading.

Specification: Neuroglancer, precomputed "Sharded format". Layout written here: shard index, then per minishard and
ascending key the data, then the minishard indices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry import morton
from ophiolite.geometry.box import Vec
from ophiolite.precomputed.compression import gunzip_bytes, gzip_bytes

TYPE = "neuroglancer_uint64_sharded_v1"
Hash = Literal["identity", "murmurhash3_x86_128"]
Encoding = Literal["raw", "gzip"]

_LARGEST_MINISHARD_BITS = 32
_KEYS_AT_A_TIME = 1 << 15
_INDEX_ENTRY_BYTES = 16
_MINISHARD_ENTRY_BYTES = 24


@dataclass(frozen=True)
class ShardingSpec:
    """Which shard and minishard a 64-bit key lies in, and how data and indices are encoded."""

    preshift_bits: int
    hash: Hash
    minishard_bits: int
    shard_bits: int
    minishard_index_encoding: Encoding = "gzip"
    data_encoding: Encoding = "gzip"

    @property
    def shards(self) -> int:
        """Number of shards."""
        return 1 << self.shard_bits

    @property
    def index_bytes(self) -> int:
        """Size of the shard index at the head of every shard."""
        return _INDEX_ENTRY_BYTES << self.minishard_bits

    def to_json(self) -> dict[str, str | int]:
        """The `sharding` member of an info file, every field written."""
        return {
            "@type": TYPE,
            "preshift_bits": self.preshift_bits,
            "hash": self.hash,
            "minishard_bits": self.minishard_bits,
            "shard_bits": self.shard_bits,
            "minishard_index_encoding": self.minishard_index_encoding,
            "data_encoding": self.data_encoding,
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> ShardingSpec:
        """Read the `sharding` member of an info file; raises FormatError naming the field."""
        if not isinstance(value, dict):
            raise _field(where, "sharding", "an object", value)
        kind = value.get("@type", TYPE)
        if kind != TYPE:
            raise _field(where, "sharding.@type", TYPE, kind)
        hashing = _choice(value, "hash", ("identity", "murmurhash3_x86_128"), None, where)
        minishard_index_encoding = _choice(value, "minishard_index_encoding", ("raw", "gzip"), "raw", where)
        data_encoding = _choice(value, "data_encoding", ("raw", "gzip"), "raw", where)
        preshift_bits = _bits(value, "preshift_bits", 63, where)
        minishard_bits = _bits(value, "minishard_bits", _LARGEST_MINISHARD_BITS, where)
        shard_bits = _bits(value, "shard_bits", 64 - minishard_bits, where)
        return cls(
            preshift_bits,
            cast(Hash, hashing),
            minishard_bits,
            shard_bits,
            cast(Encoding, minishard_index_encoding),
            cast(Encoding, data_encoding),
        )


def murmur_low64(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Low 64 bits `(n,)` of MurmurHash3_x86_128, seed 0, of the 8 little-endian bytes of each key `(n,)`.

    Appleby, MurmurHash3.cpp (public domain); 8 bytes are all tail.
    """
    keys = np.ascontiguousarray(keys, dtype="<u8")
    out = np.empty(len(keys), dtype="<u8")
    # Slices that stay in the cache are three times as fast as whole arrays.
    for i in range(0, len(keys), _KEYS_AT_A_TIME):
        words = keys[i : i + _KEYS_AT_A_TIME].view("<u4")
        k1 = words[0::2] * np.uint32(0x239B961B)
        k1 = _rotate_left(k1, 15) * np.uint32(0xAB0E9789)
        k2 = words[1::2] * np.uint32(0xAB0E9789)
        k2 = _rotate_left(k2, 16) * np.uint32(0x38B34AE5)
        # Every lane starts as the seed and is mixed with the length, 8; lanes 3 and 4 are equal throughout.
        h1 = (k1 ^ np.uint32(8)) + (k2 ^ np.uint32(8)) + np.uint32(16)
        h2 = (k2 ^ np.uint32(8)) + h1
        h3 = h1 + np.uint32(8)
        for h in (h1, h2, h3):
            _finish(h)
        h1 += h2
        h1 += h3
        h1 += h3
        h2 += h1
        half = out[i : i + _KEYS_AT_A_TIME].view("<u4")
        half[0::2] = h1
        half[1::2] = h2
    return out


def locate(spec: ShardingSpec, keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Shard and minishard numbers `(n,)` of keys `(n,)` of uint64."""
    hashed = np.asarray(keys, dtype=np.uint64) >> np.uint64(spec.preshift_bits)
    if spec.hash == "murmurhash3_x86_128":
        hashed = murmur_low64(hashed)
    minishard = hashed & np.uint64((1 << spec.minishard_bits) - 1)
    shard = (hashed >> np.uint64(spec.minishard_bits)) & np.uint64((1 << spec.shard_bits) - 1)
    return shard, minishard


def shard_name(spec: ShardingSpec, shard: int) -> str:
    """File name of a shard: its hexadecimal number, zero-padded to the width of the largest one."""
    return f"{shard:0{-(-spec.shard_bits // 4)}x}.shard"


def build_shard(
    spec: ShardingSpec, shard: int, entries: Iterable[tuple[int, bytes, bytes]], *, compressed: bool = False
) -> bytes:
    """Assemble a shard file from entries `(key, prefix, data)` in any order; the bytes do not depend on the order.

    prefix : bytes to lie immediately before the data, stored as they are and counted in no index.
    compressed : the data is gzip already where the spec says gzip.
    No entries make a valid empty shard. Raises FormatError for a key of another shard or a key given twice.
    """
    entries = list(entries)
    keys = np.array([key for key, _, _ in entries], dtype=np.uint64)
    shards, minishards = locate(spec, keys)
    foreign = np.flatnonzero(shards != np.uint64(shard))
    if len(foreign):
        raise FormatError(
            explain(
                f"shard {shard_name(spec, shard)}",
                f"key {keys[foreign[0]]} does not belong here",
                expected=f"keys of shard {shard}",
                got=f"a key of shard {shards[foreign[0]]}",
                do="Sort the keys by shard with the same sharding",
            )
        )
    order = np.lexsort((keys, minishards))
    keys, minishards = keys[order], minishards[order]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        raise FormatError(
            explain(
                f"shard {shard_name(spec, shard)}",
                f"key {keys[twice[0]]} is given twice",
                expected="every key once",
                do="Merge what belongs to one key before writing the shard",
            )
        )
    squeeze = spec.data_encoding == "gzip" and not compressed
    body: list[bytes] = []
    prefix_bytes = np.zeros(len(entries), dtype=np.uint64)
    data_bytes = np.zeros(len(entries), dtype=np.uint64)
    for i, entry in enumerate(order):
        _, prefix, data = entries[entry]
        if squeeze:
            data = gzip_bytes(data)
        body += (prefix, data)
        prefix_bytes[i], data_bytes[i] = len(prefix), len(data)
    starts = np.cumsum(prefix_bytes + data_bytes) - data_bytes
    end = int(starts[-1] + data_bytes[-1]) if len(entries) else 0
    index = np.zeros((1 << spec.minishard_bits, 2), dtype="<u8")
    numbers, first, count = np.unique(minishards, return_index=True, return_counts=True)
    for number, lo, hi in zip(numbers, first, first + count, strict=True):
        # Within a minishard the data lies back to back, so only prefixes part one entry from the next.
        table = np.empty((3, hi - lo), dtype="<u8")
        table[0] = np.diff(keys[lo:hi], prepend=np.uint64(0))
        table[1] = prefix_bytes[lo:hi]
        table[1, 0] = starts[lo]
        table[2] = data_bytes[lo:hi]
        packed = gzip_bytes(table.tobytes()) if spec.minishard_index_encoding == "gzip" else table.tobytes()
        body.append(packed)
        index[number] = end, end + len(packed)
        end += len(packed)
    return b"".join([index.tobytes(), *body])


class ShardReader:
    """Looks keys up in one shard through `read_range(offset, size)`; every minishard index is read once.

    name : what errors call the shard. size_bytes : size of the file where it is known, so that damaged indices are
    found before they are followed.
    """

    def __init__(
        self,
        spec: ShardingSpec,
        read_range: Callable[[int, int], bytes],
        name: str,
        size_bytes: int | None = None,
    ) -> None:
        self._spec = spec
        self._read_range = read_range
        self._name = name
        self._size_bytes = size_bytes
        self._index: NDArray[np.uint64] | None = None
        self._minishards: dict[int, NDArray[np.uint64]] = {}

    def get(self, key: int) -> bytes | None:
        """The data of a key, decoded; None where the shard does not hold it. Raises FormatError for damage."""
        at = self.location(key)
        if at is None:
            return None
        return self.decoded(self._read(*at))

    def decoded(self, data: bytes) -> bytes:
        """The data of a key from its bytes as stored. Raises FormatError for damage."""
        return gunzip_bytes(data) if self._spec.data_encoding == "gzip" else data

    def location(self, key: int) -> tuple[int, int] | None:
        """Offset in the file and size in bytes of a key's data as stored, or None. Raises FormatError for damage."""
        _, minishard = locate(self._spec, np.array([key], dtype=np.uint64))
        table = self._minishard(int(minishard[0]))
        i = int(np.searchsorted(table[0], np.uint64(key)))
        if i == table.shape[1] or int(table[0, i]) != key:
            return None
        return int(table[1, i]), int(table[2, i])

    def keys(self) -> NDArray[np.uint64]:
        """All keys of the shard, ascending, `(n,)` uint64. Raises FormatError for damage."""
        return np.sort(self.entries()[0])

    def entries(self) -> NDArray[np.uint64]:
        """Key, offset in the file and size of all data, by offset, `(3, n)` uint64. Raises FormatError for damage."""
        index = self._shard_index()
        used = np.flatnonzero(index[:, 0] != index[:, 1])
        table = np.concatenate([np.empty((3, 0), np.uint64), *(self._minishard(int(m)) for m in used)], axis=1)
        return table[:, np.argsort(table[1], kind="stable")]

    def _shard_index(self) -> NDArray[np.uint64]:
        """Start and end of every minishard index, in bytes of the file, `(2**minishard_bits, 2)`."""
        if self._index is None:
            relative = np.frombuffer(self._read(0, self._spec.index_bytes), "<u8").reshape(-1, 2)
            limit = (1 << 63) - self._spec.index_bytes
            wrong = np.flatnonzero((relative[:, 0] > relative[:, 1]) | (relative[:, 1] > np.uint64(limit)))
            if len(wrong):
                start, end = (int(v) for v in relative[wrong[0]])
                raise self._damaged(f"minishard {wrong[0]} to end behind its start", f"bytes {start} to {end}")
            self._index = relative + np.uint64(self._spec.index_bytes)
        return self._index

    def _minishard(self, number: int) -> NDArray[np.uint64]:
        """Keys (ascending), offsets in the file and sizes of a minishard, `(3, n)`."""
        if number not in self._minishards:
            start, end = (int(v) for v in self._shard_index()[number])
            self._minishards[number] = self._read_minishard(number, start, end)
        return self._minishards[number]

    def _read_minishard(self, number: int, start: int, end: int) -> NDArray[np.uint64]:
        if start == end:
            return np.empty((3, 0), np.uint64)
        data = self._read(start, end - start)
        if self._spec.minishard_index_encoding == "gzip":
            try:
                data = gunzip_bytes(data)
            except FormatError as error:
                raise FormatError(f"{self._name}, index of minishard {number}: {error}") from error
        if len(data) % _MINISHARD_ENTRY_BYTES:
            raise self._damaged(
                f"an index of minishard {number} in steps of {_MINISHARD_ENTRY_BYTES} bytes", f"{len(data)} bytes"
            )
        table = np.frombuffer(data, "<u8").reshape(3, -1).copy()
        table[0] = np.cumsum(table[0], dtype=np.uint64)
        sizes = np.concatenate([[np.uint64(0)], table[2, :-1]]).astype(np.uint64)
        table[1] = np.cumsum(table[1] + sizes, dtype=np.uint64) + np.uint64(self._spec.index_bytes)
        # The format does not promise ascending keys, and other writers did not keep to them.
        table = table[:, np.argsort(table[0], kind="stable")]
        ends = table[1] + table[2]
        limit = np.uint64((1 << 63) - 1 if self._size_bytes is None else self._size_bytes)
        wrong = np.flatnonzero((table[1] > limit) | (ends > limit) | (ends < table[1]))
        if len(wrong):
            raise self._damaged(f"key {table[0, wrong[0]]} to end by byte {limit}", f"byte {ends[wrong[0]]}")
        if (table[0, 1:] == table[0, :-1]).any():
            raise self._damaged(f"every key of minishard {number} once", "a key twice")
        return table

    def _read(self, offset: int, size: int) -> bytes:
        if self._size_bytes is not None and offset + size > self._size_bytes:
            raise self._damaged(f"at least {offset + size} bytes", f"{self._size_bytes} bytes")
        data = self._read_range(offset, size)
        if len(data) != size:
            raise self._damaged(f"{size} bytes at byte {offset}", f"{len(data)} bytes")
        return data

    def _damaged(self, expected: str, got: str) -> FormatError:
        return FormatError(
            explain(
                self._name,
                "the shard is damaged, cut short, or written with another sharding",
                expected=expected,
                got=got,
                do="Make the shard again, or mend `sharding` in info",
            )
        )


def volume_sharding(
    grid: Vec, shard_chunk_bits: int, minishard_chunks: int = 1024, data_encoding: Encoding = "gzip"
) -> ShardingSpec:
    """Sharding of a volume of `grid` chunks so that a shard is the Morton box `morton.box_of_low_bits`.

    shard_chunk_bits : log2 of the chunks per shard, clamped to the volume. minishard_chunks : most chunks per minishard
    (a power of two), which a reader's index request grows with.
    Raises FormatError where the volume needs over 64 bits.
    """
    total = len(morton.order(grid))
    inside = min(shard_chunk_bits, total)
    preshift = min(inside, minishard_chunks.bit_length() - 1)
    return ShardingSpec(preshift, "identity", inside - preshift, total - inside, data_encoding=data_encoding)


def hashed_sharding(
    labels: int,
    shard_index_bytes: int = 8192,
    minishard_index_bytes: int = 32768,
    min_shards: int = 1,
    max_labels_per_shard: int | None = None,
    data_encoding: Encoding = "gzip",
) -> ShardingSpec:
    """Sharding of per-label objects from their number: few shards whose indices stay near the sizes given.

    The rule that Igneous 4.37 publishes, so that layers divide alike.
    """
    per_minishard = minishard_index_bytes / _MINISHARD_ENTRY_BYTES
    minishards = shard_index_bytes / _INDEX_ENTRY_BYTES
    per_shard = minishards * per_minishard
    minishard_bits, shard_bits = 0, 0
    if labels >= per_shard:
        minishard_bits = math.ceil(math.log2(minishards))
        shard_bits = math.ceil(math.log2(labels / (per_minishard * 2**minishard_bits)))
    elif labels >= per_minishard:
        minishard_bits = math.ceil(math.log2(labels / per_minishard))
    # A shard that would be just over half full is better halved in number than in load.
    if labels / (per_shard * 2**shard_bits) <= 0.55:
        shard_bits = max(shard_bits - 1, 0)
    if max_labels_per_shard is not None:
        min_shards = max(-(-labels // max_labels_per_shard), min_shards)
    more = max(round(math.log2(min_shards)) - shard_bits, 0)
    return ShardingSpec(
        0, "murmurhash3_x86_128", max(minishard_bits - more, 0), shard_bits + more, data_encoding=data_encoding
    )


def _rotate_left(x: NDArray[np.uint32], bits: int) -> NDArray[np.uint32]:
    return (x << np.uint32(bits)) | (x >> np.uint32(32 - bits))


def _finish(h: NDArray[np.uint32]) -> None:
    """MurmurHash3's 32-bit finaliser, in place."""
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)


def _field(where: str, field: str, expected: str, got: object) -> FormatError:
    return FormatError(
        explain(f"{where}: {field}", "this value cannot be used", expected=expected, got=repr(got), do="Mend the file")
    )


def _choice(value: dict[str, Any], name: str, choices: tuple[str, ...], default: str | None, where: str) -> str:
    got = value.get(name, default)
    if got not in choices:
        raise _field(where, f"sharding.{name}", " or ".join(choices), got)
    return cast(str, got)


def _bits(value: dict[str, Any], name: str, most: int, where: str) -> int:
    got = value.get(name)
    if isinstance(got, bool) or not isinstance(got, int) or not 0 <= got <= most:
        raise _field(where, f"sharding.{name}", f"a whole number from 0 to {most}", got)
    return got
