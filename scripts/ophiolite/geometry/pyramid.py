"""Pyramid coordinates: the one place that says which mip-0 voxels a coarse voxel covers.

Coarse voxel i of a mip with total factor F covers the mip-0 voxels [i F, (i + 1) F) in absolute
coordinates, so nothing shifts whatever the voxel offset; edge voxels average only what exists.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.box import Box, Vec, ceildiv, floordiv


def coarse_box(box: Box, factor: Vec) -> Box:
    """The coarse voxels that cover at least one voxel of `box`; `factor` is fine voxels per coarse one."""
    return Box(floordiv(box.start, factor), ceildiv(box.stop, factor))


def axis_counts(bounds: tuple[int, int], coarse: tuple[int, int], factor: int) -> NDArray[np.int64]:
    """Fine voxels of [start, stop) `bounds` under each coarse voxel of [start, stop) `coarse`, on one axis."""
    i = np.arange(coarse[0], coarse[1], dtype=np.int64)
    lo = np.maximum(i * factor, bounds[0])
    hi = np.minimum((i + 1) * factor, bounds[1])
    return np.asarray(np.maximum(hi - lo, 0), np.int64)


def coarse_counts(bounds: Box, coarse: Box, factor: Vec) -> tuple[NDArray[np.int64], ...]:
    """Per axis, the fine voxels under each coarse voxel; their outer product counts voxels in 3-D."""
    return tuple(
        axis_counts((bounds.start[d], bounds.stop[d]), (coarse.start[d], coarse.stop[d]), factor[d]) for d in range(3)
    )
