"""What `verify` says of receipts and files that no workflow would leave: unreadable, of other settings, refused."""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from snakemake.exceptions import WorkflowError

from ophiolite.__main__ import main
from ophiolite.errors import LayerError, StoreError
from ophiolite.layers.folder import Folder
from ophiolite.layers.paths import CLEANED, LayerPaths
from ophiolite.layers.receipts import Receipt, write_receipt
from ophiolite.layers.shard_files import write_shard
from ophiolite.layers.store import Store, Written
from ophiolite.plan.model import ProjectPlan, Refused
from ophiolite.precomputed.sharding import ShardingSpec, ShardReader, build_shard
from ophiolite.stages import verify_shards
from ophiolite.stages.heal import healed
from ophiolite.stages.job import open_project
from ophiolite.stages.stale import planned_jobs
from ophiolite.stages.timings import read_timings
from ophiolite.stages.verify import Verified, record, verify
from ophiolite.stages.verify_shards import _decodes, _Entries
from smk_functions import smk_function

PATHS = LayerPaths("d", "em")
INFO = f"{PATHS.layer_folder}/info"
DAMAGED = '[{"dataset": "d", "layer": "em", "rule": "layer_info", "item": "", "wave": 0}]'
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


def finish(
    plan: ProjectPlan, store: Store, file: Written, digest: str = "", rule: str = "layer_info", item: str = ""
) -> None:
    """Write the receipt of a job."""
    layer = plan.datasets["d"].layers["em"]
    assert not isinstance(layer, Refused)
    receipt = Receipt(rule, item, digest or layer.digests[rule], [file])
    write_receipt(store, PATHS.receipt(rule, item), receipt)


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


def test_an_altered_receipt_is_a_fault(project: tuple[ProjectPlan, Store]) -> None:
    _, store = project
    path = PATHS.receipt("layer_info", "")
    store.write(path, store.read(path).replace(b'"facts": {}', b'"facts": {"files": 1}'))
    (fault,) = verified(project).faults
    assert (fault.path, fault.fault) == (path, "receipt unreadable")
    assert "altered since it was written" in fault.detail


@pytest.mark.parametrize("text", ["{", "[]", "{}", "7"])
def test_a_lost_receipt_is_seen_where_the_timing_is_damaged(project: tuple[ProjectPlan, Store], text: str) -> None:
    _, store = project
    store.delete(PATHS.receipt("layer_info", ""))
    assert verified(project).faults == []
    store.write(PATHS.timing("layer_info", ""), text.encode())
    assert [(f.rule, f.fault) for f in verified(project).faults] == [("layer_info", "receipt lost")]


@linux
def test_a_receipt_that_the_disk_does_not_read_is_a_fault_like_others(project: tuple[ProjectPlan, Store]) -> None:
    _, store = project
    receipt = store.local(PATHS.receipt("layer_info", ""))
    receipt.unlink()
    receipt.symlink_to("/proc/self/mem")
    assert [(f.rule, f.fault) for f in verified(project).faults] == [("layer_info", "receipt unreadable")]


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_timing_is_named_by_the_tables_of_timings(project: tuple[ProjectPlan, Store], text: str) -> None:
    plan, store = project
    store.write(PATHS.timing("layer_info", ""), text.encode())
    with pytest.raises(LayerError, match=r"timings/layer_info/em\.json: is no timing.*Delete it"):
        read_timings(plan, store)


def test_the_one_file_of_a_folder_is_missed_unless_it_was_cleaned(project: tuple[ProjectPlan, Store]) -> None:
    plan, store = project
    (block,) = [item for rule, item in planned_jobs(plan.datasets["d"].layers["em"]) if rule == "pyramid_blocks"]
    work = f"{PATHS.work}/statistics/0-0-0.npy"
    finish(plan, store, store.write(work, b"x"), rule="pyramid_blocks", item=block)
    assert verified(project).faults == []
    store.delete_folder(f"{PATHS.work}/statistics")
    assert [(f.path, f.fault) for f in verified(project).faults] == [(work, "missing")]
    store.write(work, b"x")
    assert main(["clean_work", "--plan", str(store.root / "plan.json")]) == 0
    assert not store.exists(work)
    found = verified(project)
    assert (found.faults, found.cleaned) == ([], 1)
    # Of other settings than those whose files were cleaned.
    record = f"{PATHS.work}/{CLEANED}"
    store.write(record, json.dumps({"pyramid_blocks": "0" * 16}).encode())
    assert [f.fault for f in verified(project).faults] == ["missing"]
    store.write(record, b"[")
    with pytest.raises(LayerError, match=r"cleaned\.json: is no record of what was cleaned.*clean_work"):
        verified(project)


