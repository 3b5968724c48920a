"""What `verify` says of receipts and files that no workflow would leave: unreadable, of other settings, refused."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from ophiolite.__main__ import main
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.receipts import Receipt, write_receipt
from ophiolite.layers.store import Store, Written
from ophiolite.plan.model import ProjectPlan, Refused
from ophiolite.stages.job import open_project
from ophiolite.stages.verify import Verified, verify
from ophiolite.stages.verify_shards import _decodes

PATHS = LayerPaths("d", "em")
INFO = f"{PATHS.layer_folder}/info"
linux = pytest.mark.skipif(platform.system() != "Linux", reason="its unreadable file is one of Linux's /proc")


@pytest.fixture
def project(tmp_path: Path) -> tuple[ProjectPlan, Store]:
    """An image layer of which one job has run."""
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["v"] = np.zeros((8, 8, 8), dtype=np.uint8)
    layer = {"type": "image", "source": f"{tmp_path}/raw.h5:/v", "resolution_nm": [8, 8, 8]}
    config = {"project": "p", "store": str(tmp_path / "results"), "datasets": {"d": {"layers": {"em": layer}}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["make_plan", "--config", str(tmp_path / "config.yaml")]) == 0
    plan, store = open_project(tmp_path / "results" / "p" / "plan.json")
    finish(plan, store, store.write(INFO, b"{}"))
    return plan, store


def finish(plan: ProjectPlan, store: Store, file: Written, digest: str = "") -> None:
    """Write the receipt of `layer_info`."""
    layer = plan.datasets["d"].layers["em"]
    assert not isinstance(layer, Refused)
    receipt = Receipt("layer_info", "", digest or layer.digests["layer_info"], [file])
    write_receipt(store, PATHS.receipt("layer_info", ""), receipt)


def verified(project: tuple[ProjectPlan, Store]) -> Verified:
    plan, store = project
    return verify(store, plan, 1, lambda text: None)


def test_a_sound_layer_has_no_faults(project: tuple[ProjectPlan, Store]) -> None:
    found = verified(project)
    assert (found.files, found.faults, found.refused) == (1, [], [])


def test_a_receipt_of_other_settings_is_a_fault(project: tuple[ProjectPlan, Store]) -> None:
    plan, store = project
    finish(plan, store, store.write(INFO, b"{}"), digest="0" * 16)
    assert [(f.rule, f.fault) for f in verified(project).faults] == [("layer_info", "receipt unreadable")]


@linux
def test_a_file_that_the_disk_cannot_read_is_a_fault_and_is_replaced(project: tuple[ProjectPlan, Store]) -> None:
    plan, store = project
    finish(plan, store, store.write(INFO, b""))
    store.delete(INFO)
    os.symlink("/proc/self/mem", store.local(INFO))  # a file of 0 bytes; reading its beginning is an I/O error
    (fault,) = verified(project).faults
    assert (fault.path, fault.fault) == (INFO, "unreadable")
    assert store.write(INFO, b"").size_bytes == 0
    assert verified(project).faults == []


def test_refused_layers_are_named(project: tuple[ProjectPlan, Store]) -> None:
    plan, store = project
    plan.datasets["d"].layers["em"] = Refused(kind="refused", error="no source")
    assert verified((plan, store)).refused == ["d/em"]


def test_whatever_a_decoder_raises_names_the_entry() -> None:
    def decode(key: int) -> None:
        raise AssertionError(key)

    assert not _decodes(decode, 1)
