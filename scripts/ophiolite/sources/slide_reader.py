"""What every reader of slides offers to `SlideSource`, and what several of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain

Rgb = tuple[int, int, int]
Size = tuple[int, int]
# The tag of TIFF and EXIF that asks viewers to turn a picture.
ORIENTATION = 274
LARGEST_SEGMENT_BYTES = 150 * 10**6


@dataclass(frozen=True)
class SlideFacts:
    """What the header of a slide says.

    reader, vendor : which library reads it, and whose format it is. levels : (width, height) in pixels, the largest
    first. tile_px : width and height of what is decoded at once at level 0. bounds : x, y, width, height of the scanned
    region, where the file names one. mpp : origin -> (x, y) microns per pixel, most trusted first. objective : nominal
    magnification. icc : colour profile. associated : names of other images. files : what the slide consists of.
    cache_bytes : most that the reader keeps decoded.
    """

    reader: str
    vendor: str
    levels: tuple[Size, ...]
    tile_px: Size
    mpp: dict[str, tuple[float, float]]
    objective: float | None
    icc: bytes | None
    associated: tuple[str, ...]
    files: tuple[str, ...]
    cache_bytes: int
    bounds: tuple[int, int, int, int] | None = None
    warnings: tuple[str, ...] = ()


class BadTileError(Exception):
    """Pixels that cannot be decoded: what the decoder says, and where the bytes lie in the file, if known."""

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason)
        self.offset = offset


def unreadable(path: str, level: int, x: int, y: int, error: BadTileError) -> SourceError:
    """The error E143 of a tile that cannot be decoded; `x`, `y` are pixels of its level."""
    offset = "of unknown place in the file" if error.offset is None else f"at byte {error.offset} of the file"
    return SourceError(
        explain(
            f"E143 {path}",
            f"the tile of level {level} at x {x}, y {y}, {offset}, cannot be read ({error})",
            do="Copy the file again; or set slides.bad_tiles: fill, which fills and counts such tiles",
        )
    )


class SlideReader(Protocol):
    """A slide on disk, read region by region and never whole."""

    @property
    def facts(self) -> SlideFacts:
        """What its header says."""

    def read(self, level: int, x: int, y: int, size: Size) -> NDArray[np.uint8]:
        """A region that lies inside a level, (h, w, 4): red, green, blue, straight alpha; or (h, w, 3), all opaque.

        `x`, `y` are pixels of the level. BadTileError where a part of it cannot be decoded.
        """

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """One of the other images, (h, w, 3) or (h, w, 4) with straight alpha; KeyError for an unknown name."""

    def first_lost(self) -> tuple[int, int, int, int] | None:
        """Level, x, y and file offset of the first tile that lies behind the end of the file, judged by the header."""


def turned_warning(orientation: int) -> str:
    """What the user should know of a picture that asks to be shown in another orientation than 1."""
    return (
        f"orientation {orientation} is asked for; pixels are taken as they are stored, unturned: its mask must be too"
    )


def segment_size(page: Any) -> Size:
    """Width and height of the tiles or strips of a TIFF page of tifffile."""
    if page.is_tiled:
        return (page.tilewidth, page.tilelength)
    return (page.imagewidth, min(page.rowsperstrip, page.imagelength))


def check_segment(path: str, size_px: Size) -> None:
    """SourceError for tiles or strips so large that decoding one takes too much memory."""
    width, height = size_px
    if width * height * 4 > LARGEST_SEGMENT_BYTES:
        raise SourceError(
            explain(
                path,
                "is stored in parts that can only be decoded whole, which takes too much memory",
                expected=f"at most {LARGEST_SEGMENT_BYTES // 4 // 10**6} million pixels in a tile or strip",
                got=f"{width} x {height}",
                do="Convert it to a tiled TIFF, e.g. `vips tiffsave in.tif out.tif --tile --compression jpeg`",
            )
        )


def lost_tile(page: Any, size: int) -> tuple[int, int, int, int] | None:
    """Level 0, x, y and offset of the first tile (or strip) of a page that ends behind byte `size`."""
    ends = np.array(page.dataoffsets, np.uint64) + np.array(page.databytecounts, np.uint64)
    lost = np.flatnonzero(ends > size)
    if not lost.size:
        return None
    width, height = segment_size(page)
    columns, rows = -(-page.imagewidth // width), -(-page.imagelength // height)
    index = int(lost[0]) % (columns * rows)
    return 0, index % columns * width, index // columns * height, int(page.dataoffsets[int(lost[0])])
