"""What the organisers of the KPIs 2024 challenge do to masks before they score them (arXiv 2502.07288)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Slides are scored at 20x: predicted objects of fewer pixels go, and two patches must agree on a pixel.
MIN_OBJECT_PX = 20_000
MIN_VOTES = 2
FULL = 255


def halved_size(size_px: tuple[int, int]) -> tuple[int, int]:
    """The size of a mask zoomed by one half, rounded half to even as `scipy.ndimage.zoom` does."""
    return round(size_px[0] * 0.5), round(size_px[1] * 0.5)


def rows_under(top: int, bottom: int, height: int) -> tuple[int, int]:
    """The rows [start, stop) of a mask of `height` rows that rows [top, bottom) of the halved one are made of."""
    places = np.array([top, bottom - 1]) * _step(height)
    return int(places[0]), min(int(places[1]) + 2, height)


def halved_full(values: NDArray[Any], top: int, bottom: int, height: int) -> NDArray[np.bool_]:
    """Where a mask zoomed by one half (linear, first and last pixels kept in place) is 255 after rounding.

    values : (x, rows) numbers 0 to 255, the rows that `rows_under` names; returns rows [top, bottom) of the result.
    Only where it is 255 do the organisers see foreground.
    """
    start, _ = rows_under(top, bottom, height)
    width = values.shape[0]
    x = np.arange(halved_size((width, height))[0], dtype=np.float64) * _step(width)
    y = np.arange(top, bottom, dtype=np.float64) * _step(height) - start
    across = _between(values.astype(np.float64), x)
    full: NDArray[np.bool_] = _between(across.T, y).T >= FULL - 0.5
    # SciPy takes a last place that misses the last pixel by a rounding error for background.
    full[x > width - 1] = False
    full[:, np.arange(top, bottom) * _step(height) > height - 1] = False
    return full


def _step(length: int) -> float:
    """Pixels of the mask per pixel of the halved one along one axis."""
    half = round(length * 0.5)
    return (length - 1) / (half - 1) if half > 1 else 0.0


def _between(values: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation along the first axis."""
    low = np.minimum(places.astype(np.intp), max(values.shape[0] - 2, 0))
    part = (places - low)[:, None]
    high = np.minimum(low + 1, values.shape[0] - 1)
    return np.asarray(values[low] * (1 - part) + values[high] * part)


def scaled(values: NDArray[Any]) -> NDArray[np.float64]:
    """A patch's mask scaled to 0..1 by its own extremes; zeros where it is of one value, also of 255 (MONAI's rule)."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.zeros(values.shape)
    return np.asarray((values.astype(np.float64) - low) / (high - low))


def patch_dice(truth: NDArray[Any], predicted: NDArray[np.bool_]) -> float:
    """Dice of a patch whose truth is scaled and never made binary; NaN, left out of means, where the truth is empty."""
    soft = scaled(truth)
    total = float(soft.sum())
    if total == 0:
        return float("nan")
    return 2 * float(soft[predicted].sum()) / (total + int(predicted.sum()))
