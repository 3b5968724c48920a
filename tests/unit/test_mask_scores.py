"""Scores of masks against brute force: every pixel, every pair, every assignment."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from ophiolite.kernels.bootstrap import Resampling
from ophiolite.kernels.mask_runs import RunLabeller
from ophiolite.kernels.mask_scores import (
    Overlaps,
    dice,
    jaccard,
    kpis_object_scores,
    match_objects,
    object_scores,
    pair_iou,
    run_overlaps,
)

EIGHT = np.ones((3, 3))


def labels_of(seed: int, shape: tuple[int, int], cells: float) -> NDArray[np.int64]:
    """Connected blobs (x, y), none touching another."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), cells)
    labels: NDArray[np.int64] = ndimage.label(noise > 0.5 * noise.std(), EIGHT)[0].astype(np.int64)
    return labels


def runs_of(labels: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The runs of a labelled mask, the slow way."""
    out = []
    for row in range(labels.shape[1]):
        line = [0, *labels[:, row].tolist(), 0]
        start = 0
        for x in range(1, len(line)):
            if line[x] != line[x - 1]:
                if line[x - 1]:
                    out.append((row, start, x - 1, line[x - 1]))
                start = x - 1
    return np.array(out, np.uint32).reshape(-1, 4)


def slow_overlaps(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[tuple[int, int], int]:
    pairs: dict[tuple[int, int], int] = {}
    for t, p in zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True):
        if t and p:
            pairs[t, p] = pairs.get((t, p), 0) + 1
    return dict(sorted(pairs.items()))


def sizes(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(labels.ravel())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 30), st.floats(0.5, 3))
def test_shared_pixels_are_those_counted_one_by_one(seed: int, width: int, height: int, cells: float) -> None:
    truth, predicted = labels_of(seed, (width, height), cells), labels_of(seed + 1, (width, height), cells)
    found = run_overlaps(runs_of(truth), runs_of(predicted))
    pairs = zip(found.truth.tolist(), found.predicted.tolist(), strict=True)
    assert dict(zip(pairs, found.pixels.tolist(), strict=True)) == slow_overlaps(truth, predicted)


def test_runs_of_the_labeller_and_label_0() -> None:
    mask = (labels_of(5, (40, 30), 1.5) > 0).astype(np.uint8)
    labeller = RunLabeller()
    runs = labeller.add(np.asfortranarray(mask), 0)
    labels, _ = labeller.objects(5)
    runs[:, 3] = labels[runs[:, 3]]
    found = run_overlaps(runs, runs)
    assert (runs[:, 3] == 0).any(), "small objects are left out"
    assert found.truth.tolist() == found.predicted.tolist() == list(range(1, int(labels.max()) + 1))
    assert found.pixels.sum() == (runs[runs[:, 3] > 0, 2] - runs[runs[:, 3] > 0, 1]).sum()


def slow_best(iou: NDArray[np.float64], least: float) -> tuple[int, float]:
    """Most pairs, then most summed IoU, of all one-to-one assignments."""
    if iou.shape[0] > iou.shape[1]:
        iou = iou.T
    best = (0, 0.0)
    for columns in permutations(range(iou.shape[1]), iou.shape[0]):
        good = [iou[r, c] for r, c in enumerate(columns) if iou[r, c] >= least and iou[r, c] > 0]
        best = max(best, (len(good), float(sum(good))))
    return best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 5), st.integers(1, 5), st.sampled_from([0.0, 0.1, 0.25, 0.5]))
def test_matching_is_the_best_assignment(seed: int, many: int, others: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    shared = rng.integers(0, 20, (many, others)) * (rng.uniform(size=(many, others)) < 0.7)
    truth_px = np.concatenate([[0], shared.sum(1) + rng.integers(1, 8, many)])
    predicted_px = np.concatenate([[0], shared.sum(0) + rng.integers(1, 8, others)])
    t, p = np.nonzero(shared)
    overlaps = Overlaps(t + 1, p + 1, shared[t, p])
    iou = np.zeros((many, others))
    iou[t, p] = pair_iou(overlaps, truth_px, predicted_px)
    for a, b in zip(t.tolist(), p.tolist(), strict=True):
        assert iou[a, b] == pytest.approx(shared[a, b] / (truth_px[a + 1] + predicted_px[b + 1] - shared[a, b]))
    matches = match_objects(overlaps, truth_px, predicted_px, least)
    assert len(set(matches.truth.tolist())) == len(set(matches.predicted.tolist())) == len(matches.iou)
    count, total = slow_best(iou, least)
    assert len(matches.iou) == count
    assert matches.iou.sum() == pytest.approx(total)
    scores = object_scores(matches, many, others)
    assert (scores.found, scores.missed, scores.false) == (count, many - count, others - count)
    assert scores.f1 == pytest.approx(2 * count / (many + others))
    assert scores.precision == pytest.approx(count / others)
    assert scores.recall == pytest.approx(count / many)
    if count:
        assert scores.pq == pytest.approx(total / (count + (many - count) / 2 + (others - count) / 2))
    else:
        assert scores.pq == 0


def test_two_poor_pairs_go_before_one_better_pair() -> None:
    """Sizes 100 and 90; IoUs of 0.43 for the better pair, 0.19 for each of the others."""
    overlaps = Overlaps(np.array([1, 1, 2]), np.array([1, 2, 1]), np.array([60, 30, 30]))
    px = np.array([0, 100, 90])
    matches = match_objects(overlaps, px, px, 0.1)
    assert list(zip(matches.truth.tolist(), matches.predicted.tolist(), strict=True)) == [(1, 2), (2, 1)]
    assert matches.iou.tolist() == [30 / 160, 30 / 160]
    alone = match_objects(overlaps, px, px, 0.2)
    assert (alone.truth.tolist(), alone.predicted.tolist()) == ([1], [1])


def test_ties_at_one_half_are_paired_once() -> None:
    """Two halves of an object both have an IoU of one half: one is right, one is too many."""
    truth, predicted = np.zeros((4, 2), np.int64), np.zeros((4, 2), np.int64)
    truth[:] = 1
    predicted[:2], predicted[2:] = 1, 2
    overlaps = run_overlaps(runs_of(truth), runs_of(predicted))
    one_to_one = object_scores(match_objects(overlaps, sizes(truth), sizes(predicted), 0.5), 1, 2)
    assert (one_to_one.found, one_to_one.missed, one_to_one.false) == (1, 0, 1)
    theirs = kpis_object_scores(pair_iou(overlaps, sizes(truth), sizes(predicted)), overlaps, 0.5, 1, 2)
    assert (theirs.found, theirs.missed, theirs.false) == (2, 0, 0)


@pytest.mark.parametrize("seed", range(8))
def test_both_ways_of_counting_agree_above_one_half(seed: int) -> None:
    truth = labels_of(seed, (60, 50), 2.5)
    predicted = ndimage.label(ndimage.shift(truth > 0, (seed % 3, seed % 2), order=0), EIGHT)[0].astype(np.int64)
    overlaps = run_overlaps(runs_of(truth), runs_of(predicted))
    counts = int(truth.max()), int(predicted.max())
    ours = object_scores(match_objects(overlaps, sizes(truth), sizes(predicted), 0.51), *counts)
    theirs = kpis_object_scores(pair_iou(overlaps, sizes(truth), sizes(predicted)), overlaps, 0.51, *counts)
    assert ours.found >= 1
    assert (ours.found, ours.missed, ours.false, ours.f1) == (theirs.found, theirs.missed, theirs.false, theirs.f1)


def test_a_truth_found_twice_counts_twice_with_the_organisers_alone() -> None:
    """A planted difference: below one half their counting lets two predictions claim one object."""
    truth, predicted = np.zeros((9, 1), np.int64), np.zeros((9, 1), np.int64)
    truth[:] = 1
    predicted[:4], predicted[5:] = 1, 2
    overlaps = run_overlaps(runs_of(truth), runs_of(predicted))
    ours = object_scores(match_objects(overlaps, sizes(truth), sizes(predicted), 0.4), 1, 2)
    theirs = kpis_object_scores(pair_iou(overlaps, sizes(truth), sizes(predicted)), overlaps, 0.4, 1, 2)
    assert (ours.found, theirs.found) == (1, 2)
    nothing = kpis_object_scores(np.zeros(0), run_overlaps(runs_of(truth)[:0], runs_of(truth)[:0]), 0.5, 1, 1)
    assert (theirs.pq, nothing.pq, nothing.f1) == (None, None, 0)


def test_nothing_at_all() -> None:
    none = np.zeros((3, 3), np.int64)
    some = none.copy()
    some[1, 1] = 1
    for truth, predicted in ((none, none), (none, some), (some, none)):
        overlaps = run_overlaps(runs_of(truth), runs_of(predicted))
        counts = int(truth.max()), int(predicted.max())
        sized = np.bincount(truth.ravel(), minlength=2), np.bincount(predicted.ravel(), minlength=2)
        scores = object_scores(match_objects(overlaps, *sized, 0.5), *counts)
        assert (scores.found, scores.missed, scores.false) == (0, *counts)
        assert scores.sq is None
        assert scores.f1 == (None if counts == (0, 0) else 0)
        assert scores.pq == scores.f1
    assert dice(0, 0, 0) == jaccard(0, 0, 0) == 1
    assert dice(0, 3, 0) == jaccard(0, 3, 0) == 0
    assert dice(2, 4, 2) == pytest.approx(2 / 3)
    assert jaccard(2, 4, 2) == pytest.approx(0.5)


def test_intervals_draw_whole_cases() -> None:
    """Two cases of equal items: every resample's mean is 0, 1/2 or 1, whatever the number of items in a case."""
    cases = ["a"] * 50 + ["b"] * 50
    values = np.array([0.0] * 50 + [1.0] * 50)
    found = Resampling(cases, 2000, 0).mean(values)
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    single = Resampling([str(i) for i in range(100)], 2000, 0).mean(values)
    assert single.low is not None
    assert single.high is not None
    assert 0.35 < single.low < 0.45 < 0.55 < single.high < 0.65


def test_intervals_agree_with_a_slow_resampling() -> None:
    rng = np.random.default_rng(3)
    cases = [f"c{i % 12}" for i in range(60)]
    values = rng.normal(size=60) + np.arange(60) % 12
    found = Resampling(cases, 4000, 1).mean(values)
    groups = [values[np.arange(60) % 12 == c] for c in range(12)]
    drawn = [np.concatenate([groups[c] for c in rng.integers(0, 12, 12)]).mean() for _ in range(4000)]
    assert found.value == pytest.approx(values.mean())
    assert [found.low, found.high] == pytest.approx(np.percentile(drawn, (2.5, 97.5)).tolist(), abs=0.15)


def test_intervals_ignore_what_does_not_count_and_the_order() -> None:
    cases, values = ["a", "b", "c", "d"], np.array([1.0, np.nan, 3.0, 5.0])
    found = Resampling(cases, 500, 2).mean(values)
    assert found.value == 3
    back = Resampling(cases[::-1], 500, 2).mean(values[::-1])
    assert found == back
    assert Resampling(cases, 500, 2).mean(np.full(4, np.nan)).value is None
    alone = Resampling(cases, 500, 2).mean(np.array([np.nan, 2.0, np.nan, np.nan]))
    assert (alone.value, alone.low, alone.high) == (2, None, None)
    assert Resampling(cases, 0, 2).mean(values).low is None
    assert Resampling([], 10, 2).mean(np.zeros(0)).value is None


def test_a_draw_of_nothing_that_counts_gives_no_interval() -> None:
    cases, values = [str(i) for i in range(9)], np.array([1.0, 2.0, *[np.nan] * 7])
    found = [Resampling(cases, 1, seed).mean(values) for seed in range(40)]
    assert {interval.low is None for interval in found} == {True, False}
    assert {interval.value for interval in found} == {1.5}
