"""Rectangles in a plane that share pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def overlapping_pairs(
    rectangles: NDArray[np.int64], groups: NDArray[np.integer]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of rectangles `(n, 4)`: x, y, width, height; of different groups that share pixels.

    Yields first < second, and how many pixels they share. One sweep along x.
    """
    order = np.argsort(rectangles[:, 0], kind="stable")
    x, y, w, h = rectangles[order].T
    # those that begin left of the end of each one, itself and all before it included
    reach = np.searchsorted(x, x + w, side="left")
    for place in range(len(order)):
        others = slice(place + 1, reach[place])
        wide = np.minimum(x[place] + w[place], x[others] + w[others]) - x[others]
        tall = np.minimum(y[place] + h[place], y[others] + h[others]) - np.maximum(y[place], y[others])
        shared = np.maximum(wide, 0) * np.maximum(tall, 0)
        hits = np.flatnonzero((shared > 0) & (groups[order[others]] != groups[order[place]]))
        if len(hits):
            a, b = np.full(len(hits), order[place]), order[others][hits]
            yield np.minimum(a, b), np.maximum(a, b), shared[hits]
