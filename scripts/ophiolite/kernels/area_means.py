"""Pictures made smaller (or larger) by exact means over equal areas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def area_means(
    picture: NDArray[np.integer[Any]], size_px: tuple[int, int], weights: Sequence[int] | None = None
) -> NDArray[np.uint8]:
    """A picture `(x, y)` or `(x, y, c)` of 8-bit levels at another size: means over equal areas, rounded half up.

    weights : one integer per channel; the channels become one, their mean by these. Pixels count by the part of them
    that lies in an area. Only integers are added, so the same pixels give the same levels on every machine.
    """
    width, height = picture.shape[:2]
    sums = _sums(_sums(picture, size_px[0]).swapaxes(0, 1), size_px[1]).swapaxes(0, 1)
    # each axis counts in parts of a pixel, of which an area holds as many as the axis has pixels
    whole = width * height
    if weights is not None:
        sums = sums @ np.array(weights, dtype=np.int64)
        whole *= sum(weights)
    means: NDArray[np.uint8] = ((2 * sums + whole) // (2 * whole)).astype(np.uint8)
    return means


def fit_px(size_px: tuple[int, int], most_px: int) -> tuple[int, int]:
    """The size of a picture whose longer side becomes `most_px`, or stays where it is no longer."""
    longest = max(size_px)
    if longest <= most_px:
        return size_px
    width, height = (max(1, (2 * n * most_px + longest) // (2 * longest)) for n in size_px)
    return width, height


def _sums(levels: NDArray[np.integer[Any]], parts: int) -> NDArray[np.int64]:
    """Sums over equal parts of axis 0, each pixel counting `parts` times."""
    length = len(levels)
    pixel, fraction = np.divmod(np.arange(parts + 1, dtype=np.int64) * length, parts)
    inside = np.add.reduceat(levels, pixel[:-1], axis=0, dtype=np.int64)
    # where a part begins and ends in one pixel, reduceat gives that pixel
    inside[pixel[:-1] == pixel[1:]] = 0
    at = levels[np.minimum(pixel, length - 1)].astype(np.int64) * fraction.reshape(-1, *[1] * (levels.ndim - 1))
    out: NDArray[np.int64] = parts * inside + at[1:] - at[:-1]
    return out


class StripReducer:
    """Makes a picture another size as `area_means` does, given strip by strip from the top; never holds it whole."""

    def __init__(self, size_px: tuple[int, int], to_px: tuple[int, int], channels: int) -> None:
        self._size_px, self._to_px = size_px, to_px
        self._out = np.zeros((*to_px, channels), np.uint8)
        # of the row of areas that the next strip goes on with
        self._open = np.zeros((to_px[0], channels))
        self._rows = 0

    def add(self, strip: NDArray[np.integer[Any]]) -> None:
        """The next rows of the picture, `(x, rows, c)`."""
        (width, height), parts, rows = self._size_px, self._to_px[1], strip.shape[1]
        top, bottom = self._rows, self._rows + rows
        across = _sums(strip, self._to_px[0]).transpose(0, 2, 1)
        first, last = top * parts // height, min(bottom * parts // height, parts - 1)
        # how much of each row lies in each area, in parts of a row
        low = np.maximum(np.arange(top, bottom)[:, None] * parts, np.arange(first, last + 1) * height)
        high = np.minimum(np.arange(top + 1, bottom + 1)[:, None] * parts, np.arange(first + 1, last + 2) * height)
        shares = np.maximum(high - low, 0)
        # all are integers below 2^53, so that float64 adds them exactly, in any order
        sums = across.astype(np.float64) @ shares.astype(np.float64)
        sums[..., 0] += self._open
        whole = width * height
        done = last + 1 if bottom == height else last
        means = (2 * sums.astype(np.int64) + whole) // (2 * whole)
        self._out[:, first:done] = means[..., : done - first].transpose(0, 2, 1)
        self._open = sums[..., -1]
        self._rows = bottom

    def picture(self) -> NDArray[np.uint8]:
        """The reduced picture `(x, y, c)`, once all rows are in."""
        if self._rows != self._size_px[1]:
            raise ValueError(f"{self._rows} of {self._size_px[1]} rows were added")
        return self._out
