"""What every reader of slides offers to `SlideSource`, and what several of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rgb = tuple[int, int, int]
Size = tuple[int, int]

# Everything a reader holds at once, besides what it returns, stays below this.
BUFFER_BYTES = 32 * 2**20


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


def block_mean(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Means of blocks of factor x factor pixels of (h, w, 3), rounded half up; those at the border of what exists."""
    if factor == 1:
        return pixels
    height, width = pixels.shape[:2]
    rows, columns = (np.arange(0, n, factor) for n in (height, width))
    sums = np.add.reduceat(np.add.reduceat(pixels, rows, axis=0, dtype=np.uint32), columns, axis=1)
    counts = np.outer(np.minimum(factor, height - rows), np.minimum(factor, width - columns))[..., None]
    means: NDArray[np.uint8] = ((sums + counts // 2) // counts).astype(np.uint8)
    return means
