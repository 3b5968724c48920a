"""Tests that share a server or a finished run stay on one worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from suites import suite_of


@pytest.mark.parametrize(
    ("nodeid", "suite"),
    [
        ("tests/workflow/test_reruns.py::test_a[x/y-1]", "workflow"),
        ("tests/workflow/test_slides.py::test_a", "slides"),
        ("tests/workflow/test_score_slides.py::test_a", "slides"),
        ("tests/s3/test_bucket.py::test_a[b]", "s3"),
        ("tests/slurm/test_slurm.py::test_a", "slurm"),
        ("tests/browser/test_client.py::test_a", "tests/browser/test_client.py"),
        ("tests/unit/test_grid.py::test_a[1]", "tests/unit/test_grid.py::test_a[1]"),
        ("tests/test_all.py::test_a", "tests/test_all.py::test_a"),
    ],
)
def test_what_shares_a_worker(nodeid: str, suite: str) -> None:
    assert suite_of(nodeid) == suite


def test_xdist_keeps_a_suite_on_one_worker(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "tests" / "workflow"
    folder.mkdir(parents=True)
    (tmp_path / "tests" / "conftest.py").write_text("from suites import scheduler as pytest_xdist_make_scheduler\n")
    code = "import os, time\nimport pytest\n@pytest.mark.parametrize('i', range(6))\ndef test_it(i):\n"
    code += f"    time.sleep(0.1)\n    open(r'{tmp_path}/ran', 'a').write(os.environ['PYTEST_XDIST_WORKER'] + '\\n')\n"
    (folder / "test_one.py").write_text(code)
    (folder / "test_other.py").write_text(code)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadscope", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(repository / "tests")},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    workers = (tmp_path / "ran").read_text().split()
    assert len(workers) == 12
    assert len(set(workers)) == 1
