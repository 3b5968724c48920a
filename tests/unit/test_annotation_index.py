"""The spatial index: every annotation on one level, in every cell of it that it meets, sampled evenly."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.errors import FormatError
from ophiolite.geometry import morton
from ophiolite.kernels.annotation_index import (
    Level,
    ellipsoids_meet,
    hash_ids,
    plan_levels,
    segments_meet,
    snug_bounds,
)

POINT = st.tuples(*[st.integers(-200, 200)] * 3)
ENDS = st.lists(st.tuples(POINT, POINT), min_size=1, max_size=25)


def cells_by_level(levels: list[Level], count: int) -> list[tuple[int, set[tuple[int, int, int]]]]:
    """Per annotation its one level and its cells there; fails where it stands on several levels or twice in a cell."""
    where: list[tuple[int, set[tuple[int, int, int]]]] = [(-1, set())] * count
    for number, level in enumerate(levels):
        assert (np.diff(level.codes.astype(np.int64)) > 0).all()
        assert level.starts[0] == 0
        assert level.starts[-1] == len(level.rows)
        cells = morton.decode(level.codes, level.grid_shape)
        for i, cell in enumerate(cells.tolist()):
            for row in level.rows[level.starts[i] : level.starts[i + 1]].tolist():
                if where[row][0] == -1:
                    where[row] = (number, set())
                assert where[row][0] == number
                assert tuple(cell) not in where[row][1]
                where[row][1].add(tuple(cell))
    assert all(number >= 0 for number, _ in where)
    return where


def check_geometry(levels: list[Level], lower: np.ndarray, upper: np.ndarray) -> None:
    assert levels[0].grid_shape == (1, 1, 1)
    for level in levels:
        chunk, grid = np.float32(level.chunk_size), np.float32(level.grid_shape)
        assert chunk.astype(float).tolist() == list(level.chunk_size)
        np.testing.assert_array_equal(chunk * grid, upper - lower)
    for coarse, fine in pairwise(levels):
        ratio = np.divide(coarse.chunk_size, fine.chunk_size)
        assert set(ratio.tolist()) <= {1.0, 2.0}
        assert 2.0 in ratio


def slow_cells(level: Level, lower: np.ndarray, box: np.ndarray) -> list[tuple[int, int, int]]:
    """Cells [a, b) that share a point with the closed box, tried one after the other."""
    ranges = []
    for d in range(3):
        edges = [lower[d] + i * level.chunk_size[d] for i in range(level.grid_shape[d] + 1)]
        ranges.append([i for i in range(level.grid_shape[d]) if box[0, d] < edges[i + 1] and box[1, d] >= edges[i]])
    return list(product(*ranges))


def slow_segment_meets(ends: np.ndarray, low: list[float], high: list[float]) -> bool:
    """Exact arithmetic: some t in [0, 1] lies in the closed cell on all axes."""
    first, last = Fraction(0), Fraction(1)
    for d in range(3):
        a, way = Fraction(ends[0, d]), Fraction(ends[1, d]) - Fraction(ends[0, d])
        lo, hi = Fraction(low[d]), Fraction(high[d])
        if way == 0:
            if not lo <= a <= hi:
                return False
        else:
            t = sorted(((lo - a) / way, (hi - a) / way))
            first, last = max(first, t[0]), min(last, t[1])
    return first <= last


@given(ENDS, st.integers(1, 5))
def test_boxes_stand_in_exactly_the_cells_they_meet(ends: list, limit: int) -> None:
    boxes = np.sort(np.array(ends, float), axis=1)
    lower, upper = snug_bounds(boxes)
    levels = plan_levels(boxes, np.arange(len(boxes), dtype=np.uint64), (lower, upper), limit)
    check_geometry(levels, lower, upper)
    for row, (number, cells) in enumerate(cells_by_level(levels, len(boxes))):
        assert cells == set(slow_cells(levels[number], lower, boxes[row]))


@given(ENDS)
def test_lines_stand_in_exactly_the_cells_they_cross(ends: list) -> None:
    lines = np.array(ends, float)
    boxes = np.sort(lines, axis=1)
    lower, upper = snug_bounds(boxes)
    ids = np.arange(len(boxes), dtype=np.uint64)
    levels = plan_levels(boxes, ids, (lower, upper), 1, meets=segments_meet(lines))
    for row, (number, cells) in enumerate(cells_by_level(levels, len(boxes))):
        chunk = np.array(levels[number].chunk_size)
        exact = {
            c
            for c in slow_cells(levels[number], lower, boxes[row])
            if slow_segment_meets(lines[row], (lower + c * chunk).tolist(), (lower + (c + np.ones(3)) * chunk).tolist())
        }
        assert cells == exact


@given(st.lists(st.tuples(POINT, st.tuples(*[st.integers(0, 90)] * 3)), min_size=1, max_size=20))
def test_ellipsoids_stand_in_exactly_the_cells_they_reach(shapes: list) -> None:
    both = np.array(shapes, float)
    centers, radii = both[:, 0], both[:, 1]
    boxes = np.stack([centers - radii, centers + radii], axis=1)
    lower, upper = snug_bounds(boxes)
    ids = np.arange(len(boxes), dtype=np.uint64)
    levels = plan_levels(boxes, ids, (lower, upper), 1, meets=ellipsoids_meet(centers, radii))
    for row, (number, cells) in enumerate(cells_by_level(levels, len(boxes))):
        chunk = np.array(levels[number].chunk_size)
        exact = set()
        for c in slow_cells(levels[number], lower, boxes[row]):
            far = Fraction(0)
            for d in range(3):
                lo, hi = Fraction(lower[d] + c[d] * chunk[d]), Fraction(lower[d] + (c[d] + 1) * chunk[d])
                away = max(lo - Fraction(centers[row, d]), Fraction(centers[row, d]) - hi, Fraction(0))
                far += (away / Fraction(radii[row, d])) ** 2 if radii[row, d] else 0
            if far <= 1:
                exact.add(c)
        assert cells == exact


@given(st.lists(st.lists(POINT, min_size=2, max_size=6), min_size=1, max_size=10))
def test_polylines_stand_once_in_each_cell_of_any_segment(lines: list) -> None:
    ends = np.array([(a, b) for line in lines for a, b in pairwise(line)], float)
    owner = np.array([i for i, line in enumerate(lines) for _ in line[1:]])
    boxes = np.sort(ends, axis=1)
    lower, upper = snug_bounds(boxes)
    ids = np.arange(len(lines), dtype=np.uint64)
    levels = plan_levels(boxes, ids, (lower, upper), 1, meets=segments_meet(ends), owner=owner)
    for row, (number, cells) in enumerate(cells_by_level(levels, len(lines))):
        chunk = np.array(levels[number].chunk_size)
        exact = {
            c
            for part in np.flatnonzero(owner == row)
            for c in slow_cells(levels[number], lower, boxes[part])
            if slow_segment_meets(ends[part], (lower + c * chunk).tolist(), (lower + (c + np.ones(3)) * chunk).tolist())
        }
        assert cells == exact


@given(ENDS, st.sampled_from([1.0, 0.37, 1e-3, 1e5, 3e7]))
def test_bounds_hold_all_and_halve_exactly(ends: list, scale: float) -> None:
    boxes = np.sort(np.float32(np.array(ends, float) * scale).astype(float), axis=1)
    lower, upper = snug_bounds(boxes)
    assert (boxes[:, 0] >= lower).all()
    assert (boxes[:, 1] < upper).all()
    extent = upper - lower
    assert (extent <= 1.2 * (boxes[:, 1].max(axis=0) - boxes[:, 0].min(axis=0)) + 2.5 * np.maximum(1, scale)).all()
    assert np.float32(lower).astype(float).tolist() == lower.tolist()
    assert np.float32(extent).astype(float).tolist() == extent.tolist()
    levels = plan_levels(boxes, np.arange(len(boxes), dtype=np.uint64), (lower, upper), 1)
    check_geometry(levels, lower, upper)
    chunk = np.array(levels[-1].chunk_size)
    edge = lower + (np.array(levels[-1].grid_shape) - 1) * chunk
    assert np.float32(edge).astype(float).tolist() == edge.tolist()


def scattered(count: int, span: tuple[int, int, int] = (4000, 4000, 1000)) -> np.ndarray:
    points = np.random.default_rng(7).integers(0, span, (count, 3)).astype(float)
    return np.stack([points, points], axis=1)


def test_levels_sample_evenly_within_the_limit() -> None:
    boxes = scattered(40_000)
    lower, upper = snug_bounds(boxes)
    levels = plan_levels(boxes, np.arange(40_000, dtype=np.uint64), (lower, upper), 500)
    assert len(levels) >= 3
    assert levels[0].remaining == 40_000
    for level, finer in pairwise(levels):
        assert finer.remaining == level.remaining - len(level.rows)
        # Binomial: five standard deviations.
        assert level.max_count <= 500 + 5 * 500**0.5
    assert abs(len(levels[0].rows) - 500) < 5 * 500**0.5
    # A uniform sample: each octant has its share.
    octant = (boxes[levels[0].rows, 0] >= boxes[:, 0].mean(axis=0)) @ [1, 2, 4]
    assert np.bincount(octant, minlength=8).min() > 30
    assert levels[-1].max_count <= 500


def test_cells_become_isotropic() -> None:
    boxes = scattered(40_000, (8000, 8000, 500))
    levels = plan_levels(boxes, np.arange(40_000, dtype=np.uint64), snug_bounds(boxes), 100)
    chunk = levels[-1].chunk_size
    assert max(chunk) / min(chunk) <= 2
    assert levels[1].grid_shape == (2, 2, 1)


def test_order_of_rows_changes_nothing_and_order_in_cells_is_by_hash() -> None:
    boxes, ids = scattered(3000), np.random.default_rng(1).permutation(2**20)[:3000].astype(np.uint64)
    levels = plan_levels(boxes, ids, snug_bounds(boxes), 50)
    turn = np.random.default_rng(2).permutation(3000)
    again = plan_levels(boxes[turn], ids[turn], snug_bounds(boxes), 50)
    for a, b in zip(levels, again, strict=True):
        np.testing.assert_array_equal(a.codes, b.codes)
        np.testing.assert_array_equal(ids[a.rows], ids[turn][b.rows])
        for i in range(len(a.codes)):
            cell = hash_ids(ids[a.rows[a.starts[i] : a.starts[i + 1]]])
            assert (np.diff(cell.astype(float)) >= 0).all()


def test_hash_is_the_published_one_and_spreads() -> None:
    # First outputs of SplitMix64 seeded with 0, from its authors' reference code.
    state = np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert [hex(v) for v in hash_ids(state).tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]
    share = hash_ids(np.arange(10_000, dtype=np.uint64)) / 2.0**64
    assert abs(share.mean() - 0.5) < 0.02


def test_large_boxes_do_not_multiply() -> None:
    boxes = np.tile(np.array([[0.0, 0, 0], [1000, 1000, 1000]]), (2000, 1, 1))
    levels = plan_levels(boxes, np.arange(2000, dtype=np.uint64), snug_bounds(boxes), 100)
    assert [len(level.rows) for level in levels] == [2000]


def test_a_crowd_in_one_place_ends_in_one_full_cell() -> None:
    boxes = np.full((5000, 2, 3), 17.0)
    boxes[0] = 400
    levels = plan_levels(boxes, np.arange(5000, dtype=np.uint64), snug_bounds(boxes), 100)
    cells_by_level(levels, 5000)
    assert max(level.max_count for level in levels[:-1]) <= 150
    # No cell is smaller than a nanometre, so the last level takes the whole rest of the crowd, above the limit.
    assert levels[-1].max_count > 1000
    assert levels[-1].max_count >= levels[-1].remaining - 1


def test_no_annotations_are_one_empty_cell() -> None:
    lower, upper = snug_bounds(np.zeros((0, 2, 3)))
    (level,) = plan_levels(np.zeros((0, 2, 3)), np.zeros(0, np.uint64), (lower, upper), 10)
    assert (level.codes.tolist(), level.starts.tolist(), level.max_count) == ([0], [0, 0], 0)
    check_geometry([level], lower, upper)


def test_boxes_outside_the_bounds_are_refused() -> None:
    boxes = scattered(5)
    with pytest.raises(FormatError, match="outside the bounds"):
        plan_levels(boxes, np.arange(5, dtype=np.uint64), (np.zeros(3), np.full(3, 64.0)), 10)


def test_a_million_points_are_all_placed() -> None:
    boxes = scattered(1_000_000, (100_000, 100_000, 40_000))
    levels = plan_levels(boxes, np.arange(1_000_000, dtype=np.uint64), snug_bounds(boxes), 2000)
    assert sum(len(level.rows) for level in levels) == 1_000_000
