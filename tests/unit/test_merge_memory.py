"""What merge jobs ask of Snakemake: what the index says, the plan where it says nothing, more with each try."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.exceptions import WorkflowError

from smk_functions import smk_function

JOB = SimpleNamespace(dataset="d", layer="v", job="1")


def asked(index: Path, attempt: int = 1, stored: bool = False, on_cluster: bool = False) -> int:
    names = {
        "STORED": stored,
        "SNAKEMAKE_MB": 400,
        "workflow": SimpleNamespace(non_local_exec=on_cluster),
        "cost": lambda rule, wildcards: {"mesh_shards": {"memory_mb": 900}}[rule],
        "WorkflowError": WorkflowError,
        "json": json,
        "UNREADABLE": "check the disk",
    }
    memory = smk_function("memory_of_merge", "memory_of_index", **names)
    found: int = memory("mesh")(JOB, SimpleNamespace(index=str(index)), attempt)
    return found


def asked_to_heal(index: Path, rule: str = "mesh_shards", attempt: int = 1) -> int:
    names = {
        "PRODUCTS": ("mesh", "skeleton"),
        "SNAKEMAKE_MB": 400,
        "UNREADABLE": "check the disk",
        "workflow": SimpleNamespace(non_local_exec=True),
        "cost": lambda rule, wildcards: {"mesh_shards": {"memory_mb": 900}, "mesh_index": {"memory_mb": 300}}[rule],
        "receipt": lambda rule: str(index.with_name(f"{rule}.json")),
        "expand_layer": lambda pattern, wildcards: [pattern],
        "WorkflowError": WorkflowError,
        "json": json,
    }
    damaged = SimpleNamespace(dataset="d", layer="v", damaged=rule, item="1" if rule == "mesh_shards" else "layer")
    found: int = smk_function("memory_of_damaged", "memory_of_index", **names)(damaged, attempt)
    return found


def test_a_damaged_merge_job_asks_for_what_its_index_says(tmp_path: Path) -> None:
    index = receipt(tmp_path, {"memory_mb": [310, 5200, 320]})
    assert asked_to_heal(index) == 5200 + 400
    assert asked_to_heal(index, attempt=2) == 2 * 5200 + 400
    assert asked_to_heal(index, "mesh_index") == 300 + 400
    assert asked_to_heal(receipt(tmp_path, {"labels": 3})) == 900 + 400


@pytest.mark.parametrize("text", [None, "", "[]"])
def test_where_the_index_is_damaged_too_the_plan_is_asked(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "mesh_index.json").write_text(text)
    assert asked_to_heal(tmp_path / "mesh_index.json") == 900 + 400


def receipt(folder: Path, facts: Any) -> Path:
    file = folder / "mesh_index.json"
    file.write_text(json.dumps({"facts": facts}))
    return file


def test_the_index_is_asked_and_more_with_each_try(tmp_path: Path) -> None:
    index = receipt(tmp_path, {"memory_mb": [310, 5200, 320]})
    assert asked(index) == 5200
    assert asked(index, attempt=3) == 3 * 5200
    assert asked(index, attempt=2, on_cluster=True) == 2 * 5200 + 400


def test_the_plan_is_asked_where_the_index_says_nothing_or_lies_in_a_bucket(tmp_path: Path) -> None:
    assert asked(receipt(tmp_path, {"labels": 3})) == 900
    assert asked(tmp_path / "elsewhere.json", attempt=2, stored=True) == 1800


def test_an_index_that_is_to_come_is_said_as_snakemake_takes_it(tmp_path: Path) -> None:
    """Of an input that is not there, it shows <TBD> in a dry run, and asks again before the job."""
    with pytest.raises(FileNotFoundError) as caught:
        asked(tmp_path / "mesh_index.json")
    assert caught.value.filename == str(tmp_path / "mesh_index.json")


@pytest.mark.skipif(platform.system() != "Linux", reason="its unreadable file is one of Linux's /proc")
def test_an_index_that_the_disk_does_not_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "mesh_index.json").symlink_to("/proc/self/mem")
    with pytest.raises(WorkflowError, match=r"mesh_index\.json cannot be read \(Input/output error\): check the disk"):
        asked(tmp_path / "mesh_index.json")


@pytest.mark.parametrize("text", ["", '{"facts"', "[]", "{}"])
def test_a_damaged_index_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "mesh_index.json").write_text(text)
    with pytest.raises(WorkflowError, match=r"mesh_index\.json is no sound receipt: `snakemake verify`"):
        asked(tmp_path / "mesh_index.json")
