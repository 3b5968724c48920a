from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ophiolite.errors import FormatError
from ophiolite.geometry.box import Box, Vec, mul, prod
from ophiolite.geometry.pyramid import coarse_box, coarse_counts
from ophiolite.kernels import downsample, downsample_loops
from ophiolite.kernels.downsample import (
    block_extreme,
    block_mode,
    block_stride,
    block_sums,
    block_sums_sparse,
    mean_of_counts,
    mean_of_sums,
    sum_dtype,
)

shapes = st.tuples(*[st.integers(1, 9)] * 3)
factors = st.tuples(*[st.integers(1, 3)] * 3)
starts = st.tuples(*[st.one_of(st.integers(-9, 9), st.sampled_from([-(2**40) - 1, 2**33 + 1, 2**62 + 3]))] * 3)
seeds = st.integers(0, 2**32 - 1)


def cells(shape: Vec, start: Vec, factor: Vec) -> Iterator[tuple[Vec, list[Vec]]]:
    """Every coarse index with the fine indices under it, x fastest, found voxel by voxel."""
    under: dict[Vec, list[Vec]] = {}
    for z, y, x in product(*(range(n) for n in reversed(shape))):
        at = ((x + start[0]) // factor[0], (y + start[1]) // factor[1], (z + start[2]) // factor[2])
        under.setdefault(at, []).append((x, y, z))
    low = tuple(min(at[d] for at in under) for d in range(3))
    for at, voxels in under.items():
        yield (at[0] - low[0], at[1] - low[1], at[2] - low[2]), voxels


def slowly(
    values: NDArray[Any], start: Vec, factor: Vec, pick: Callable[[list[Any]], Any], dtype: Any = None
) -> NDArray[Any]:
    shape = values.shape[:3]
    out = np.zeros(
        (*coarse_box(Box.of(start, shape), factor).shape, *values.shape[3:]), dtype or values.dtype, order="F"
    )
    for to, voxels in cells(shape, start, factor):
        if values.ndim == 3:
            out[to] = pick([values[v] for v in voxels])
        else:
            for c in range(values.shape[3]):
                out[(*to, c)] = pick([values[(*v, c)] for v in voxels])
    return out


def slow_mode(voxels: list[int], sparse: bool = False) -> int:
    kept = [v for v in voxels if v != 0] if sparse else voxels
    # Counter keeps the order of first appearance, most_common sorts stably
    return Counter(kept).most_common(1)[0][0] if kept else 0


def pixels(seed: int, shape: Vec, dtype: Any, channels: int = 1) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        values = (rng.standard_normal((*shape, channels)) * 10.0 ** rng.integers(-5, 6, (*shape, channels))).astype(
            kind
        )
    else:
        info = np.iinfo(kind)
        values = rng.integers(info.min, info.max, (*shape, channels), kind, endpoint=True)
        extreme = rng.random(values.shape)
        values[extreme < 0.1] = info.max
        values[extreme > 0.9] = info.min
    return np.asfortranarray(values)


def segmentation(seed: int, shape: Vec, dtype: Any = np.uint64) -> NDArray[Any]:
    """Few labels, so that ties and zeros are common; two labels that float64 cannot tell apart."""
    rng = np.random.default_rng(seed)
    top = int(np.iinfo(dtype).max)
    names = np.array([0, 1, 2, top - 1, top], dtype)[: rng.integers(1, 6)]
    return np.asfortranarray(rng.choice(names, shape))


# --- accumulators -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "voxels", "expected"),
    [
        ("uint8", 1, "uint16"),
        ("uint8", 257, "uint16"),
        ("uint8", 258, "uint32"),
        ("uint8", 2**24, "uint32"),
        ("uint8", 2**25, "uint64"),
        ("uint16", 65537, "uint32"),
        ("uint16", 65538, "uint64"),
        ("uint32", 2**32, "uint64"),
        ("int8", 2**24 - 1, "int32"),
        ("int8", 2**24, "int64"),
        ("int16", 65535, "int32"),
        ("int16", 65536, "int64"),
        ("int32", 2**32 - 1, "int64"),
        ("float32", 10**12, "float64"),
        ("float64", 8, "float64"),
        ("uint64", 1, "uint64"),
    ],
)
def test_accumulator_is_the_smallest_that_holds_the_extremes(dtype: str, voxels: int, expected: str) -> None:
    assert sum_dtype(dtype, voxels) == np.dtype(expected)


@pytest.mark.parametrize(
    ("dtype", "voxels"), [("uint64", 2), ("int64", 1), ("uint32", 2**33), ("bool", 2), ("float16", 2), ("complex64", 2)]
)
def test_accumulator_refuses_what_it_cannot_hold(dtype: str, voxels: int) -> None:
    with pytest.raises(FormatError, match="data_type"):
        sum_dtype(dtype, voxels)


