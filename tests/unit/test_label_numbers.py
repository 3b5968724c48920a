"""Labels as small numbers: against numpy, whatever the order of labels, the halo and the frame around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophiolite.kernels.label_numbers import labels_of, number_labels


@settings(max_examples=30)
@given(st.integers(0, 2**16), st.tuples(*[st.integers(1, 6)] * 3), st.sampled_from([1, 3, 40]))
def test_numbers_are_those_of_numpy(seed: int, shape: Any, count: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.unique(rng.integers(0, 2**64, count, np.uint64, endpoint=False))
    x, y, z = shape
    labels = np.asfortranarray(names[rng.integers(0, len(names), (x + 1, y + 1, z + 1))])
    ids, inverse = np.unique(labels[:x, :y, :z], return_inverse=True)
    low, high = np.sort(rng.integers(0, 7, (2, 3)), axis=0).tolist()
    inside = tuple(slice(a, b) for a, b in zip(low, np.minimum(high, shape), strict=True))
    counts = [(labels[:x, :y, :z][inside] == name).sum() for name in ids]
    numbers = rng.permutation(len(ids)).astype(np.uint16)
    framed = np.full((x + 2, y + 2, z + 2), 7, np.uint16, order="F")
    voxels = np.zeros(len(ids), np.int64)
    number_labels(labels, shape, (tuple(low), tuple(high)), ids, numbers, framed, (1, 1, 1), voxels)
    np.testing.assert_array_equal(framed[1:-1, 1:-1, 1:-1], numbers[inverse.reshape(shape)])
    np.testing.assert_array_equal(voxels[numbers], counts)
    framed[1:-1, 1:-1, 1:-1] = 7
    assert (framed == 7).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32])
def test_left_out_labels_share_a_number(dtype: Any) -> None:
    labels = np.asfortranarray(np.array([5, 5, 9, 2, 9], dtype).reshape(5, 1, 1))
    out, voxels = np.zeros((5, 1, 1), np.uint16, order="F"), np.zeros(2, np.int64)
    ids, numbers = np.array([2, 5, 9], dtype), np.array([0, 1, 0], np.uint16)
    number_labels(labels, labels.shape, ((0, 0, 0), labels.shape), ids, numbers, out, (0, 0, 0), voxels)
    assert out.ravel().tolist() == [1, 1, 0, 0, 0]
    assert voxels.tolist() == [3, 2]


@settings(max_examples=40)
@given(st.integers(0, 2**16), st.tuples(*[st.integers(1, 9)] * 3), st.sampled_from([1, 3, 2000]))
def test_every_label_is_found_once(seed: int, shape: Any, count: int) -> None:
    rng = np.random.default_rng(seed)
    names = rng.integers(0, 2**64, count, np.uint64, endpoint=False)
    volume = np.asfortranarray(names[np.sort(rng.integers(0, count, shape), axis=int(rng.integers(3)))])
    np.testing.assert_array_equal(labels_of(volume), np.unique(volume))
    x, y, z = (max(1, side - 1) for side in shape)
    np.testing.assert_array_equal(labels_of(volume, (x, y, z)), np.unique(volume[:x, :y, :z]))


def test_more_labels_than_there_is_room_for_at_first_are_found() -> None:
    volume = np.asfortranarray(np.random.default_rng(0).permutation(20**3).reshape(20, 20, 20).astype(np.uint32))
    np.testing.assert_array_equal(labels_of(volume), np.arange(20**3))
