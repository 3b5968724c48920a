"""Per label: voxels, bounding box and coordinate sums, from one pass over the runs of equal voxels along x."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry.box import Vec
from ophiolite.kernels.rows import frozen_rows


@dataclass(frozen=True)
class LabelStats:
    """Measures of n labels in absolute voxel coordinates of one mip; a voxel's coordinate is its low corner.

    `labels` (n,) uint64, ascending, unique, without 0; `voxels` (n,) uint64; `start`, `stop` (n, 3) int64, the
    half-open bounding box; `coordinate_sum` (n, 3) int64, the sum of the integer coordinates of the voxels. It is exact
    while voxels times the largest absolute coordinate stays below 2^63: 2^32 voxels at coordinates below 2^31.
    """

    labels: NDArray[np.uint64]
    voxels: NDArray[np.uint64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    coordinate_sum: NDArray[np.int64]


def label_stats(labels: NDArray[Any], start: Vec) -> LabelStats:
    """Measure every label of `labels` (x, y, z), any unsigned type, whose first voxel lies at `start`; 0 is left out.

    Raises FormatError for other types, and where a coordinate sum could pass 2^63.
    """
    if labels.dtype.kind != "u" or labels.ndim != 3:
        raise FormatError(
            explain(
                "label_stats",
                "labels are unsigned integers in three dimensions",
                expected="uint8, uint16, uint32 or uint64 (x, y, z)",
                got=f"{labels.dtype.name} {labels.shape}",
                do="Convert the labels first",
            )
        )
    reach = max(max(abs(a), abs(a + n)) for a, n in zip(start, labels.shape, strict=True))
    _check_reach(reach * labels.size)
    from ophiolite.kernels.label_stats_loops import count_runs

    found, table = count_runs(frozen_rows(labels))
    order = np.argsort(found)
    table = table[order]
    voxels = table[:, 0]
    origin = np.array(start, np.int64)
    return LabelStats(
        labels=found[order],
        voxels=voxels.astype(np.uint64),
        start=table[:, 1:4] + origin,
        stop=table[:, 4:7] + origin,
        coordinate_sum=table[:, 7:10] + voxels[:, None] * origin,
    )


def merge_stats(parts: Sequence[LabelStats]) -> LabelStats:
    """The measures of the union of disjoint parts; order does not matter.

    Raises FormatError where a coordinate sum could pass 2^63.
    """
    if not parts:
        none = np.empty((0, 3), np.int64)
        return LabelStats(np.empty(0, np.uint64), np.empty(0, np.uint64), none, none, none)
    labels = np.concatenate([p.labels for p in parts])
    order = np.argsort(labels, kind="stable")
    labels = labels[order]
    heads = np.flatnonzero(np.diff(labels, prepend=~labels[:1]))

    def reduce(combine: np.ufunc, name: str) -> NDArray[Any]:
        rows = np.concatenate([getattr(p, name) for p in parts])[order]
        return np.asarray(combine.reduceat(rows, heads, axis=0)) if len(rows) else rows

    voxels, first, last = reduce(np.add, "voxels"), reduce(np.minimum, "start"), reduce(np.maximum, "stop")
    if len(voxels):
        reach = np.maximum(np.abs(first), np.abs(last)).max(axis=1)
        # Python's integers at the row nearest the bound: float64 only finds it
        worst = int(np.argmax(reach.astype(np.float64) * voxels.astype(np.float64)))
        _check_reach(int(reach[worst]) * int(voxels[worst]))
    return LabelStats(labels[heads], voxels, first, last, reduce(np.add, "coordinate_sum"))


def centroids_vx(stats: LabelStats) -> NDArray[np.float64]:
    """The mean of each label's voxel centres, (n, 3) float64, absolute voxel coordinates (centre = corner + 0.5)."""
    voxels = stats.voxels.astype(np.int64)[:, None]
    # whole and rest apart: a sum near 2^63 has more digits than a float64
    whole, rest = np.divmod(stats.coordinate_sum, voxels)
    return np.asarray(whole + (rest / voxels + 0.5), np.float64)


def warm_up(label_dtypes: tuple[DTypeLike, ...]) -> None:
    """Compile, or load from numba's cache, what the given label types call; types it refuses are passed over."""
    for dtype in label_dtypes:
        with contextlib.suppress(FormatError):
            label_stats(np.ones((2, 2, 2), dtype, order="F"), (0, 0, 0))


def _check_reach(bound: int) -> None:
    if bound >= 2**63:
        raise FormatError(
            explain(
                "label_stats",
                "coordinate sums could pass 64 bits",
                expected="voxels times the largest absolute coordinate below 2^63",
                got=bound,
                do="Set a smaller voxel_offset",
            )
        )
