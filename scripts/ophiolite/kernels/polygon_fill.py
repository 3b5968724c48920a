"""Polygons to pixels: a pixel is inside where its centre lies inside an odd number of rings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def fill_rings(
    rings: Sequence[NDArray[np.float64]], corner: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """The pixels (x, y) of a window that closed rings enclose, by the even-odd rule.

    rings : (n, 2) each, x and y, whole numbers at the corners of pixels; closed whether or not the last point repeats
    the first. corner, shape : of the window, in pixels. A centre on an edge belongs to what lies right of or below it,
    so that regions which share an edge share no pixel.
    Edges toggle all pixels right of where they cross a row (Ackland and Weste, IEEE Trans. Comput. C-30, 1981).
    """
    width, height = shape
    # Only whether a pixel was toggled an odd number of times counts, so one byte that may wrap is enough.
    toggles = np.zeros((width + 1, height), np.uint8)
    for ring in rings:
        (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
        # Rows whose centre line an edge crosses: its lower end belongs to it, its upper does not.
        first = np.ceil(np.minimum(y0, y1) - 0.5).astype(np.int64)
        stop = np.ceil(np.maximum(y0, y1) - 0.5).astype(np.int64)
        first, stop = np.maximum(first, corner[1]), np.minimum(stop, corner[1] + height)
        count = np.maximum(stop - first, 0)
        edge = np.repeat(np.arange(len(ring)), count)
        row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        x = x0[edge] + (row + 0.5 - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
        column = np.clip(np.ceil(x - 0.5) - corner[0], 0, width).astype(np.int64)
        np.add.at(toggles, (column, row - corner[1]), 1)
    toggles &= 1
    return np.bitwise_xor.accumulate(toggles, axis=0)[:width].view(np.bool_)
