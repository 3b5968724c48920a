"""Gzip streams: any valid one is read, any other is refused."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.errors import FormatError
from ophiolite.precomputed.compression import gunzip_bytes, gzip_bytes


@given(st.binary(max_size=2000), st.sampled_from([1, 6, 9, 12]))
def test_the_standard_library_reads_what_is_written(data: bytes, level: int) -> None:
    packed = gzip_bytes(data, level)
    assert gzip.decompress(packed) == data
    assert gunzip_bytes(packed) == data
    assert packed == gzip_bytes(data, level)


def test_the_header_says_neither_time_nor_name() -> None:
    assert gzip_bytes(b"abc")[:8] == bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0])


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(0, 3))
def test_members_and_zero_padding(parts: list[bytes], padding: int) -> None:
    packed = b"".join(gzip.compress(part, mtime=1234) for part in parts) + bytes(padding)
    assert gunzip_bytes(packed) == b"".join(parts)


def test_equal_members_are_all_read() -> None:
    member = gzip.compress(b"same bytes", mtime=0)
    assert gunzip_bytes(member * 3) == b"same bytes" * 3


def test_the_magic_number_inside_a_member_is_no_second_member() -> None:
    data = b"\x1f\x8b\x08" * 50
    stored = zlib.compressobj(0, zlib.DEFLATED, 31)
    assert gunzip_bytes(stored.compress(data) + stored.flush()) == data


def test_a_stream_with_name_and_comment() -> None:
    header = bytes([0x1F, 0x8B, 8, 0x18, 9, 9, 9, 9, 0, 3]) + b"name\0comment\0"
    assert gunzip_bytes(header + gzip_bytes(b"abc")[10:]) == b"abc"


@given(st.binary(min_size=1, max_size=300), st.data())
def test_every_truncation_is_found(data: bytes, draw: st.DataObject) -> None:
    packed = gzip_bytes(data)
    with pytest.raises(FormatError, match="gzip stream"):
        gunzip_bytes(packed[: draw.draw(st.integers(0, len(packed) - 1))])


@given(st.binary(min_size=1, max_size=300), st.data())
def test_every_flipped_bit_behind_the_header_is_found(data: bytes, draw: st.DataObject) -> None:
    packed = bytearray(gzip_bytes(data))
    at = draw.draw(st.integers(10 * 8, len(packed) * 8 - 1))
    packed[at // 8] ^= 1 << (at % 8)
    with contextlib.suppress(FormatError):
        assert gunzip_bytes(bytes(packed)) == data  # padding bits behind the last code mean nothing


def test_a_trailer_that_promises_gigabytes_allocates_nothing() -> None:
    packed = gzip_bytes(b"abc")[:-4] + b"\xff\xff\xff\xff"
    with pytest.raises(FormatError, match="damaged"):
        gunzip_bytes(packed)


@pytest.mark.parametrize("data", [b"", b"plain text that is long enough", zlib.compress(b"x" * 99)])
def test_what_is_not_gzip_is_named_so(data: bytes) -> None:
    with pytest.raises(FormatError, match="this is not gzip"):
        gunzip_bytes(data)


def test_trailing_rubbish_is_refused() -> None:
    with pytest.raises(FormatError, match="damaged in the member at byte"):
        gunzip_bytes(gzip_bytes(b"abc") + b"rubbish")