# --- sums and means ---------------------------------------------------------------------------------------------


def half_even(total: int, n: int) -> int:
    return round(Fraction(total, n))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32"])
@given(seed=seeds, shape=shapes, start=starts, factor=factors)
@settings(max_examples=25)
@example(seed=0, shape=(8, 8, 8), start=(0, 0, 0), factor=(2, 2, 2))
@example(seed=0, shape=(9, 7, 5), start=(-1, 1, 3), factor=(2, 2, 1))
def test_integer_means_are_exact(dtype: str, seed: int, shape: Vec, start: Vec, factor: Vec) -> None:
    values = pixels(seed, shape, dtype, channels=2)
    box = Box.of(start, shape)
    counts = coarse_counts(box, coarse_box(box, factor), factor)
    sums = block_sums(values, start, factor, sum_dtype(dtype, prod(factor)))
    assert np.array_equal(sums, slowly(values, start, factor, lambda v: sum(map(int, v)), sums.dtype))
    means = mean_of_sums(sums, counts, dtype)
    assert means.dtype == dtype
    assert means.flags.f_contiguous
    assert np.array_equal(means, slowly(values, start, factor, lambda v: half_even(sum(map(int, v)), len(v))))


@given(seed=seeds, shape=shapes, start=starts, factor=factors)
@settings(max_examples=25)
def test_float_means_are_float64_sums_rounded_once(seed: int, shape: Vec, start: Vec, factor: Vec) -> None:
    values = pixels(seed, shape, np.float32)
    box = Box.of(start, shape)
    sums = block_sums(values, start, factor, np.float64)

    for to, voxels in cells(shape, start, factor):
        total = None
        for x in sorted({v[0] for v in voxels}):
            column = None
            for v in voxels:
                if v[0] == x:
                    p = np.float64(values[(*v, 0)])
                    column = p if column is None else column + p
            total = column if total is None else total + column
        assert sums[(*to, 0)] == total
    counts = coarse_counts(box, coarse_box(box, factor), factor)
    n = np.einsum("x,y,z->xyz", *counts)[..., None]
    assert np.array_equal(mean_of_sums(sums, counts, np.float32), (sums / n).astype(np.float32))


@given(
    sums=st.lists(st.integers(0, 2**64 - 1), min_size=3, max_size=3),
    cx=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    other=st.integers(1, 2**20),
)
def test_unsigned_means_of_64_bit_sums(sums: list[int], cx: list[int], other: int) -> None:
    array = np.array(sums, np.uint64).reshape(3, 1, 1, 1)
    counts = (np.array(cx), np.array([other]), np.array([1]))
    means = mean_of_sums(array, counts, np.uint64).ravel().tolist()
    assert means == [half_even(s, c * other) if c else 0 for s, c in zip(sums, cx, strict=True)]


@given(
    sums=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
    cx=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    other=st.integers(1, 2**20),
)
def test_signed_means_of_64_bit_sums(sums: list[int], cx: list[int], other: int) -> None:
    array = np.array(sums, np.int64).reshape(3, 1, 1, 1)
    counts = (np.array(cx), np.array([1]), np.array([other]))
    means = mean_of_sums(array, counts, np.int64).ravel().tolist()
    assert means == [half_even(s, c * other) if c else 0 for s, c in zip(sums, cx, strict=True)]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@given(seed=seeds, shape=shapes, start=starts, factor=factors)
@settings(max_examples=25)
def test_sparse_means_leave_zeros_out(dtype: str, seed: int, shape: Vec, start: Vec, factor: Vec) -> None:
    values = pixels(seed, shape, dtype)
    values[np.random.default_rng(seed).random(values.shape) < 0.6] = 0
    total = sum_dtype(dtype, prod(factor))
    sums, counts = block_sums_sparse(values, start, factor, total)
    assert counts.dtype == np.uint32
    assert np.array_equal(counts, slowly(values, start, factor, np.count_nonzero, np.uint32))
    assert np.array_equal(sums, block_sums(values, start, factor, total))
    means = mean_of_counts(sums, counts, dtype)
    assert means.dtype == dtype
    expected = np.zeros_like(means)
    for at in np.ndindex(*means.shape):
        if counts[at]:
            whole = means.dtype.kind == "u"
            expected[at] = (
                half_even(int(sums[at]), int(counts[at])) if whole else np.float32(sums[at] / int(counts[at]))
            )
    assert np.array_equal(means, expected)


# --- the pyramid: cut anywhere, the bytes stay ------------------------------------------------------------------


