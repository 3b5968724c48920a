"""Fixtures shared by every suite."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from suites import say_time_by_part, scheduler

REPOSITORY = Path(__file__).resolve().parent.parent

pytest_terminal_summary = say_time_by_part

settings.register_profile("ophiolite", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ophiolite")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Long suites first, each on one worker."""
    return scheduler(config, log)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data; tests that ask for it skip where it is absent."""
    folder = Path(os.environ.get("OPHIOLITE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data folder {folder} is absent (set OPHIOLITE_DATA to where it lies)")
    return folder


WARM_UP = """
from ophiolite.kernels.warm_up import warm_up
warm_up(("uint8",), ("uint64",), ("mesh", "skeleton", "mask_objects"))
"""


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numba's cache after the warm-up, made by the first worker that asks; for reading only."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "kernels"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            env = {**os.environ, "NUMBA_CACHE_DIR": f"{folder}.part", "PYTHONPATH": str(REPOSITORY / "scripts")}
            subprocess.run([sys.executable, "-c", WARM_UP], env=env, check=True)
            Path(f"{folder}.part").rename(folder)
    return folder
