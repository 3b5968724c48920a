"""Exact means over areas, colour by colour, against fractions; sizes that fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophiolite.kernels.area_means import StripReducer, area_means, fit_px


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 14), st.integers(1, 14), st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_means_are_those_of_the_repeated_picture(w: int, h: int, to_w: int, to_h: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (w, h, 3), dtype=np.uint8)
    fine = picture.repeat(to_w, axis=0).repeat(to_h, axis=1).astype(np.int64)
    sums = fine.reshape(to_w, w, to_h, h, 3).sum(axis=(1, 3))
    expected = np.floor(sums / (w * h) + 0.5)
    assert np.array_equal(area_means(picture, (to_w, to_h)), expected)
    assert np.array_equal(area_means(picture[..., 1], (to_w, to_h)), expected[..., 1])


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 500))
def test_pictures_fit_and_keep_their_shape(w: int, h: int, most: int) -> None:
    width, height = fit_px((w, h), most)
    assert max(width, height) == min(most, max(w, h))
    assert min(width, height) >= 1
    scale = max(width, height) / max(w, h)
    assert abs(width - w * scale) <= 0.5 or width == 1
    assert abs(height - h * scale) <= 0.5 or height == 1


@given(
    st.integers(1, 12), st.integers(1, 20), st.integers(1, 14), st.integers(1, 25), st.integers(0, 2**32 - 1), st.data()
)
@settings(max_examples=120, deadline=None)
def test_strips_give_the_same_whatever_their_height(
    w: int, h: int, to_w: int, to_h: int, seed: int, data: st.DataObject
) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (w, h, 2), dtype=np.uint8)
    reducer = StripReducer((w, h), (to_w, to_h), 2)
    top = 0
    while top < h:
        rows = data.draw(st.integers(1, h - top))
        reducer.add(picture[:, top : top + rows])
        top += rows
    assert np.array_equal(reducer.picture(), area_means(picture, (to_w, to_h)))


def test_a_picture_that_lacks_rows_is_no_picture() -> None:
    reducer = StripReducer((4, 4), (2, 2), 1)
    reducer.add(np.zeros((4, 3, 1), np.uint8))
    with pytest.raises(ValueError, match="3 of 4 rows"):
        reducer.picture()
