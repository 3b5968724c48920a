from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ophiolite.errors import FormatError
from ophiolite.geometry.box import Box, Vec
from ophiolite.kernels.label_stats import LabelStats, centroids_vx, label_stats, merge_stats

shapes = st.tuples(*[st.integers(0, 9)] * 3)
starts = st.tuples(*[st.one_of(st.integers(-9, 9), st.sampled_from([-(2**40) - 1, 2**40 + 7]))] * 3)
seeds = st.integers(0, 2**32 - 1)


def segmentation(seed: int, shape: Vec, dtype: Any = np.uint64) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    top = int(np.iinfo(dtype).max)
    names = np.array([0, 1, 2, 17, 100, top - 1, top], dtype)[: rng.integers(1, 8)]
    return np.asfortranarray(rng.choice(names, shape))


def slow_stats(labels: NDArray[Any], start: Vec) -> LabelStats:
    names = [v for v in np.unique(labels).tolist() if v != 0]
    voxels, first, last, total = [], [], [], []
    for name in names:
        where = np.argwhere(labels == np.uint64(name)) + np.array(start)
        voxels.append(len(where))
        first.append(where.min(axis=0))
        last.append(where.max(axis=0) + 1)
        total.append([sum(map(int, where[:, d])) for d in range(3)])
    rows = (len(names), 3)
    return LabelStats(
        np.array(names, np.uint64),
        np.array(voxels, np.uint64),
        np.array(first, np.int64).reshape(rows),
        np.array(last, np.int64).reshape(rows),
        np.array(total, np.int64).reshape(rows),
    )


def assert_same(a: LabelStats, b: LabelStats) -> None:
    for name in ("labels", "voxels", "start", "stop", "coordinate_sum"):
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype, name
        assert np.array_equal(x, y), name


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
@given(seed=seeds, shape=shapes, start=starts)
@settings(max_examples=30)
def test_every_measure_equals_the_slow_one(dtype: str, seed: int, shape: Vec, start: Vec) -> None:
    labels = segmentation(seed, shape, dtype)
    stats = label_stats(labels, start)
    assert_same(stats, slow_stats(labels, start))
    assert_same(label_stats(np.ascontiguousarray(labels), start), stats)


@given(seed=seeds, shape=shapes, start=starts, at=st.tuples(*[st.integers(0, 9)] * 3))
def test_cut_and_merged_equals_the_whole(seed: int, shape: Vec, start: Vec, at: Vec) -> None:
    labels = segmentation(seed, shape)
    parts = []
    for corner in np.ndindex(2, 2, 2):
        low = tuple(start[d] + corner[d] * min(at[d], shape[d]) for d in range(3))
        high = tuple(start[d] + (shape[d] if corner[d] else min(at[d], shape[d])) for d in range(3))
        box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        parts.append(label_stats(labels[box.slices(start)], box.start))
    whole = label_stats(labels, start)
    assert_same(merge_stats(parts), whole)
    assert_same(merge_stats([merge_stats(parts[4:]), merge_stats(parts[:4])]), whole)


def test_more_labels_than_the_table_begins_with() -> None:
    rng = np.random.default_rng(7)
    labels = rng.permutation(np.arange(20**3, dtype=np.uint64) * np.uint64(0x10001) + np.uint64(2**63)).reshape(
        20, 20, 20
    )
    stats = label_stats(np.asfortranarray(labels), (5, -6, 7))
    assert np.array_equal(stats.labels, np.sort(labels.ravel()))
    assert (stats.voxels == 1).all()
    where = np.array(np.unravel_index(np.argsort(labels.ravel()), labels.shape)).T + np.array([5, -6, 7])
    assert np.array_equal(stats.start, where)
    assert np.array_equal(stats.stop, where + 1)
    assert np.array_equal(stats.coordinate_sum, where)


def test_merging_nothing() -> None:
    nothing = merge_stats([])
    assert_same(nothing, label_stats(np.zeros((3, 3, 3), np.uint64), (0, 0, 0)))
    assert_same(merge_stats([nothing, nothing]), nothing)
    assert centroids_vx(nothing).shape == (0, 3)


def test_centroids_are_means_of_voxel_centres() -> None:
    labels = np.zeros((4, 4, 4), np.uint8, order="F")
    labels[0, 0, 0] = 3
    labels[1:3, 2, 0:3] = 9
    far = 2**40
    assert centroids_vx(label_stats(labels, (0, 0, 0))).tolist() == [[0.5, 0.5, 0.5], [2.0, 2.5, 1.5]]
    assert centroids_vx(label_stats(labels, (-far, far, 1))).tolist() == [
        [0.5 - far, 0.5 + far, 1.5],
        [2.0 - far, 2.5 + far, 2.5],
    ]


def test_refuses_other_types_and_sums_past_64_bits() -> None:
    with pytest.raises(FormatError, match="unsigned"):
        label_stats(np.zeros((2, 2, 2), np.int32), (0, 0, 0))
    ones = np.ones((2, 2, 2), np.uint8)
    with pytest.raises(FormatError, match="64 bits"):
        label_stats(ones, (0, -(2**60), 0))
    part = label_stats(ones, (0, 2**59, 0))
    with pytest.raises(FormatError, match="64 bits"):
        merge_stats([part, part])