def pieces(shape: Vec, start: Vec, step: Vec) -> Iterator[Box]:
    """The volume cut at multiples of `step`."""
    box = Box.of(start, shape)
    grid = coarse_box(box, step)
    for i in product(*(range(grid.start[d], grid.stop[d]) for d in range(3))):
        low = mul((i[0], i[1], i[2]), step)
        yield Box.of(low, step).intersect(box)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@given(seed=seeds, shape=shapes, start=starts, first=factors, second=factors)
@settings(max_examples=25)
def test_two_mips_in_blocks_equal_the_whole(
    dtype: str, seed: int, shape: Vec, start: Vec, first: Vec, second: Vec
) -> None:
    values = pixels(seed, shape, dtype)
    labels = segmentation(seed, shape)
    both = mul(first, second)
    box = Box.of(start, shape)
    top = coarse_box(box, both)

    def chain(part: Box) -> tuple[NDArray[Any], ...]:
        at = part.slices(start)
        middle = coarse_box(part, first).start
        sums = block_sums(values[at], part.start, first, sum_dtype(dtype, prod(first)))
        modes = block_mode(labels[at], part.start, first)
        lows = block_extreme(values[at], part.start, first, "min")
        return (
            block_sums(sums, middle, second, sum_dtype(dtype, prod(both))),
            block_mode(modes, middle, second),
            block_extreme(lows, middle, second, "min"),
            block_stride(block_stride(labels[at], part.start, first), middle, second),
        )

    whole = chain(box)
    assert whole[1].shape == top.shape
    for part in pieces(shape, start, both):
        place = coarse_box(part, both).slices(top.start)
        for cut, full in zip(chain(part), whole, strict=True):
            assert np.array_equal(cut, full[place])

    if dtype == "uint8":
        means = mean_of_sums(whole[0], coarse_counts(box, top, both), dtype)
        assert np.array_equal(means, slowly(values, start, both, lambda v: half_even(sum(map(int, v)), len(v))))
    assert np.array_equal(whole[2], slowly(values, start, both, min))
    assert np.array_equal(whole[3], slowly(labels, start, both, lambda v: v[0]))


