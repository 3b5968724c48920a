"""The plan of a petavoxel, from headers alone: few enough jobs, and no job that holds all names or labels."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from benchmarks import scale

from ophiolite.config.load import parse_config
from ophiolite.plan.closing import labels_of_part
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.stages.stale import planned_jobs
from smk_functions import smk_function

MOST_JOBS = 10_000
MOST_SECONDS = 15
# Rules of layers that take what every layer takes; those that measure and draw ask for resources of their own.
SMALL = {"layer_info"}
OF_THEIR_OWN = ("_quality", "figures", "compression_codec")


def plan_of(side_vx: int, folder: Path) -> ProjectPlan:
    for name, dtype in (("em", "|u1"), ("neurons", "<u8")):
        scale.write_header(folder / f"{name}.zarr", side_vx, dtype)
    return make_plan(parse_config(scale.config(side_vx), "test"), folder, Speeds())


@pytest.fixture(scope="module")
def petavoxel(tmp_path_factory: pytest.TempPathFactory) -> ProjectPlan:
    started = time.process_time()
    plan = plan_of(100_000, tmp_path_factory.mktemp("petavoxel"))
    assert time.process_time() - started < MOST_SECONDS
    return plan


def volumes(plan: ProjectPlan) -> list[VolumePlan]:
    found = [layer for layer in plan.datasets["volume"].layers.values() if isinstance(layer, VolumePlan)]
    assert len(found) == 2
    return found


def test_a_petavoxel_is_at_most_ten_thousand_jobs(petavoxel: ProjectPlan) -> None:
    assert sum(v.scales[0].box.volume for v in volumes(petavoxel)) == 2 * 10**15
    jobs = sum(1 for volume in volumes(petavoxel) for _ in planned_jobs(volume))
    assert 4000 < jobs <= MOST_JOBS
    assert sum(cost.jobs for volume in volumes(petavoxel) for cost in volume.costs) == jobs - 2  # but for their infos


def test_every_job_of_a_layer_has_its_cost(petavoxel: ProjectPlan) -> None:
    for volume in volumes(petavoxel):
        ran = {rule for rule, _ in planned_jobs(volume)}
        assert ran - {cost.rule for cost in volume.costs} == SMALL
        assert {r for r in volume.digests if not r.endswith(OF_THEIR_OWN)} == ran


def test_closing_jobs_are_given_what_they_were_measured_to_take(petavoxel: ProjectPlan) -> None:
    """By label and file; and still so little that any node of a cluster has it."""
    labels = 10**15 // scale.VOXELS_PER_LABEL
    of_labels = next(v for v in volumes(petavoxel) if v.kind == "segmentation")
    assert labels_of_part(of_labels, labels) <= 4_000_000
    for volume in volumes(petavoxel):
        costs = {cost.rule: cost for cost in volume.costs}
        files = costs["pyramid_blocks"].files
        assert files > 4 * 10**6
        assert files * 35e-6 < costs["layer_done"].memory_mb - 300 < files * 70e-6
        assert files * 34e-6 < costs["layer_done"].seconds < files * 60e-6
    costs = {cost.rule: cost for cost in of_labels.costs}
    assert costs["segment_properties"].memory_mb > 1_000_000 * 1400e-6
    assert costs["object_table"].memory_mb > 3_900_000 * 750e-6
    assert costs["label_stats"].memory_mb > 2 * 3_900_000 * 237e-6
    ends = ("done", "index", "stats", "table", "properties")
    assert all(cost.memory_mb < 6000 for rule, cost in costs.items() if rule.endswith(ends))
    assert all(cost.seconds < 3600 for rule, cost in costs.items() if rule.endswith(ends))


def test_jobs_of_small_volumes_ask_for_little(tmp_path: Path) -> None:
    for volume in volumes(plan_of(1000, tmp_path)):
        for cost in volume.costs:
            if cost.rule.endswith(("done", "index", "stats", "table", "properties")):
                assert cost.memory_mb <= 310, cost
                assert cost.seconds <= 3, cost


def test_the_workflow_asks_for_what_the_plan_says(petavoxel: ProjectPlan) -> None:
    layer = volumes(petavoxel)[1].model_dump(mode="json")
    cost = smk_function("cost", layer_plan=lambda _: layer)
    for rule in ("layer_done", "mesh_done", "skeleton_done", "mesh_index", "object_table", "segment_properties"):
        assert cost(rule, None)["rule"] == rule
