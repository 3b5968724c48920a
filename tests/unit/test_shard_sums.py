"""A few numbers beside a shard tell which of its entries were altered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.errors import FormatError
from ophiolite.precomputed.shard_sums import LOCATED, altered_entries, entry_sums
from ophiolite.precomputed.sharding import Encoding, ShardingSpec, ShardReader, build_shard


def spec(minishard_bits: int = 2, data: Encoding = "raw") -> ShardingSpec:
    return ShardingSpec(1, "identity", minishard_bits, 0, data_encoding=data)


def shard_of(sharding: ShardingSpec, keys: list[int], size: int = 40) -> bytes:
    rng = np.random.default_rng(len(keys))
    return build_shard(sharding, 0, [(key, rng.bytes(key % 3), rng.bytes(1 + key % size)) for key in keys])


def reader_of(sharding: ShardingSpec, shard: bytes) -> ShardReader:
    return ShardReader(sharding, lambda offset, size: shard[offset : offset + size], "s", len(shard))


def altered(sharding: ShardingSpec, shard: bytes, sums: str) -> list[int] | None:
    entries = reader_of(sharding, shard).entries()
    return altered_entries(sharding, entries, lambda offset, size: shard[offset : offset + size], sums)


@given(
    keys=st.lists(st.integers(0, 3000), min_size=1, max_size=60, unique=True),
    minishard_bits=st.integers(0, 4),
    data=st.sampled_from(["raw", "gzip"]),
    hurt=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 7)), max_size=12),
)
def test_up_to_four_altered_entries_are_told_and_more_are_never_mistaken(
    keys: list[int], minishard_bits: int, data: Encoding, hurt: list[tuple[int, int, int]]
) -> None:
    sharding = spec(minishard_bits, data)
    shard = shard_of(sharding, keys)
    sums = entry_sums(sharding, shard)
    spans = reader_of(sharding, shard).entries().T.tolist()
    damaged = bytearray(shard)
    for which, place, bit in hurt:
        _, offset, size = spans[which % len(spans)]
        damaged[offset + place % size] ^= 1 << bit
    truth = [key for key, offset, size in spans if damaged[offset : offset + size] != shard[offset : offset + size]]
    assert altered(sharding, bytes(damaged), sums) == (truth if len(truth) <= LOCATED else None)


def test_every_bit_of_every_entry_and_of_what_lies_before_it_counts() -> None:
    sharding = spec()
    shard = shard_of(sharding, [3, 4, 5, 70], 8)
    sums = entry_sums(sharding, shard)
    entries = reader_of(sharding, shard).entries()
    data = range(sharding.index_bytes, int((entries[1] + entries[2]).max()))
    for place in data:
        for bit in range(8):
            damaged = bytearray(shard)
            damaged[place] ^= 1 << bit
            found = altered(sharding, bytes(damaged), sums)
            assert found is not None
            assert len(found) == 1


def test_damage_of_the_index_is_none_of_the_entries() -> None:
    sharding = spec()
    shard = shard_of(sharding, [3, 4, 5, 70])
    sums = entry_sums(sharding, shard)
    index = int((reader_of(sharding, shard).entries()[1:].sum(axis=0)).max())
    damaged = bytearray(shard)
    damaged[index + 9] ^= 1  # the system that gzip names, which no decoder looks at
    assert altered(sharding, bytes(damaged), sums) == []
    other = shard_of(sharding, [3, 4, 5])
    with pytest.raises(FormatError, match="it lists 3 entries, 4 were written"):
        altered(sharding, other, sums)


def test_an_empty_shard_needs_no_sums() -> None:
    sharding = spec()
    empty = build_shard(sharding, 0, [])
    assert entry_sums(sharding, empty) == ""
    assert altered(sharding, empty, "") == []
    with pytest.raises(FormatError, match="it lists 2 entries, 0 were written"):
        altered(sharding, shard_of(sharding, [1, 2]), "")


def test_the_sums_are_as_short_for_many_entries_which_are_read_some_megabytes_at_a_time() -> None:
    sharding = spec(6)
    shard = shard_of(sharding, list(range(0, 40_000, 2)), 1000)
    sums = entry_sums(sharding, shard)
    assert len(sums) < 80
    keys, offsets, sizes = reader_of(sharding, shard).entries()
    damaged = bytearray(shard)
    wanted = [0, 9999, 15_000, 19_999]
    for row in wanted:
        damaged[int(offsets[row]) + int(sizes[row]) - 1] ^= 64
    reads: list[int] = []

    def read(offset: int, size: int) -> bytes:
        reads.append(size)
        return bytes(damaged[offset : offset + size])

    entries = reader_of(sharding, bytes(damaged)).entries()
    assert altered_entries(sharding, entries, read, sums) == keys[wanted].tolist()
    assert len(reads) == 2
    assert max(reads) <= 8 * 2**20
