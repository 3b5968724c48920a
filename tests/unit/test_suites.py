"""Tests that share a server or a finished run stay on one worker; the time of each folder is said at the end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from suites import suite_of, time_by_part


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


def test_xdist_keeps_a_suite_on_one_worker_and_says_what_folders_took(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "tests" / "workflow"
    folder.mkdir(parents=True)
    hooks = {"scheduler": "pytest_xdist_make_scheduler", "say_time_by_part": "pytest_terminal_summary"}
    conftest = [f"from suites import {name} as {hook}\n" for name, hook in hooks.items()]
    (tmp_path / "tests" / "conftest.py").write_text("".join(conftest))
    (tmp_path / "tests" / "s3").mkdir()
    (tmp_path / "tests" / "s3" / "test_short.py").write_text("def test_it():\n    pass\n")
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
    said = re.findall(r"^(tests/\w+) +(\d+) tests +\d+\.\d min$", run.stdout.partition("time by part")[2], re.M)
    assert said == [("tests/workflow", "12"), ("tests/s3", "1")]


def test_the_time_of_a_folder_is_that_of_all_phases_of_its_tests() -> None:
    phases = [
        ("tests/unit/test_a.py::test_a", 1.0),
        ("tests/unit/test_a.py::test_a", 0.5),
        ("tests/s3/b.py::c[d/e]", 2.0),
    ]
    phases += [("tests/unit/test_b.py::test_a", 0.25), ("tests/unit/deep/test_b.py::test_a", 0.0), ("tests/x.py::y", 9)]
    assert time_by_part(phases) == [("tests", 1, 9), ("tests/s3", 1, 2), ("tests/unit", 3, 1.75)]
