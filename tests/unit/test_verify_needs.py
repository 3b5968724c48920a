"""What a damaged job reads is made again after `clean_work`, and of the layer no more than that."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import yaml

from ophiolite.__main__ import main
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.receipts import Receipt, write_receipt
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.stages.job import open_project
from ophiolite.stages.verify import verify

PATHS = LayerPaths("d", "cells")
MERGE_JOBS = 3
# One final file of each kind of job: the last round's first block, part 0 of the statistics, a merge job.
LATE_BLOCK, LATE_SHARD = "r2.0-0-0", f"{PATHS.layer_folder}/64_64_64/0.shard"
STATS = f"{PATHS.work}/label_stats/0.npy"


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> tuple[ProjectPlan, Store]:
    """A segmentation of three rounds whose jobs have left a file each; `clean_work` removed the intermediate ones.

    Block n of the fragments has something for merge job n modulo 3.
    """
    folder = tmp_path_factory.mktemp("needs")
    with h5py.File(folder / "raw.h5", "w") as file:
        file.create_dataset("v", shape=(64, 64, 512), dtype=np.uint32, chunks=(64, 64, 64), fillvalue=1)
    layer = {
        "type": "segmentation",
        "source": f"{folder}/raw.h5:/v",
        "resolution_nm": [8, 8, 8],
        "pyramid": {"chunk_vx": [16, 16, 16], "task_vx": [32, 32, 32], "shard_mb": 1},
        "mesh": {"mip": 0, "task_vx": [64, 64, 64], "expected_labels": 10**5},
    }
    config = {
        "project": "p",
        "store": str(folder / "results"),
        "jobs": {"min_blocks": 64, "minutes": 0.0001},
        "datasets": {"d": {"layers": {"cells": layer}}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["make_plan", "--config", str(folder / "config.yaml")]) == 0
    plan, store = open_project(folder / "results" / "p" / "plan.json")
    volume = volume_of(plan)
    assert [len(r.block_names()) for r in volume.rounds] == [64, 8, 4]

    def finish(rule: str, item: str, path: str, merge_jobs: tuple[int, ...] = ()) -> None:
        facts = {"ranges": [[job, 0, 1] for job in merge_jobs]}
        receipt = Receipt(rule, item, volume.digests[rule], [store.write(path, b"x")], facts)
        write_receipt(store, PATHS.receipt(rule, item), receipt)

    for r in volume.rounds:
        for block in r.block_names():
            last = f"r{r.number}.{block}" == LATE_BLOCK
            finish("pyramid_blocks", f"r{r.number}.{block}", LATE_SHARD if last else PATHS.carry(r.number, block, 0))
    for number, block in enumerate(dict(volume.products())["mesh"].block_names()):
        finish("mesh_fragments", block, PATHS.fragments("mesh", block), (number % MERGE_JOBS,))
    finish("mesh_index", "", PATHS.fragment_index("mesh"))
    for name in dict(volume.products())["mesh"].job_names()[:MERGE_JOBS]:
        finish("mesh_shards", name, shard(int(name)))
    finish("label_stats", "0", STATS)
    assert main(["clean_work", "--plan", str(store.root / "plan.json")]) == 0
    return plan, store


def volume_of(plan: ProjectPlan) -> VolumePlan:
    volume = plan.datasets["d"].layers["cells"]
    assert isinstance(volume, VolumePlan)
    return volume


def shard(job: int) -> str:
    return f"{PATHS.layer_folder}/mesh/{job}.shard"


def again(cleaned: tuple[ProjectPlan, Store], *lost: str) -> set[str]:
    """The jobs that are needed again where some files are lost."""
    plan, store = cleaned
    try:
        for path in lost:
            store.delete(path)
        faults = verify(store, plan, 1, lambda text: None).faults
    finally:
        for path in lost:
            store.write(path, b"x")
    assert {f.path for f in faults if f.fault == "missing"} == set(lost)
    needed = [f for f in faults if f.fault == "needed again"]
    assert {f.wave for f in needed} <= set(range(max(f.wave for f in faults)))
    return {f"{f.rule} {f.item}".rstrip() for f in needed}


def test_nothing_is_needed_where_nothing_is_damaged(cleaned: tuple[ProjectPlan, Store]) -> None:
    plan, store = cleaned
    found = verify(store, plan, 1, lambda text: None)
    assert (found.faults, found.cleaned) == ([], 64 + 8 + 3 + 8 + 1)


def test_a_late_block_needs_the_carries_under_it_round_by_round(cleaned: tuple[ProjectPlan, Store]) -> None:
    rounds = volume_of(cleaned[0]).rounds
    middle = rounds[2].blocks_read(rounds[1], "0-0-0")
    first = {block for name in middle for block in rounds[1].blocks_read(rounds[0], name)}
    assert 0 < len(middle) < 8
    assert 0 < len(first) < 64
    needed = {f"pyramid_blocks r1.{name}" for name in middle} | {f"pyramid_blocks r0.{name}" for name in first}
    assert again(cleaned, LATE_SHARD) == needed


def test_a_merge_job_needs_the_index_and_the_fragments_that_are_for_it(cleaned: tuple[ProjectPlan, Store]) -> None:
    blocks = dict(volume_of(cleaned[0]).products())["mesh"].block_names()
    needed = {f"mesh_fragments {block}" for block in blocks[1::MERGE_JOBS]} | {"mesh_index"}
    assert again(cleaned, shard(1)) == needed
    assert again(cleaned, shard(0), shard(1), shard(2)) == {f"mesh_fragments {b}" for b in blocks} | {"mesh_index"}


def test_statistics_need_every_block_of_the_first_round(cleaned: tuple[ProjectPlan, Store]) -> None:
    blocks = volume_of(cleaned[0]).rounds[0].block_names()
    assert again(cleaned, STATS) == {f"pyramid_blocks r0.{block}" for block in blocks}
