"""The real workflow with its bulk files in a bucket, over a connection that fails often: the same bytes as on disk."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import Any

import pytest
from ceph import SECRET, Ceph
from proxy import CutAnswer, CutUpload, Fault, LoseAnswer, Proxy, Request, Slow, Status

from ophiolite.__main__ import main
from ophiolite.layers import bucket_client
from ophiolite.layers.bucket import Bucket
from ophiolite.layers.paths import BULK_FOLDERS
from workflow.workspace import Run, Workspace, checksums, files_below

TARGETS = ("mesh", "objects")
FAULTS: tuple[Fault, ...] = (
    *(Status(503, "SlowDown"), CutUpload(0.5), Status(500, "InternalError")),
    *(CutAnswer(0.5), LoseAnswer(), Slow(0.5)),
)


def every_fifth(request: Request) -> Fault | None:
    """Every fifth request fails, in a way of its own."""
    return None if request.number % 5 else FAULTS[request.number // 5 % len(FAULTS)]


def config() -> dict[str, Any]:
    """Labels with pyramid, meshes and objects: twelve jobs, with two rounds of the pyramid."""
    neurons = {
        "type": "segmentation",
        "source": "sample.h5:/volumes/labels/neuron_ids",
        "pyramid": {"factors": [[2, 2, 1], [2, 2, 2]], "chunk_vx": [32, 32, 16], "task_vx": [64, 64, 32]},
        "mesh": {"mip": 0, "max_error_nm": 16, "task_vx": [64, 64, 64], "expected_labels": 200},
        "properties": False,
    }
    return {
        "project": "tiny",
        "store": "results",
        "jobs": {"min_blocks": 1},
        "datasets": {"d": {"layers": {"neurons": neurons}}},
    }


def run(workspace: Workspace, env: dict[str, str]) -> Run:
    done = workspace.snakemake("--", *TARGETS, env=env)
    assert done.code == 0, done.text
    return done


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The project finished in a folder."""
    folder = tmp_path_factory.mktemp("local")
    assert main(["make_sample", str(folder / "sample.h5"), "--size-vx", "96", "96", "64"]) == 0
    workspace = Workspace(folder, config())
    workspace.write_config()
    run(workspace, {})
    return workspace


@pytest.fixture(scope="module")
def remote(
    ceph: Ceph, local: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, Bucket, Proxy, Run]:
    """The project finished in a bucket, over a connection that fails often; what was compiled is compiled."""
    folder = tmp_path_factory.mktemp("remote")
    for name in ("sample.h5", "sample.truth.json"):
        shutil.copy2(local.folder / name, folder)
    shutil.copytree(next(local.project.parent.glob(".numba-*")), folder / "results" / ".numba-x86_64")
    shutil.copytree(next(local.project.parent.glob(".numba-*")), folder / "results" / ".numba-aarch64")
    workspace = Workspace(folder, {**config(), "store": "s3://data/runs"})
    workspace.write_config()
    scratch = tmp_path_factory.mktemp("scratch")
    with Proxy(ceph.port, pick=every_fifth) as proxy:
        env = {**ceph.environment, "AWS_ENDPOINT_URL": proxy.endpoint, "TMPDIR": str(scratch)}
        done = run(workspace, env)
    return workspace, Bucket("s3://data/runs/tiny"), proxy, done


@pytest.fixture
def _reachable(ceph: Ceph, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in ceph.environment.items():
        monkeypatch.setenv(key, value)
    bucket_client.client.cache_clear()


def is_bulk(path: str) -> bool:
    return path.split("/")[1:2] != [] and path.split("/")[1] in BULK_FOLDERS


@pytest.mark.usefixtures("_reachable")
def test_the_bucket_holds_the_bytes_of_the_folder(
    local: Workspace, remote: tuple[Workspace, Bucket, Proxy, Run]
) -> None:
    workspace, bucket, proxy, _ = remote
    assert {type(f).__name__ for f in FAULTS} == set(proxy.done)
    expected = checksums(local.project)
    assert checksums(workspace.project) == {
        name: digest for name, digest in expected.items() if not is_bulk(name) and name != "plan.json"
    } | {"plan.json": checksums(workspace.project)["plan.json"]}
    found = {path: bucket.checksum(path) for path, _ in bucket.sizes("") if not path.endswith("/provenance")}
    assert found == {name: digest for name, digest in expected.items() if is_bulk(name)}
    assert list(bucket._uploads("")) == []


def test_nothing_is_done_again(ceph: Ceph, remote: tuple[Workspace, Bucket, Proxy, Run]) -> None:
    workspace = remote[0]
    done = workspace.snakemake("--", *TARGETS, env=ceph.environment)
    assert "Nothing to be done" in done.text or "2 of 2 steps" in done.text, done.text
    assert not any("pyramid_blocks" in line for line in done.text.splitlines())


@pytest.mark.usefixtures("_reachable")
def test_no_secret_is_written_anywhere(remote: tuple[Workspace, Bucket, Proxy, Run]) -> None:
    workspace, bucket, _, done = remote
    assert SECRET not in done.text
    kept = [file for file in files_below(workspace.folder) if SECRET.encode() in file.read_bytes()]
    assert kept == []
    assert [path for path, _ in bucket.sizes("") if SECRET.encode() in bucket.read(path)] == []


@pytest.mark.usefixtures("_reachable")
def test_a_receipt_names_only_what_is_whole(remote: tuple[Workspace, Bucket, Proxy, Run]) -> None:
    workspace, bucket, _, _ = remote
    receipts = list((workspace.project / "d" / "receipts").rglob("*.json"))
    assert len(receipts) == 10
    for receipt in receipts:
        for file in json.loads(receipt.read_text())["files"]:
            assert bucket.size(file["path"]) == file["bytes"]
            assert bucket.checksum(file["path"]) == file["sha256"]


def test_requests_are_few(remote: tuple[Workspace, Bucket, Proxy, Run]) -> None:
    """About as many as objects are written and ranges read; no job lists what it reads."""
    operations = Counter(request.operation for request in remote[2].seen)
    assert operations["list"] <= 12
    assert sum(operations.values()) <= 160, operations


@pytest.mark.usefixtures("_reachable")
def test_intermediate_files_are_cleaned(ceph: Ceph, remote: tuple[Workspace, Bucket, Proxy, Run]) -> None:
    workspace, bucket, _, _ = remote
    done = workspace.snakemake("--", "clean_work", env=ceph.environment)
    assert done.code == 0, done.text
    assert {path.split("/")[3] for path, _ in bucket.sizes("d/work")} == {"label_stats", "mesh_measures"}
