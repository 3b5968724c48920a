"""Whole-slide images as a source of RGB voxels: (w, h, 1), three channels, uint8."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry.box import Box
from ophiolite.sources.slide_colour import to_srgb
from ophiolite.sources.slide_mpp import find_mpp, resolution_nm
from ophiolite.sources.slide_pixels import SlidePixels, block_sums, means, over_background, pieces
from ophiolite.sources.slide_reader import BadTileError, Rgb, Size, SlideReader, unreadable
from ophiolite.sources.slide_tiles import ONE_GRID, WRONG_COLOURS, JpegTiles, jpeg_tiles
from ophiolite.sources.source import Header, HeaderSource, decoding

TIFF_MAGIC = (b"II*\0", b"II+\0", b"MM\0*", b"MM\0+")


@dataclass(frozen=True)
class SlideReading:
    """How a slide is read; see the section `slides` of the config.

    mpp : microns per pixel, instead of what the file says. background : red, green, blue. copy_tiles : read the JPEG
    tiles of level 0 past the slide's library, and offer them for copying.
    """

    mpp: float | None = None
    force_mpp: bool = False
    section_nm: float = 4000.0
    background: Rgb = (255, 255, 255)
    icc: Literal["keep", "srgb"] = "keep"
    crop_to_bounds: bool = False
    bad_tiles: Literal["refuse", "fill"] = "refuse"
    copy_tiles: bool = True


def open_slide(path: Path, reading: SlideReading = SlideReading()) -> SlideSource:
    """Open a slide: with OpenSlide where it knows the format, else as TIFF, PNG or JPEG.

    SourceError where no reader knows it, it is damaged, its pixels are no 8-bit colours, or its microns per pixel are
    unknown (E140) or implausible (E141).
    """
    with decoding(str(path)):
        return SlideSource(str(path), open_reader(path), reading)


def copied_tile_px(source: SlideSource) -> int | None:
    """The side of the JPEG tiles of level 0 that can be copied into chunks as they are; None where none can."""
    return source.tiles.tile_px if source.tiles else None


def open_reader(path: Path) -> SlideReader:
    """The reader of a slide's format; see `open_slide`."""
    from ophiolite.sources.slide_openslide import OpenSlideReader

    if not path.is_file():
        raise SourceError(explain(str(path), "there is no such file", do="Correct the path of the slide"))
    vendor = OpenSlideReader.vendor_of(path)
    with path.open("rb") as stream:
        is_tiff = stream.read(4) in TIFF_MAGIC
    if vendor not in (None, "generic-tiff"):
        return OpenSlideReader(str(path), path)
    if is_tiff:
        from ophiolite.sources.slide_tiff import TiffSlideReader, needs_own_reader

        if vendor is None or needs_own_reader(path):
            return TiffSlideReader(str(path), path)
        return OpenSlideReader(str(path), path)
    from ophiolite.sources.slide_picture import PictureReader

    return PictureReader(str(path), path)


@dataclass(frozen=True)
class Overview:
    """A reduced slide: pixels (w, h, 3) uint8, each the mean of `step_px` (x, y) pixels of level 0."""

    pixels: NDArray[np.uint8]
    step_px: tuple[float, float]


