"""Resampling by areas against repeated pixels; parts fit together to the whole."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophiolite.kernels.area_resample import area_majority, area_mean

RATIOS = st.builds(Fraction, st.integers(4, 20), st.integers(1, 4)).filter(lambda r: r >= 1)
SEEDS = st.integers(0, 2**32 - 1)


def repeated(picture: np.ndarray, ratio: tuple[Fraction, Fraction]) -> np.ndarray:
    """(x, y, ..., area): every pixel of the target as the list of equal parts of pixels that it covers."""
    for axis, r in enumerate(ratio):
        picture = picture.repeat(r.denominator, axis=axis)
    (nx, ny), (fx, fy) = picture.shape[:2], (r.numerator for r in ratio)
    tx, ty = nx // fx, ny // fy
    cut = picture[: tx * fx, : ty * fy].reshape(tx, fx, ty, fy, *picture.shape[2:])
    return np.moveaxis(cut, (1, 3), (-2, -1)).reshape(tx, ty, *picture.shape[2:], fx * fy)


@given(RATIOS, RATIOS, SEEDS)
@settings(max_examples=80, deadline=None)
def test_means_are_those_of_the_areas(rx: Fraction, ry: Fraction, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (31, 26, 3), dtype=np.uint8)
    parts = repeated(picture, (rx, ry))
    found = area_mean(picture, (0, 0), (float(rx), float(ry)), parts.shape[:2])
    sums = parts.sum(axis=-1, dtype=np.int64)
    # Off by rounding of exact halves alone.
    assert np.abs(found - sums / parts.shape[-1]).max() <= 0.5 + 1e-9
    if rx.denominator == ry.denominator == 1:
        assert np.array_equal(found, np.rint(sums / parts.shape[-1]))


@given(RATIOS, RATIOS, SEEDS)
@settings(max_examples=80, deadline=None)
def test_majorities_are_those_of_the_areas(rx: Fraction, ry: Fraction, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, (31, 26), dtype=np.uint16) * 7
    parts = repeated(labels, (rx, ry))
    counts = np.stack([(parts == label).sum(axis=-1) for label in (0, 7, 14)], axis=-1)
    found = area_majority(labels, (0, 0), (float(rx), float(ry)), parts.shape[:2])
    assert np.array_equal(found, counts.argmax(axis=-1) * 7)


@given(RATIOS, st.integers(0, 6), st.integers(1, 4), SEEDS)
@settings(max_examples=80, deadline=None)
def test_a_part_is_cut_from_the_whole(ratio: Fraction, first: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    r = float(ratio)
    picture = rng.integers(0, 256, (math.ceil((first + count) * ratio), 10, 1), dtype=np.uint8)
    start = math.floor(first * ratio)
    low = float(first * ratio - start)
    whole = area_mean(picture, (0, 0), (r, 2.0), (first + count, 5))
    part = area_mean(picture[start:], (low, 0), (r, 2.0), (count, 5))
    assert np.abs(part.astype(int) - whole[first:]).max() <= (ratio.denominator not in (1, 2, 4))
    labels = picture[..., 0] % 3
    majority = area_majority(labels, (0, 0), (r, 2.0), (first + count, 5))
    assert np.array_equal(area_majority(labels[start:], (low, 0), (r, 2.0), (count, 5)), majority[first:])


def test_coarser_labels_are_repeated() -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(4, 3)
    fine = area_majority(labels, (0.5, 0), (0.5, 0.25), (6, 8))
    assert np.array_equal(fine, labels.repeat(2, axis=0).repeat(4, axis=1)[1:7, :8])


def test_an_object_keeps_its_size_in_microns() -> None:
    x, y = np.ogrid[:900, :900]
    disc = (((x - 450) ** 2 + (y - 430) ** 2) < 300**2).astype(np.uint8)
    for ratio in (0.7, 1.7, 2.0, 3.3):
        n = int(900 / ratio)
        small = area_majority(disc, (0, 0), (ratio, ratio), (n, n))
        assert 2 * np.sqrt(small.sum() / np.pi) * ratio == pytest.approx(600, abs=ratio / 2)
