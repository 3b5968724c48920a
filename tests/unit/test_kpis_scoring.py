"""The challenge's conventions against SciPy's zoom and sums by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ophiolite.kernels.kpis_scoring import halved_full, halved_size, patch_dice, rows_under, scaled


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 61), st.integers(4, 61), st.integers(1, 12), st.integers(0, 1000))
def test_halving_by_strips_is_scipys_zoom(width: int, height: int, strip: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    blobs = ndimage.uniform_filter(rng.normal(size=(width, height)), 3) > 0
    values = np.where(blobs, rng.choice([255, 255, 254], (width, height)), rng.choice([0, 1], (width, height)))
    values = values.astype(np.uint8)
    whole = ndimage.zoom(values, 0.5, order=1) == 255
    assert whole.shape == halved_size((width, height))
    parts = []
    for top in range(0, whole.shape[1], strip):
        bottom = min(top + strip, whole.shape[1])
        start, stop = rows_under(top, bottom, height)
        parts.append(halved_full(values[:, start:stop], top, bottom, height))
    assert (np.concatenate(parts, axis=1) == whole).all()


def test_only_full_pixels_are_foreground() -> None:
    values = np.full((20, 20), 254, np.uint8)
    assert not halved_full(values, 0, 10, 20).any()
    assert halved_full(values + 1, 0, 10, 20).all()


def test_patches_are_scaled_and_stay_soft() -> None:
    truth = np.array([[10, 10], [60, 110]], np.uint8)
    assert scaled(truth).tolist() == [[0, 0], [0.5, 1]]
    predicted = np.array([[False, False], [True, True]])
    assert patch_dice(truth, predicted) == pytest.approx(2 * 1.5 / (1.5 + 2))
    assert patch_dice(truth, ~predicted) == 0


def test_a_patch_of_one_value_has_no_truth() -> None:
    for value in (0, 255):
        assert math.isnan(patch_dice(np.full((3, 3), value, np.uint8), np.ones((3, 3), bool)))
