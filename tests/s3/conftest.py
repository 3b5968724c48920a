"""One Ceph for the session, a bucket, and a proxy before it; without Ceph these tests say what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ceph import PROGRAMS, Ceph, missing
from proxy import CutAnswer, CutUpload, Fault, LoseAnswer, Proxy, Request, Slow, Status

from ophiolite.__main__ import main
from ophiolite.layers import bucket_client
from ophiolite.layers.bucket import Bucket
from workflow.workspace import Run, Workspace


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """A running server with an empty bucket `data`."""
    absent = missing()
    if absent:
        pytest.skip(
            f"no S3 server: {', '.join(absent)} of {', '.join(PROGRAMS)} missing; run tests/s3/install.sh as root"
        )
    with Ceph(tmp_path_factory.mktemp("ceph")) as running:
        with pytest.MonkeyPatch.context() as patch:
            for key, value in running.environment.items():
                patch.setenv(key, value)
            bucket_client.client.cache_clear()
            bucket_client.client("s3").create_bucket(Bucket="data")
            bucket_client.client.cache_clear()
        yield running


@pytest.fixture
def proxy(ceph: Ceph, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy to the server, which this process's client goes through."""
    with Proxy(ceph.port) as running:
        for key, value in {**ceph.environment, "AWS_ENDPOINT_URL": running.endpoint}.items():
            monkeypatch.setenv(key, value)
        bucket_client.client.cache_clear()
        yield running
    bucket_client.client.cache_clear()


@pytest.fixture
def bucket(proxy: Proxy, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A prefix of the bucket for one test; unfinished work goes to a folder of its own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(bucket_client, "LONGEST_PAUSE_S", 0.02)
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    return Bucket(f"s3://data/{name}")


TARGETS = ("image", "mesh", "objects", "annotations")
REPORT = "results/tiny/report.html"
FAULTS: tuple[Fault, ...] = (
    *(Status(503, "SlowDown"), CutUpload(0.5), Status(500, "InternalError")),
    *(CutAnswer(0.5), LoseAnswer(), Slow(0.5)),
)


def every_fifth(request: Request) -> Fault | None:
    """Every fifth request fails, in a way of its own."""
    return None if request.number % 5 else FAULTS[request.number // 5 % len(FAULTS)]


def config() -> dict[str, Any]:
    """Labels with pyramid, meshes and objects, with two rounds of the pyramid; an image of one block; annotations."""
    neurons = {
        "type": "segmentation",
        "source": "sample.h5:/volumes/labels/neuron_ids",
        "pyramid": {"factors": [[2, 2, 1], [2, 2, 2]], "chunk_vx": [32, 32, 16], "task_vx": [64, 64, 32]},
        "mesh": {"mip": 0, "max_error_nm": 16, "task_vx": [64, 64, 64], "expected_labels": 1000},
        "properties": False,
    }
    em = {"type": "image", "source": "sample.h5:/volumes/raw", "pyramid": {"factors": [[2, 2, 1]]}}
    synapses = {"type": "annotations", "source": "sample.h5:/annotations", "segmentation": "neurons"}
    return {
        "project": "tiny",
        "store": "results",
        "jobs": {"min_blocks": 1},
        "datasets": {"d": {"layers": {"em": em, "neurons": neurons, "synapses": synapses}}},
    }


@dataclass(frozen=True)
class Finished:
    """A project in a bucket, and the proxy it was written through."""

    workspace: Workspace
    bucket: Bucket
    proxy: Proxy
    run: Run


def run(workspace: Workspace, env: dict[str, str], *more: str) -> Run:
    done = workspace.snakemake("--", *TARGETS, *more, env=env)
    assert done.code == 0, done.text
    return done


@pytest.fixture(scope="session")
def local(kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The project finished in a folder."""
    folder = tmp_path_factory.mktemp("local")
    assert main(["make_sample", str(folder / "sample.h5"), "--size-vx", "96", "96", "64"]) == 0
    workspace = Workspace(folder, config())
    workspace.write_config()
    workspace.take_kernels(kernels)
    run(workspace, {})
    return workspace


@pytest.fixture(scope="session")
def remote(ceph: Ceph, local: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The project finished in a bucket, its report too, over a connection that fails often."""
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
        done = run(workspace, env, REPORT)
    return Finished(workspace, Bucket("s3://data/runs/tiny"), proxy, done)


@pytest.fixture
def reachable(ceph: Ceph, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's client goes straight to the server."""
    for key, value in ceph.environment.items():
        monkeypatch.setenv(key, value)
    bucket_client.client.cache_clear()
