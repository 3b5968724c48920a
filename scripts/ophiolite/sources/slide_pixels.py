"""Regions of a slide as opaque colours, part by part: from its JPEG tiles where it has some, else from its reader."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.sources.slide_colour import Convert
from ophiolite.sources.slide_reader import BadTileError, Rgb, Size, SlideReader, unreadable
from ophiolite.sources.slide_tiles import JpegTiles

# What a reader returns at once; with the copies made of it some 100 MB.
PART_BYTES = 32 * 2**20


class SlidePixels:
    """The pixels of a slide over its background.

    tiles : decoded instead of asking the reader, six times as fast as OpenSlide; None where there are none. convert :
    to other colours. fill : whether tiles that cannot be decoded become background, kept in `filled` as (level, x, y).
    """

    def __init__(
        self,
        path: str,
        reader: SlideReader,
        tiles: JpegTiles | None,
        background: Rgb,
        convert: Convert | None,
        *,
        fill: bool,
    ) -> None:
        self._path, self._reader, self._tiles = path, reader, tiles
        self._background, self._convert, self._fill = background, convert, fill
        self.filled: set[tuple[int, int, int]] = set()

    def part_px(self, level: int) -> Size:
        """Width and height, in whole tiles, of what is best read at once."""
        width, height = self._reader.facts.tile_px
        columns = max(1, PART_BYTES // (4 * width * height))
        return (min(columns * width, -(-self._reader.facts.levels[level][0] // width) * width), height)

    def read(self, level: int, x: int, y: int, size: Size) -> NDArray[np.uint8]:
        """A region that lies inside a level, (h, w, 3) in rows; SourceError E143 for what cannot be decoded."""
        out = np.empty((size[1], size[0], 3), np.uint8)
        step = self.part_px(level)
        for top, bottom in pieces(y, size[1], step[1]):
            for left, right in pieces(x, size[0], step[0]):
                part = out[top - y : bottom - y, left - x : right - x]
                if level == 0 and self._tiles is not None:
                    self._from_tiles(self._tiles, left, top, part)
                else:
                    part[:] = self.by_reader(level, left, top, (right - left, bottom - top))
        return out

    def _from_tiles(self, tiles: JpegTiles, x: int, y: int, out: NDArray[np.uint8]) -> None:
        side = tiles.tile_px
        for top, bottom in pieces(y, out.shape[0], side):
            for left, right in pieces(x, out.shape[1], side):
                part = out[top - y : bottom - y, left - x : right - x]
                tile = tiles.decoded(left // side, top // side)
                if tile is None:
                    part[:] = self.by_reader(0, left, top, (right - left, bottom - top))
                    continue
                rows, columns = top // side * side, left // side * side
                inside = tile[top - rows : bottom - rows, left - columns : right - columns]
                part[:] = inside if self._convert is None else self._convert(inside)

    def by_reader(self, level: int, x: int, y: int, size: Size) -> NDArray[np.uint8]:
        """The same by the reader alone; small regions, since it is done at once."""
        try:
            pixels = self._reader.read(level, x, y, size)
        except BadTileError as error:
            return self._around_bad_tiles(level, x, y, size, error)
        return over_background(pixels if self._convert is None else self._convert(pixels), self._background)

    def _around_bad_tiles(self, level: int, x: int, y: int, size: Size, error: BadTileError) -> NDArray[np.uint8]:
        """A region read tile by tile, those that cannot be decoded filled; SourceError for the first otherwise."""
        width, height = self._reader.facts.tile_px
        if x // width == (x + size[0] - 1) // width and y // height == (y + size[1] - 1) // height:
            corner = (level, x // width * width, y // height * height)
            if not self._fill:
                raise unreadable(self._path, *corner, error) from error
            self.filled.add(corner)
            return np.broadcast_to(np.array(self._background, np.uint8), (size[1], size[0], 3))
        out = np.empty((size[1], size[0], 3), np.uint8)
        for top, bottom in pieces(y, size[1], height):
            for left, right in pieces(x, size[0], width):
                part = self.by_reader(level, left, top, (right - left, bottom - top))
                out[top - y : bottom - y, left - x : right - x] = part
        return out


def pieces(start: int, length: int, step: int) -> Iterator[tuple[int, int]]:
    """[start, start + length) cut at the multiples of `step`."""
    return pairwise([start, *range((start // step + 1) * step, start + length, step), start + length])


def over_background(pixels: NDArray[np.uint8], background: Rgb) -> NDArray[np.uint8]:
    """Pixels (h, w, 4) with straight alpha laid over a colour, rounded half up: (h, w, 3). Opaque ones stay."""
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[..., 3]
    out = np.ascontiguousarray(pixels[..., :3])
    lowest = int(alpha.min(initial=255))
    if lowest == 255:
        return out
    clear = alpha == 0
    out[clear] = background
    partly = (alpha < 255) & ~clear
    if partly.any():
        weight = alpha[partly].astype(np.uint32)[:, None]
        mixed = out[partly] * weight + np.array(background, np.uint32) * (255 - weight)
        out[partly] = ((mixed + 127) // 255).astype(np.uint8)
    return out


def block_sums(pixels: NDArray[np.uint8], first: tuple[int, int], factor: int) -> NDArray[np.uint32]:
    """Sums of pixels (h, w, c) over blocks of factor x factor, counted from an origin; those at the border of the part.

    first : row and column of the first pixel, from the origin on. Returns the blocks from first // factor on.
    """
    before = [at % factor for at in first]
    behind = [-(at + n) % factor for at, n in zip(before, pixels.shape[:2], strict=True)]
    if any(before) or any(behind):
        pixels = np.pad(pixels, [(before[0], behind[0]), (before[1], behind[1]), (0, 0)])
    # Rows first, in the narrowest type that holds them: adding whole strided arrays is 15 times as fast as reduceat.
    rows: NDArray[Any] = pixels[::factor].astype(np.uint16 if factor <= 257 else np.uint32)
    for n in range(1, factor):
        np.add(rows, pixels[n::factor], out=rows)
    sums = rows[:, ::factor].astype(np.uint32)
    for n in range(1, factor):
        np.add(sums, rows[:, n::factor], out=sums)
    return sums


def means(sums: NDArray[np.uint32], size: Size, factor: int) -> NDArray[np.uint8]:
    """Block sums (rows, columns, c) of a picture of `size` pixels as means, rounded half up."""
    width, height = size
    across, down = (np.minimum(factor, n - np.arange(0, n, factor)) for n in (width, height))
    counts = np.outer(down, across)[..., None].astype(np.uint32)
    rounded: NDArray[np.uint8] = ((sums + counts // 2) // counts).astype(np.uint8)
    return rounded
