"""Skeletons hardly depend on how a volume is cut into tasks: the bounds that docs/skeleton.md states."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.skeleton_blocks import agreement, skeletons
from neurite_shapes import neurites

VOXEL_NM = (40.0, 40.0, 40.0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("task_vx", [32, 48])
def test_the_cut_into_tasks_hardly_shows(seed: int, task_vx: int) -> None:
    labels = neurites(seed, (96, 90, 84), 14)
    found = agreement(skeletons(labels, task_vx, VOXEL_NM), skeletons(labels, 96, VOXEL_NM))
    assert found.gap_p50_nm == 0
    assert found.gap_p95_nm <= 2.5 * VOXEL_NM[0]
    assert found.within_radius >= 0.9
    assert abs(found.cable_ratio - 1) <= 0.05
    assert found.components[0] == found.components[1]


def test_what_differs_is_measured() -> None:
    labels = neurites(1, (96, 90, 84), 14)
    whole = skeletons(labels, 96, VOXEL_NM)
    moved = {label: (line[0] + np.array([400.0, 0, 0]), line[1], line[2]) for label, line in whole.items()}
    found = agreement(moved, whole)
    assert found.gap_p95_nm > 300
    assert found.within_radius < 0.5
