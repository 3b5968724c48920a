"""One Ceph for the session, a bucket, and a proxy before it; without Ceph these tests say what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ceph import PROGRAMS, Ceph, missing
from proxy import Proxy

from ophiolite.layers import bucket_client
from ophiolite.layers.bucket import Bucket


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests on one worker, since all of them share one server."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("s3"))


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
    monkeypatch.setattr(bucket_client, "FIRST_PAUSE_S", 0.01)
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    return Bucket(f"s3://data/{name}")
