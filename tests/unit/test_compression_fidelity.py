"""PSNR and SSIM against hand values and another implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ophiolite.kernels.image_fidelity import psnr_db, ssim


def test_psnr_of_hand_values() -> None:
    # One grey level of error everywhere: 20 log10(255).
    assert psnr_db(100.0, 100, 255) == pytest.approx(48.1308, abs=1e-4)
    # An error as large as the peak everywhere.
    assert psnr_db(255.0**2 * 7, 7, 255) == pytest.approx(0)
    assert psnr_db(0.0, 100, 255) is None


def test_ssim_of_hand_values() -> None:
    flat, other = np.full((20, 20), 100, np.uint8), np.full((20, 20), 120, np.uint8)
    assert ssim(flat, flat, 255) == pytest.approx(1)
    # Without variance only the first factor is left: (2 a b + C1) / (a^2 + b^2 + C1), C1 = (0.01 * 255)^2.
    c1 = 2.55**2
    assert ssim(flat, other, 255) == pytest.approx((2 * 100 * 120 + c1) / (100**2 + 120**2 + c1))
    assert ssim(flat[:10], other[:10], 255) is None
    assert ssim(flat[:11], other[:11], 255) is not None


@given(seed=st.integers(0, 1000), noise=st.floats(0.5, 60), width=st.integers(11, 40))
def test_both_agree_with_another_implementation(seed: int, noise: float, width: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, (width, 30)).astype(np.uint8)
    b = np.clip(a + rng.normal(0, noise, a.shape), 0, 255).astype(np.uint8)
    if np.array_equal(a, b):
        return
    expected = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    found = ssim(a, b, 255)
    assert found is not None
    assert math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    squares = float(((a.astype(float) - b) ** 2).sum())
    assert psnr_db(squares, a.size, 255) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255))
