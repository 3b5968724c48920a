"""The grid of patches over a slide: where each lies, and what part of it is tissue or a structure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Edge = Literal["drop", "snap", "pad"]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Patch:
    """One patch: its place in the grid, its first pixel, and how many pixels of it lie in the slide.

    index = row * columns of the whole grid + col, from 0, before anything is filtered out.
    """

    index: int
    col: int
    row: int
    x: int
    y: int
    w: int
    h: int


def patch_count(length: int, size: int, stride: int, edge: Edge) -> int:
    """How many patches lie along one axis of `length` pixels.

    drop: floor((L - P) / S) + 1, none where L < P. snap: one more where those leave pixels uncovered. pad: as many as
    cover every pixel (where S > P, every pixel that the stride does not pass over), also where L < P.
    """
    if edge == "drop":
        return (length - size) // stride + 1 if length >= size else 0
    if edge == "snap":
        return -((size - length) // stride) + 1 if length >= size else 0
    return min(max(0, -((size - length) // stride)) + 1, -(-length // stride))


def patch_starts(length: int, size: int, stride: int, edge: Edge) -> list[int]:
    """First pixels of the patches along one axis, ascending; with `snap` the last is moved back inside."""
    starts = [number * stride for number in range(patch_count(length, size, stride, edge))]
    return [min(start, length - size) for start in starts] if edge == "snap" else starts


def patch_grid(slide_px: Pair, size: int, stride: int, edge: Edge) -> list[Patch]:
    """All patches of a slide of `slide_px` (width, height) pixels, row by row.

    size, stride : in the same pixels. With `pad` patches may leave the slide: `w` and `h` count what is inside.
    """
    across, down = (patch_starts(length, size, stride, edge) for length in slide_px)
    return [
        Patch(row * len(across) + col, col, row, x, y, min(size, slide_px[0] - x), min(size, slide_px[1] - y))
        for row, y in enumerate(down)
        for col, x in enumerate(across)
    ]


class CellCounts:
    """How many pixels of each of `kinds` lie in rectangles whose corners are on given lines, counted block by block.

    The lines cut a plane into cells; a block is read once, whatever rectangles share it, and only cells are kept.
    """

    def __init__(self, lines_x: NDArray[np.int64], lines_y: NDArray[np.int64], kinds: int) -> None:
        self._x, self._y = np.unique(lines_x), np.unique(lines_y)
        self._cells = np.zeros((len(self._x) + 1, len(self._y) + 1, kinds), dtype=np.int64)

    def add(self, kinds: NDArray[Any], start: Pair) -> None:
        """Count a block of pixels `(x, y)`, each a kind below `kinds` or -1 for none; `start` is its first pixel."""
        for cells_x, part_x in _parts(self._x, start[0], kinds.shape[0]):
            for cells_y, part_y in _parts(self._y, start[1], kinds.shape[1]):
                found = kinds[part_x, part_y]
                counts = np.bincount(found[found >= 0].ravel(), minlength=self._cells.shape[2])
                self._cells[cells_x, cells_y] += counts

    def of(
        self, x: NDArray[np.int64], y: NDArray[np.int64], stop_x: NDArray[np.int64], stop_y: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Pixels of each kind `(n, kinds)` in n rectangles [x, stop_x) x [y, stop_y), all of whose sides are lines."""
        sums = self._cells.cumsum(axis=0).cumsum(axis=1)
        # the place i of a line: all cells before it are those up to i
        left, right = (np.searchsorted(self._x, side) for side in (x, stop_x))
        top, bottom = (np.searchsorted(self._y, side) for side in (y, stop_y))
        counts: NDArray[np.int64] = sums[right, bottom] - sums[left, bottom] - sums[right, top] + sums[left, top]
        return counts


def _parts(lines: NDArray[np.int64], start: int, length: int) -> list[tuple[int, slice]]:
    """(cell, pixels) along one axis for a run of pixels; cell i ends at line i."""
    cuts = lines[(lines > start) & (lines < start + length)]
    edges = [start, *cuts.tolist(), start + length]
    first = int(np.searchsorted(lines, start, side="right"))
    return [(first + place, slice(low - start, high - start)) for place, (low, high) in enumerate(pairwise(edges))]


def covered_fractions(mask: NDArray[np.bool_], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """What part of each rectangle is true in a mask `(x, y)`, by area.

    boxes : (n, 4) x, y, stop x, stop y in pixels of the mask, fractions welcome; what lies outside the mask counts as
    false, and as part of the rectangle.
    """
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    sums[1:, 1:] = mask.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)

    def up_to(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = np.clip(x, 0, mask.shape[0]), np.clip(y, 0, mask.shape[1])
        i, j = np.minimum(x.astype(int), mask.shape[0] - 1), np.minimum(y.astype(int), mask.shape[1] - 1)
        a, b = x - i, y - j
        low = sums[i, j] * (1 - b) + sums[i, j + 1] * b
        high = sums[i + 1, j] * (1 - b) + sums[i + 1, j + 1] * b
        out: NDArray[np.float64] = low * (1 - a) + high * a
        return out

    x, y, stop_x, stop_y = boxes.T
    inside = up_to(stop_x, stop_y) - up_to(x, stop_y) - up_to(stop_x, y) + up_to(x, y)
    out: NDArray[np.float64] = inside / ((stop_x - x) * (stop_y - y))
    return np.clip(out, 0, 1)
