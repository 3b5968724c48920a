"""Patches put together again: what was cut comes back; votes and means against counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophiolite.kernels.patch_grid import Edge, patch_grid
from ophiolite.kernels.patch_stitch import LEAST_WEIGHT, Method, gaussian_weights, stitch


def cut(slide: np.ndarray, size: int, stride: int, edge: Edge) -> list[tuple[int, int, np.ndarray]]:
    padded = np.pad(slide, ((0, size), (0, size)))
    grid = patch_grid((slide.shape[0], slide.shape[1]), size, stride, edge)
    return [(p.x, p.y, padded[p.x : p.x + size, p.y : p.y + size]) for p in grid]


@given(
    st.integers(4, 30), st.integers(4, 30), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1),
    st.sampled_from(["snap", "pad"]), st.sampled_from(["vote", "mean", "gaussian"]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_what_was_cut_comes_back(w: int, h: int, size: int, stride: int, seed: int, edge: Edge, method: Method) -> None:
    slide = np.random.default_rng(seed).integers(0, 256, (w, h), dtype=np.uint8)
    patches = cut(slide, size, min(stride, size), edge)
    assert np.array_equal(stitch(patches, (0, 0, w, h), method), slide)
    assert np.array_equal(stitch(patches, (2, 1, w - 2, h - 3), method), slide[2:, 1 : h - 2])
    chances = np.random.default_rng(seed).random((w, h)).astype(np.float32)
    if method != "vote":
        assert np.array_equal(stitch(cut(chances, size, min(stride, size), edge), (0, 0, w, h), method), chances)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_disagreeing_patches_are_counted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patches = [(int(x), int(y), rng.integers(0, 3, (5, 4), dtype=np.uint8)) for x, y in rng.integers(-3, 9, (12, 2))]
    vote, mean, weighted = (stitch(patches, (0, 0, 9, 8), method) for method in ("vote", "mean", "gaussian"))
    for i in range(9):
        for j in range(8):
            over = [(p[i - x, j - y], (i - x, j - y)) for x, y, p in patches if 0 <= i - x < 5 and 0 <= j - y < 4]
            values = [int(v) for v, _ in over]
            assert vote[i, j] == (min(set(values), key=lambda v: (-values.count(v), v)) if values else 0)
            assert mean[i, j] == pytest.approx(np.mean(values) if values else 0)
            weights = [np.exp(-32 * (((a - 2) / 5) ** 2 + ((b - 1.5) / 4) ** 2)) for _, (a, b) in over]
            weights = [max(w, LEAST_WEIGHT) for w in weights]
            assert weighted[i, j] == pytest.approx(np.average(values, weights=weights) if values else 0, rel=1e-5)


def test_where_no_patch_lies_is_background() -> None:
    assert stitch([], (0, 0, 3, 2), "vote").tolist() == [[0, 0]] * 3
    assert stitch([(1, 0, np.full((1, 1), 0.5))], (0, 0, 3, 1), "gaussian").tolist() == [[0], [0.5], [0]]
    assert stitch([(0, 0, np.full((2, 2), 70_000, np.uint32))], (0, 0, 1, 1), "vote").tolist() == [[70_000]]


def test_the_middle_of_a_patch_weighs_most() -> None:
    weights = gaussian_weights((9, 7))
    assert weights[4, 3] == weights.max() == 1
    assert weights.min() == LEAST_WEIGHT
