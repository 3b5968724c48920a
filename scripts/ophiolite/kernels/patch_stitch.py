"""Patches cut from a slide, put together again: by vote of labels, or by plain or Gaussian means of probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Method = Literal["vote", "mean", "gaussian"]
Placed = tuple[int, int, NDArray[Any]]
Rectangle = tuple[int, int, int, int]
# The width of the Gaussian for a patch of 1 pixel: F. Isensee et al., Nature Methods 18 (2021), weigh predictions so.
SIGMA = 1 / 8
LEAST_WEIGHT = 1e-3


def stitch(patches: Iterable[Placed], box: Rectangle, method: Method) -> NDArray[Any]:
    """The pixels of `box` (x, y, width, height) from patches that may overlap and may leave it.

    patches : (x, y, pixels `(w, h)`), in an order that should always be the same, for means of floats are rounded.
    vote : labels in, labels of the same type out; the label of most patches, of equally many the smallest. mean,
    gaussian : numbers in, float32 out; the mean of the patches, pixels near the middle of theirs counting more with
    `gaussian`. 0 where no patch lies. Patches that agree in a pixel give that very value, whatever the method.
    """
    return _vote(patches, box) if method == "vote" else _mean(patches, box, method == "gaussian")


def _vote(patches: Iterable[Placed], box: Rectangle) -> NDArray[Any]:
    votes: dict[int, NDArray[np.uint16]] = {}
    dtype: np.dtype[Any] | None = None
    for there, here, pixels in _inside(patches, box):
        dtype = pixels.dtype if dtype is None else np.promote_types(dtype, pixels.dtype)
        part = pixels[here]
        for label in np.unique(part).tolist():
            if label not in votes:
                votes[label] = np.zeros(box[2:], np.uint16)
            votes[label][there] += part == label
    out, most = np.zeros(box[2:], dtype or np.uint8), np.zeros(box[2:], np.uint16)
    for label in sorted(votes):
        more = votes[label] > most
        out[more], most[more] = label, votes[label][more]
    return out


def _mean(patches: Iterable[Placed], box: Rectangle, gaussian: bool) -> NDArray[np.float32]:
    """Means as the first value plus the mean of the differences to it, so that equal values give themselves."""
    first, differences, weights = (np.zeros(box[2:]) for _ in range(3))
    for there, here, pixels in _inside(patches, box):
        weight = gaussian_weights(pixels.shape)[here] if gaussian else np.ones(pixels[here].shape)
        part = pixels[here].astype(np.float64)
        first[there] = np.where(weights[there] == 0, part, first[there])
        differences[there] += weight * (part - first[there])
        weights[there] += weight
    out: NDArray[np.float32] = (first + differences / np.where(weights == 0, 1, weights)).astype(np.float32)
    return out


@lru_cache(maxsize=4)
def gaussian_weights(shape_px: tuple[int, ...]) -> NDArray[np.float64]:
    """Weights of the pixels of a patch `(w, h)`, 1 in its middle, nowhere below LEAST_WEIGHT."""
    sides = []
    for length in shape_px:
        distance = (np.arange(length) - (length - 1) / 2) / (SIGMA * length)
        sides.append(np.exp(-(distance**2) / 2))
    return np.maximum(np.outer(*sides), LEAST_WEIGHT)


def _inside(patches: Iterable[Placed], box: Rectangle) -> Iterator[tuple[Any, Any, NDArray[Any]]]:
    """The patches that share pixels with a box: where in the box, where in the patch, its pixels."""
    for x, y, pixels in patches:
        low = max(x, box[0]), max(y, box[1])
        high = min(x + pixels.shape[0], box[0] + box[2]), min(y + pixels.shape[1], box[1] + box[3])
        if low[0] < high[0] and low[1] < high[1]:
            there = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, box[:2], strict=True))
            here = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, (x, y), strict=True))
            yield there, here, pixels
