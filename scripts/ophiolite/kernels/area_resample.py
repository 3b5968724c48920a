"""Images and labels at another scale: a pixel is the mean, or the majority, of the exact area it covers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.downsample import block_sums, sum_dtype

Ratio = tuple[float, float]
Size = tuple[int, int]
# Multiples of a ratio that should be whole numbers may miss them by rounding.
TINY = 1e-6


def area_mean(source: NDArray[np.uint8], low: Ratio, ratio: Ratio, count: Size) -> NDArray[np.uint8]:
    """An image at another scale, means over exact areas, rounded half to even.

    source : (x, y, c). low : where in it the first pixel of the target begins. ratio : source pixels per target pixel
    along x and y. count : target pixels, all of which lie in the source. Where pixels fall on pixels, sums are of
    integers.
    """
    if _on_pixels(low, ratio) and ratio[0] == ratio[1] == 1:
        return _part(source, low, count)
    means = _sums(source, low, ratio, count) / (ratio[0] * ratio[1])
    out: NDArray[np.uint8] = np.rint(means).astype(np.uint8)
    return out


def area_majority(labels: NDArray[Any], low: Ratio, ratio: Ratio, count: Size) -> NDArray[Any]:
    """Labels `(x, y)` at another scale: the label of the largest area, of equal ones the smallest; as `area_mean`."""
    if _on_pixels(low, ratio) and ratio[0] == ratio[1] == 1:
        return _part(labels, low, count)
    out, most = np.zeros(count, dtype=labels.dtype), np.zeros(count)
    for label in np.unique(labels):
        area = _sums((labels == label).astype(np.uint8)[..., None], low, ratio, count)[..., 0]
        # Areas of whole pixels and fractions of them; equal ones may differ in their last digits.
        larger = area > most + TINY
        out[larger], most[larger] = label, area[larger]
    return out


def _on_pixels(low: Ratio, ratio: Ratio) -> bool:
    return all(value == round(value) for value in (*low, *ratio))


def _part(source: NDArray[Any], low: Ratio, size: Size) -> NDArray[Any]:
    x, y = round(low[0]), round(low[1])
    return source[x : x + size[0], y : y + size[1]]


def _sums(source: NDArray[np.uint8], low: Ratio, ratio: Ratio, count: Size) -> NDArray[Any]:
    """Sums over areas, `(x, y, c)`."""
    if _on_pixels(low, ratio):
        factor = (round(ratio[0]), round(ratio[1]), 1)
        inside = _part(source, low, (count[0] * factor[0], count[1] * factor[1]))
        sums = block_sums(inside[:, :, None], (0, 0, 0), factor, sum_dtype(np.uint8, factor[0] * factor[1]))
        return sums[:, :, 0]
    width, height, channels = source.shape
    across, down = (
        _weights(length, start, r, n) for length, start, r, n in zip((width, height), low, ratio, count, strict=True)
    )
    rows = across @ source.reshape(width, -1).astype(np.float64)
    rows = rows.reshape(count[0], height, channels).transpose(1, 0, 2).reshape(height, -1)
    out: NDArray[np.float64] = (down @ rows).reshape(count[1], count[0], channels).transpose(1, 0, 2)
    return out


def _weights(length: int, low: float, ratio: float, count: int) -> Any:
    """Sparse (targets, sources): what part of each source pixel lies in each target pixel along one axis."""
    from scipy import sparse

    edges = np.clip(low + np.arange(count + 1) * ratio, 0, length)
    first, stop = edges[:-1, None], edges[1:, None]
    source = np.floor(first).astype(np.int64) + np.arange(int(np.ceil(ratio)) + 1)
    part = np.minimum(source + 1, stop) - np.maximum(source, first)
    used = (part > 0) & (source < length)
    target = np.broadcast_to(np.arange(count)[:, None], used.shape)
    return sparse.csr_array((part[used], (target[used], source[used])), shape=(count, length))