@pytest.mark.parametrize("text", ["", "[", "{}", "7", "[7]", '[{"dataset": "d"}]', '[{"wave": 0, "surplus": 1}]'])
def test_a_damaged_record_of_damage_is_named(
    project: tuple[ProjectPlan, Store], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, store = project
    store.write("damage.json", text.encode())
    assert main(["heal", "--plan", str(store.local("plan.json"))]) == 1
    told = capsys.readouterr().err
    assert "damage.json: is no record of `snakemake verify`" in told
    assert "Run `snakemake verify` again" in told


@pytest.mark.parametrize(
    "text", ["", "[", "7", "[7]", '[{"dataset": "d"}]', DAMAGED.replace("0", '"0"'), DAMAGED.replace('"em"', "[]")]
)
def test_the_workflow_names_a_damaged_record_of_damage(tmp_path: Path, text: str) -> None:
    (tmp_path / "damage.json").write_text(text)
    with pytest.raises(WorkflowError, match=r"damage\.json is no record of `snakemake verify`: run that again"):
        damage_in(tmp_path)


def test_the_workflow_reads_what_is_damaged(tmp_path: Path) -> None:
    assert damage_in(tmp_path) == []
    (tmp_path / "damage.json").write_text(DAMAGED)
    assert damage_in(tmp_path) == json.loads(DAMAGED)


@linux
def test_the_workflow_names_a_record_of_damage_that_the_disk_does_not_read(tmp_path: Path) -> None:
    (tmp_path / "damage.json").symlink_to("/proc/self/mem")
    with pytest.raises(WorkflowError, match=r"damage\.json cannot be read \(Input/output error\): check the disk"):
        damage_in(tmp_path)


def damage_in(folder: Path) -> object:
    """What the workflow takes for damaged, beside a plan."""
    given = {"json": json, "Path": Path, "PLAN_FILE": str(folder / "plan.json"), "WorkflowError": WorkflowError}
    return smk_function("damage", planned=lambda: None, layer_of=lambda fault: {"digests": {}}, **given)()


@linux
@pytest.mark.parametrize("path", [PATHS.receipt("layer_info", ""), PATHS.timing("layer_info", "")])
def test_a_plan_names_what_the_disk_does_not_read(
    project: tuple[ProjectPlan, Store], path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, store = project
    store.write(path, b"{}")
    store.delete(path)
    store.local(path).symlink_to("/proc/self/mem")
    assert main(["make_plan", "--config", str(store.root.parent.parent / "config.yaml")]) == 1
    told = capsys.readouterr().err
    assert f"{path}: cannot be read (Input/output error). Check the disk" in told
    assert "running again" in told
    store.delete(path)
    assert main(["make_plan", "--config", str(store.root.parent.parent / "config.yaml")]) == 0


@pytest.mark.parametrize("called", ["size", "is_folder", "sizes"])
def test_what_this_user_may_not_see_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str) -> None:
    """Root may see all, so that the answers of the system stand in for it."""

    def forbidden(path: Any, *args: Any, **options: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", forbidden)
    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(StoreError, match=r"d/receipts: cannot be read \(Permission denied\)\. Give this user read"):
        list(asked if isinstance(asked := getattr(Folder(tmp_path), called)("d/receipts"), Iterator) else [])


def test_what_left_the_plan_is_not_waited_for(project: tuple[ProjectPlan, Store]) -> None:
    plan, store = project
    store.delete(INFO)
    record(store, plan, verified(project))
    plan.datasets["d"].layers["em"] = Refused(kind="refused", error="no source")
    store.delete(PATHS.receipt("layer_info", ""))
    assert "Nothing is known to be damaged" in healed(store, plan)


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


def test_a_key_that_the_grid_does_not_know_is_named_all_the_same(
    project: tuple[ProjectPlan, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = project
    layer = plan.datasets["d"].layers["em"]
    assert not isinstance(layer, Refused)

    spec = ShardingSpec(0, "identity", 0, 0, data_encoding="raw")
    shard = build_shard(spec, 0, [(2**40, b"", b"voxels")])
    sound = write_shard(store, f"{PATHS.layer_folder}/8_8_8/0.shard", spec, shard)
    store.write(sound.path, shard.replace(b"voxels", b"Voxels"))
    reader = ShardReader(spec, lambda offset, size: store.read_range(sound.path, offset, size), "s")

    def fails(key: int) -> str:
        raise IndexError(key)

    monkeypatch.setattr(verify_shards, "_entries", lambda *_: _Entries(spec, reader, fails, fails))
    assert verify_shards.damaged_entries(store, PATHS, layer, sound) == f"key {2**40}"


def test_whatever_a_decoder_raises_names_the_entry() -> None:
    def decode(key: int) -> None:
        raise AssertionError(key)

    assert not _decodes(decode, 1)
