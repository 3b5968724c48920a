"""Sizes and shapes of the connected objects of a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ObjectMeasures:
    """Measures of objects 1 to n, in pixels of the mask whose coordinate is their low corner.

    area : (n,) int64. start, stop : (n, 2) int64, the half-open box. centre : (n, 2) float64. moments : (n, 3) float64,
    central, of xx, xy, yy. crossings : (n, 4) int64, how often lines through the centres of pixels cross the outline:
    along x, along y, and along both diagonals.
    """

    area: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    centre: NDArray[np.float64]
    moments: NDArray[np.float64]
    crossings: NDArray[np.int64]


def perimeters_um(measures: ObjectMeasures, pixel_um: tuple[float, float]) -> NDArray[np.float64]:
    """Perimeters by the Crofton formula in four directions; pixels need not be square.

    A direction's weight is its share of the half circle, its lines lie as far apart as pixels do across it (Lehmann and
    Legland, Insight Journal 2012); for square pixels this is `skimage.measure.perimeter_crofton(directions=4)`.
    """
    x, y = pixel_um
    slope = np.arctan2(y, x)
    apart = np.array([y, x, *[x * y / np.hypot(x, y)] * 2])
    weight = np.array([slope / np.pi, 0.5 - slope / np.pi, 0.25, 0.25])
    return np.asarray(np.pi / 2 * (measures.crossings @ (apart * weight)))


def eccentricities(measures: ObjectMeasures, pixel_um: tuple[float, float]) -> NDArray[np.float64]:
    """Eccentricity of the ellipse of equal second moments, as `skimage.measure.regionprops`; 0 for a single pixel."""
    x, y = pixel_um
    xx, xy, yy = (measures.moments / np.maximum(measures.area, 1)[:, None] * (x * x, x * y, y * y)).T
    mean, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    largest = mean + spread
    with np.errstate(invalid="ignore"):
        squared = np.where(largest > 0, 2 * spread / largest, 0)
    return np.asarray(np.sqrt(np.clip(squared, 0, 1)))
