"""The grid of patches against its formula, pixel by pixel; fractions against counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophiolite.kernels.patch_grid import CellCounts, Edge, covered_fractions, patch_count, patch_grid, patch_starts

EDGES = st.sampled_from(["drop", "snap", "pad"])
LENGTHS, SIZES, STRIDES = st.integers(1, 60), st.integers(1, 20), st.integers(1, 25)


@given(LENGTHS, SIZES, STRIDES, EDGES)
@settings(max_examples=300)
def test_starts_along_an_axis(length: int, size: int, stride: int, edge: Edge) -> None:
    starts = patch_starts(length, size, stride, edge)
    assert len(starts) == patch_count(length, size, stride, edge)
    assert starts == sorted(set(starts))
    assert all(0 <= start < length for start in starts)
    if edge != "pad":
        assert all(start + size <= length for start in starts)
        assert bool(starts) == (length >= size)
    plain = [x for x in range(0, length, stride) if x + size <= length]
    if edge == "drop":
        assert starts == plain
        assert len(starts) == (max(0, (length - size) // stride + 1) if length >= size else 0)
    else:
        assert starts[: len(plain)] == plain
        assert len(starts) - len(plain) in (0, 1) or edge == "pad"
    covers = {pixel for start in starts for pixel in range(start, min(start + size, length))}
    if starts and edge == "snap":
        assert length - 1 in covers
    if starts and edge != "drop" and stride <= size:
        assert covers == set(range(length))
    if edge == "pad" and stride <= size and len(starts) > 1:
        assert starts[-2] + size < length, "the last patch covers what none does before it"


def test_the_index_is_that_of_the_kpis_challenge() -> None:
    patches = patch_grid((24_000, 9_000), 2048, 1024, "drop")
    assert all(p.index == p.y // 1024 * 22 + p.x // 1024 for p in patches)
    assert [p.index for p in patches] == list(range(22 * 7))
    assert (patches[23].col, patches[23].row, patches[23].x, patches[23].y) == (1, 1, 1024, 1024)


def test_patches_that_leave_the_slide_say_how_much_of_them_is_inside() -> None:
    last = patch_grid((10, 7), 4, 4, "pad")[-1]
    assert (last.x, last.y, last.w, last.h) == (8, 4, 2, 3)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_counts_in_rectangles_from_blocks(data: st.DataObject) -> None:
    w, h = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 30))
    seed, block = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.integers(1, 9))
    kinds = np.random.default_rng(seed).integers(-1, 3, (w, h))
    boxes = np.array(
        [
            (x, y, data.draw(st.integers(x + 1, w)), data.draw(st.integers(y + 1, h)))
            for x, y in data.draw(
                st.lists(st.tuples(st.integers(0, w - 1), st.integers(0, h - 1)), min_size=1, max_size=5)
            )
        ]
    )
    counts = CellCounts(boxes[:, [0, 2]].ravel() + 100, boxes[:, [1, 3]].ravel() + 200, 3)
    for x in range(0, w, block):
        for y in range(0, h, block):
            counts.add(kinds[x : x + block, y : y + block], (x + 100, y + 200))
    found = counts.of(*(boxes + np.array([100, 200, 100, 200])).T)
    assert found.tolist() == [[int((kinds[x:u, y:v] == k).sum()) for k in range(3)] for x, y, u, v in boxes.tolist()]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_fractions_of_a_mask_are_exact_areas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((7, 9)) < 0.5
    boxes = np.sort(rng.integers(-8, 48, (6, 2, 2)), axis=1).reshape(6, 4) / 4
    boxes[:, 2:] += 0.25
    fine = np.zeros((80, 80), bool)
    fine[20:48, 20:56] = mask.repeat(4, axis=0).repeat(4, axis=1)
    quarters = (boxes * 4 + 20).astype(int)
    expected = [fine[x:u, y:v].mean() for x, y, u, v in quarters]
    assert covered_fractions(mask, boxes) == pytest.approx(expected, abs=1e-9)
