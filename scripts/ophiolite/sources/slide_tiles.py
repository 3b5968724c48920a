"""JPEG tiles of a slide's level 0 as they lie in the file: decoded, or made whole JPEG files without being decoded."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import simplejpeg
import tifffile
from numpy.typing import NDArray

from ophiolite.errors import FormatError
from ophiolite.sources.plausible import check_place
from ophiolite.sources.slide_reader import Size

JPEG, RGB, YCBCR = 7, 2, 6
LEAST_PX, MOST_PX = 128, 2048
# Vendors whose level 0 is one grid of tiles in one page of a TIFF, without gaps or overlaps.
ONE_GRID = ("aperio", "generic-tiff", "philips", "ome", "generic", "uniform", "shaped", "svs")
WRONG_COLOURS = "they hold RGB as such, which Neuroglancer's decoder takes for YCbCr"
SOI, APP0, APP14, SOS = b"\xff\xd8", 0xE0, 0xEE, 0xDA
FRAMES = (0xC0, 0xC1, 0xC2)


class JpegTiles:
    """The JPEG tiles of level 0, by their place in the grid.

    tile_px : side of the tiles. columns, rows : tiles of the grid; those at the right and lower border stand over.
    """

    def __init__(self, file: Path, page: Any) -> None:
        self._file = file
        self._stream: BinaryIO | None = None
        self._offsets, self._counts = page.dataoffsets, page.databytecounts
        self._tables: bytes = page.jpegtables or b""
        self._photometric = int(page.photometric)
        self._unsound: set[int] = set()
        self.tile_px: int = page.tilewidth
        self.columns = -(-page.imagewidth // self.tile_px)
        self.rows = -(-page.imagelength // self.tile_px)

    def encoded(self, cx: int, cy: int) -> bytes | None:
        """The tile of a column and row as a JPEG file whose coded pixels are those of the slide's file, bit by bit.

        None where the file holds no bytes for it, where `decoded` found it damaged, or where readers would take its
        colours for others: Neuroglancer's decoder takes all JPEGs of three components for YCbCr, whatever they say.
        """
        index = cy * self.columns + cx
        data = self._whole(index) if index not in self._unsound else None
        return None if data is None or data.rgb else data.jpeg

    def decoded(self, cx: int, cy: int) -> NDArray[np.uint8] | None:
        """The pixels (h, w, 3) of a tile; None where the file has none of it, or a strict decoder refuses it."""
        index = cy * self.columns + cx
        data = self._whole(index)
        if data is None:
            return None
        try:
            pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data.jpeg, "RGB")
        except ValueError:
            self._unsound.add(index)
            return None
        return pixels

    @cached_property
    def rgb(self) -> bool:
        """True where the first tile that holds anything holds red, green and blue as such, so none can be copied."""
        found = next((data for data in map(self._whole, range(len(self._counts))) if data is not None), None)
        return found is not None and found.rgb

    def _whole(self, index: int) -> WholeJpeg | None:
        if not self._counts[index]:
            return None
        if self._stream is None:
            self._stream = self._file.open("rb")
        try:
            check_place(self._offsets[index], self._counts[index], os.fstat(self._stream.fileno()).st_size)
            self._stream.seek(self._offsets[index])
            return whole_jpeg(self._stream.read(self._counts[index]), self._tables, self.tile_px, self._photometric)
        except (FormatError, ValueError):
            self._unsound.add(index)
            return None


def jpeg_tiles(file: Path, size: Size) -> JpegTiles | None:
    """The JPEG tiles of the first page of a TIFF, which is to be of `size`; None where it holds no square ones."""
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
            return JpegTiles(file, page) if known else None
    except (tifffile.TiffFileError, OSError, ValueError):
        return None


@dataclass(frozen=True)
class WholeJpeg:
    """A JPEG file, and whether its three components are red, green and blue as such rather than YCbCr."""

    jpeg: bytes
    rgb: bool


def whole_jpeg(data: bytes, tables: bytes, side: int, photometric: int) -> WholeJpeg:
    """A JPEG file from a tile's stream and the tables it needs (TIFF Technical Note 2; b"" for none).

    The tables go between SOI and what follows it in the tile; the coded pixels stay as they are. Decoders go by a JFIF
    marker, then an Adobe marker, then the components' names (libjpeg), so streams whose colours they would guess wrong
    get an Adobe marker. Where JFIF and TIFF disagree the marker is right: it means YCbCr, as in files of Bio-Formats.
    FormatError where the stream is no picture of `side` x `side` and three components of 8 bits.
    """
    segments, names = _segments(data, side)
    jfif = any(marker == APP0 and body[:4] == b"JFIF" for marker, body in segments)
    adobe = next((body[11:12] for marker, body in segments if marker == APP14 and body[:5] == b"Adobe"), None)
    rgb = photometric == RGB and not jfif
    guessed = names == b"RGB" if adobe is None else adobe == b"\0"
    if jfif or guessed == rgb:
        return WholeJpeg(SOI + tables[2:-2] + data[2:], rgb)
    if adobe is not None:
        raise FormatError("the tile's Adobe marker contradicts the TIFF's photometric interpretation")
    return WholeJpeg(SOI + _adobe(transform=0 if rgb else 1) + tables[2:-2] + data[2:], rgb)


def _adobe(transform: int) -> bytes:
    """The APP14 segment of Adobe Technical Note 5116, with the given colour transform."""
    return struct.pack(">BBH5sHHHB", 0xFF, APP14, 14, b"Adobe", 100, 0, 0, transform)


def _segments(data: bytes, side: int) -> tuple[list[tuple[int, bytes]], bytes]:
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
            if (width, height) != (side, side) or depth != 8 or components != 3:
                raise FormatError(f"the tile holds {width} x {height} pixels of {components} x {depth} bits")
            names = body[6:15:3]
        if marker == SOS:
            if not names:
                break
            return segments, names
        segments.append((marker, body))
        at += 2 + length
    raise FormatError("the tile's JPEG stream ends in its header")
