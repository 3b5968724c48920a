"""What the halo of a task and the healing of borders are each for: without one of them alone, it is seen."""

from __future__ import annotations

import numpy as np
from benchmarks.skeleton_blocks import tasks_of
from scipy import ndimage
from test_skeleton_scars import TRACING, drawn, skeleton

from ophiolite.kernels.skeleton_merge import CleanOptions, clean_skeleton, skeleton_measures, stitch_skeletons
from ophiolite.kernels.skeletonize import HALO_LOW_VX, skeletonize_labels


def off_depth(volume: np.ndarray, halo: int) -> float:
    """Share of the vertices whose radius is not the distance to the surface, healed like any other skeleton."""
    vertices, _, radius = skeleton(volume, (17, 16, 15), halo=halo)
    depth = ndimage.distance_transform_edt(volume, sampling=10.0)[tuple(np.floor(vertices / 10).astype(int).T)]
    return float((abs(radius - depth) > 1e-3).mean())


def test_without_the_halo_alone_radii_end_with_the_task() -> None:
    volumes = [drawn(seed) for seed in range(3)]
    assert max(off_depth(volume, HALO_LOW_VX) for volume in volumes) == 0
    assert min(off_depth(volume, 0) for volume in volumes) > 0.02


def test_without_the_healing_alone_the_scars_are_seen() -> None:
    task, more = (17, 16, 15), 0
    for seed in range(3):
        volume = drawn(seed)
        pieces = [
            (core.start, piece)
            for core, low, high, window, below, above in tasks_of(volume, task)
            for _, piece in skeletonize_labels(window, (10.0,) * 3, core.shape, low, high, None, TRACING, below, above)
        ]
        whole = stitch_skeletons(pieces)
        nm = whole.vertices / 256 * 10.0
        bare = clean_skeleton(nm, whole.edges, whole.radius_nm, CleanOptions(min_cable_nm=0))
        more += skeleton_measures(*bare).terminals - skeleton_measures(*skeleton(volume, task)).terminals
    assert more > 2
