"""Skeletons of a bucket, with somata, branches and SWC: the same bytes as on disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from ophiolite.__main__ import main
from ophiolite.layers.bucket import Bucket
from ophiolite.plan.model import VolumePlan
from ophiolite.sample.phantom import SOMA_LABEL
from ophiolite.stages.job import open_project
from ophiolite.stages.stale import planned_jobs
from workflow.workspace import UNTIMELY, checksums

# What rules take for items, and the order in which they run.
ITEMS = {
    "pyramid_blocks": "block",
    "label_stats": "part",
    "layer_done": "",
    "skeleton_fragments": "block",
    "skeleton_index": "",
    "skeleton_objects": "job",
    "skeleton_shards": "job",
    "skeleton_done": "",
    "skeleton_graph": "job",
    "skeleton_swc": "job",
}
KINDS = ("skeletons/", "branches/", "swc/", "skeleton_objects/", "skeleton_measures/")


def config(store: str, results: Path, sample: Path) -> dict[str, Any]:
    """Skeletons of the larger objects, one of a soma that is looked at whole."""
    skeleton = {
        "mip": 0, "scale": 4, "const_nm": 50, "task_vx": [64, 64, 64], "dust_vx": 8000, "min_cable_nm": 400,
        "expected_labels": 1000, "soma_detect_nm": 200, "soma_accept_nm": 250, "swc": True,
    }  # fmt: skip
    neurons = {
        "type": "segmentation",
        "source": f"{sample}:/volumes/labels/neuron_ids",
        "pyramid": {"factors": [[2, 2, 1]], "chunk_vx": [32, 32, 16], "task_vx": [64, 64, 32]},
        "skeleton": skeleton,
        "properties": False,
    }
    place = {"store": store, "results": str(results)} if "://" in store else {"store": str(results)}
    datasets = {"d": {"layers": {"neurons": neurons}}}
    return {"project": "somata", **place, "jobs": {"min_blocks": 1}, "datasets": datasets}


def run_all(folder: Path, store: str, sample: Path) -> Path:
    """Plan the project and run all jobs of its skeletons here; returns the folder of its receipts."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config(store, folder / "results", sample)))
    assert main(["make_plan", "--config", str(folder / "config.yaml")]) == 0
    file = folder / "results/somata/plan.json"
    layer = open_project(file)[0].datasets["d"].layers["neurons"]
    assert isinstance(layer, VolumePlan)
    jobs = list(planned_jobs(layer))
    for rule, option in ITEMS.items():
        items = [item for name, item in jobs if name == rule]
        assert items, rule
        for item in items:
            named = [f"--{option}", item] if option else []
            code = main([rule, "--plan", str(file), "--dataset", "d", "--layer", "neurons", *named])
            assert code == 0, (rule, item)
    return file.parent


@pytest.mark.usefixtures("reachable")
def test_skeletons_somata_branches_and_swc_of_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["make_sample", str(tmp_path / "sample.h5"), "--size-vx", "96", "96", "64"]) == 0
    (tmp_path / "local").mkdir()
    (tmp_path / "remote").mkdir()
    expected = checksums(run_all(tmp_path / "local", "", tmp_path / "sample.h5"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    receipts = checksums(run_all(tmp_path / "remote", "s3://data/skeletons", tmp_path / "sample.h5"))
    bucket = Bucket("s3://data/skeletons/somata")
    found = {path: bucket.checksum(path) for path, _ in bucket.sizes("") if not UNTIMELY.search(path)}
    missing = [kind for kind in KINDS if not any(kind in path for path in found)]
    assert missing == []
    assert {name: digest for name, digest in (receipts | found).items() if name != "plan.json"} == {
        name: digest for name, digest in expected.items() if name != "plan.json"
    }
    whole = json.loads((tmp_path / "remote/results/somata/d/receipts/neurons/skeleton_objects/0.json").read_text())
    assert whole["facts"]["objects"][str(SOMA_LABEL)]["somata"] == 1
    assert os.listdir(tmp_path / "remote/results/somata/d") == ["receipts"]
