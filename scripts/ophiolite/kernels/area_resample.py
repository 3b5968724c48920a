"""Images and labels at another scale: a pixel is the mean, or the majority, of the exact area it covers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ratio = tuple[float, float]


def covered(first: int, count: int, ratio: float) -> tuple[int, int]:
    """The source pixels [start, stop) under target pixels [first, first + count) along one axis."""
    return int(np.floor(first * ratio + _TINY)), int(np.ceil((first + count) * ratio - _TINY))


def area_mean(source: NDArray[np.uint8], first: tuple[int, int], ratio: Ratio) -> NDArray[np.uint8]:
    """An image at a coarser scale, means over exact areas, rounded half to even.

    source : (x, y, c), all that lies under the target pixels from `first` on, as `covered` says. ratio : source pixels
    per target pixel along x and y, 1 or more. Where both are whole numbers, sums are of integers.
    """
    target = _target(source.shape, first, ratio)
    if _whole(ratio):
        fx, fy = round(ratio[0]), round(ratio[1])
        blocks = source.reshape(target[0], fx, target[1], fy, -1)
        means = blocks.sum(axis=(1, 3), dtype=np.int64) / (fx * fy)
    else:
        means = _sums(source, first, ratio, target) / (ratio[0] * ratio[1])
    out: NDArray[np.uint8] = np.rint(means).astype(np.uint8)
    return out


def area_majority(labels: NDArray[Any], first: tuple[int, int], ratio: Ratio) -> NDArray[Any]:
    """Labels `(x, y)` at a coarser scale: the label of the largest area, of equal ones the smallest; as `area_mean`."""
    if ratio == (1.0, 1.0):
        return labels
    target = _target(labels.shape, first, ratio)
    out = np.zeros(target, dtype=labels.dtype)
    most = np.zeros(target)
    for label in np.unique(labels):
        area = _sums((labels == label).astype(np.uint8)[..., None], first, ratio, target)[..., 0]
        # Areas of whole pixels and fractions of them; equal ones may differ in their last digits.
        larger = area > most + _TINY
        out[larger], most[larger] = label, area[larger]
    return out


# Multiples of a ratio that should be whole numbers may miss them by rounding.
_TINY = 1e-6


def _whole(ratio: Ratio) -> bool:
    return all(r == round(r) for r in ratio)


def _target(shape: tuple[int, ...], first: tuple[int, int], ratio: Ratio) -> tuple[int, int]:
    """How many target pixels lie over a source that begins under `first`."""
    x, y = (
        int(np.floor((covered(at, 0, r)[0] + length) / r + _TINY)) - at
        for length, at, r in zip(shape[:2], first, ratio, strict=True)
    )
    return x, y


def _sums(
    source: NDArray[np.uint8], first: tuple[int, int], ratio: Ratio, target: tuple[int, int]
) -> NDArray[np.float64]:
    """Sums over areas, `(x, y, c)`."""
    width, height, channels = source.shape
    across, down = (
        _weights(length, at, count, r)
        for length, at, count, r in zip((width, height), first, target, ratio, strict=True)
    )
    rows = across @ source.reshape(width, -1).astype(np.float64)
    rows = rows.reshape(target[0], height, channels).transpose(1, 0, 2).reshape(height, -1)
    out: NDArray[np.float64] = (down @ rows).reshape(target[1], target[0], channels).transpose(1, 0, 2)
    return out


def _weights(length: int, first: int, count: int, ratio: float) -> Any:
    """Sparse (targets, sources): what part of each source pixel lies in each target pixel along one axis."""
    from scipy import sparse

    start = covered(first, 0, ratio)[0]
    edges = np.clip((first + np.arange(count + 1)) * ratio - start, 0, length)
    low, high = edges[:-1], edges[1:]
    reach = int(np.ceil(ratio)) + 1
    source = np.floor(low).astype(np.int64)[:, None] + np.arange(reach)
    part = np.minimum(source + 1, high[:, None]) - np.maximum(source, low[:, None])
    used = (part > 0) & (source < length)
    target = np.broadcast_to(np.arange(count)[:, None], used.shape)
    return sparse.csr_array((part[used], (target[used], source[used])), shape=(count, length))
