"""OME-TIFF as bytes: a pyramid of JPEG tiles in one BigTIFF whose headers all stand before its pixels.

Specifications: TIFF 6.0 and Technical Note 2 (JPEG); BigTIFF; OME-TIFF 6 (sub-resolutions as SubIFDs of the full one).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

SHORT, LONG, RATIONAL, ASCII, UNDEFINED, LONG8, IFD8 = 3, 4, 5, 2, 7, 16, 18
ITEM_BYTES = {SHORT: 2, LONG: 4, RATIONAL: 8, ASCII: 1, UNDEFINED: 1, LONG8: 8, IFD8: 8}
HEADER_BYTES = 16
JPEG, YCBCR, INTERLEAVED, CENTIMETRE, REDUCED = 7, 6, 1, 3, 1
# A resolution is a ratio of two 32-bit numbers; this many parts of a pixel per centimetre are kept.
RATIO = 1000
Values = Sequence[int] | bytes | NDArray[np.uint64]


@dataclass(frozen=True)
class TiffLevel:
    """One level: size in pixels, side of its tiles, how many pixels share a colour along x and y, microns per pixel."""

    width: int
    height: int
    tile_px: int
    subsampling: tuple[int, int]
    mpp: tuple[float, float]

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of tiles."""
        return (-(-self.width // self.tile_px), -(-self.height // self.tile_px))


def ome_xml(name: str, level: TiffLevel, section_um: float) -> str:
    """OME-XML (schema 2016-06) of one RGB plane; sizes in micrometres."""
    ome = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    x, y = level.mpp
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="{ome}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{ome} {ome}/ome.xsd">'
        f'<Image ID="Image:0" Name={quoteattr(name)}><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
        f'SizeX="{level.width}" SizeY="{level.height}" SizeC="3" SizeZ="1" SizeT="1" '
        f'Interleaved="true" BigEndian="false" SignificantBits="8" '
        f'PhysicalSizeX="{x!r}" PhysicalSizeXUnit="µm" PhysicalSizeY="{y!r}" PhysicalSizeYUnit="µm" '
        f'PhysicalSizeZ="{section_um!r}" PhysicalSizeZUnit="µm">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>'
    )


def tiff_head(levels: Sequence[TiffLevel], sizes: Sequence[NDArray[np.uint64]], xml: str, icc: bytes | None) -> bytes:
    """All of the file before its tiles, which follow level by level, row by row.

    sizes : per level, the bytes of its tiles in that order. icc : colour profile. The result's length is what the
    offsets in it count with.
    """
    count = len(levels)
    plain = [
        _tags(level, number, np.zeros_like(sizes[number]), sizes[number], [0] * (count - 1), xml, icc)
        for number, level in enumerate(levels)
    ]
    starts = np.cumsum([HEADER_BYTES] + [len(_ifd(tags, 0, 0)) for tags in plain]).tolist()
    out = [struct.pack("<2sHHHQ", b"II", 43, 8, 0, HEADER_BYTES)]
    at = starts[-1]
    for number, level in enumerate(levels):
        offsets = at + np.concatenate([[0], np.cumsum(sizes[number])[:-1]]).astype(np.uint64)
        at += int(sizes[number].sum())
        tags = _tags(level, number, offsets, sizes[number], starts[1:count], xml, icc)
        out.append(_ifd(tags, starts[number], 0))
    return b"".join(out)


def _tags(
    level: TiffLevel,
    number: int,
    offsets: NDArray[np.uint64],
    sizes: NDArray[np.uint64],
    below: Sequence[int],
    xml: str,
    icc: bytes | None,
) -> list[tuple[int, int, Values]]:
    """(tag, type, values) of a level, ascending; the first carries the description and the place of the others."""
    per_cm = [_per_centimetre(mpp) for mpp in level.mpp]
    tags: list[tuple[int, int, Values]] = [
        (254, LONG, [REDUCED if number else 0]),
        (256, LONG, [level.width]),
        (257, LONG, [level.height]),
        (258, SHORT, [8, 8, 8]),
        (259, SHORT, [JPEG]),
        (262, SHORT, [YCBCR]),
        (277, SHORT, [3]),
        (282, RATIONAL, per_cm[0]),
        (283, RATIONAL, per_cm[1]),
        (284, SHORT, [INTERLEAVED]),
        (296, SHORT, [CENTIMETRE]),
        (322, LONG, [level.tile_px]),
        (323, LONG, [level.tile_px]),
        (324, LONG8, offsets),
        (325, LONG8, sizes),
        (530, SHORT, level.subsampling),
    ]
    if number == 0:
        tags.append((270, ASCII, xml.encode() + b"\0"))
        if below:
            tags.append((330, IFD8, below))
    if icc:
        tags.append((34675, UNDEFINED, icc))
    return sorted(tags, key=lambda tag: tag[0])


def _per_centimetre(mpp: float) -> tuple[int, int]:
    """Pixels per centimetre as a ratio of 32-bit numbers."""
    parts = RATIO if 1e4 / mpp * RATIO < 2**32 else 1
    return (round(1e4 / mpp * parts), parts)


def _ifd(tags: Sequence[tuple[int, int, Values]], start: int, following: int) -> bytes:
    """A directory that stands at byte `start`, with the values that do not fit its entries behind it."""
    behind = start + 8 + 20 * len(tags) + 8
    entries, values = [struct.pack("<Q", len(tags))], []
    for tag, kind, given in tags:
        data = _packed(kind, given)
        count = len(data) // ITEM_BYTES[kind]
        if len(data) <= 8:
            entries.append(struct.pack("<HHQ", tag, kind, count) + data.ljust(8, b"\0"))
            continue
        entries.append(struct.pack("<HHQQ", tag, kind, count, behind))
        values.append(data + bytes(-len(data) % 8))
        behind += len(values[-1])
    return b"".join([*entries, struct.pack("<Q", following), *values])


def _packed(kind: int, values: Values) -> bytes:
    if isinstance(values, bytes):
        return values
    item = {SHORT: "<u2", LONG: "<u4", RATIONAL: "<u4", LONG8: "<u8", IFD8: "<u8"}[kind]
    return np.asarray(values).astype(item).tobytes()
