"""Which DICOM files make one slide: those of one series, as PS3.10 files say it in their headers."""

from __future__ import annotations

import functools
import struct
from pathlib import Path
from typing import BinaryIO

PREAMBLE_BYTES = 128
TRANSFER_SYNTAX, SERIES = (0x0002, 0x0010), (0x0020, 0x000E)
IMPLICIT = "1.2.840.10008.1.2"
# Value representations with lengths of 32 bits (PS3.5, 7.1.2).
LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
# Items and delimiters of sequences: no value representation (PS3.5, 7.5).
ITEMS, ENDS = 0xFFFE, (0xE00D, 0xE0DD)
UNDEFINED = 0xFFFFFFFF


def series_files(file: Path) -> tuple[str, ...]:
    """The files of a slide: those in the folder of one of its files that are of its series, as OpenSlide joins them."""
    series = _series_of(file)
    beside = (part for part in sorted(file.parent.iterdir()) if part.is_file())
    return tuple(str(part) for part in beside if part == file or (series and _series_of(part) == series))


def _series_of(file: Path) -> str | None:
    stat = file.stat()
    return _read_series(file, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(2**16)
def _read_series(file: Path, size: int, time_ns: int) -> str | None:
    with file.open("rb") as stream:
        return series_uid(stream)


def series_uid(stream: BinaryIO) -> str | None:
    """The SeriesInstanceUID of a DICOM file, None of one without it and of any other file.

    The data set's own: sequences, which may name other series, are passed over (PS3.5, 7).
    """
    if stream.read(PREAMBLE_BYTES + 4)[PREAMBLE_BYTES:] != b"DICM":
        return None
    explicit, depth = True, 0
    while len(head := stream.read(8)) == 8:
        tag = struct.unpack("<HH", head[:4])
        if tag[0] == ITEMS and tag[1] in ENDS:
            depth -= 1
            continue
        if depth == 0 and tag > SERIES:
            return None
        length = _length(head, stream, with_vr=tag[0] != ITEMS and (explicit or tag[0] == TRANSFER_SYNTAX[0]))
        if length == UNDEFINED:
            depth += 1
        elif depth == 0 and tag in (TRANSFER_SYNTAX, SERIES):
            value = stream.read(length).decode("ascii", "replace").rstrip("\0 ")
            if tag == SERIES:
                return value
            explicit = value != IMPLICIT
        else:
            stream.seek(length, 1)
    return None


def _length(head: bytes, stream: BinaryIO, *, with_vr: bool) -> int:
    """The length of an element's value, whose first eight bytes are read."""
    if not with_vr:
        return int.from_bytes(head[4:], "little")
    if head[4:6] in LONG:
        return int.from_bytes(stream.read(4), "little")
    return int.from_bytes(head[6:], "little")
