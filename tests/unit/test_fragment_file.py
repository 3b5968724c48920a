"""Fragment files: each merge job reads one range and finds its pieces in order; damage is refused."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.errors import FormatError
from ophiolite.precomputed.fragment_file import (
    Fragment,
    decode_section,
    decode_sections,
    encode_fragment_file,
)

places = st.tuples(*[st.sampled_from([-(2**40), -3, 0, 7, 2**50])] * 3)
fragments = st.builds(
    Fragment,
    merge_job=st.integers(0, 5),
    shard=st.integers(0, 2**32 - 1),
    label=st.integers(1, 2**64 - 1),
    origin_vx=places,
    data=st.binary(max_size=30),
)


def order(fragment: Fragment) -> Any:
    return (fragment.merge_job, fragment.shard, fragment.label, fragment.origin_vx)


some = st.lists(fragments, max_size=15, unique_by=order)
FEW = [Fragment(0, 3, 2**63, (1, 2, 3), b"abc"), Fragment(0, 1, 7, (0, 0, 0), b""), Fragment(4, 9, 7, (0, 0, 0), b"zz")]


@given(some)
def test_a_merge_job_reads_one_range_and_finds_its_pieces_in_order(pieces: list[Fragment]) -> None:
    data, ranges = encode_fragment_file("mesh", pieces)
    assert encode_fragment_file("mesh", pieces[::-1]) == (data, ranges)
    assert decode_sections("mesh", data, "test") == ranges
    wanted = {job: list(group) for job, group in itertools.groupby(sorted(pieces, key=order), lambda f: f.merge_job)}
    assert ranges.keys() == wanted.keys()
    for job, (offset, size) in ranges.items():
        assert list(decode_section(job, data[offset : offset + size], "test")) == wanted[job]
    assert sum(size for _, size in ranges.values()) <= len(data)


@given(some)
def test_ranges_follow_one_another_to_the_end(pieces: list[Fragment]) -> None:
    data, ranges = encode_fragment_file("skeleton", pieces)
    ends = [ranges[job] for job in sorted(ranges)]
    for (offset, size), (after, _) in itertools.pairwise(ends):
        assert offset + size == after
    if ends:
        assert sum(ends[-1]) == len(data)


def test_another_kind_or_version_is_refused() -> None:
    data, _ = encode_fragment_file("mesh", FEW)
    with pytest.raises(FormatError, match="is no fragment file of a skeleton that this version reads"):
        decode_sections("skeleton", data, "0-0-0.frags")
    newer = data[:8] + b"\x09" + data[9:]
    with pytest.raises(FormatError, match=r"0-0-0\.frags: .*Expected .* Got .*9.*snakemake --force"):
        decode_sections("mesh", newer, "0-0-0.frags")


def test_a_head_cut_short_is_refused() -> None:
    data, ranges = encode_fragment_file("mesh", FEW)
    head = min(offset for offset, _ in ranges.values())
    for size in range(head):
        with pytest.raises(FormatError, match=r"0-0-0\.frags"):
            decode_sections("mesh", data[:size], "0-0-0.frags")


@pytest.mark.parametrize("job", [0, 4])
def test_a_section_cut_short_is_refused(job: int) -> None:
    data, ranges = encode_fragment_file("mesh", FEW)
    offset, size = ranges[job]
    for kept in range(size):
        with pytest.raises(FormatError, match="is a damaged fragment file"):
            list(decode_section(job, data[offset : offset + kept], "0-0-0.frags"))


def test_a_section_with_a_spoilt_table_is_refused() -> None:
    data, ranges = encode_fragment_file("mesh", FEW)
    offset, size = ranges[0]
    section = bytearray(data[offset : offset + size])
    section[16:20] = b"spot"
    with pytest.raises(FormatError, match="is a damaged fragment file"):
        list(decode_section(0, bytes(section), "0-0-0.frags"))


@pytest.mark.parametrize("count", [2**31, 2**57, 2**63])
def test_a_section_of_more_pieces_than_there_is_room_for_is_refused(count: int) -> None:
    content, ranges = encode_fragment_file("mesh", [Fragment(0, 1, 2, (0, 0, 0), b"ab")])
    offset, size = ranges[0]
    section = bytearray(content[offset : offset + size])
    struct.pack_into("<Q", section, 0, count)
    with pytest.raises(FormatError, match="is a damaged fragment file"):
        list(decode_section(0, bytes(section), "0-0-0.frags"))
