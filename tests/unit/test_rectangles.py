"""Overlapping rectangles, against the comparison of each with each."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ophiolite.kernels.rectangles import overlapping_pairs

Rectangle = tuple[int, int, int, int, int]


@given(
    st.lists(
        st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 6), st.integers(0, 6), st.integers(0, 2)),
        max_size=30,
    )
)
@settings(max_examples=150, deadline=None)
def test_the_sweep_finds_all_pairs(items: list[Rectangle]) -> None:
    expected = []
    for i, (x, y, w, h, g) in enumerate(items):
        for j, (x2, y2, w2, h2, g2) in enumerate(items):
            wide, tall = min(x + w, x2 + w2) - max(x, x2), min(y + h, y2 + h2) - max(y, y2)
            if i < j and g != g2 and wide > 0 and tall > 0:
                expected.append((i, j, wide * tall))
    table = np.array(items, dtype=np.int64).reshape(-1, 5)
    found = [
        (int(a), int(b), int(n))
        for first, second, shared in overlapping_pairs(table[:, :4], table[:, 4])
        for a, b, n in zip(first, second, shared, strict=True)
    ]
    assert sorted(found) == expected
