"""Dry runs of every config under every profile, lint, and how large the graph of a large volume is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
import yaml
from workspace import REPOSITORY, Run, Workspace, planned_jobs, run, snakemake_command

from empty_store import EmptyStore
from executors import PROFILES, python_of, settings_of, why_absent

pytestmark = pytest.mark.slow

CONFIGS = sorted((REPOSITORY / "config").glob("*.yaml"))
CONFIGS_TEXT = {path.name: path.read_text() for path in CONFIGS}
# Profiles of clouds keep receipts in a bucket, and ask it even for a dry run.
BUCKETS = {name: str(settings_of(name).get("default-storage-prefix", "")) for name in PROFILES}
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


@pytest.fixture(scope="module")
def empty() -> Iterator[EmptyStore]:
    """A store without a bucket."""
    with EmptyStore() as running:
        yield running


def snakemake(folder: Path, config: Path, *args: str, profile: str = "ci", env: dict[str, str] | None = None) -> Run:
    chosen = ("--snakefile", SNAKEFILE, "--workflow-profile", str(REPOSITORY / "profiles" / profile))
    python = python_of(profile)
    if python is None:
        pytest.skip(why_absent(profile))
    command = [str(python), "-m", "snakemake", *chosen, "--configfile", str(config), "--directory", str(folder)]
    return run([*command, *args], folder, env)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("config", [c.name for c in CONFIGS])
def test_every_config_with_every_profile(config: str, profile: str, empty: EmptyStore, tmp_path: Path) -> None:
    """Before the plan there is the plan to make, and what it needs to be fetched; in a cloud, layers go to a bucket."""
    bucket = BUCKETS[profile].rpartition("/")[0]
    args = ("--config", f"store={bucket}") if bucket else ()
    file = REPOSITORY / "config" / config
    done = snakemake(tmp_path, file, "--dry-run", *args, profile=profile, env=empty.environment)
    assert done.code == 0, done.text
    assert "Traceback" not in done.text
    assert "make_plan" in done.text
    downloads = [d.get("downloads", {}) for d in yaml.safe_load(CONFIGS_TEXT[config]).get("datasets", {}).values()]
    assert ("fetch" in done.text) == any(downloads)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("profile", [name for name, bucket in BUCKETS.items() if bucket])
def test_layers_that_would_be_lost_with_their_pod_are_refused(profile: str, empty: EmptyStore, tmp_path: Path) -> None:
    file = REPOSITORY / "config" / "config.yaml"
    done = snakemake(tmp_path, file, "--dry-run", profile=profile, env=empty.environment)
    assert done.code == 1
    assert "store: results is a folder" in done.text


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
