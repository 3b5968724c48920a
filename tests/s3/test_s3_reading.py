"""What reads a project in a bucket: the viewer's server, and sources of private and public buckets."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from ceph import SECRET, Ceph
from proxy import Proxy, Status

from conftest import Finished
from ophiolite.errors import SourceError
from ophiolite.layers import bucket_client
from ophiolite.layers.bucket import Bucket
from ophiolite.layers.store import Store
from ophiolite.layers.volume import VolumeReader
from ophiolite.report.results import find_object, read_views
from ophiolite.report.server import ResultsServer
from ophiolite.sources import open_source
from workflow.workspace import Workspace

INFO = "/d/layers/neurons/info"
SHARD = "/d/layers/neurons/mesh/0.shard"


@pytest.mark.usefixtures("reachable")
def test_the_viewer_shows_the_same_of_a_bucket_as_of_a_folder(local: Workspace, remote: Finished) -> None:
    views = read_views(remote.workspace.project)
    assert views == read_views(local.project)
    reader = VolumeReader(Store(local.project), "d/layers/neurons", 0)
    label = int(np.unique(reader.read(reader.box))[1])
    found = find_object(remote.workspace.project, views, "d", "neurons", label)
    assert found is not None
    assert found == find_object(local.project, views, "d", "neurons", label)


@pytest.fixture
def served(remote: Finished, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[ResultsServer]:
    monkeypatch.setattr(bucket_client, "LONGEST_PAUSE_S", 0.02)
    with ResultsServer(remote.workspace.project, lambda base: base, bucket=remote.bucket) as running:
        yield running


def ask(served: ResultsServer, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def test_the_server_passes_ranges_on(served: ResultsServer, local: Workspace, proxy: Proxy) -> None:
    whole = (local.project / SHARD.lstrip("/")).read_bytes()
    status, headers, body = ask(served, SHARD)
    assert (status, body, headers["content-length"]) == (200, whole, str(len(whole)))
    proxy.seen.clear()
    for span, part in (("5-9", whole[5:10]), ("-7", whole[-7:]), (f"{len(whole) - 3}-", whole[-3:])):
        status, headers, body = ask(served, SHARD, Range=f"bytes={span}")
        assert (status, body) == (206, part)
        assert headers["content-range"].endswith(f"/{len(whole)}")
        assert "access-control-allow-origin" not in headers
    assert [r.operation for r in proxy.seen] == ["get"] * 3
    assert ask(served, SHARD, Range=f"bytes={len(whole)}-")[0] == 416
    assert ask(served, SHARD, Range="bytes=9-5")[0] == 200
    status, headers, body = ask(served, INFO, "HEAD")
    assert (status, body, headers["content-type"]) == (200, b"", "application/json")
    assert ask(served, INFO, If_None_Match=headers["etag"])[0] == 304


@pytest.mark.parametrize(
    "path",
    [
        "/d/layers/../layers/neurons/info",
        "/d/layers/%2e%2e/x",
        "/d/layers//neurons/info",
        "/d/layers/no/such",
        "/d/layers",
        "/../tiny/d/layers/neurons/info",
        "/d/layers/neurons%00/info",
        "/x/y/z",
        "/d/layers/.hidden/a",
    ],
)
def test_nothing_else_is_found(served: ResultsServer, path: str) -> None:
    status, headers, body = ask(served, path)
    assert status == 404
    assert SECRET.encode() not in body + json.dumps(headers).encode()


def test_a_store_that_is_down_is_said(served: ResultsServer, proxy: Proxy) -> None:
    proxy.pick = lambda request: Status(503, "SlowDown")
    status, _, body = ask(served, INFO)
    assert status == 502
    assert f"SlowDown, {bucket_client.TRIES} tries".encode() in body
    assert SECRET.encode() not in body


@pytest.mark.usefixtures("reachable")
def test_a_private_bucket_is_a_source(local: Workspace, remote: Finished) -> None:
    source = open_source(f"{remote.bucket.url}/d/layers/neurons", kind="segmentation")
    reader = VolumeReader(Store(local.project), "d/layers/neurons", 0)
    np.testing.assert_array_equal(source.read(source.box), reader.read(reader.box))
    assert source.resolution_nm == reader.scale.resolution_nm


@pytest.mark.usefixtures("reachable")
def test_a_public_bucket_needs_no_credentials(
    local: Workspace, remote: Finished, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ceph: Ceph
) -> None:
    s3 = bucket_client.client("s3")
    s3.create_bucket(Bucket="open", ACL="public-read")
    for path, _ in remote.bucket.sizes("d/layers/neurons"):
        s3.put_object(Bucket="open", Key=f"n/{path}", Body=remote.bucket.read(path), ACL="public-read")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    reader = VolumeReader(Store(local.project), "d/layers/neurons", 0)
    for address in ("s3://open", f"{ceph.endpoint}/open"):
        source = open_source(f"precomputed://{address}/n/d/layers/neurons", kind="segmentation")
        np.testing.assert_array_equal(source.read(source.box), reader.read(reader.box))
    with pytest.raises(SourceError, match="data/runs"):
        open_source(f"{remote.bucket.url}/d/layers/neurons", kind="segmentation")


def test_google_is_asked_with_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes for `gs://` go to Google's host in the same requests, signed by the bearer token alone."""
    from google.oauth2.credentials import Credentials

    sent: list[dict[str, str]] = []

    def default(scopes: list[str]) -> tuple[Credentials, str]:
        return Credentials(token="planted-token"), "project"

    def send(request: object, **_: object) -> None:
        sent.append({"url": request.url, **{k.lower(): str(v) for k, v in request.headers.items()}})
        raise RuntimeError("not sent")

    monkeypatch.setattr("google.auth.default", default)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    bucket_client.client.cache_clear()
    bucket_client.client("gs").meta.events.register("before-send.s3", send)
    with pytest.raises(RuntimeError, match="not sent"):
        Bucket("gs://mine/pre").write("d/layers/x", b"0")
    bucket_client.client.cache_clear()
    assert sent[0]["url"] == "https://storage.googleapis.com/mine/pre/d/layers/x"
    assert "planted-token" in sent[0]["authorization"]
    assert not [name for name in sent[0] if name.startswith("x-amz")]


def test_google_s_emulator_is_a_store(ceph: Ceph, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """`gs://` without signatures, as an emulator takes them: here a bucket that anyone may write."""
    s3 = bucket_client.client("s3")
    s3.create_bucket(Bucket="anyone")
    anyone = {"Effect": "Allow", "Principal": "*", "Action": "s3:*"}
    places = ["arn:aws:s3:::anyone", "arn:aws:s3:::anyone/*"]
    s3.put_bucket_policy(
        Bucket="anyone", Policy=json.dumps({"Version": "2012-10-17", "Statement": [{**anyone, "Resource": places}]})
    )
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.endpoint)
    bucket = Bucket("gs://anyone/x")
    bucket.write("a", b"0123")
    assert bucket.read_ranges("a", [(1, 2)]) == [b"12"]
    assert list(bucket.sizes("")) == [("a", 4)]
    bucket.delete("a")
    assert bucket.size("a") is None
