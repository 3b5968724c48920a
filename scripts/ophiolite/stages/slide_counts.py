"""The objects of two masks of a slide and what they share, counted strip by strip, and the scores of one structure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from ophiolite.stages.slide_score_planes import Planes, Rows


@dataclass(frozen=True)
class Objects:
    """The objects of a mask, from 1 on: runs (n, 4) row, start, stop, label; values, px (n + 1,) by label."""

    runs: NDArray[np.uint32]
    values: NDArray[np.uint16]
    px: NDArray[np.int64]


@dataclass(frozen=True)
class Counted:
    """Truth, prediction, and the pixels that their objects share; smaller objects of the truth are none, but pixels."""

    truth: Objects
    predicted: Objects
    shared: Overlaps
    least_truth_px: int


def count_objects(planes: Planes, least_truth_px: int, least_predicted_px: int) -> Counted:
    """Label both masks and count what their objects share; smaller predicted objects are background."""
    truth = find_objects(planes, planes.truth, 0)
    predicted = find_objects(planes, planes.predicted, least_predicted_px)
    return Counted(truth, predicted, run_overlaps(truth.runs, predicted.runs), least_truth_px)


def find_objects(planes: Planes, rows: Rows, least_px: int) -> Objects:
    """The objects of one mask: connected pixels of equal value, corners included."""
    labeller = RunLabeller()
    runs = np.concatenate([labeller.add(np.asfortranarray(rows.rows(a, b)), a) for a, b in planes.strips()])
    labels, values = labeller.objects(least_px)
    runs[:, 3] = labels[runs[:, 3]] if len(labels) else 0
    runs = runs[runs[:, 3] > 0]
    px = np.zeros(len(values) + 1, np.int64)
    np.add.at(px, runs[:, 3], runs[:, 2].astype(np.int64) - runs[:, 1])
    return Objects(runs, np.concatenate([np.zeros(1, np.uint16), values]), px)


def structure_scores(counted: Counted, value: int, min_iou: float, *, kpis: bool) -> dict[str, Any]:
    """The scores of one structure; kpis : objects are counted as the challenge does, not one to one."""
    truth, predicted, shared = counted.truth, counted.predicted, counted.shared
    own = (truth.values[shared.truth] == value) & (predicted.values[shared.predicted] == value)
    px = [int(o.px[o.values == value].sum()) for o in (truth, predicted)]
    shared_px = int(shared.pixels[own].sum())
    large = own & (truth.px[shared.truth] >= counted.least_truth_px)
    pairs = Overlaps(shared.truth[large], shared.predicted[large], shared.pixels[large])
    truth_objects = int(((truth.values == value) & (truth.px >= counted.least_truth_px)).sum())
    predicted_objects = int((predicted.values == value).sum())
    if kpis:
        iou = pair_iou(pairs, truth.px, predicted.px)
        scores = kpis_object_scores(iou, pairs, min_iou, truth_objects, predicted_objects)
    else:
        matches = match_objects(pairs, truth.px, predicted.px, min_iou)
        scores = object_scores(matches, truth_objects, predicted_objects)
    return {
        "truth_px": px[0],
        "predicted_px": px[1],
        "shared_px": shared_px,
        "dice": dice(shared_px, *px),
        "iou": jaccard(shared_px, *px),
        "truth_objects": truth_objects,
        "predicted_objects": predicted_objects,
        **asdict(scores),
    }
