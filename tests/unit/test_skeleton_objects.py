"""Whole objects in the workflow: who is looked at, by which job, and what the merge then writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from soma_shapes import MIDDLE, OPTIONS, RADIUS_VX, VOXEL_NM, WAYS, soma

from ophiolite.__main__ import main
from ophiolite.config.load import parse_config
from ophiolite.geometry import Box
from ophiolite.kernels.label_stats import label_stats
from ophiolite.kernels.skeleton_measure import Bones, graph_measures
from ophiolite.layers.objects import SkeletonReader
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.receipts import read_receipt, write_receipt
from ophiolite.layers.store import Store
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import VolumePlan
from ophiolite.plan.table import render_plan
from ophiolite.stages import skeleton_objects
from ophiolite.stages.job import load_plan
from ophiolite.stages.skeleton_candidates import can_hold_ball, coarse_enough, deal, finest_mip
from ophiolite.stages.skeleton_whole import WholeObjects, united
from ophiolite.stages.stale import planned_jobs

SOMA, BAR, SPECK = 7, 9, 11


@given(st.lists(st.integers(0, 1000), max_size=40), st.integers(1, 6))
def test_objects_are_dealt_by_weight(weights: list[int], jobs: int) -> None:
    """No job has more than the mean and one object; Graham's bound on the whole follows from it."""
    to = deal(weights, jobs)
    assert len(to) == len(weights)
    assert deal(weights, jobs) == to
    loads = [sum(w for w, j in zip(weights, to, strict=True) if j == job) for job in range(jobs)]
    assert sum(loads) == sum(weights)
    assert max(loads) <= sum(weights) / jobs + max(weights, default=0)


def test_the_heaviest_are_dealt_first() -> None:
    assert deal([1, 5, 5, 9], 2) == [0, 1, 1, 0]
    assert deal([], 3) == []


@pytest.mark.parametrize(
    ("start", "stop", "holds"),
    [
        ((10, 10, 10), (30, 30, 30), True),
        ((10, 10, 10), (30, 30, 29), False),
        ((0, 10, 10), (10, 30, 30), True),
        ((0, 10, 10), (9, 30, 30), False),
        ((30, 30, 30), (40, 40, 40), True),
    ],
)
def test_what_can_hold_a_ball(start: tuple[int, int, int], stop: tuple[int, int, int], holds: bool) -> None:
    """A ball of 10 voxels, whole or halved by a face of the volume, by sides of boxes that are full."""
    volume = Box((0, 0, 0), (40, 40, 40))
    labels = np.zeros(volume.shape, np.uint64, order="F")
    labels[Box(start, stop).slices()] = 5
    found = can_hold_ball(label_stats(labels, (0, 0, 0)), volume, (100.0, 100.0, 100.0), 1000.0)
    assert found.tolist() == [holds]


def test_a_thin_object_of_a_large_box_holds_none() -> None:
    labels = np.zeros((40, 40, 40), np.uint64, order="F")
    labels[np.arange(2, 38), np.arange(2, 38), np.arange(2, 38)] = 5
    box = Box((0, 0, 0), (40, 40, 40))
    assert not can_hold_ball(label_stats(labels, (0, 0, 0)), box, (100.0, 100.0, 100.0), 1000.0).any()


def test_boxes_that_meet_are_one() -> None:
    boxes = [Box((0, 0, 0), (4, 4, 4)), Box((10, 0, 0), (12, 4, 4)), Box((3, 0, 0), (11, 2, 2))]
    assert united(boxes) == [Box((0, 0, 0), (12, 4, 4))]
    assert united(boxes[:2]) == boxes[:2]


def config_of(folder: Path, **skeleton: Any) -> dict[str, Any]:
    layer = {
        "type": "segmentation",
        "source": f"{folder}/v.h5:/labels",
        "resolution_nm": list(VOXEL_NM),
        "pyramid": {"factors": [[2, 2, 2]], "chunk_vx": [32, 32, 32]},
        "properties": False,
        "skeleton": {
            "mip": 0,
            "task_vx": [48, 48, 48],
            "scale": OPTIONS.scale,
            "const_nm": OPTIONS.const_nm,
            "soma_detect_nm": OPTIONS.soma_detect_nm,
            "soma_accept_nm": OPTIONS.soma_accept_nm,
            "dust_vx": 100,
            "min_cable_nm": 300,
            **skeleton,
        },
    }
    return {"project": "p", "store": str(folder / "results"), "datasets": {"d": {"layers": {"cells": layer}}}}


