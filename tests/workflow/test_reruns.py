"""What runs again and what does not: changed configs, sources, code, and files that were healed."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
from workspace import PRODUCTS, REPOSITORY, Workspace, checksums, files_below

pytestmark = pytest.mark.slow

OBJECTS = {"object_table": 1, "segment_properties": 1}
MESH = {"mesh_fragments": 2, "mesh_index": 1, "mesh_shards": 2, "mesh_done": 1}
TREES = {"skeleton_graph": 1, "skeleton_swc": 1}
SKELETON = {"skeleton_fragments": 2, "skeleton_index": 1, "skeleton_shards": 1, "skeleton_done": 1, **TREES}
IMAGE = {"layer_info": 1, "pyramid_blocks": 4, "layer_done": 1}
LABELS = {**IMAGE, "label_stats": 1}


def test_a_second_run_does_nothing_whatever_its_comments(workspace: Workspace) -> None:
    workspace.write_config("# thought over, and left as it was\n")
    before = checksums(workspace.project)
    done = workspace.snakemake("--", *PRODUCTS)
    assert done.code == 0
    assert "Nothing to be done" in done.text
    assert checksums(workspace.project) == before


def test_the_report_is_made_once(workspace: Workspace) -> None:
    done = workspace.snakemake()
    assert done.code == 0, done.text
    assert (workspace.project / "report.html").stat().st_size > 10_000
    again = workspace.snakemake()
    assert again.code == 0
    assert "Nothing to be done" in again.text


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("neurons.mesh.draco_level", 3, {"mesh_shards": 2, "mesh_done": 1, **OBJECTS}),
        ("neurons.skeleton.const_nm", 60, {**SKELETON, **OBJECTS}),
        ("em.pyramid.mips", {2: {"encoding": "jpeg", "quality": 60}}, IMAGE),
    ],
)
def test_an_option_remakes_what_depends_on_it(
    workspace: Workspace, path: str, value: Any, expected: dict[str, int]
) -> None:
    """For the other options see `test_digests_follow_the_options` in tests/unit/test_plan_digests.py."""
    changed = workspace.changed(f"datasets.d.layers.{path}", value)
    changed.plan()
    assert changed.jobs() == expected


def test_a_product_taken_away_and_given_back_leaves_the_others_alone(workspace: Workspace) -> None:
    mesh = workspace.config["datasets"]["d"]["layers"]["neurons"]["mesh"]
    without = workspace.changed("datasets.d.layers.neurons.mesh", None)
    without.plan()
    assert without.jobs() == {"layer_info": 1, **OBJECTS}
    assert without.snakemake("--", "image").code == 0
    assert '"mesh"' not in (workspace.layers / "neurons" / "info").read_text()
    assert not (workspace.layers / "neurons" / "mesh").exists()
    again = without.changed("datasets.d.layers.neurons.mesh", mesh)
    again.plan()
    assert again.jobs() == {"layer_info": 1, **MESH, **OBJECTS}


def test_a_changed_source_remakes_its_layer(workspace: Workspace) -> None:
    source = workspace.folder / "em.h5"
    with h5py.File(source, "r+") as file:
        file["volumes/raw"][0, 0, 0] ^= 1
    stale = workspace.job("pyramid_blocks", "em", "--block", "r0.0-0-0")
    assert stale.code == 1
    assert "has changed since the plan was made" in stale.text
    workspace.plan()
    assert workspace.jobs() == IMAGE
    os.utime(workspace.folder / "synapses.h5")
    workspace.plan()
    assert workspace.jobs("annotations") == {"annotation_layer": 1}


def test_fewer_mips_leave_no_stale_file(workspace: Workspace) -> None:
    layer = workspace.layers / "em"
    (layer / "48_48_80" / "left_over").write_text("from an earlier life")
    changed = workspace.changed("datasets.d.layers.em.pyramid.factors", [[2, 2, 1]])
    changed = changed.changed("datasets.d.layers.em.pyramid.mips", {})
    receipts = f"{changed.project}/d/receipts/em"
    done = changed.snakemake("--", f"{receipts}/layer_done.json".removeprefix(f"{workspace.folder}/"))
    assert done.code == 0, done.text
    assert {file.parent.name for file in files_below(layer) if file.name.endswith(".shard")} == {"12_12_40", "24_24_40"}
    assert not (layer / "48_48_80").exists()
    assert (layer / "info").exists()
    assert (layer / "provenance").exists()


def test_a_healed_file_reruns_nothing_downstream(workspace: Workspace) -> None:
    before = checksums(workspace.project)
    shard = workspace.layers / "neurons" / "12_12_40" / "0.shard"
    shard.write_bytes(shard.read_bytes()[:1000])
    receipt = "results/tiny/d/receipts/neurons/pyramid_blocks/r0.0-0-0.json"
    healed = workspace.snakemake("--force", "--", receipt)
    assert healed.code == 0, healed.text
    assert checksums(workspace.project) == before
    assert workspace.jobs() == {}


def test_after_the_plan_a_dry_run_shows_every_job(fresh: Any, finished: Workspace, tmp_path: Path) -> None:
    workspace = fresh(tmp_path, finished.config)
    assert workspace.jobs() == {"make_plan": 1}
    workspace.plan()
    everything = {**LABELS, **MESH, **SKELETON, **OBJECTS, "annotation_layer": 1, "warm_up": 1}
    for rule, count in IMAGE.items():
        everything[rule] += count
    assert workspace.jobs() == everything


def test_code_reruns_what_it_makes_and_comments_rerun_nothing(workspace: Workspace, tmp_path: Path) -> None:
    copied = tmp_path / "repository"
    for part in ("workflow", "scripts", "profiles", "envs"):
        shutil.copytree(REPOSITORY / part, copied / part, ignore=shutil.ignore_patterns("__pycache__"))
    edited = replace(workspace, repository=copied)
    package = copied / "scripts" / "ophiolite"
    with (package / "kernels" / "octree.py").open("a") as file:
        file.write("\n# A remark that changes nothing.\n")
    edited.plan()
    assert edited.jobs() == {}
    with (package / "kernels" / "octree.py").open("a") as file:
        file.write("\nUNUSED = 1\n")
    edited.plan()
    assert edited.jobs() == {"mesh_shards": 2, "mesh_done": 1, **OBJECTS}