class SlideSource(HeaderSource):
    """Level 0 of a slide over its background, or its scanned region.

    mpp, mpp_origin : microns per pixel (x, y) and where they come from. levels : width and height of every level that
    the file holds. filled : (level, x, y) of the tiles that could not be decoded, filled with background so far.
    tiles : the JPEG tiles of level 0 that can be copied as they are; None where there are none, or where copies would
    show other colours than `read` gives.
    """

    def __init__(self, path: str, reader: SlideReader, reading: SlideReading) -> None:
        facts = reader.facts
        found = find_mpp(path, reading.mpp, facts.mpp, facts.objective, force=reading.force_mpp)
        self._reader, self._reading = reader, reading
        self._start, size = _cropped(path, facts.levels[0], facts.bounds if reading.crop_to_bounds else None)
        one_grid = reading.copy_tiles and facts.vendor in ONE_GRID
        tiles = jpeg_tiles(Path(facts.files[0]), facts.levels[0]) if one_grid else None
        convert = to_srgb(path, facts.icc) if reading.icc == "srgb" and facts.icc else None
        self._pixels = SlidePixels(path, reader, tiles, reading.background, convert, fill=reading.bad_tiles == "fill")
        self.tiles = None
        copied = ""
        if tiles is not None and convert is None:
            copied = self._not_copied(tiles)
            self.tiles = None if copied else tiles
        self.mpp, self.mpp_origin, self.levels = found.mpp, found.origin, facts.levels
        self.warnings = (*facts.warnings, *found.warnings, *([copied] if copied else []))
        self.reader, self.vendor, self.icc = facts.reader, facts.vendor, facts.icc
        self.associated, self.filled = facts.associated, self._pixels.filled
        super().__init__(
            Header(
                path=path,
                shape_vx=(*size, 1),
                channels=3,
                dtype=np.dtype(np.uint8),
                resolution_nm=resolution_nm(found.mpp, reading.section_nm),
                voxel_offset_vx=(*self._start, 0),
                alignment_vx=(*facts.tile_px, 1),
                files=facts.files,
                cache_bytes=facts.cache_bytes,
            )
        )

    def verify(self) -> None:
        """Judge the tiles by the header; SourceError E143 names the first that lies behind the end of the file."""
        with decoding(self.path):
            lost = self._reader.first_lost() if self._reading.bad_tiles == "refuse" else None
        if lost is not None:
            level, x, y, offset = lost
            raise unreadable(self.path, level, x, y, BadTileError("it lies behind the end of the file", offset))

    def read_level(self, level: int, x: int, y: int, size: Size) -> NDArray[np.uint8]:
        """A region that lies inside a level, over the background: (h, w, 3) in rows; `x`, `y` are pixels of the level.

        SourceError E143 where a tile cannot be decoded, unless bad tiles are filled.
        """
        with decoding(self.path):
            return self._pixels.read(level, x, y, size)

    def read_slowly(self, box: Box) -> NDArray[np.uint8]:
        """What `read` gives, (x, y, 1, 3), by the slide's library alone: for comparisons."""
        (x, y), (width, height, _) = box.start[:2], box.shape
        with decoding(self.path):
            return self._pixels.by_reader(0, x, y, (width, height)).transpose(1, 0, 2)[:, :, None, :]

    def overview(self, max_px: int) -> Overview:
        """The whole slide, or its scanned region, so small that no side is over `max_px`: means of square blocks.

        The blocks are of the coarsest level of the file that is large enough, which is read in parts.
        """
        enough = [n for n, size in enumerate(self.levels) if max(size) >= max_px]
        level = enough[-1] if enough else 0
        ratio = [n / m for n, m in zip(self.levels[0], self.levels[level], strict=True)]
        x, y = (int(start // r) for start, r in zip(self._start, ratio, strict=True))
        width, height = (
            min(most - at, max(1, round(n / r)))
            for most, at, n, r in zip(self.levels[level], (x, y), self.shape_vx[:2], ratio, strict=True)
        )
        factor = -(-max(width, height) // max_px)
        sums = np.zeros((-(-height // factor), -(-width // factor), 3), np.uint32)
        step = self._pixels.part_px(level)
        for top, bottom in pieces(y, height, step[1]):
            for left, right in pieces(x, width, step[0]):
                part = self.read_level(level, left, top, (right - left, bottom - top))
                more = block_sums(part, (top - y, left - x), factor)
                row, column = (top - y) // factor, (left - x) // factor
                sums[row : row + more.shape[0], column : column + more.shape[1]] += more
        return Overview(means(sums, (width, height), factor).transpose(1, 0, 2), (ratio[0] * factor, ratio[1] * factor))

    def thumbnail(self, max_px: int) -> NDArray[np.uint8]:
        """The slide so small that no side is over `max_px`, (w, h, 3); see `overview`."""
        return self.overview(max_px).pixels

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Another image of the slide (macro, label, ...), (w, h, 3); SourceError for an unknown name."""
        if name not in self.associated:
            got = ", ".join(self.associated) or "no other images"
            raise SourceError(explain(self.path, f"has no image {name!r}", got=got, do="Ask for one of these"))
        with decoding(self.path):
            rows = over_background(self._reader.associated_image(name), self._reading.background)
        return rows.transpose(1, 0, 2)

    def _decode(self, box: Box) -> NDArray[Any]:
        x, y = box.start[0] + self._start[0], box.start[1] + self._start[1]
        rows = self._pixels.read(0, x, y, (box.shape[0], box.shape[1]))
        return rows.transpose(1, 0, 2)[:, :, None, :]

    def _not_copied(self, tiles: JpegTiles) -> str:
        """Why the JPEG tiles are not copied; empty where they are."""
        if any(start % tiles.tile_px for start in self._start):
            return "JPEG tiles are not copied: the scanned region does not start at a tile's corner"
        return f"JPEG tiles are not copied: {WRONG_COLOURS}" if tiles.rgb else ""

    def _more_facts(self) -> tuple[object, ...]:
        return (self.reader, sorted(asdict(self._reading).items()))


def _cropped(path: str, size: Size, bounds: tuple[int, int, int, int] | None) -> tuple[Size, Size]:
    """First pixel and size of what is read: the scanned region, where it is asked for and named, else all."""
    if bounds is None:
        return (0, 0), size
    x, y, width, height = bounds
    start = (max(0, x), max(0, y))
    stop = (min(size[0], x + width), min(size[1], y + height))
    if stop[0] <= start[0] or stop[1] <= start[1]:
        raise SourceError(
            explain(
                path,
                "the scanned region that the file names lies outside the slide",
                expected=f"within {size[0]} x {size[1]}",
                got=f"x {x}, y {y}, {width} x {height}",
                do="Set slides.crop_to_bounds: false",
            )
        )
    return start, (stop[0] - start[0], stop[1] - start[1])
