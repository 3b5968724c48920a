"""The sharded container: hash, location, planning rules, writing and reading."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophiolite.errors import FormatError
from ophiolite.geometry import morton
from ophiolite.geometry.box import Vec
from ophiolite.precomputed.compression import gunzip_bytes, gzip_bytes
from ophiolite.precomputed.sharding import (
    ShardingSpec,
    ShardReader,
    build_shard,
    hashed_sharding,
    locate,
    murmur_low64,
    shard_name,
    volume_sharding,
)

KEYS = st.integers(0, 2**64 - 1)
M32 = 0xFFFFFFFF


def slow_murmur(key: int) -> int:
    """MurmurHash3_x86_128 of the 8 bytes of a key, seed 0, with all four lanes; the low 64 bits."""

    def rotl(x: int, r: int) -> int:
        return ((x << r) | (x >> (32 - r))) & M32

    def fmix(h: int) -> int:
        h = ((h ^ (h >> 16)) * 0x85EBCA6B) & M32
        h = ((h ^ (h >> 13)) * 0xC2B2AE35) & M32
        return h ^ (h >> 16)

    c = (0x239B961B, 0xAB0E9789, 0x38B34AE5, 0xA1E38B93)
    k1, k2 = struct.unpack("<II", struct.pack("<Q", key))
    h = [0, 0, 0, 0]
    h[1] ^= (rotl((k2 * c[1]) & M32, 16) * c[2]) & M32
    h[0] ^= (rotl((k1 * c[0]) & M32, 15) * c[1]) & M32
    h = [x ^ 8 for x in h]
    for _ in range(2):
        h[0] = sum(h) & M32
        h[1:] = [(x + h[0]) & M32 for x in h[1:]]
        if _ == 0:
            h = [fmix(x) for x in h]
    return h[1] << 32 | h[0]


def reader_of(spec: ShardingSpec, data: bytes, name: str = "0.shard") -> ShardReader:
    return ShardReader(spec, lambda offset, size: data[offset : offset + size], name, len(data))


@given(st.lists(KEYS, max_size=50))
def test_murmur_is_the_published_function(keys: list[int]) -> None:
    assert murmur_low64(np.array(keys, np.uint64)).tolist() == [slow_murmur(k) for k in keys]


def test_murmur_of_many_keys_is_murmur_of_each() -> None:
    keys = np.arange(100_000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    hashed = murmur_low64(keys)
    for i in (0, 1, 32767, 32768, 65536, 99_999):
        assert int(hashed[i]) == slow_murmur(int(keys[i]))


def test_a_published_location() -> None:
    spec = ShardingSpec(6, "murmurhash3_x86_128", 11, 7)
    shard, minishard = locate(spec, np.array([1822975381], np.uint64))
    assert shard_name(spec, int(shard[0])) == "42.shard"
    assert minishard.tolist() == [18]


@given(
    st.lists(KEYS, max_size=20),
    st.integers(0, 63),
    st.integers(0, 32),
    st.integers(0, 32),
    st.sampled_from(["identity", "murmurhash3_x86_128"]),
)
def test_locate_is_the_specification(keys: list[int], preshift: int, mini: int, bits: int, hashing: str) -> None:
    spec = ShardingSpec(preshift, hashing, mini, bits)  # type: ignore[arg-type]
    shards, minishards = locate(spec, np.array(keys, np.uint64))
    for key, shard, minishard in zip(keys, shards.tolist(), minishards.tolist(), strict=True):
        hashed = key >> preshift
        if hashing != "identity":
            hashed = slow_murmur(hashed)
        assert minishard == hashed % 2**mini
        assert shard == (hashed >> mini) % 2**bits


@pytest.mark.parametrize(
    ("bits", "shard", "name"),
    [(0, 0, "0"), (1, 1, "1"), (4, 10, "a"), (5, 10, "0a"), (8, 255, "ff"), (9, 3, "003"), (64, 1, f"{1:016x}")],
)
def test_names_are_padded_hexadecimal(bits: int, shard: int, name: str) -> None:
    assert shard_name(ShardingSpec(0, "identity", 0, bits), shard) == f"{name}.shard"


ENTRIES = st.dictionaries(KEYS, st.tuples(st.binary(max_size=20), st.binary(max_size=60)), max_size=30)


@given(
    ENTRIES,
    st.integers(0, 12),
    st.integers(0, 4),
    st.sampled_from(["identity", "murmurhash3_x86_128"]),
    st.sampled_from(["raw", "gzip"]),
    st.sampled_from(["raw", "gzip"]),
)
def test_a_shard_gives_back_what_went_in(
    entries: dict[int, tuple[bytes, bytes]], preshift: int, mini: int, hashing: str, index: str, data: str
) -> None:
    spec = ShardingSpec(preshift, hashing, mini, 0, index, data)  # type: ignore[arg-type]
    rows = [(key, prefix, body) for key, (prefix, body) in entries.items()]
    shard = build_shard(spec, 0, rows)
    assert shard == build_shard(spec, 0, reversed(rows))
    reader = reader_of(spec, shard)
    assert reader.keys().tolist() == sorted(entries)
    for key, (prefix, body) in entries.items():
        assert reader.get(key) == body
        at = reader.location(key)
        assert at is not None
        assert shard[at[0] - len(prefix) : at[0]] == prefix
    absent = next(k for k in range(100) if k not in entries)
    assert reader.get(absent) is None


@settings(max_examples=30)
@given(st.sets(KEYS, max_size=40), st.integers(0, 3))
def test_the_bytes_follow_the_specification(keys: set[int], mini: int) -> None:
    """Read with a transcription of the specification that shares no code with the reader."""
    spec = ShardingSpec(0, "murmurhash3_x86_128", mini, 0, "raw", "raw")
    shard = build_shard(spec, 0, [(k, b"", k.to_bytes(8, "little")) for k in keys])
    found = []
    end_of_index = 16 * 2**mini
    for number in range(2**mini):
        start, end = struct.unpack_from("<QQ", shard, 16 * number)
        rows = struct.unpack(f"<{(end - start) // 8}Q", shard[end_of_index + start : end_of_index + end])
        n = len(rows) // 3
        key, offset = 0, end_of_index
        for i in range(n):
            assert i == 0 or rows[i] > 0, "keys ascend"
            key += rows[i]
            offset += rows[n + i]
            assert shard[offset : offset + rows[2 * n + i]] == key.to_bytes(8, "little")
            assert slow_murmur(key) % 2**mini == number
            offset += rows[2 * n + i]
            found.append(key)
    assert sorted(found) == sorted(keys)


def test_an_empty_shard_is_valid() -> None:
    spec = ShardingSpec(0, "identity", 3, 2)
    shard = build_shard(spec, 1, [])
    assert shard == bytes(16 * 8)
    assert reader_of(spec, shard).keys().tolist() == []
    assert reader_of(spec, shard).get(8) is None


def test_data_that_is_compressed_already_is_left_alone() -> None:
    spec = ShardingSpec(0, "identity", 0, 0)
    packed = gzip_bytes(b"body", 9)
    shard = build_shard(spec, 0, [(7, b"", packed)], compressed=True)
    assert shard[16 : 16 + len(packed)] == packed
    assert reader_of(spec, shard).get(7) == b"body"


def test_a_key_of_another_shard_is_refused() -> None:
    with pytest.raises(FormatError, match=r"shard 1\.shard: key 0 does not belong here.*Got a key of shard 0"):
        build_shard(ShardingSpec(2, "identity", 0, 1), 1, [(4, b"", b""), (0, b"", b"")])


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(FormatError, match="key 4 is given twice"):
        build_shard(ShardingSpec(0, "identity", 1, 0), 0, [(4, b"", b"a"), (3, b"", b""), (4, b"", b"b")])


def test_every_index_is_read_once() -> None:
    spec = ShardingSpec(0, "identity", 1, 0, data_encoding="raw")
    shard = build_shard(spec, 0, [(k, b"", b"x") for k in range(10)])
    ranges: list[tuple[int, int]] = []

    def read(offset: int, size: int) -> bytes:
        ranges.append((offset, size))
        return shard[offset : offset + size]

    reader = ShardReader(spec, read, "0.shard")
    for k in range(10):
        assert reader.get(k) == b"x"
    assert len(ranges) == 1 + 2 + 10
    reader.keys()
    assert len(ranges) == 1 + 2 + 10


SPEC = ShardingSpec(0, "identity", 1, 0, "raw", "raw")
SHARD = build_shard(SPEC, 0, [(k, b"", bytes([k]) * 5) for k in range(6)])


@given(st.integers(0, len(SHARD) - 1), st.booleans())
def test_a_shard_cut_short_is_found(size: int, known: bool) -> None:
    cut = SHARD[:size]
    reader = ShardReader(SPEC, lambda o, s: cut[o : o + s], "0.shard", size if known else None)
    with pytest.raises(FormatError, match=r"0\.shard.*cut short"):
        reader.keys()


@given(st.integers(0, len(SHARD) - 1), st.integers(1, 255))
def test_a_damaged_shard_gives_bytes_or_an_error_of_ours(at: int, change: int) -> None:
    damaged = bytearray(SHARD)
    damaged[at] ^= change
    reader = reader_of(SPEC, bytes(damaged))
    with contextlib.suppress(FormatError):
        keys = reader.keys()
        assert keys.tolist() == sorted(set(keys.tolist()))
        for key in keys:
            reader.get(int(key))


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: struct.pack("<QQ", 9, 3) + b[16:],
        lambda b: struct.pack("<QQ", 2**63, 2**63 + 24) + b[16:],
        lambda b: b[:86] + struct.pack("<Q", 2**60) + b[94:],
    ],
    ids=["ends before it starts", "beyond 63 bits", "data beyond the file"],
)
def test_wild_numbers_are_not_followed(damage: Callable[[bytes], bytes]) -> None:
    damaged = damage(SHARD)
    assert len(damaged) == len(SHARD)

    def read(offset: int, size: int) -> bytes:
        assert offset + size <= len(SHARD)
        return damaged[offset : offset + size]

    with pytest.raises(FormatError, match="damaged"):
        ShardReader(SPEC, read, "0.shard", len(SHARD)).keys()


def test_a_damaged_index_stream_names_shard_and_minishard() -> None:
    spec = ShardingSpec(0, "identity", 0, 0, "gzip", "raw")
    shard = bytearray(build_shard(spec, 0, [(1, b"", b"abc")]))
    shard[16 + 3 + 12] ^= 0xFF
    with pytest.raises(FormatError, match=r"0\.shard, index of minishard 0: gzip stream"):
        reader_of(spec, bytes(shard)).keys()


def test_keys_out_of_order_by_other_writers_are_read() -> None:
    rows = np.array([[9, 2**64 - 4], [0, 0], [1, 1]], dtype="<u8")  # keys 9, then 5
    shard = struct.pack("<QQ", 2, 2 + rows.nbytes) + b"ab" + rows.tobytes()
    reader = reader_of(ShardingSpec(0, "identity", 0, 0, "raw", "raw"), shard)
    assert reader.keys().tolist() == [5, 9]
    assert (reader.get(9), reader.get(5)) == (b"a", b"b")


@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20)),
    st.integers(0, 20),
    st.sampled_from([1, 8, 1024]),
)
def test_volume_shards_are_morton_boxes(grid: Vec, bits: int, minishard_chunks: int) -> None:
    spec = volume_sharding(grid, bits, minishard_chunks, "raw")
    total = len(morton.order(grid))
    assert spec.preshift_bits + spec.minishard_bits == min(bits, total)
    assert spec.preshift_bits + spec.minishard_bits + spec.shard_bits == total
    assert 2**spec.preshift_bits <= minishard_chunks
    assert (spec.hash, spec.data_encoding) == ("identity", "raw")
    points = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), axis=-1).reshape(-1, 3)
    shards, _ = locate(spec, morton.encode(points, grid))
    box = morton.box_of_low_bits(grid, bits)
    boxes: dict[int, set[tuple[int, ...]]] = {}
    for point, shard in zip(points, shards.tolist(), strict=True):
        boxes.setdefault(shard, set()).add(tuple(int(v) for v in point // box))
    assert all(len(found) == 1 for found in boxes.values())
    assert len(boxes) == len({tuple(p) for p in (points // box).tolist()})


@pytest.mark.parametrize(
    ("labels", "min_shards", "bits"),
    [
        (10**9, 1, (11, 9)),
        (10**7, 1, (4, 9)),
        (10**6, 1, (1, 9)),
        (10**4, 1, (0, 3)),
        (10**3, 1, (0, 0)),
        (10**3, 1000, (10, 0)),
        (0, 1, (0, 0)),
        (1, 1, (0, 0)),
    ],
)
def test_published_vectors_of_hashed_sharding(labels: int, min_shards: int, bits: tuple[int, int]) -> None:
    spec = hashed_sharding(labels, min_shards=min_shards)
    assert (spec.shard_bits, spec.minishard_bits) == bits
    assert (spec.preshift_bits, spec.hash) == (0, "murmurhash3_x86_128")


def test_most_labels_per_shard_bind() -> None:
    assert hashed_sharding(397_770_063, max_labels_per_shard=1000).shard_bits == 19
    assert hashed_sharding(397_770_063, max_labels_per_shard=2000).shard_bits == 18
    assert hashed_sharding(397_770_063, max_labels_per_shard=1000).minishard_bits == 0


def test_json_goes_there_and_back() -> None:
    spec = ShardingSpec(3, "murmurhash3_x86_128", 2, 5, "raw", "gzip")
    assert ShardingSpec.from_json(spec.to_json(), "info") == spec
    assert list(spec.to_json()) == [
        "@type",
        "preshift_bits",
        "hash",
        "minishard_bits",
        "shard_bits",
        "minishard_index_encoding",
        "data_encoding",
    ]


def test_encodings_left_out_mean_raw() -> None:
    value = {"preshift_bits": 0, "hash": "identity", "minishard_bits": 0, "shard_bits": 0}
    spec = ShardingSpec.from_json(value, "info")
    assert (spec.minishard_index_encoding, spec.data_encoding) == ("raw", "raw")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("@type", "other"),
        ("hash", "sha1"),
        ("preshift_bits", 64),
        ("preshift_bits", None),
        ("minishard_bits", -1),
        ("minishard_bits", True),
        ("shard_bits", 63),
        ("shard_bits", 2.0),
        ("data_encoding", "br"),
        ("minishard_index_encoding", "zlib"),
    ],
)
def test_fields_that_cannot_be_used_are_named(field: str, value: object) -> None:
    spec = {**ShardingSpec(0, "identity", 2, 1).to_json(), field: value}
    with pytest.raises(FormatError, match=f"here/info: sharding.{field}"):
        ShardingSpec.from_json(spec, "here/info")
    with pytest.raises(FormatError, match="sharding"):
        ShardingSpec.from_json([spec], "here/info")


def test_gzip_data_is_a_gzip_stream() -> None:
    spec = ShardingSpec(0, "identity", 0, 0)
    shard = build_shard(spec, 0, [(0, b"", b"body" * 10)])
    at = reader_of(spec, shard).location(0)
    assert at is not None
    assert gunzip_bytes(shard[at[0] : at[0] + at[1]]) == b"body" * 10
