"""Connected objects of a mask that never lies whole in memory: runs of equal values along x, joined from row to row.

Run-based labelling with union-find (He, Chao and Suzuki, IEEE Trans. Image Process. 17, 2008), row after row, so that
the result is the same however the mask is cut into strips.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.object_measures import ObjectMeasures


class RunLabeller:
    """Takes a mask strip by strip from the top; connects pixels of equal value, corners included."""

    def __init__(self) -> None:
        self._parents = np.zeros(1024, np.int64)
        self._values = np.zeros(1024, np.uint16)
        self._areas = np.zeros(1024, np.int64)
        self._count = 0
        self._above = np.zeros((0, 4), np.uint32), np.zeros(0, np.uint16)

    def add(self, strip: NDArray[Any], top: int) -> NDArray[np.uint32]:
        """The runs of the next strip (x, y), uint8 or uint16, whose first row is `top`.

        Returns (n, 4): row, start, stop (half open along x), and a number that `objects` makes a label of.
        """
        from ophiolite.kernels.mask_runs_loops import ROW, START, STOP, count_runs, find_runs, join_runs

        above, values_above = self._above
        known = len(above)
        found = count_runs(strip)
        runs, values = np.zeros((known + found, 4), np.uint32), np.zeros(known + found, np.uint16)
        runs[:known], values[:known] = above, values_above
        find_runs(strip, top, runs[known:], values[known:])
        self._reserve(self._count + found)
        self._count = join_runs(runs, values, known, self._parents, self._count)
        new, new_values = runs[known:], values[known:]
        numbers = new[:, 3].astype(np.int64)
        self._values[numbers] = new_values
        np.add.at(self._areas, numbers, new[:, STOP].astype(np.int64) - new[:, START])
        last = new[:, ROW] == top + strip.shape[1] - 1
        self._above = new[last], new_values[last]
        return new

    def objects(self, min_px: int) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
        """The label of every number that `add` gave, and the value of every label (from 1 on), once all strips are in.

        Labels count the objects of at least `min_px` pixels by their first pixel in raster order; 0 for smaller ones.
        """
        from ophiolite.kernels.mask_runs_loops import roots_of

        roots = roots_of(self._parents, self._count)
        areas = np.zeros(self._count, np.int64)
        np.add.at(areas, roots, self._areas[: self._count])
        first = np.flatnonzero((roots == np.arange(self._count)) & (areas >= min_px))
        labels = np.zeros(self._count, np.uint32)
        labels[first] = np.arange(1, len(first) + 1)
        return labels[roots], self._values[first]

    def _reserve(self, count: int) -> None:
        short = count - len(self._parents)
        if short > 0:
            grow = max(short, len(self._parents))
            self._parents, self._values, self._areas = (
                np.concatenate([a, np.zeros(grow, a.dtype)]) for a in (self._parents, self._values, self._areas)
            )


def measure_runs(runs: NDArray[np.uint32], count: int) -> ObjectMeasures:
    """Measure the objects 1 to `count` from all their runs (n, 4): row, start, stop, label, in raster order."""
    from ophiolite.kernels.mask_runs_loops import central_moments, measure

    whole = np.zeros((count, 11), np.int64)
    whole[:, 1:3] = np.iinfo(np.int64).max
    measure(runs, whole)
    area = whole[:, 0]
    centre = whole[:, 5:7] / np.maximum(area, 1)[:, None]
    moments = np.zeros((count, 3))
    central_moments(runs, centre, moments)
    pairs = np.column_stack([area - whole[:, 7], whole[:, 8:11]])
    return ObjectMeasures(area, whole[:, 1:3], whole[:, 3:5], centre, moments, 2 * (area[:, None] - pairs))


def runs_in_rows(runs: NDArray[np.uint32], first: int, stop: int) -> NDArray[np.uint32]:
    """The runs of the rows [first, stop) of a table in raster order."""
    low, high = np.searchsorted(runs[:, 0], [first, stop]).tolist()
    return runs[low:high]


def paint_labels(runs: NDArray[np.uint32], start: tuple[int, int], stop: tuple[int, int]) -> NDArray[np.uint32]:
    """The labels (x, y) in a window of a mask, from its runs in raster order; 0 where there is none."""
    from ophiolite.kernels.mask_runs_loops import paint

    out = np.zeros((stop[0] - start[0], stop[1] - start[1]), np.uint32, order="F")
    paint(np.ascontiguousarray(runs_in_rows(runs, start[1], stop[1])), start[0], start[1], out)
    return out


def mean_colours(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean colours (n, c) from the sums and counts (n, c + 1) of `add_colours`; NaN where nothing was counted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[:, :-1] / sums[:, -1:])
