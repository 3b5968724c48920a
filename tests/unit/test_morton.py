"""Compressed Morton codes against a bit-by-bit transcription of the specification."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.errors import FormatError
from ophiolite.geometry import morton
from ophiolite.geometry.box import Vec

GRIDS = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))


def slow_code(point: Vec, grid: Vec) -> int:
    """Specification: for i = 0, 1, ...: for x, y, z: if 2**i < grid[axis], append bit i of the axis."""
    code, j = 0, 0
    for i in range(64):
        for axis in range(3):
            if 2**i < grid[axis]:
                code |= ((point[axis] >> i) & 1) << j
                j += 1
    return code


@given(GRIDS, st.data())
def test_encode_is_the_specification(grid: Vec, data: st.DataObject) -> None:
    point = st.tuples(*(st.integers(0, n - 1) for n in grid))
    points = data.draw(st.lists(point, min_size=1, max_size=20))
    codes = morton.encode(points, grid)
    assert codes.tolist() == [slow_code(p, grid) for p in points]
    assert morton.decode(codes, grid).tolist() == [list(p) for p in points]


@given(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)))
def test_codes_of_a_grid_are_distinct_and_fit_their_bits(grid: Vec) -> None:
    points = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), axis=-1).reshape(-1, 3)
    codes = morton.encode(points, grid)
    assert len(set(codes.tolist())) == len(points)
    assert int(codes.max()) < 1 << len(morton.order(grid))


@pytest.mark.parametrize(
    ("grid", "point", "code"),
    [
        ((1, 1, 1), (0, 0, 0), 0),
        ((2, 2, 2), (1, 0, 1), 0b101),
        ((4, 1, 2), (3, 0, 1), 0b111),  # x0 z0 x1
        ((8, 1, 1), (5, 0, 0), 5),
        ((5, 3, 1), (4, 2, 0), 0b11000),  # x0 y0 x1 y1 x2
    ],
)
def test_codes_written_by_hand(grid: Vec, point: Vec, code: int) -> None:
    assert morton.encode([point], grid).tolist() == [code]


def test_bits_of_a_published_volume() -> None:
    # 10240 x 10240 x 990 voxels in chunks of 128, 128, 20 make a grid of 80, 80, 50.
    assert morton.axis_bits((80, 80, 50)) == (7, 7, 6)
    assert len(morton.order((80, 80, 50))) == 20


@given(GRIDS, st.integers(0, 18), st.data())
def test_low_bits_span_a_box(grid: Vec, bits: int, data: st.DataObject) -> None:
    box = morton.box_of_low_bits(grid, bits)
    point = data.draw(st.tuples(*(st.integers(0, n - 1) for n in grid)))
    other = data.draw(st.tuples(*(st.integers(0, n - 1) for n in grid)))
    same_box = all(a // b == c // b for a, b, c in zip(point, box, other, strict=True))
    same_code = slow_code(point, grid) >> bits == slow_code(other, grid) >> bits
    assert same_box == same_code


def test_a_grid_beyond_64_bits_is_refused() -> None:
    assert len(morton.order((2**32, 2**16, 2**16))) == 64
    with pytest.raises(FormatError, match="65 bits"):
        morton.encode([(0, 0, 0)], (2**32, 2**16, 2**17))


def test_codes_use_all_64_bits() -> None:
    grid = (2**32, 2**16, 2**16)
    point = (2**32 - 1, 2**16 - 1, 2**16 - 1)
    codes = morton.encode([point], grid)
    assert int(codes[0]) == 2**64 - 1
    assert morton.decode(codes, grid).tolist() == [list(point)]
