"""The workflow run once on the tiny config; each test takes a copy of what that left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from workspace import LAYERS, PRODUCTS, Workspace, tiny_config

from ophiolite.__main__ import main

SIZE_VX = (96, 96, 64)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in sample at a twelfth of its size, with its truth beside it."""
    path = tmp_path_factory.mktemp("sample") / "sample.h5"
    assert main(["make_sample", str(path), "--size-vx", *map(str, SIZE_VX)]) == 0
    return path


@pytest.fixture(scope="session")
def truth(sample: Path) -> dict[str, Any]:
    """What is known of the sample."""
    found: dict[str, Any] = json.loads(sample.with_name("sample.truth.json").read_text())
    return found


@pytest.fixture(scope="session")
def raw(sample: Path) -> NDArray[np.uint8]:
    """The sample's image, (x, y, z)."""
    with h5py.File(sample) as file:
        return np.asarray(file["volumes/raw"]).T


@pytest.fixture(scope="session")
def labels(sample: Path) -> NDArray[np.uint64]:
    """The sample's labels, (x, y, z)."""
    with h5py.File(sample) as file:
        return np.asarray(file["volumes/labels/neuron_ids"]).T


@pytest.fixture(scope="session")
def finished(sample: Path, kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The tiny project, run to its end; for reading only."""
    workspace = Workspace(tmp_path_factory.mktemp("finished"), tiny_config())
    for layer in LAYERS:
        shutil.copy(sample, workspace.folder / f"{layer}.h5")
    workspace.write_config()
    workspace.take_kernels(kernels)
    done = workspace.snakemake("--", *PRODUCTS)
    assert done.code == 0, done.text
    return workspace


@pytest.fixture
def workspace(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished project, to change and to break."""
    return finished.copy_to(tmp_path)


@pytest.fixture(scope="session")
def fresh(finished: Workspace) -> Any:
    """Makes a workspace where nothing has run but the kernels are compiled: `fresh(folder, config)`."""

    def make(folder: Path, config: dict[str, Any]) -> Workspace:
        workspace = Workspace(folder, config)
        for source in finished.folder.glob("*.h5"):
            shutil.copy2(source, folder)
        workspace.take_kernels(finished.kernels)
        workspace.write_config()
        return workspace

    return make
