"""The real workflow with its bulk files in a bucket, over a connection that fails often: the same bytes as on disk."""

from __future__ import annotations

import json
import shutil
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ceph import SECRET, Ceph
from proxy import Proxy, Stale

from conftest import FAULTS, REPORT, TARGETS, Finished
from ophiolite.layers import bucket_client
from ophiolite.layers.bucket import Bucket
from ophiolite.layers.paths import BULK_FOLDERS
from workflow.workspace import UNTIMELY, Workspace, checksums, files_below


def is_bulk(path: str) -> bool:
    return path.split("/")[1:2] != [] and path.split("/")[1] in BULK_FOLDERS


@pytest.mark.usefixtures("reachable")
def test_the_bucket_holds_the_bytes_of_the_folder(local: Workspace, remote: Finished) -> None:
    workspace, bucket, proxy = remote.workspace, remote.bucket, remote.proxy
    assert {type(f).__name__ for f in FAULTS} == set(proxy.done)
    expected = checksums(local.project)
    assert checksums(workspace.project) == {
        name: digest for name, digest in expected.items() if not is_bulk(name) and name != "plan.json"
    } | {"plan.json": checksums(workspace.project)["plan.json"]}
    found = {path: bucket.checksum(path) for path, _ in bucket.sizes("") if not UNTIMELY.search(path)}
    assert found == {name: digest for name, digest in expected.items() if is_bulk(name)}
    assert list(bucket._uploads("")) == []


def test_nothing_is_done_again(ceph: Ceph, remote: Finished) -> None:
    workspace = remote.workspace
    done = workspace.snakemake("--", *TARGETS, env=ceph.environment)
    assert "Nothing to be done" in done.text or f"{len(TARGETS)} of {len(TARGETS)} steps" in done.text, done.text
    assert not any("pyramid_blocks" in line for line in done.text.splitlines())


@pytest.mark.usefixtures("reachable")
def test_no_secret_is_written_anywhere(remote: Finished) -> None:
    workspace, bucket, done = remote.workspace, remote.bucket, remote.run
    assert SECRET not in done.text
    assert (workspace.folder / REPORT).exists()
    kept = [file for file in files_below(workspace.folder) if SECRET.encode() in file.read_bytes()]
    assert kept == []
    assert [path for path, _ in bucket.sizes("") if SECRET.encode() in bucket.read(path)] == []


@pytest.mark.usefixtures("reachable")
def test_a_receipt_names_only_what_is_whole(remote: Finished) -> None:
    workspace, bucket = remote.workspace, remote.bucket
    receipts = list((workspace.project / "d" / "receipts").rglob("*.json"))
    assert len(receipts) == 14
    for receipt in receipts:
        for file in json.loads(receipt.read_text())["files"]:
            assert bucket.size(file["path"]) == file["bytes"]
            assert bucket.checksum(file["path"]) == file["sha256"]


@pytest.mark.usefixtures("reachable")
def test_a_layer_is_not_closed_over_a_lost_object(remote: Finished, ceph: Ceph) -> None:
    """The listing may lack an object, or hold one that is gone: the request by its name decides."""
    workspace, bucket = remote.workspace, remote.bucket
    shard = next(path for path, _ in bucket.sizes("d/layers/neurons") if path.endswith("80/0.shard"))
    data = bucket.read(shard)
    with Proxy(ceph.port, pick=lambda request: Stale("shard|npy")) as proxy:
        env = {**ceph.environment, "AWS_ENDPOINT_URL": proxy.endpoint}
        done = workspace.job("layer_done", "neurons", env=env)
        assert done.code == 0, done.text
    bucket.delete(shard)
    done = workspace.job("layer_done", "neurons", env=ceph.environment)
    bucket.write(shard, data)
    assert done.code == 1
    assert f"{bucket.url}/{shard}: is not what its receipt says. Expected {len(data)} bytes. Got no file" in done.text
    assert bucket.checksum(shard)


