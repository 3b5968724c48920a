"""Sections as an attribute: measured in whole objects, written after the radius, said in the info."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bone_shapes import tubes
from test_skeleton_quality import BOX, project

from ophiolite.geometry.lattice import STEPS_PER_VOXEL, SkeletonPiece
from ophiolite.layers.objects import SkeletonReader
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan
from ophiolite.precomputed.skeleton import CROSS_SECTIONAL_AREA, RADIUS, decode_skeleton
from ophiolite.precomputed.skeleton_fragment import encode_skeleton_piece
from ophiolite.stages.job import Job
from ophiolite.stages.skeleton import merge, write_info

TUBE = np.count_nonzero(tubes(BOX, [[(-20, 8, 8), (80, 8, 8)]], 40.0)[20]) * 64.0


def piece(x: range) -> bytes:
    """The axis of the first tube, voxels `x` of it."""
    voxels = np.stack([np.array(x), np.full(len(x), 8), np.full(len(x), 8)], axis=1)
    edges = np.stack([np.arange(len(x) - 1), np.arange(1, len(x))], axis=1).astype(np.uint32)
    vertices = (voxels * STEPS_PER_VOXEL + STEPS_PER_VOXEL // 2).astype(np.int32)
    return encode_skeleton_piece(
        SkeletonPiece(vertices, edges, np.full(len(x), 40.0, np.float32), np.zeros(len(x), bool))
    )


def job_of(folder: Path, plan: ProjectPlan) -> Job:
    return Job(plan, Store(folder / "results" / "p"), "skeleton_shards", "d", "v", "0", 1)


@pytest.mark.parametrize("wanted", [False, True])
def test_sections_follow_the_radius_where_asked_for(tmp_path: Path, wanted: bool) -> None:
    job = job_of(tmp_path, project(tmp_path, {"cross_sectional_area": wanted}))
    entry, _ = merge(job)(5, [((0, 0, 0), piece(range(60)))])
    assert entry is not None
    names = (RADIUS, CROSS_SECTIONAL_AREA)[: 1 + wanted]
    found = decode_skeleton(entry[1], names)
    if wanted:
        np.testing.assert_allclose(found.attributes[1], TUBE, rtol=1e-6)
    info = json.loads(job.store.read(write_info(job)[0].path))
    assert [a["id"] for a in info["vertex_attributes"]] == [a.id for a in names]
    assert {a["data_type"] for a in info["vertex_attributes"]} == {"float32"}
    assert SkeletonReader(job.store, "d/layers/v/skeletons").attributes == names


def test_a_box_too_large_is_said_and_not_measured(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ophiolite.stages.skeleton_areas._BYTES_PER_VX", 10**9)
    job = job_of(tmp_path, project(tmp_path, {"cross_sectional_area": True}))
    entry, _ = merge(job)(5, [((0, 0, 0), piece(range(60)))])
    assert entry is not None
    assert not decode_skeleton(entry[1], (RADIUS, CROSS_SECTIONAL_AREA)).attributes[1].any()
    assert "voxels: too many to measure its sections" in capsys.readouterr().err
