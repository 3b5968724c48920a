"""From one level of a pyramid to the next, carrying what keeps every mip exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box
from ophiolite.geometry.box import floordiv, prod
from ophiolite.geometry.pyramid import coarse_box, coarse_counts
from ophiolite.kernels import downsample
from ophiolite.plan.model import ScalePlan, VolumePlan


@dataclass(frozen=True)
class Level:
    """What is carried upwards over a box of one mip.

    values : (x, y, z, c), Fortran order. Pixels at mip 0; above it exact sums (mean), or the values themselves.
    counts : (x, y, z, c) uint32, non-zero voxels in each sum; only for a sparse mean above mip 0.
    """

    box: Box
    values: NDArray[Any]
    counts: NDArray[np.uint32] | None = None


def cascade(
    volume: VolumePlan, input_scale: ScalePlan, scales: Sequence[ScalePlan], level: Level
) -> Iterator[tuple[ScalePlan, NDArray[Any], Level]]:
    """(scale, pixels `(x, y, z, c)`, level) of every scale of a round, from the level of its input mip on.

    Pixels at the borders of a level's box may lack voxels that lie outside it; callers use what they own.
    """
    finer = input_scale
    for scale in scales:
        if scale.mip != finer.mip:
            level = _step(volume, finer, scale, level)
        yield scale, _pixels(volume, scale, level), level
        finer = scale


def _step(volume: VolumePlan, finer: ScalePlan, scale: ScalePlan, level: Level) -> Level:
    factor = floordiv(scale.factor, finer.factor)
    start = level.box.start
    box = coarse_box(level.box, factor)
    if volume.method == "mean":
        wide = downsample.sum_dtype(volume.data_type, prod(volume.scales[-1].factor))
        if not volume.sparse:
            return Level(box, downsample.block_sums(level.values, start, factor, wide))
        if finer.mip == 0:
            sums, counts = downsample.block_sums_sparse(level.values, start, factor, wide)
            return Level(box, sums, counts)
        assert level.counts is not None
        return Level(
            box,
            downsample.block_sums(level.values, start, factor, wide),
            downsample.block_sums(level.counts, start, factor, np.uint32),
        )
    if volume.method == "mode":
        labels = downsample.block_mode(level.values[..., 0], start, factor, volume.sparse)
        return Level(box, labels[..., None])
    if volume.method == "stride":
        return Level(box, downsample.block_stride(level.values, start, factor))
    return Level(box, downsample.block_extreme(level.values, start, factor, "min" if volume.method == "min" else "max"))


def _pixels(volume: VolumePlan, scale: ScalePlan, level: Level) -> NDArray[Any]:
    """What is stored at a mip: the rounded means of sums, else the values."""
    if volume.method != "mean" or scale.mip == 0:
        return level.values
    if level.counts is not None:
        return downsample.mean_of_counts(level.values, level.counts, volume.data_type)
    counts = coarse_counts(volume.scales[0].box, level.box, scale.factor)
    return downsample.mean_of_sums(level.values, counts, volume.data_type)
