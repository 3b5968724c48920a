"""Exact reductions against a loop over voxels, and pyramids that are broken on purpose."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ophiolite.geometry import Box, Vec
from ophiolite.geometry.box import mul
from ophiolite.geometry.pyramid import coarse_box, coarse_counts
from ophiolite.kernels import downsample
from ophiolite.kernels import pyramid_check as check
from ophiolite.stages.pyramid_quality import added, part_bytes, read_part
from ophiolite.stages.pyramid_walk import MipSums, Pyramid, measure

sizes = st.tuples(*[st.integers(1, 7)] * 3)
offsets = st.tuples(*[st.one_of(st.integers(-9, 9), st.sampled_from([-1_000_001, 2**31 + 7]))] * 3)
factors = st.tuples(*[st.integers(1, 3)] * 3)
seeds = st.integers(0, 2**32 - 1)


def voxels_under(values: NDArray[Any], start: Vec, factor: Vec) -> dict[Vec, list[Any]]:
    """Values of one channel by coarse voxel, x fastest, found voxel by voxel."""
    found: dict[Vec, list[Any]] = {}
    for z in range(values.shape[2]):
        for y in range(values.shape[1]):
            for x in range(values.shape[0]):
                at = tuple((start[d] + (x, y, z)[d]) // factor[d] for d in range(3))
                found.setdefault((at[0], at[1], at[2]), []).append(values[x, y, z].item())
    return found


def volume(size: Vec, seed: int, high: int, dtype: Any = np.uint8) -> NDArray[Any]:
    made = np.random.default_rng(seed).integers(0, high, (*size, 1)).astype(dtype)
    return np.asfortranarray(made)


@settings(max_examples=40, deadline=None)
@given(sizes, offsets, factors, seeds, st.sampled_from([np.uint8, np.int16, np.uint32]))
def test_means_are_those_of_a_loop_over_voxels(size: Vec, start: Vec, factor: Vec, seed: int, dtype: Any) -> None:
    values = volume(size, seed, 250, dtype) - (100 if dtype is np.int16 else 0)
    values = values.astype(dtype)
    cells = voxels_under(values[..., 0], start, factor)
    over = coarse_box(Box.of(start, size), factor)
    sums = check.exact_sums(values, start, factor)
    counts = check.outer(coarse_counts(Box.of(start, size), over, factor))[..., None]
    rounded = check.rounded_quotients(sums, counts, dtype)
    stored = np.full_like(rounded, 7)
    deviation = check.deviations(stored, sums, counts)
    assert len(cells) == sums.size
    for at, found in cells.items():
        index = (*(a - s for a, s in zip(at, over.start, strict=True)), 0)
        mean = Fraction(sum(found), len(found))
        assert sums[index] == sum(found)
        assert rounded[index] == round(mean)
        assert deviation[index] == pytest.approx(float(7 - mean))


@settings(max_examples=40, deadline=None)
@given(sizes, offsets, factors, seeds, st.booleans())
def test_modes_extremes_and_first_are_those_of_a_loop(
    size: Vec, start: Vec, factor: Vec, seed: int, sparse: bool
) -> None:
    values = volume(size, seed, 3, np.uint64)
    over = coarse_box(Box.of(start, size), factor)
    mode = check.exact_mode(values, start, factor, sparse)
    low, high = (check.exact_extreme(values, start, factor, largest) for largest in (False, True))
    first = check.exact_first(values, start, factor)
    for at, found in voxels_under(values[..., 0], start, factor).items():
        index = (*(a - s for a, s in zip(at, over.start, strict=True)), 0)
        voters = [v for v in found if v] if sparse and any(found) else found
        votes = Counter(voters)
        assert mode[index] == next(v for v in voters if votes[v] == max(votes.values()))
        assert (low[index], high[index], first[index]) == (min(found), max(found), found[0])


@settings(max_examples=40, deadline=None)
@given(sizes, offsets, factors, seeds)
def test_coarse_voxels_are_spread_over_what_they_cover(size: Vec, start: Vec, factor: Vec, seed: int) -> None:
    box = Box.of(start, size)
    over = coarse_box(box, factor)
    coarse = volume(over.shape, seed, 99)[..., 0]
    spread = check.spread(coarse, factor, box)
    for index in np.ndindex(*size):
        at = tuple((start[d] + index[d]) // factor[d] - over.start[d] for d in range(3))
        assert spread[index] == coarse[at]
    labels, volumes = check.label_volumes(coarse, check.outer(coarse_counts(box, over, factor)))
    assert dict(zip(labels.tolist(), volumes.tolist(), strict=True)) == Counter(spread.ravel().tolist())


def made(size: Vec, start: Vec, steps: list[Vec], seed: int, method: str, sparse: bool) -> list[NDArray[Any]]:
    """Mips by the kernels that make layers: exact sums carried upwards, or modes of modes."""
    mips = [volume(size, seed, 255 if method == "mean" else 4, np.uint8 if method == "mean" else np.uint64)]
    box, factor, carried = Box.of(start, size), (1, 1, 1), mips[0].astype(np.uint64)
    for step in steps:
        under = coarse_box(box, factor)
        factor = mul(factor, step)
        if method == "mean":
            carried = downsample.block_sums(carried, under.start, step, np.uint64)
            counts = coarse_counts(box, coarse_box(box, factor), factor)
            mips.append(downsample.mean_of_sums(carried, counts, np.uint8))
        else:
            mips.append(downsample.block_mode(mips[-1][..., 0], under.start, step, sparse)[..., None])
    return mips


def pyramid(mips: list[NDArray[Any]], start: Vec, steps: list[Vec], method: str, sparse: bool = False) -> Pyramid:
    factor: Vec = (1, 1, 1)
    all_factors = [factor, *(factor := mul(factor, step) for step in steps)]
    box = Box.of(start, (mips[0].shape[0], mips[0].shape[1], mips[0].shape[2]))
    boxes = tuple(coarse_box(box, f) for f in all_factors)
    return Pyramid(
        data_type=mips[0].dtype.name,
        method=method,
        sparse=sparse,
        labels=method == "mode",
        boxes=boxes,
        factors=tuple(all_factors),
        read=lambda mip, wanted: mips[mip][wanted.slices(boxes[mip].start)],
        followed=lambda labels: np.ones(len(labels), bool),
        recode=lambda mip, voxels: None,
    )


def measured(layer: Pyramid, task_vx: int = 10**6) -> list[MipSums]:
    return measure(layer, layer.boxes[-1], task_vx)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.integers(1, 19)] * 3),
    offsets,
    st.lists(factors, min_size=1, max_size=3),
    seeds,
    st.sampled_from(["mean", "mode"]),
    st.booleans(),
    st.sampled_from([1, 30, 500]),
)
def test_what_the_workflow_makes_is_exact_however_it_is_cut(
    size: Vec, start: Vec, steps: list[Vec], seed: int, method: str, sparse: bool, task_vx: int
) -> None:
    sparse = sparse and method == "mode"
    mips = made(size, start, steps, seed, method, sparse)
    layer = pyramid(mips, start, steps, method, sparse)
    sums, whole = measured(layer, task_vx), measured(layer)
    for mip, (part, one) in enumerate(zip(sums, whole, strict=True)):
        assert (part.wrong, part.voxels) == (0, mips[mip].size)
        assert part.deviation_max <= 0.5
        assert part.deviation_sum == pytest.approx(one.deviation_sum, abs=1e-9)
        assert (part.value_sum, part.weight, part.changed_vx) == (one.value_sum, one.weight, one.changed_vx)
        assert [a.tolist() for a in part.volume_vx()] == [a.tolist() for a in one.volume_vx()]
        if method == "mean":
            assert part.weight == mips[0].size
        else:
            assert part.volume_vx()[1].sum() + zeros(mips[mip], layer, mip) == mips[0].size


def zeros(coarse: NDArray[Any], layer: Pyramid, mip: int) -> int:
    covered = check.outer(coarse_counts(layer.boxes[0], layer.boxes[mip], layer.factors[mip]))
    return int(covered[coarse[..., 0] == 0].sum())


STEPS: list[Vec] = [(2, 2, 1), (2, 2, 2)]
START = (5, -3, 11)


def test_one_wrong_voxel_is_found() -> None:
    for method in ("mean", "mode"):
        mips = made((16, 15, 9), START, STEPS, 1, method, False)
        mips[2][1, 2, 3] += 1
        sums = measured(pyramid(mips, START, STEPS, method))
        assert [s.wrong for s in sums] == [0, 0, 1]


def test_a_shifted_mip_is_found() -> None:
    mips = made((16, 15, 9), START, STEPS, 2, "mean", False)
    mips[1] = np.roll(mips[1], 1, axis=0)
    sums = measured(pyramid(mips, START, STEPS, "mean"))
    assert sums[1].wrong > 0.8 * mips[1].size
    assert sums[1].deviation_max > 20
    assert sums[2].wrong == 0


def test_rounding_down_is_found_although_no_voxel_is_off_by_one() -> None:
    mips = made((16, 16, 8), (0, 0, 0), STEPS, 3, "mean", False)
    sums_1 = check.exact_sums(mips[0], (0, 0, 0), STEPS[0])
    mips[1] = (sums_1 // 4).astype(np.uint8)
    sums = measured(pyramid(mips, (0, 0, 0), STEPS, "mean"))
    assert 0.3 < sums[1].wrong / sums[1].voxels < 0.6
    assert sums[1].deviation_max == 0.75
    drift = sums[1].value_sum / sums[1].weight - sums[0].value_sum / sums[0].weight
    assert drift == pytest.approx(-0.375, abs=0.05)


def test_a_pyramid_made_of_rounded_mips_is_found() -> None:
    mips = made((32, 32, 16), (0, 0, 0), STEPS, 4, "mean", False)
    counts = coarse_counts(Box.of((0, 0, 0), (16, 16, 16)), Box.of((0, 0, 0), (8, 8, 8)), STEPS[1])
    sums_2 = downsample.block_sums(mips[1].astype(np.uint64), (0, 0, 0), STEPS[1], np.uint64)
    mips[2] = downsample.mean_of_sums(sums_2, counts, np.uint8)
    assert measured(pyramid(mips, (0, 0, 0), STEPS, "mean"))[2].wrong > 0


def test_a_lost_label_is_counted_and_its_voxels_are_wrong() -> None:
    mips = made((16, 16, 8), (0, 0, 0), STEPS, 5, "mode", False)
    mips[1][mips[1] == 3] = 0
    sums = measured(pyramid(mips, (0, 0, 0), STEPS, "mode"))
    assert sums[0].volume_vx()[0].tolist() == [1, 2, 3]
    assert sums[1].volume_vx()[0].tolist() == [1, 2]
    assert sums[1].wrong > 0


def test_voxels_under_another_label_are_counted() -> None:
    mips = made((16, 16, 8), (1, 0, 0), STEPS, 6, "mode", False)
    layer = pyramid(mips, (1, 0, 0), STEPS, "mode")
    for mip, sums in enumerate(measured(layer, 64)):
        spread = check.spread(mips[mip][..., 0], layer.factors[mip], layer.boxes[0])
        assert sums.changed_vx == (spread != mips[0][..., 0]).sum() * (mip > 0)


def test_sparse_means_weigh_what_counted() -> None:
    mips = made((8, 8, 4), (0, 0, 0), [], 7, "mean", False)
    mips[0][mips[0] < 100] = 0
    sums, counts = downsample.block_sums_sparse(mips[0], (0, 0, 0), (2, 2, 1), np.uint32)
    mips.append(downsample.mean_of_counts(sums, counts, np.uint8))
    layer = pyramid(mips, (0, 0, 0), [(2, 2, 1)], "mean", sparse=True)
    finest, coarse = measured(layer)
    assert coarse.wrong == 0
    assert finest.weight == coarse.weight == np.count_nonzero(mips[0])
    assert measured(replace(layer, sparse=False))[1].wrong > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_may_differ_by_their_rounding_and_no_more(dtype: Any) -> None:
    values = np.asfortranarray(np.random.default_rng(8).normal(100, 30, (9, 8, 7, 1)).astype(dtype))
    box = Box.of(START, (9, 8, 7))
    over = coarse_box(box, (3, 2, 2))
    sums = downsample.block_sums(values, START, (3, 2, 2), np.float64)
    mips = [values, downsample.mean_of_sums(sums, coarse_counts(box, over, (3, 2, 2)), dtype)]
    layer = pyramid(mips, START, [(3, 2, 2)], "mean")
    assert measured(layer)[1].wrong == 0
    mips[1][1, 1, 1] *= 1 + 4 * np.finfo(dtype).eps * 27
    assert measured(layer)[1].wrong == 1
    mips[1][0, 0, 0] = np.nan
    assert measured(layer)[1].wrong == 2


def test_slabs_add_up_to_the_whole() -> None:
    mips = made((17, 16, 23), START, STEPS, 9, "mode", False)
    layer = pyramid(mips, START, STEPS, "mode")
    top = layer.boxes[-1]
    cut = top.start[2] + 4
    slabs = [Box(top.start, (*top.stop[:2], cut)), Box((*top.start[:2], cut), top.stop)]
    parts = [read_part(part_bytes(measure(layer, slab))) for slab in slabs]
    for mine, whole in zip(added(parts), measured(layer), strict=True):
        assert (mine.voxels, mine.wrong, mine.changed_vx) == (whole.voxels, whole.wrong, whole.changed_vx)
        assert [a.tolist() for a in mine.volume_vx()] == [a.tolist() for a in whole.volume_vx()]
