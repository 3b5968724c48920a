"""A real SLURM for these tests, and a project to run on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ophiolite.__main__ import main
from slurm.cluster import Cluster
from workflow.workspace import REPOSITORY, Workspace

HERE = Path(__file__).parent
SIZE_VX = (96, 96, 64)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster of two nodes on this machine."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("a SLURM of the tests' own needs root and Debian (apt-get)")
    if Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("this machine belongs to a cluster: /etc/slurm/slurm.conf exists")
    installed = subprocess.run([HERE / "install.sh"], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"tests/slurm/install.sh failed: {installed.stderr.strip()[-300:]}")
    running = Cluster(tmp_path_factory.mktemp("slurm"))
    with running:
        yield running
    assert running.killed == []


@pytest.fixture(scope="session")
def login(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user who did `make setup-slurm` and activated it on the cluster's login node."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    made = subprocess.run(
        [REPOSITORY / "requirements" / "setup_executor.sh", "slurm", sys.executable, folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    path = f"{folder / 'bin'}{os.pathsep}{cluster.environment['PATH']}"
    return {**cluster.environment, "PATH": path, "OMP_NUM_THREADS": "1"}


def slurm_config() -> dict[str, Any]:
    """Labels with meshes in two blocks and two merge jobs: twelve jobs, all of them short."""
    neurons = {
        "type": "segmentation",
        "source": "sample.h5:/volumes/labels/neuron_ids",
        "pyramid": {"factors": [[2, 2, 1]], "chunk_vx": [32, 32, 16], "task_vx": [64, 64, 32]},
        "mesh": {"mip": 0, "max_error_nm": 16, "task_vx": [64, 64, 64], "expected_labels": 1000},
    }
    jobs = {"min_blocks": 2}
    return {"project": "tiny", "store": "results", "jobs": jobs, "datasets": {"d": {"layers": {"neurons": neurons}}}}


@pytest.fixture(scope="session")
def local(kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The project as this machine alone makes it; for reading only."""
    workspace = Workspace(tmp_path_factory.mktemp("local"), slurm_config())
    assert main(["make_sample", str(workspace.folder / "sample.h5"), "--size-vx", *map(str, SIZE_VX)]) == 0
    workspace.write_config()
    workspace.take_kernels(kernels)
    done = workspace.snakemake("--", "image", "mesh")
    assert done.code == 0, done.text
    return workspace


@pytest.fixture(scope="session")
def workspace(local: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same project where nothing has run yet; only the kernels are compiled."""
    fresh = Workspace(tmp_path_factory.mktemp("on-slurm"), local.config)
    shutil.copy2(local.folder / "sample.h5", fresh.folder)
    fresh.take_kernels(local.kernels)
    fresh.write_config()
    return fresh
