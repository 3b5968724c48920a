"""JPEG tiles of a slide's level 0 as they lie in the file, made whole pictures without touching what is coded."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

import tifffile

from ophiolite.errors import FormatError
from ophiolite.sources.slide_reader import Size

JPEG, RGB, YCBCR = 7, 2, 6
LEAST_PX, MOST_PX = 128, 2048
# Vendors whose level 0 is one grid of tiles in one page of a TIFF, without gaps or overlaps.
ONE_GRID = ("aperio", "generic-tiff", "philips", "ome", "generic", "uniform", "shaped", "svs")
SOI, APP0, APP14, SOS = b"\xff\xd8", 0xE0, 0xEE, 0xDA
FRAMES = (0xC0, 0xC1, 0xC2)


class TileCopy:
    """The JPEG tiles of level 0, by their place in the grid.

    tile_px : side of the tiles. columns, rows : tiles of the grid; those at the right and lower border stand over.
    """

    def __init__(self, file: Path, page: Any) -> None:
        self._file = file
        self._stream: BinaryIO | None = None
        self._offsets, self._counts = page.dataoffsets, page.databytecounts
        self._tables: bytes = page.jpegtables or b""
        self._rgb = page.photometric == RGB
        self.tile_px: int = page.tilewidth
        self.columns = -(-page.imagewidth // self.tile_px)
        self.rows = -(-page.imagelength // self.tile_px)

    def encoded(self, cx: int, cy: int) -> bytes | None:
        """The tile of a column and row as a JPEG file (ITU T.81, TIFF Technical Note 2): the coded pixels as they are,
        the tables of the page before them, and an Adobe marker where its colours would be guessed wrong.

        None where the file holds no bytes for it, or no picture of the size of a tile.
        """
        index = cy * self.columns + cx
        offset, count = self._offsets[index], self._counts[index]
        if not count:
            return None
        if self._stream is None:
            self._stream = self._file.open("rb")
        self._stream.seek(offset)
        try:
            return whole_jpeg(self._stream.read(count), self._tables, (self.tile_px, self.tile_px), rgb=self._rgb)
        except FormatError:
            return None


def tile_copy(file: Path, size: Size) -> TileCopy | None:
    """The JPEG tiles of the page of a TIFF that is `size`; None where it has none that can be copied.

    That takes square tiles of interleaved 8-bit RGB or YCbCr.
    """
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            side = page.tilewidth if page.is_tiled else 0
            known = (
                (page.imagewidth, page.imagelength) == size
                and page.compression == JPEG
                and page.photometric in (RGB, YCBCR)
                and (page.samplesperpixel, page.bitspersample, page.planarconfig) == (3, 8, 1)
                and page.tilelength == side
                and LEAST_PX <= side <= MOST_PX
            )
            return TileCopy(file, page) if known else None
    except (tifffile.TiffFileError, OSError, ValueError):
        return None


def whole_jpeg(data: bytes, tables: bytes, size: Size, *, rgb: bool) -> bytes:
    """A JPEG file from an abbreviated stream and the tables it needs (TIFF tag JPEGTables, b"" for none).

    rgb : the samples are red, green, blue (TIFF photometric RGB). Decoders take three components for YCbCr unless an
    Adobe marker (transform 0) or the components' names say otherwise; a JFIF marker says YCbCr whatever TIFF says, as
    the writers that put it there mean it. FormatError where the stream is no picture of `size`.
    """
    segments, names = _segments(data, size)
    jfif = any(marker == APP0 and body[:4] == b"JFIF" for marker, body in segments)
    adobe = next((body for marker, body in segments if marker == APP14 and body[:5] == b"Adobe"), None)
    inner = tables[2:-2] if tables else b""
    if jfif:
        return SOI + inner + data[2:]
    guessed_rgb = names == b"RGB" if adobe is None else adobe[11:12] == b"\0"
    if guessed_rgb == rgb:
        return SOI + inner + data[2:]
    if adobe is not None:
        raise FormatError("the tile's Adobe marker contradicts the TIFF's photometric interpretation")
    return SOI + _adobe(transform=0 if rgb else 1) + inner + data[2:]


def _adobe(transform: int) -> bytes:
    """The APP14 segment of Adobe Technical Note 5116, with the given colour transform."""
    return struct.pack(">BBH5sHHHB", 0xFF, APP14, 14, b"Adobe", 100, 0, 0, transform)


def _segments(data: bytes, size: Size) -> tuple[list[tuple[int, bytes]], bytes]:
    """(marker, body) of every segment before the scan, and the names of the components of the frame."""
    if data[:2] != SOI:
        raise FormatError("the tile is no JPEG stream")
    at, names = 2, b""
    segments: list[tuple[int, bytes]] = []
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        length = struct.unpack_from(">H", data, at + 2)[0]
        body = data[at + 4 : at + 2 + length]
        if marker in FRAMES and len(body) >= 15:
            depth, height, width, components = struct.unpack_from(">BHHB", body)
            if (width, height) != size or depth != 8 or components != 3:
                raise FormatError(f"the tile holds {width} x {height} pixels of {components} x {depth} bits")
            names = body[6:15:3]
        if marker == SOS:
            if not names:
                break
            return segments, names
        segments.append((marker, body))
        at += 2 + length
    raise FormatError("the tile's JPEG stream ends in its header")
