"""How far a lossy image is from its original: PSNR, and SSIM after Wang, Bovik, Sheikh and Simoncelli (2004).

Z. Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE Transactions on Image
Processing 13(4): Gaussian window of 11 x 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03, mean over all whole windows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RADIUS_PX = 5
_SIGMA_PX = 1.5
_K1, _K2 = 0.01, 0.03


def psnr_db(squared_error: float, count: int, peak: float) -> float | None:
    """Peak signal-to-noise ratio in dB from the sum of squared errors of `count` values; None where all are equal."""
    return 10 * math.log10(peak * peak * count / squared_error) if squared_error > 0 else None


def ssim(a: NDArray[Any], b: NDArray[Any], peak: float) -> float | None:
    """Structural similarity of two grey pictures `(x, y)`, 1 for equal ones; None where no window of 11 x 11 fits.

    peak : the span of values that the data type can hold, e.g. 255.
    """
    if min(a.shape) <= 2 * _RADIUS_PX:
        return None
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _windows(x), _windows(y)
    variances = _windows(x * x) - mean_x * mean_x + _windows(y * y) - mean_y * mean_y
    covariance = _windows(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * peak) ** 2, (_K2 * peak) ** 2
    alike = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float(np.mean(alike / ((mean_x * mean_x + mean_y * mean_y + c1) * (variances + c2))))


def _windows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Gaussian mean of every whole window of a picture."""
    offsets = np.arange(-_RADIUS_PX, _RADIUS_PX + 1)
    weights = np.exp(-(offsets**2) / (2 * _SIGMA_PX**2))
    weights /= weights.sum()
    for axis in (0, 1):
        count = values.shape[axis] - 2 * _RADIUS_PX
        shifted = (
            (values[i : i + count] if axis == 0 else values[:, i : i + count]) * w for i, w in enumerate(weights)
        )
        values = sum(shifted, np.zeros(()))
    return values