# --- mode, extremes, stride -------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [(2, 2, 1), (2, 1, 2), (2, 2, 2), (1, 1, 2), (1, 2, 2), (3, 3, 1), (2, 4, 1)])
@pytest.mark.parametrize("sparse", [False, True])
@given(seed=seeds, shape=shapes, start=starts)
@settings(max_examples=15)
@example(seed=1, shape=(9, 9, 9), start=(1, 1, 1))
@example(seed=5, shape=(2, 2, 2), start=(0, 0, 0))
def test_mode_on_the_hot_factors(factor: Vec, sparse: bool, seed: int, shape: Vec, start: Vec) -> None:
    labels = segmentation(seed, shape)
    expected = slowly(labels, start, factor, lambda v: slow_mode(v, sparse))
    assert np.array_equal(block_mode(labels, start, factor, sparse), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@given(seed=seeds, shape=shapes, start=starts, factor=factors, sparse=st.booleans())
@settings(max_examples=15)
def test_mode_on_any_factor(dtype: str, seed: int, shape: Vec, start: Vec, factor: Vec, sparse: bool) -> None:
    labels = segmentation(seed, shape, dtype)
    modes = block_mode(labels, start, factor, sparse)
    assert modes.dtype == dtype
    assert np.array_equal(modes, slowly(labels, start, factor, lambda v: slow_mode(v, sparse)))


@pytest.mark.parametrize(("factor", "n"), [((2, 2, 1), 4), ((2, 2, 2), 8)])
def test_mode_on_every_pattern_of_a_cell(factor: Vec, n: int) -> None:
    """Every way to label a cell with up to four labels, many cells in one row so that the SIMD loop sees them."""
    patterns = np.array(list(product(range(4), repeat=n)), np.uint64)
    cells_x = patterns.reshape(-1, factor[2], 2, 2).transpose(0, 3, 2, 1).reshape(-1, 2, factor[2])
    # one voxel in front and behind: the patterns are the whole cells between the edges
    labels = np.asfortranarray(np.pad(cells_x, ((2, 2), (0, 0), (0, 0))))
    modes = block_mode(labels, (0, 0, 0), factor)[1:-1, 0, 0]
    assert modes.tolist() == [slow_mode(p) for p in patterns.tolist()]


@pytest.mark.parametrize("form", ["C order", "cropped", "other byte order", "read-only", "unaligned"])
def test_every_form_of_array_is_read_by_the_same_compiled_loops(form: str) -> None:
    labels = segmentation(3, (9, 8, 7))
    start, factor = (1, 0, 0), (2, 2, 2)
    image = labels.astype(np.uint16)[..., None]
    expected = block_mode(labels, start, factor), block_sums(image, start, factor, np.uint32)
    compiled = len(downsample_loops.mode_rows.signatures), len(downsample_loops.sum_rows.signatures)

    def other(values: NDArray[Any]) -> NDArray[Any]:
        if form == "C order":
            return np.ascontiguousarray(values)
        if form == "cropped":
            return np.pad(values, 1)[(slice(1, -1),) * values.ndim]
        if form == "other byte order":
            return values.astype(values.dtype.newbyteorder())
        if form == "read-only":
            frozen = values.copy(order="F")
            frozen.flags.writeable = False
            return frozen
        packed = b"-" + values.tobytes(order="F")
        return np.frombuffer(packed, values.dtype, offset=1).reshape(values.shape, order="F")

    given_labels, given_image = other(labels), other(image)
    found = block_mode(given_labels, start, factor), block_sums(given_image, start, factor, np.uint32)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        assert a.dtype.isnative
        assert np.array_equal(a, b)
    assert (len(downsample_loops.mode_rows.signatures), len(downsample_loops.sum_rows.signatures)) == compiled
    assert given_labels.flags.writeable == (form not in ("read-only", "unaligned"))


@given(seed=seeds, shape=shapes, start=starts, factor=factors)
@settings(max_examples=25)
def test_extremes_and_stride(seed: int, shape: Vec, start: Vec, factor: Vec) -> None:
    values = pixels(seed, shape, np.int16, channels=2)
    assert np.array_equal(block_extreme(values, start, factor, "min"), slowly(values, start, factor, min))
    assert np.array_equal(block_extreme(values, start, factor, "max"), slowly(values, start, factor, max))
    assert np.array_equal(block_stride(values, start, factor), slowly(values, start, factor, lambda v: v[0]))


def test_extremes_leave_nan_out_where_a_number_is() -> None:
    nan = np.nan
    values = np.array([nan, 1, 2, nan, nan, nan, 3, 4], np.float32).reshape(8, 1, 1, 1)
    assert np.array_equal(block_extreme(values, (0, 0, 0), (2, 1, 1), "min").ravel(), [1, 2, nan, 3], equal_nan=True)
    assert np.array_equal(block_extreme(values, (0, 0, 0), (2, 1, 1), "max").ravel(), [1, 2, nan, 4], equal_nan=True)


def test_warm_up_leaves_nothing_to_compile() -> None:
    downsample.warm_up(("int8", "int64"), ("uint16", "int32"))
    kernels = (downsample_loops.sum_rows, downsample_loops.divide_int, downsample_loops.mode_rows)
    compiled = [len(k.signatures) for k in kernels]
    values, box = pixels(1, (9, 8, 7), np.int8), Box.of((1, 2, 3), (9, 8, 7))
    sums = block_sums(values, box.start, (2, 2, 1), np.int32)
    sums = block_sums(sums, (0, 1, 3), (2, 2, 2), sum_dtype("int8", 32))
    mean_of_sums(sums, coarse_counts(box, coarse_box(box, (4, 4, 2)), (4, 4, 2)), np.int8)
    block_mode(segmentation(1, (9, 8, 7), np.uint16), box.start, (2, 2, 2))
    assert [len(k.signatures) for k in kernels] == compiled


# --- refusals ---------------------------------------------------------------------------------------------------


def test_refusals_say_what_to_do() -> None:
    image = np.zeros((4, 4, 4, 1), np.uint16)
    with pytest.raises(FormatError, match="sum_dtype"):
        block_sums(image, (0, 0, 0), (2, 2, 2), np.uint8)
    with pytest.raises(FormatError, match="holds voxels"):
        block_sums(image[:0], (0, 0, 0), (2, 2, 2), np.uint32)
    with pytest.raises(FormatError, match="at least 1"):
        block_stride(image, (0, 0, 0), (2, 0, 2))
    with pytest.raises(FormatError, match="unsigned"):
        block_mode(image[..., 0].astype(np.int32), (0, 0, 0), (2, 2, 2))
    with pytest.raises(FormatError, match="coarse_counts"):
        mean_of_sums(image, (np.ones(4, int), np.ones(4, int), np.ones(3, int)), np.uint16)
    with pytest.raises(FormatError, match="kind"):
        mean_of_sums(image, (np.ones(4, int), np.ones(4, int), np.ones(4, int)), np.float32)
    with pytest.raises(FormatError, match="shape"):
        mean_of_counts(image, np.ones((4, 4, 3, 1), np.uint32), np.uint16)
