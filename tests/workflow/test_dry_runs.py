"""Dry runs of every config under every profile, lint, and how large the graph of a large volume is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import pytest
import yaml
from workspace import REPOSITORY, Workspace, planned_jobs, run, snakemake_command

from executors import PROFILES, python_of, settings_of, why_absent

pytestmark = pytest.mark.slow

CONFIGS = sorted((REPOSITORY / "config").glob("*.yaml"))
CONFIGS_TEXT = {path.name: path.read_text() for path in CONFIGS}
# Profiles with a storage of their own ask it even for a dry run.
LOCAL = [name for name in PROFILES if "default-storage-provider" not in settings_of(name)]
SNAKEFILE = str(REPOSITORY / "workflow" / "Snakefile")
MOST_JOBS = 10_000
# In a process of its own: what counts as this one's children begins as large as this one is.
WEIGHED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print("USED", used.ru_utime, used.ru_maxrss)
sys.exit(done.returncode)
"""


def snakemake(folder: Path, config: Path, *args: str, profile: str = "ci") -> Any:
    chosen = ("--snakefile", SNAKEFILE, "--workflow-profile", str(REPOSITORY / "profiles" / profile))
    python = python_of(profile)
    if python is None:
        pytest.skip(why_absent(profile))
    command = [str(python), "-m", "snakemake", *chosen, "--configfile", str(config), "--directory", str(folder)]
    return run([*command, *args], folder)


@pytest.mark.parametrize("profile", LOCAL)
@pytest.mark.parametrize("config", [c.name for c in CONFIGS])
def test_every_config_with_every_profile(config: str, profile: str, tmp_path: Path) -> None:
    """Before the plan there is the plan to make, and what it needs to be fetched."""
    done = snakemake(tmp_path, REPOSITORY / "config" / config, "--dry-run", profile=profile)
    assert done.code == 0, done.text
    assert "Traceback" not in done.text
    assert "make_plan" in done.text
    downloads = [d.get("downloads", {}) for d in yaml.safe_load(CONFIGS_TEXT[config]).get("datasets", {}).values()]
    assert ("fetch" in done.text) == any(downloads)
    assert not (tmp_path / "results").exists()


def test_the_plan_of_absent_sources_refuses_each_layer(tmp_path: Path) -> None:
    done = snakemake(tmp_path, REPOSITORY / "config" / "config.yaml", "plan")
    assert done.code == 0, done.text
    layers = yaml.safe_load(CONFIGS_TEXT["config.yaml"])["datasets"]["phantom"]["layers"]
    assert [f"REFUSED datasets.phantom.layers.{layer}: " in done.text for layer in layers] == [True] * len(layers)


def test_lint(tmp_path: Path) -> None:
    done = snakemake(tmp_path, REPOSITORY / "config" / "config.yaml", "--lint")
    assert done.code == 0, done.text
    assert "good condition" in done.text


def test_the_graph_of_a_large_volume_is_small(tmp_path: Path) -> None:
    """A teravoxel of image and labels, fifty million objects: planned from headers, in fewer than 10^4 jobs."""
    with h5py.File(tmp_path / "big.h5", "w") as file:
        for name, kind in (("raw", "u1"), ("labels", "u8")):
            file.create_dataset(name, shape=(4096, 16384, 16384), dtype=kind, chunks=(64, 64, 64))
    common = {"resolution_nm": [8, 8, 8]}
    product = {"expected_labels": 50_000_000}
    layers = {
        "em": {"type": "image", "source": "big.h5:/raw", **common},
        "cells": {"type": "segmentation", "source": "big.h5:/labels", "mesh": product, "skeleton": product, **common},
    }
    workspace = Workspace(tmp_path, {"project": "big", "store": "results", "datasets": {"d": {"layers": layers}}})
    workspace.write_config()
    assert workspace.snakemake("plan").code == 0
    assert (workspace.project / "plan.json").stat().st_size < 100_000
    command = snakemake_command(["--dry-run", "--quiet", "rules"], tmp_path)
    done = run([sys.executable, "-c", WEIGHED, *command], tmp_path)
    assert done.code == 0, done.text
    count = sum(planned_jobs(done.text).values())
    assert 1000 < count < MOST_JOBS
    seconds, kilobytes = map(float, done.text.rpartition("USED ")[2].split())
    assert seconds < 120
    assert kilobytes / 1024 < 1500
