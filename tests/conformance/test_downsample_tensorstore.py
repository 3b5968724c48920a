"""Downsampling beside TensorStore's `downsample` driver and tinybrain.

TensorStore places coarse voxels as we do, at absolute multiples of the factor. It differs in two ways, both shown
below: of tied labels its mode takes the smallest number, we take the first; its `stride` takes the voxel at the
multiple itself and has no coarse voxel where that lies outside, we take the first that exists.
tinybrain breaks ties in ways of its own. Modes are therefore compared where one label has more votes than any other.
TensorStore 0.1.86 also returns wrong means, not the same from call to call, where an axis has two or more voxels that
lie strictly inside one coarse voxel ([10, 20] at 1, factor 4: not 15); such boxes are left out of the comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ophiolite.geometry.box import Box, Vec, mul, prod
from ophiolite.geometry.pyramid import coarse_box, coarse_counts
from ophiolite.kernels.downsample import block_extreme, block_mode, block_stride, block_sums, mean_of_sums, sum_dtype

ts = pytest.importorskip("tensorstore")

shapes = st.tuples(*[st.integers(1, 12)] * 3)
factors = st.tuples(*[st.integers(1, 3)] * 3)
starts = st.tuples(*[st.one_of(st.integers(-9, 9), st.sampled_from([-(2**40) - 1, 2**33 + 1]))] * 3)
seeds = st.integers(0, 2**32 - 1)


def theirs(values: NDArray[Any], start: Vec, factor: Vec, method: str) -> tuple[Box, NDArray[Any]]:
    rest = values.ndim - 3
    placed = ts.array(values)[ts.d[:].translate_to[(*start, *[0] * rest)]]
    coarse = ts.downsample(placed, [*factor, *[1] * rest], method)
    low, high = coarse.domain.inclusive_min[:3], coarse.domain.exclusive_max[:3]
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2])), coarse.read().result()


def strictly_inside_one(shape: Vec, start: Vec, factor: Vec) -> bool:
    return any(
        n > 1 and a % f != 0 and (a + n) % f != 0 and a // f == (a + n) // f
        for n, a, f in zip(shape, start, factor, strict=True)
    )


def means(values: NDArray[Any], start: Vec, factors: list[Vec]) -> NDArray[Any]:
    """Sums carried over several mips, divided once."""
    box, total, at, sums = Box.of(start, values.shape[:3]), (1, 1, 1), start, values
    for factor in factors:
        total = mul(total, factor)
        sums = block_sums(sums, at, factor, sum_dtype(values.dtype, prod(total)))
        at = coarse_box(box, total).start
    return mean_of_sums(sums, coarse_counts(box, coarse_box(box, total), total), values.dtype)


def unambiguous(labels: NDArray[Any], start: Vec, factor: Vec) -> NDArray[np.bool_]:
    """Where one label has the most votes: the smallest and the largest of the tied are the same."""
    return np.asarray(theirs(labels, start, factor, "mode")[1] == ~theirs(~labels, start, factor, "mode")[1])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32"])
@given(seed=seeds, shape=shapes, start=starts, first=factors, second=factors)
@settings(max_examples=40)
def test_means_over_two_mips(dtype: str, seed: int, shape: Vec, start: Vec, first: Vec, second: Vec) -> None:
    assume(not strictly_inside_one(shape, start, mul(first, second)))
    info = np.iinfo(dtype)
    values = np.random.default_rng(seed).integers(info.min, info.max, (*shape, 2), dtype, endpoint=True)
    box, expected = theirs(values, start, mul(first, second), "mean")
    assert box == coarse_box(Box.of(start, shape), mul(first, second))
    assert np.array_equal(means(values, start, [first, second]), expected)


@given(seed=seeds, shape=shapes, start=starts, factor=factors)
@settings(max_examples=40)
def test_float_means_agree_to_rounding(seed: int, shape: Vec, start: Vec, factor: Vec) -> None:
    values = np.random.default_rng(seed).random((*shape, 1), np.float32)
    _, expected = theirs(values, start, factor, "mean")
    # TensorStore adds float32 values in float32
    np.testing.assert_allclose(means(values, start, [factor]), expected, rtol=27 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("which", ["min", "max"])
@given(seed=seeds, shape=shapes, start=starts, factor=factors)
@settings(max_examples=40)
def test_extremes(which: Any, seed: int, shape: Vec, start: Vec, factor: Vec) -> None:
    values = np.random.default_rng(seed).integers(-(2**15), 2**15, (*shape, 2), np.int16)
    box, expected = theirs(values, start, factor, which)
    assert box == coarse_box(Box.of(start, shape), factor)
    assert np.array_equal(block_extreme(values, start, factor, which), expected)


@given(seed=seeds, shape=shapes, start=starts, factor=factors)
@settings(max_examples=40)
def test_stride_where_tensorstore_has_a_voxel(seed: int, shape: Vec, start: Vec, factor: Vec) -> None:
    values = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    box, expected = theirs(values, start, factor, "stride")
    coarse = coarse_box(Box.of(start, shape), factor)
    # theirs lacks exactly the coarse voxels whose multiple lies before the volume
    assert box.shape == tuple(coarse.shape[d] - (coarse.start[d] * factor[d] < start[d]) for d in range(3))
    assert np.array_equal(block_stride(values, start, factor)[box.slices(coarse.start)], expected)


@given(seed=seeds, shape=shapes, start=starts, factor=factors, names=st.integers(2, 5))
@settings(max_examples=80)
def test_mode_where_no_labels_tie(seed: int, shape: Vec, start: Vec, factor: Vec, names: int) -> None:
    labels = np.random.default_rng(seed).integers(2**64 - names, 2**64 - 1, shape, np.uint64, endpoint=True)
    box, expected = theirs(labels, start, factor, "mode")
    assert box == coarse_box(Box.of(start, shape), factor)
    clear = unambiguous(labels, start, factor)
    assert np.array_equal(block_mode(labels, start, factor)[clear], expected[clear])


def test_tied_labels_are_where_we_differ() -> None:
    labels = np.array([7, 3, 3, 7, 9, 8, 6, 5], np.uint64).reshape(8, 1, 1)
    assert theirs(labels, (0, 0, 0), (4, 1, 1), "mode")[1].ravel().tolist() == [3, 5]
    assert block_mode(labels, (0, 0, 0), (4, 1, 1)).ravel().tolist() == [7, 9]


@pytest.mark.parametrize("factor", [(2, 2, 1), (2, 2, 2)])
@given(seed=seeds, names=st.integers(2, 4))
@settings(max_examples=30)
def test_mode_beside_tinybrain(factor: Vec, seed: int, names: int) -> None:
    import tinybrain

    labels = np.asfortranarray(np.random.default_rng(seed).integers(1, names, (12, 10, 8), np.uint64, endpoint=True))
    clear = unambiguous(labels, (0, 0, 0), factor)
    expected = tinybrain.downsample_segmentation(labels, factor, num_mips=1)[0]
    assert clear.any()
    assert np.array_equal(block_mode(labels, (0, 0, 0), factor)[clear], expected[clear])


@pytest.mark.data
@pytest.mark.parametrize("factor", [(2, 2, 1), (2, 2, 2)])
def test_real_labels_beside_both(data_dir: Path, factor: Vec) -> None:
    import h5py
    import tinybrain

    with h5py.File(data_dir / "em" / "pinky40_512.h5") as file:
        labels = np.asfortranarray(file["main"][:64, :256, :256].T)
    modes = block_mode(labels, (0, 0, 0), factor)
    clear = unambiguous(labels, (0, 0, 0), factor)
    assert clear.mean() > 0.95
    assert np.array_equal(modes[clear], theirs(labels, (0, 0, 0), factor, "mode")[1][clear])
    assert np.array_equal(modes[clear], tinybrain.downsample_segmentation(labels, factor, num_mips=1)[0][clear])


@pytest.mark.data
def test_real_image_three_mips_at_an_odd_offset(data_dir: Path) -> None:
    import h5py

    with h5py.File(data_dir / "em" / "fib25_t2_cremi.h5") as file:
        raw = np.asfortranarray(file["volumes/raw"][:101].T)[..., None]
    start, steps = (-7, 13, 3), [(2, 2, 1), (2, 2, 2), (2, 2, 2)]
    assert np.array_equal(means(raw, start, steps), theirs(raw, start, (8, 8, 4), "mean")[1])
