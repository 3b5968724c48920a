"""Gzip streams: libdeflate where one call does, zlib for everything unusual.

Specification: RFC 1952.
"""

from __future__ import annotations

import zlib

import deflate

from ophiolite.errors import FormatError, explain

_MAGIC = b"\x1f\x8b\x08"
_SMALLEST_STREAM_BYTES = 18
_LARGEST_RATIO = 1032


def gzip_bytes(data: bytes, level: int = 6) -> bytes:
    """Compress bytes to one gzip member; the same bytes give the same stream (no name, mtime 0)."""
    return bytes(deflate.gzip_compress(data, level))


def gunzip_bytes(data: bytes) -> bytes:
    """Decompress any gzip stream: one member or many, size known or not, zero padding behind.

    Raises FormatError where the stream is no gzip, damaged, cut short, or followed by something else.
    """
    if len(data) < _SMALLEST_STREAM_BYTES or not data.startswith(_MAGIC):
        raise FormatError(
            explain(
                "gzip stream",
                "this is not gzip",
                expected=f"{_MAGIC.hex(' ')} and at least {_SMALLEST_STREAM_BYTES} bytes",
                got=f"{len(data)} bytes that begin {bytes(data[:3]).hex(' ') or 'with nothing'}",
                do="Make the file again, or mend the encoding that the metadata states",
            )
        )
    # The trailer's size is only to be believed where it is possible and no second member may follow:
    # libdeflate would stop after the first of two members of equal size without a word.
    size = int.from_bytes(data[-4:], "little")
    if 0 < size <= _LARGEST_RATIO * len(data) and data.find(_MAGIC, _SMALLEST_STREAM_BYTES) < 0:
        try:
            out = bytes(deflate.gzip_decompress(data, size))
        except deflate.DeflateError:
            pass
        else:
            if len(out) == size and deflate.crc32(out) == int.from_bytes(data[-8:-4], "little"):
                return out
    return _gunzip_members(data)


def _gunzip_members(data: bytes) -> bytes:
    """Decompress member after member with zlib; raises FormatError as `gunzip_bytes` does."""
    parts: list[bytes] = []
    rest = bytes(data)
    while rest:
        stream = zlib.decompressobj(wbits=31)
        try:
            parts.append(stream.decompress(rest))
        except zlib.error as error:
            raise FormatError(
                explain(
                    "gzip stream",
                    f"it is damaged in the member at byte {len(data) - len(rest)} of {len(data)} ({error})",
                    do="Make the file again",
                )
            ) from error
        if not stream.eof:
            raise FormatError(
                explain(
                    "gzip stream",
                    "it is cut short",
                    expected="a trailer of CRC-32 and size",
                    got=f"the end after {len(data)} bytes",
                    do="Make the file again",
                )
            )
        rest = stream.unused_data.lstrip(b"\0")
    return b"".join(parts)
