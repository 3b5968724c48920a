"""Whole-slide images as a source of RGB voxels: (w, h, 1), three channels, uint8."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry.box import Box
from ophiolite.sources.slide_colour import to_srgb
from ophiolite.sources.slide_mpp import find_mpp, resolution_nm
from ophiolite.sources.slide_reader import (
    BUFFER_BYTES,
    BadTileError,
    Rgb,
    Size,
    SlideReader,
    block_mean,
    over_background,
)
from ophiolite.sources.slide_tiles import ONE_GRID, TileCopy, tile_copy
from ophiolite.sources.source import Header, HeaderSource, decoding

TIFF_MAGIC = (b"II*\0", b"II+\0", b"MM\0*", b"MM\0+")


@dataclass(frozen=True)
class SlideReading:
    """How a slide is read; see the section `slides` of the config.

    mpp : microns per pixel, instead of what the file says. background : red, green, blue.
    """

    mpp: float | None = None
    force_mpp: bool = False
    section_nm: float = 4000.0
    background: Rgb = (255, 255, 255)
    icc: Literal["keep", "srgb"] = "keep"
    crop_to_bounds: bool = False
    bad_tiles: Literal["refuse", "fill"] = "refuse"


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
    """Level 0 of a slide, over its background; what it cost to make it so stands in `filled` and `warnings`.

    mpp, mpp_origin : microns per pixel (x, y) and where they come from. filled : tiles that could not be decoded,
    filled with background so far, as (level, x, y).
    """

    def __init__(self, path: str, reader: SlideReader, reading: SlideReading) -> None:
        facts = reader.facts
        found = find_mpp(path, reading.mpp, facts.mpp, facts.objective, force=reading.force_mpp)
        self._reader, self._reading = reader, reading
        self._start, size = _cropped(path, facts.levels[0], facts.bounds if reading.crop_to_bounds else None)
        self.mpp, self.mpp_origin = found.mpp, found.origin
        self.warnings = (*facts.warnings, *found.warnings)
        self.reader, self.vendor, self.icc = facts.reader, facts.vendor, facts.icc
        self.associated = facts.associated
        self.filled: set[tuple[int, int, int]] = set()
        self._to_srgb = to_srgb(path, facts.icc) if reading.icc == "srgb" and facts.icc else None
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

    @property
    def levels(self) -> tuple[Size, ...]:
        """Width and height of every level that the file holds, the largest first."""
        return self._reader.facts.levels

    def verify(self) -> None:
        """Judge the tiles by the header; SourceError E143 names the first that lies behind the end of the file."""
        lost = self._reader.first_lost() if self._reading.bad_tiles == "refuse" else None
        if lost is not None:
            level, x, y, offset = lost
            raise self._unreadable(level, x, y, BadTileError("it lies behind the end of the file", offset))

    def read_level(self, level: int, x: int, y: int, size: Size) -> NDArray[np.uint8]:
        """A region of a level over the background, (h, w, 3) in rows; `x`, `y` are pixels of the level.

        SourceError E143 where a tile cannot be decoded, unless bad tiles are filled.
        """
        width, height = size
        out = np.empty((height, width, 3), np.uint8)
        rows = max(1, BUFFER_BYTES // (4 * width))
        tile = self._reader.facts.tile_px[1]
        rows = rows // tile * tile or rows
        top = 0
        while top < height:
            # Strips end where tiles do, so that none is decoded for two of them.
            stop = min(height, (y + top) // rows * rows + rows - y)
            out[top:stop] = self._strip(level, x, y + top, (width, stop - top))
            top = stop
        return out

    @cached_property
    def tiles(self) -> TileCopy | None:
        """The JPEG tiles that can be copied as they are; None where there are none, or where copies would differ.

        They would where colours are converted, where the scanned region does not begin with a tile, and in formats
        whose tiles overlap.
        """
        if self._to_srgb is not None or self.vendor not in ONE_GRID:
            return None
        found = tile_copy(Path(self.files[0]), self.levels[0])
        if found is None or any(start % found.tile_px for start in self._start):
            return None
        return found

    def overview(self, max_px: int) -> Overview:
        """The whole slide, or its scanned region, so small that no side is over `max_px`: means of square blocks.

        The blocks are of the coarsest level of the file that is large enough; read in strips of bounded memory.
        """
        level = self._coarsest(max_px)
        across = [n / m for n, m in zip(self.levels[0], self.levels[level], strict=True)]
        x, y = (int(start // ratio) for start, ratio in zip(self._start, across, strict=True))
        width, height = (
            min(size - at, max(1, round(n / ratio)))
            for size, at, n, ratio in zip(self.levels[level], (x, y), self.shape_vx[:2], across, strict=True)
        )
        factor = -(-max(width, height) // max_px)
        rows = max(1, BUFFER_BYTES // (4 * width * factor)) * factor
        strips = [
            block_mean(self.read_level(level, x, y + top, (width, min(rows, height - top))), factor)
            for top in range(0, height, rows)
        ]
        pixels = np.concatenate(strips).transpose(1, 0, 2)
        return Overview(pixels, (across[0] * factor, across[1] * factor))

    def thumbnail(self, max_px: int) -> NDArray[np.uint8]:
        """The slide so small that no side is over `max_px`, (w, h, 3); see `overview`."""
        return self.overview(max_px).pixels

    def _coarsest(self, max_px: int) -> int:
        """The smallest level of the file that still has `max_px` along the longer side; 0 where none has."""
        enough = [n for n, size in enumerate(self.levels) if max(size) >= max_px]
        return enough[-1] if enough else 0

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
        rows = self.read_level(0, x, y, (box.shape[0], box.shape[1]))
        return rows.transpose(1, 0, 2)[:, :, None, :]

    def _strip(self, level: int, x: int, y: int, size: Size) -> NDArray[np.uint8]:
        try:
            pixels = self._reader.read(level, x, y, size)
        except BadTileError as error:
            return self._around_bad_tiles(level, x, y, size, error)
        if self._to_srgb is not None:
            pixels = self._to_srgb(pixels)
        return over_background(pixels, self._reading.background)

    def _around_bad_tiles(self, level: int, x: int, y: int, size: Size, error: BadTileError) -> NDArray[np.uint8]:
        """A region read tile by tile, those that cannot be decoded filled; SourceError names the first otherwise."""
        width, height = self._reader.facts.tile_px
        if x // width == (x + size[0] - 1) // width and y // height == (y + size[1] - 1) // height:
            corner = (level, x // width * width, y // height * height)
            if self._reading.bad_tiles == "refuse":
                raise self._unreadable(*corner, error) from error
            self.filled.add(corner)
            return np.broadcast_to(np.array(self._reading.background, np.uint8), (size[1], size[0], 3))
        out = np.empty((size[1], size[0], 3), np.uint8)
        for top, bottom in _pieces(y, size[1], height):
            for left, right in _pieces(x, size[0], width):
                part = self._strip(level, left, top, (right - left, bottom - top))
                out[top - y : bottom - y, left - x : right - x] = part
        return out

    def _unreadable(self, level: int, x: int, y: int, error: BadTileError) -> SourceError:
        offset = "of unknown place in the file" if error.offset is None else f"at byte {error.offset} of the file"
        return SourceError(
            explain(
                f"E143 {self.path}",
                f"the tile of level {level} at x {x}, y {y}, {offset}, cannot be read ({error})",
                do="Copy the file again; or set slides.bad_tiles: fill, which fills and counts such tiles",
            )
        )

    def _more_facts(self) -> tuple[object, ...]:
        return (self.reader, sorted(asdict(self._reading).items()))


def _pieces(start: int, length: int, step: int) -> list[tuple[int, int]]:
    """[start, start + length) cut at the multiples of `step`."""
    cuts = [start, *range((start // step + 1) * step, start + length, step), start + length]
    return list(pairwise(cuts))


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
