"""Packs: what goes in comes out by group and key; damage and double keys are refused."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.errors import FormatError
from ophiolite.precomputed.pack import Pack, encode_pack

words = st.integers(0, 2**64 - 1)
contents = st.dictionaries(st.tuples(st.sampled_from([0, 1, 1 << 33]), words), st.binary(max_size=40), max_size=12)
SMALL = encode_pack([(0, 2, b"two"), (0, 1, b""), (7, 1, b"other")])


@given(contents)
def test_what_goes_in_comes_out_in_order(entries: dict[tuple[int, int], bytes]) -> None:
    data = encode_pack((group, key, value) for (group, key), value in reversed(entries.items()))
    assert data == encode_pack((group, key, value) for (group, key), value in entries.items())
    pack = Pack(data, "test")
    for group in {g for g, _ in entries} | {5}:
        expected = sorted((key, value) for (g, key), value in entries.items() if g == group)
        assert list(pack.entries(group)) == expected
        assert pack.keys(group) == [key for key, _ in expected]
        assert all(pack.get(group, key) == value for key, value in expected)


def test_it_reads_from_a_memory_map(tmp_path: Path) -> None:
    (tmp_path / "pack").write_bytes(SMALL)
    with (tmp_path / "pack").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert list(Pack(mapped, "test").entries(0)) == [(1, b""), (2, b"two")]


@pytest.mark.parametrize("size", range(len(SMALL)))
def test_a_truncated_pack_is_refused(size: int) -> None:
    with pytest.raises(FormatError, match=r"block\.pack: is (no pack|truncated).*Delete it and run again"):
        Pack(SMALL[:size], "block.pack")


def test_something_else_is_no_pack() -> None:
    with pytest.raises(FormatError, match="is no pack"):
        Pack(b"\x93NUMPY" + bytes(100), "block.pack")


def test_a_key_comes_once() -> None:
    with pytest.raises(FormatError, match="comes twice"):
        encode_pack([(0, 1, b"a"), (0, 1, b"b")])
