"""Another workflow uses this one as a module, from a local path, under a prefix and with its config among its own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from workspace import REPOSITORY, Workspace, checksums, planned_jobs, run

pytestmark = pytest.mark.slow

# It asks for our receipts, adds a rule of its own after them, and changes the resources of one of ours.
SNAKEFILE = """
configfile: "theirs.yaml"

module ophiolite:
    snakefile: "{snakefile}"
    config: config["volumes"]
    prefix: "imaging"

use rule * from ophiolite as ophiolite_*

use rule mesh_shards from ophiolite as ophiolite_mesh_shards with:
    resources:
        mem_mb=1234

rule theirs:
    default_target: True
    input:
        "imaging/results/tiny/plan.json",
        {targets},
    output:
        "theirs.txt",
    shell:
        "ls -d imaging/results/tiny/d/layers/* > {{output}}"
"""
RECEIPTS = ("layer_info", "mesh_done")


def test_a_workflow_uses_this_one_as_a_module(finished: Workspace, tmp_path: Path) -> None:
    for source in finished.folder.glob("*.h5"):
        shutil.copy2(source, tmp_path)
    for cache in finished.project.parent.glob(".numba-*"):
        shutil.copytree(cache, tmp_path / "imaging" / "results" / cache.name)
    (tmp_path / "theirs.yaml").write_text(yaml.safe_dump({"mine": 1, "volumes": finished.config}))
    targets = ",\n        ".join(f'"imaging/results/tiny/d/receipts/neurons/{name}.json"' for name in RECEIPTS)
    text = SNAKEFILE.format(snakefile=REPOSITORY / "workflow" / "Snakefile", targets=targets)
    (tmp_path / "Snakefile").write_text(text)
    profile = ("--workflow-profile", str(REPOSITORY / "profiles" / "ci"))

    done = run(["snakemake", *profile], tmp_path)
    assert done.code == 0, done.text
    assert "mem_mb=1234" in done.text
    assert (tmp_path / "theirs.txt").read_text().split() == ["imaging/results/tiny/d/layers/neurons"]
    assert not (tmp_path / "results").exists()
    ours = checksums(tmp_path / "imaging" / "results" / "tiny")
    theirs = checksums(finished.project)
    made = [name for name in theirs if re.match(r"d/layers/neurons/(info|mesh|[0-9_]+)(/|$)", name)]
    assert len(made) >= 10
    assert {name: ours.get(name) for name in made} == {name: theirs[name] for name in made}

    again = run(["snakemake", *profile, "--dry-run"], tmp_path)
    assert again.code == 0, again.text
    assert planned_jobs(again.text) == {}

    shard = max(
        (tmp_path / "imaging/results/tiny/d/layers/neurons/mesh").glob("*.shard"), key=lambda f: f.stat().st_size
    )
    whole = shard.read_bytes()
    shard.unlink()
    found = run(["snakemake", *profile, "ophiolite_verify"], tmp_path)
    assert found.code == 1
    assert f"mesh/{shard.name}: missing" in found.text, found.text
    healed = run(["snakemake", *profile, "ophiolite_heal"], tmp_path)
    assert healed.code == 0, healed.text
    assert shard.read_bytes() == whole
