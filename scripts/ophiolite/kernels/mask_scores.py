"""How well a predicted mask agrees with the truth: pixels (Dice), objects (precision, recall, F1), panoptic quality."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Runs = NDArray[np.uint32]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Overlaps:
    """The pairs of objects that share pixels, ascending: truth, predicted (n,) labels; pixels (n,) shared."""

    truth: Counts
    predicted: Counts
    pixels: Counts


@dataclass(frozen=True)
class Matches:
    """Objects of the truth that were found: truth, predicted (n,) labels, iou (n,) float64."""

    truth: Counts
    predicted: Counts
    iou: NDArray[np.float64]


@dataclass(frozen=True)
class ObjectScores:
    """found, missed, false : objects. precision, recall, f1 : None where there is nothing they are a share of.

    sq : mean intersection over union of what was found, rq : f1, pq : their product.
    """

    found: int
    missed: int
    false: int
    precision: float | None
    recall: float | None
    f1: float | None
    sq: float | None
    pq: float | None


def dice(shared: float, truth: float, predicted: float) -> float:
    """2 * shared / (truth + predicted), of pixels or sums; 1 where both are empty."""
    return 2 * shared / (truth + predicted) if truth + predicted else 1.0


def jaccard(shared: float, truth: float, predicted: float) -> float:
    """Intersection over union; 1 where both are empty."""
    union = truth + predicted - shared
    return shared / union if union else 1.0


def run_overlaps(truth: Runs, predicted: Runs) -> Overlaps:
    """The pixels that objects of two masks share, from their runs (n, 4): row, start, stop, label, in raster order.

    Runs of either mask do not overlap one another; runs of label 0 are no object.
    """
    masks: list[Counts] = [runs[runs[:, 3] > 0].astype(np.int64) for runs in (truth, predicted)]
    width = max((int(runs[:, 2].max()) for runs in masks if len(runs)), default=0) + 1
    lines = [(runs[:, 0] * width + runs[:, 1], runs[:, 0] * width + runs[:, 2]) for runs in masks]
    # Between neighbouring ends of runs nothing changes.
    ends = np.unique(np.concatenate([end for line in lines for end in line]))
    labels = [_label_at(ends, *line, runs[:, 3]) for line, runs in zip(lines, masks, strict=True)]
    both = (labels[0] > 0) & (labels[1] > 0)
    length = np.diff(ends, append=ends[-1:])[both]
    pairs, of = np.unique(np.column_stack([labels[0][both], labels[1][both]]), axis=0, return_inverse=True)
    pixels = np.zeros(len(pairs), np.int64)
    np.add.at(pixels, of.ravel(), length)
    return Overlaps(pairs[:, 0], pairs[:, 1], pixels)


def _label_at(ends: Counts, start: Counts, stop: Counts, labels: Counts) -> Counts:
    """The label of the run that each place lies in, 0 where in none."""
    if not len(start):
        return np.zeros_like(ends)
    run = np.searchsorted(start, ends, side="right") - 1
    return np.where((run >= 0) & (ends < stop[run]), labels[run], 0)


def match_objects(overlaps: Overlaps, truth_px: Counts, predicted_px: Counts, min_iou: float) -> Matches:
    """Pair objects one to one: as many pairs of at least `min_iou` as there can be, among those the best by summed IoU.

    truth_px, predicted_px : (n + 1,) sizes by label. Above 0.5 no object has two candidates (Kirillov et al., CVPR
    2019); up to 0.5 the assignment is solved exactly within each group of objects that share pixels.
    """
    iou = pair_iou(overlaps, truth_px, predicted_px)
    close = (iou >= min_iou) & (overlaps.pixels > 0)
    truth, predicted, iou = overlaps.truth[close], overlaps.predicted[close], iou[close]
    chosen = np.sort(np.concatenate([_assigned(group, truth, predicted, iou) for group in _groups(truth, predicted)]))
    chosen = chosen.astype(np.int64)
    return Matches(truth[chosen], predicted[chosen], iou[chosen])


def pair_iou(overlaps: Overlaps, truth_px: Counts, predicted_px: Counts) -> NDArray[np.float64]:
    """Intersection over union of every pair that shares pixels, (n,)."""
    union = truth_px[overlaps.truth] + predicted_px[overlaps.predicted] - overlaps.pixels
    return np.asarray(overlaps.pixels / union, np.float64)


def _groups(truth: Counts, predicted: Counts) -> list[Counts]:
    """The pairs, by connected group of objects; one empty group where there are none."""
    from scipy import sparse

    if not len(truth):
        return [np.zeros(0, np.int64)]
    first = int(truth.max()) + 1
    size = first + int(predicted.max()) + 1
    graph = sparse.coo_array((np.ones(len(truth), np.int8), (truth, predicted + first)), shape=(size, size))
    _, group = sparse.csgraph.connected_components(graph, directed=False)
    order = np.argsort(group[truth], kind="stable")
    cuts = np.flatnonzero(np.diff(group[truth][order])) + 1
    return np.split(order, cuts)


def _assigned(group: Counts, truth: Counts, predicted: Counts, iou: NDArray[np.float64]) -> Counts:
    """The pairs of one group that the best assignment takes."""
    from scipy.optimize import linear_sum_assignment

    if len(group) < 2:
        return group
    rows, row = np.unique(truth[group], return_inverse=True)
    columns, column = np.unique(predicted[group], return_inverse=True)
    # A pair more outweighs whatever intersection over union all pairs can gain.
    gain = np.zeros((len(rows), len(columns)))
    gain[row, column] = iou[group] + min(len(rows), len(columns)) + 1
    place = np.full(gain.shape, -1)
    place[row, column] = group
    taken = place[linear_sum_assignment(gain, maximize=True)]
    return np.asarray(taken[taken >= 0], np.int64)


def object_scores(matches: Matches, truth_objects: int, predicted_objects: int) -> ObjectScores:
    """Scores of objects paired one to one; panoptic quality as in Kirillov et al. (CVPR 2019)."""
    found = len(matches.iou)
    sq = float(matches.iou.mean()) if found else None
    return _scored(found, truth_objects - found, predicted_objects - found, found, sq)


def kpis_object_scores(
    iou: NDArray[np.float64], overlaps: Overlaps, min_iou: float, truth_objects: int, predicted_objects: int
) -> ObjectScores:
    """Scores as the KPIs 2024 challenge counts objects: not one to one.

    iou : of every pair, from `pair_iou`. A predicted object is right where any object of the truth is close enough, an
    object of the truth is missed where no predicted one is. No panoptic quality, which needs pairs.
    """
    close = iou >= min_iou
    right = len(np.unique(overlaps.predicted[close]))
    missed = truth_objects - len(np.unique(overlaps.truth[close]))
    return replace(_scored(right, missed, predicted_objects - right, right, None), pq=None)


def _scored(found: int, missed: int, false: int, right: int, sq: float | None) -> ObjectScores:
    precision = right / (right + false) if right + false else None
    recall = found / (found + missed) if found + missed else None
    f1 = 2 * found / (2 * found + missed + false) if found + missed + false else None
    pq = None if f1 is None else 0.0 if found == 0 else None if sq is None else sq * f1
    return ObjectScores(found, missed, false, precision, recall, f1, sq, pq)