def write(folder: Path, **skeleton: Any) -> None:
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(config_of(folder, **skeleton)))
    assert main(["make_plan", "--config", str(config)]) == 0


def run(folder: Path, *rules: str) -> None:
    """Run all jobs of some rules, in the order given."""
    plan = folder / "results" / "p" / "plan.json"
    layer = load_plan(plan).datasets["d"].layers["cells"]
    items = {"pyramid_blocks": "block", "skeleton_fragments": "block", "label_stats": "part"}
    for rule in rules:
        for name, item in planned_jobs(layer):
            if name == rule:
                of_item = [f"--{items.get(rule, 'job')}", item] if item else []
                assert main([rule, "--plan", str(plan), "--dataset", "d", "--layer", "cells", *of_item]) == 0


def facts(folder: Path) -> dict[str, Any]:
    """The facts of the first job of whole objects."""
    receipt = folder / "results" / "p" / "d" / "receipts" / "cells" / "skeleton_objects" / "0.json"
    found: dict[str, Any] = json.loads(receipt.read_text())["facts"]
    return found


def bones(folder: Path, label: int) -> Bones:
    """The finished skeleton of a label."""
    read = SkeletonReader(Store(folder / "results" / "p"), "d/layers/cells/skeletons").read(label)
    assert read is not None
    return Bones(
        read.vertices_nm.astype(np.float64), read.edges.astype(np.int64), read.attributes[0].astype(np.float64)
    )


