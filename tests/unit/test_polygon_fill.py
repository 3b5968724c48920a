"""Filling of polygons against a point-in-polygon test of every pixel's centre."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ophiolite.kernels.polygon_fill import fill_rings

POINTS = st.lists(st.tuples(st.integers(-12, 40), st.integers(-12, 40)), min_size=3, max_size=9)


@settings(max_examples=150, deadline=None)
@given(st.lists(POINTS, min_size=1, max_size=3), st.integers(-3, 9), st.integers(-3, 9))
def test_a_pixel_is_inside_where_its_centre_is(rings: list[list[tuple[int, int]]], left: int, top: int) -> None:
    from skimage.measure import points_in_poly

    # Quarters, moved a little: no vertex or edge comes near a centre.
    arrays = [np.array(ring) / 4 + 0.0625 + np.pi / 1000 for ring in rings]
    found = fill_rings(arrays, (left, top), (11, 8))
    x, y = np.indices((11, 8))
    centres = np.stack([x.ravel() + left + 0.5, y.ravel() + top + 0.5], axis=1)
    odd = np.zeros(len(centres), bool)
    for ring in arrays:
        odd ^= points_in_poly(centres, ring)  # type: ignore[no-untyped-call]
    np.testing.assert_array_equal(found, odd.reshape(11, 8))


def test_regions_with_a_common_edge_share_no_pixel_and_leave_none_out() -> None:
    corners = np.array([(0, 0), (10, 0), (10, 10), (0, 10)], float)
    centre = np.array([(4.5, 5.5)])
    parts = [fill_rings([np.concatenate([corners[[i, (i + 1) % 4]], centre])], (0, 0), (10, 10)) for i in range(4)]
    assert (np.sum(parts, axis=0) == 1).all()


def test_whole_numbers_are_the_corners_of_pixels_and_holes_stay_empty() -> None:
    outer = np.array([(2, 1), (7, 1), (7, 6), (2, 6), (2, 1)], float)
    hole = np.array([(3, 2), (3, 4), (5, 4), (5, 2)], float)
    expected = np.zeros((9, 9), bool)
    expected[2:7, 1:6] = True
    expected[3:5, 2:4] = False
    np.testing.assert_array_equal(fill_rings([outer, hole], (0, 0), (9, 9)), expected)
