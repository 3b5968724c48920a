"""Fixtures shared by every suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

settings.register_profile("ophiolite", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ophiolite")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long suites, each for one worker, come first, so that no worker waits for another at the end."""
    long = ("workflow", "slides", "s3", "slurm")
    items.sort(key=lambda item: next((long.index(m.args[0]) for m in item.iter_markers("xdist_group")), len(long)))


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
