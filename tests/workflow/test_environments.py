"""Every rule runs with nothing but the packages that its environment file lists, and gives the same bytes.

No conda channel is asked: `standin/bin/conda` makes bare virtual environments of the files' packages, from the package
index. Snakemake's own part (one environment per file, its activation in each job) is real.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from workspace import PRODUCTS, REPOSITORY, Workspace, checksums, tiny_config

STANDIN = Path(__file__).parent / "standin" / "bin"
PYTHON = "3.11"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        f"{sys.version_info.major}.{sys.version_info.minor}" != PYTHON,
        reason=f"the environments hold Python {PYTHON}; the stand-in for conda can only give the one that runs it",
    ),
]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where environments are made, once for all tests."""
    probe = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    found = subprocess.run([*probe, str(tmp_path_factory.mktemp("probe")), "packaging"], capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"no package index can be reached: {found.stderr.strip()[-200:]}")
    return tmp_path_factory.mktemp("conda")


def _run(workspace: Workspace, prefix: Path, *targets: str) -> Any:
    path = {"PATH": f"{STANDIN}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return workspace.snakemake("--sdm", "conda", "--conda-prefix", str(prefix), "--", *targets, env=path)


def test_every_rule_runs_in_its_own_environment_with_the_same_bytes(
    finished: Workspace, fresh: Any, prefix: Path, tmp_path: Path
) -> None:
    workspace = fresh(tmp_path, tiny_config())
    done = _run(workspace, prefix, *PRODUCTS)
    assert done.code == 0, done.text
    assert checksums(workspace.project) == checksums(finished.project)
    made = {re.search(r"envs/(\w+)\.yaml", line)[1] for line in done.text.splitlines() if "Creating conda env" in line}  # type: ignore[index]
    assert made >= {"volume", "mesh", "skeleton", "tables"}


def test_a_rule_that_imports_what_its_environment_lacks_fails(fresh: Any, prefix: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    for folder in ("workflow", "scripts", "profiles", "envs", "config"):
        shutil.copytree(REPOSITORY / folder, repository / folder, ignore=shutil.ignore_patterns("__pycache__"))
    env = repository / "envs" / "tables.yaml"
    assert "  - h5py =" in env.read_text()
    env.write_text(re.sub(r"  - h5py =.*\n", "", env.read_text()))
    folder = tmp_path / "run"
    folder.mkdir()
    made = fresh(folder, tiny_config())
    workspace = Workspace(made.folder, made.config, repository)
    failed = _run(workspace, prefix, "annotations")
    assert failed.code == 1
    assert "No module named 'h5py'" in failed.text, failed.text