def degrees_in_soma(found: Bones) -> list[int]:
    degree = np.bincount(found.edges.ravel(), minlength=len(found.vertices_nm))
    apart = np.linalg.norm(found.vertices_nm / VOXEL_NM - 0.5 - np.array(MIDDLE), axis=1)
    return sorted(degree[(degree > 2) & (apart <= RADIUS_VX)].tolist())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose fragments are made and indexed, with nothing looked at whole yet."""
    path = tmp_path_factory.mktemp("objects")
    labels = np.where(soma(), SOMA, 0).astype(np.uint64)
    labels[2:10, 2:60, 2:10] = BAR
    labels[90:93, 90:93, 2:5] = SPECK
    with h5py.File(path / "v.h5", "w") as file:
        file["labels"] = labels.T
    write(path)
    run(path, "layer_info", "pyramid_blocks", "label_stats", "layer_done", "skeleton_fragments", "skeleton_index")
    return path


def test_the_finished_skeleton_has_one_root(folder: Path) -> None:
    write(folder)
    run(folder, "skeleton_objects", "skeleton_shards")
    found = bones(folder, SOMA)
    assert degrees_in_soma(found) == [len(WAYS)]
    graph = graph_measures(found)
    assert (graph.components, graph.loops) == (1, 0)
    x, y, z = np.floor(found.vertices_nm / VOXEL_NM).astype(int).T
    assert soma()[x, y, z].all()
    said = facts(folder)
    assert said["dealt"] == [str(SOMA)]
    outcome = said["objects"][str(SOMA)]
    assert (outcome["reason"], outcome["mip"], outcome["somata"]) == ("", 0, 1)
    # Where two tasks draw one neurite side by side, each trace is led to the root.
    assert len(WAYS) <= outcome["neurites"] <= 2 * len(WAYS)


def test_without_the_pass_there_is_a_maze(folder: Path) -> None:
    """What the same volume gives where no job is reserved: the thresholds lie beyond what it can hold."""
    write(folder)
    run(folder, "skeleton_objects")
    store, path = Store(folder / "results" / "p"), LayerPaths("d", "cells").receipt("skeleton_objects", "0")
    sound = read_receipt(store, path)
    write_receipt(store, path, replace(sound, facts={"ranges": [], "nuclei": []}))
    run(folder, "skeleton_shards")
    write_receipt(store, path, sound)
    assert degrees_in_soma(bones(folder, SOMA)) != [len(WAYS)]


def test_the_same_again_is_the_same(folder: Path) -> None:
    write(folder)
    run(folder, "skeleton_objects")
    file = folder / "results" / "p" / "d" / "work" / "cells" / "skeleton_objects" / "0.frags"
    before = file.read_bytes()
    file.unlink()
    run(folder, "skeleton_objects")
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.rglob("*") if path.is_file()] == ["0.frags"]


def test_a_killed_job_does_not_look_at_finished_objects_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder)
    run(folder, "skeleton_objects")
    file = folder / "results" / "p" / "d" / "work" / "cells" / "skeleton_objects" / "0.frags"
    before = file.read_bytes()
    file.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(skeleton_objects, "encode_fragment_file", killed)
        with pytest.raises(AssertionError, match="130"):
            run(folder, "skeleton_objects")
    assert not file.exists()
    monkeypatch.setattr(WholeObjects, "look_at", killed)
    run(folder, "skeleton_objects")
    assert file.read_bytes() == before


def killed(*given: Any) -> Any:
    raise KeyboardInterrupt


def test_a_named_label_is_traced_as_one(folder: Path) -> None:
    """It crosses a border of tasks; all of its skeleton is of one piece then. Others are refused, each with why."""
    write(folder, whole_labels=[BAR, SPECK, 12345])
    run(folder, "skeleton_objects", "skeleton_shards")
    said = facts(folder)
    assert said["dealt"] == [str(SOMA), str(BAR)]
    assert said["objects"][str(BAR)]["reason"] == ""
    assert said["objects"][str(BAR)]["removed"] > 0
    assert sorted(said["refused"]) == sorted([str(SPECK), "12345"])
    graph = graph_measures(bones(folder, BAR))
    assert (graph.components, graph.loops) == (1, 0)


def test_a_label_left_out_is_not_looked_at(folder: Path) -> None:
    write(folder, exclude_labels=[SOMA])
    run(folder, "skeleton_fragments", "skeleton_index", "skeleton_objects")
    assert facts(folder)["dealt"] == []
    write(folder)
    run(folder, "skeleton_fragments", "skeleton_index")


def test_jobs_are_reserved_where_a_soma_has_room_or_a_label_is_named(folder: Path) -> None:
    def skeleton(**options: Any) -> tuple[int, str]:
        plan = make_plan(parse_config(config_of(folder, **options), "test"), Path(), Speeds())
        layer = plan.datasets["d"].layers["cells"]
        assert isinstance(layer, VolumePlan)
        return layer.product("skeleton").object_jobs, render_plan(plan)

    jobs, table = skeleton()
    assert jobs == 1
    assert "skeleton_objects" in table
    jobs, table = skeleton(soma_accept_nm=4801)
    assert jobs == 0
    assert "skeleton_objects" not in table
    assert skeleton(soma_accept_nm=4801, whole_labels=[BAR])[0] == 1
    assert skeleton(expected_labels=3000)[0] == 4
    assert skeleton(expected_labels=200_000)[0] == 16
    assert skeleton(expected_labels=10**6)[0] == 32


def test_a_coarser_mip_is_taken_where_memory_is_short(folder: Path) -> None:
    plan = make_plan(parse_config(config_of(folder), "test"), Path(), Speeds())
    layer = plan.datasets["d"].layers["cells"]
    assert isinstance(layer, VolumePlan)
    box = Box((0, 0, 0), (96, 96, 96))
    assert [finest_mip(layer, 0, box, most) for most in (98**3, 98**3 - 1, 50**3, 50**3 - 1)] == [0, 1, 1, None]


def test_somata_are_looked_for_no_finer_than_they_show(folder: Path) -> None:
    plan = make_plan(parse_config(config_of(folder), "test"), Path(), Speeds())
    layer = plan.datasets["d"].layers["cells"]
    assert isinstance(layer, VolumePlan)
    assert [coarse_enough(layer, 0, radius) for radius in (10.0, 3200.0, 6399.0, 6400.0)] == [0, 0, 0, 1]
    assert coarse_enough(layer, 1, 10.0) == 1


def test_a_soma_at_a_coarser_mip_stays_inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every new vertex is put into a voxel of the label at the mip of the skeleton."""
    write(folder)
    few = 60**3
    monkeypatch.setattr("ophiolite.stages.skeleton_candidates.object_voxels", lambda memory_mb: few)
    run(folder, "skeleton_objects", "skeleton_shards")
    assert facts(folder)["objects"][str(SOMA)]["mip"] == 1
    found = bones(folder, SOMA)
    assert degrees_in_soma(found)[-1] >= 3
    x, y, z = np.floor(found.vertices_nm / VOXEL_NM).astype(int).T
    assert soma()[x, y, z].all()
    assert graph_measures(found).components == 1
    monkeypatch.setattr("ophiolite.stages.skeleton_candidates.object_voxels", lambda memory_mb: 1000)
    run(folder, "skeleton_objects")
    assert "too large" in facts(folder)["objects"][str(SOMA)]["reason"]