def written_at(bucket: Bucket) -> dict[str, Any]:
    """When each object was written."""
    entries = (entry for page in bucket._pages("") for entry in page.get("Contents", ()))
    return {bucket._path(entry["Key"]): entry["LastModified"] for entry in entries}


@pytest.mark.usefixtures("reachable")
def test_damage_in_the_bucket_is_found_and_healed(ceph: Ceph, remote: Finished) -> None:
    workspace, bucket = remote.workspace, remote.bucket
    paths = [path for path, _ in bucket.sizes("d/layers/neurons") if path.endswith(".shard")]
    altered = max((path for path in paths if "/mesh/" in path), key=bucket.size)
    lost = next(path for path in paths if "/mesh/" not in path)
    whole = {path: bucket.read(path) for path in paths}
    data = bytearray(whole[altered])
    data[len(data) // 2] ^= 1
    bucket.write(altered, bytes(data))
    bucket.delete(lost)
    times = written_at(bucket)
    found = workspace.snakemake("--", "verify", env=ceph.environment)
    assert found.code == 1
    assert f"{altered}: altered" in found.text
    assert f"{lost}: missing" in found.text
    healed = workspace.snakemake("--", "heal", env=ceph.environment)
    assert healed.code == 0, healed.text
    assert "Healed: 2 files and 0 receipts, by 2 jobs." in healed.text
    assert {path: bucket.read(path) for path in paths} == whole
    now = written_at(bucket)
    assert {path for path in now if now[path] != times.get(path) and "/timings/" not in path} == {altered, lost}


def test_requests_are_few(remote: Finished) -> None:
    """About as many as objects are written and ranges read; none but the report's jobs lists what it reads."""
    operations = Counter(request.operation for request in remote.proxy.seen)
    assert operations["list"] <= 32, operations
    assert sum(operations.values()) <= 260, operations


@pytest.mark.usefixtures("reachable")
def test_intermediate_files_are_cleaned(ceph: Ceph, remote: Finished) -> None:
    workspace, bucket = remote.workspace, remote.bucket
    done = workspace.snakemake("--", "clean_work", env=ceph.environment)
    assert done.code == 0, done.text
    assert {path.split("/")[3] for path, _ in bucket.sizes("d/work")} == {
        "cleaned.json",
        "label_stats",
        "mesh_measures",
    }


def test_a_killed_block_skips_its_finished_tasks_on_the_same_machine(
    ceph: Ceph, local: Workspace, remote: Finished, tmp_path: Path
) -> None:
    """Killed before its first shard appears: nothing of it is visible, and the next try uploads the same bytes."""
    config = {**remote.workspace.config, "store": "s3://data/killed"}
    workspace = replace(remote.workspace, config=config, folder=tmp_path / "w")
    shutil.copytree(remote.workspace.folder, workspace.folder, ignore=shutil.ignore_patterns("tiny"))
    workspace.write_config()
    env = {**ceph.environment, "TMPDIR": str(tmp_path)}
    assert workspace.command("make_plan", "--config", "config.yaml", env=env).code == 0
    kill = {"OPHIOLITE_STOP_AT": "rename:*.shard", "OPHIOLITE_STOP_MARK": str(tmp_path / "mark")}
    block = ("pyramid_blocks", "neurons", "--block", "r0.0-0-0")
    with pytest.MonkeyPatch.context() as patch:
        for key, value in ceph.environment.items():
            patch.setenv(key, value)
        bucket_client.client.cache_clear()
        bucket = Bucket("s3://data/killed/tiny")
        assert workspace.job(*block, env={**env, **kill}).code == -signal.SIGKILL
        assert list(bucket.sizes("d/layers")) == []
        done = workspace.job(*block, env=env)
        assert done.code == 0, done.text
        assert done.text.count("done by an earlier try") == 8
        written = dict(bucket.sizes("d/layers"))
        assert written
        assert {p: bucket.checksum(p) for p in written} == {p: checksums(local.project)[p] for p in written}
    assert not list(tmp_path.rglob("*.pack"))
