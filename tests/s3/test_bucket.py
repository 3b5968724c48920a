"""A bucket behaves as a folder does, whatever the connection does: objects appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxy import Alter, CutAnswer, CutUpload, Fault, LoseAnswer, Proxy, Request, Slow, Stale, Status

from ophiolite.errors import StoreError
from ophiolite.layers import bucket as bucket_module
from ophiolite.layers import bucket_client
from ophiolite.layers.bucket import Bucket
from ophiolite.layers.bucket_client import TRIES
from ophiolite.layers.bucket_ranges import at_once
from ophiolite.layers.store import Store, Written

SMALL = b"0123456789"
PART = 5 * 2**20
BIG = np.random.default_rng(1).bytes(2 * PART + 1000)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "PART_BYTES", PART)


def first(operation: str, fault: Fault, times: int = 1) -> Any:
    """Picks the first `times` requests of an operation."""
    left = [times]

    def pick(request: Request) -> Fault | None:
        if request.operation != operation or left[0] == 0:
            return None
        left[0] -= 1
        return fault

    return pick


def visible(bucket: Bucket) -> list[str]:
    return [path for path, _ in bucket.sizes("")]


@pytest.mark.parametrize("data", [b"", SMALL, BIG], ids=["empty", "small", "in parts"])
@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "pieces"])
def test_what_is_written_is_read_back(bucket: Bucket, data: bytes, pieces: bool) -> None:
    given: Any = (data[i : i + 999_999] for i in range(0, len(data), 999_999)) if pieces else data
    assert bucket.write("a/b", given) == Written("a/b", len(data), hashlib.sha256(data).hexdigest())
    assert bucket.read("a/b") == data
    assert bucket.size("a/b") == len(data)
    assert bucket.checksum("a/b") == hashlib.sha256(data).hexdigest()
    assert visible(bucket) == ["a/b"]


def test_near_ranges_share_a_request_and_come_back_in_order(bucket: Bucket, proxy: Proxy) -> None:
    bucket.write("a", BIG)
    wanted = [(9_000_000, 10), (10, 5), (0, 4), (12, 100), (5_000_000, 0), (10, 5)]
    proxy.seen.clear()
    assert bucket.read_ranges("a", wanted) == [BIG[o : o + n] for o, n in wanted]
    assert [r.operation for r in proxy.seen] == ["get", "get"]


@pytest.mark.parametrize(("offset", "size"), [(3, 10), (30, 1)])
def test_a_range_must_lie_inside_the_object(bucket: Bucket, offset: int, size: int) -> None:
    bucket.write("a", SMALL)
    with pytest.raises(StoreError, match=r"data/.*/a: .*snakemake --force"):
        bucket.read_ranges("a", [(offset, size)])


def test_what_is_missing_is_named(bucket: Bucket) -> None:
    for read in (
        lambda: bucket.read("a/b"),
        lambda: bucket.read_ranges("a/b", [(0, 1)]),
        lambda: bucket.checksum("a/b"),
    ):
        with pytest.raises(StoreError, match=r"s3://data/.*/a/b: cannot be read \(no such object\)"):
            read()
    assert bucket.size("a/b") is None


def test_an_array_is_the_same_file_as_in_a_folder(bucket: Bucket, tmp_path: Path) -> None:
    def fill(array: Any) -> None:
        array[:] = np.arange(24).reshape(4, 3, 2)

    local = Store(tmp_path / "local").write_array("v.npy", (4, 3, 2), np.int32, fill)
    assert bucket.write_array("v.npy", (4, 3, 2), np.int32, fill) == local
    copy = bucket.local_copy("v.npy", tmp_path / "copies")
    np.testing.assert_array_equal(np.load(copy, mmap_mode="r"), np.arange(24).reshape(4, 3, 2))
    assert not list((tmp_path / f"ophiolite-{os.getuid()}").rglob("*.npy"))


def test_folders_are_listed_and_deleted(bucket: Bucket) -> None:
    for name in ("x/1", "x/y/2", "xy/3", "x.npy"):
        bucket.write(name, SMALL)
    assert bucket.folders("") == ["x", "x.npy", "xy"]
    assert bucket.folders("x") == ["1", "y"]
    assert dict(bucket.sizes("x")) == {"x/1": 10, "x/y/2": 10}
    assert bucket.delete_folder("x") == 20
    bucket.delete("nothing")
    assert visible(bucket) == ["x.npy", "xy/3"]


def test_long_listings_come_in_pages(bucket: Bucket) -> None:
    names = [f"n/{i:04d}" for i in range(1005)]
    at_once(lambda name: bucket.write(name, b""), names)
    assert [path for path, _ in bucket.sizes("n")] == names


PASSING: dict[str, Fault] = {
    "500": Status(500, "InternalError"),
    "503": Status(503, "SlowDown"),
    "429": Status(429, "TooManyRequests"),
    "cut upload": CutUpload(0.5),
    "altered on the way": Alter(),
    "lost answer": LoseAnswer(),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("operation", ["put", "part", "begin", "complete"])
def test_writes_outlast_what_passes(bucket: Bucket, proxy: Proxy, operation: str, fault: Fault) -> None:
    """The object is whole afterwards; in between, only the old one is seen."""
    data = SMALL if operation == "put" else BIG
    bucket.write("a", b"old")
    proxy.pick = first(operation, fault, 2)
    assert bucket.write("a", data).size_bytes == len(data)
    assert sum(proxy.done.values()) >= 1
    assert bucket.read("a") == data


@pytest.mark.parametrize(
    "fault", [Status(500, "InternalError"), Status(503, "SlowDown"), CutAnswer(0.5), LoseAnswer()], ids=repr
)
@pytest.mark.parametrize("operation", ["get", "head", "list"])
def test_reads_outlast_what_passes(bucket: Bucket, proxy: Proxy, operation: str, fault: Fault) -> None:
    bucket.write("a", BIG)
    proxy.pick = first(operation, fault, 2)
    assert bucket.checksum("a") == hashlib.sha256(BIG).hexdigest()
    assert visible(bucket) == ["a"]
    assert sum(proxy.done.values()) >= 1


def test_answers_that_never_come_are_asked_for_again(
    bucket: Bucket, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_client, "READ_TIMEOUT_S", 0.5)
    bucket_client.client.cache_clear()
    bucket.write("a", SMALL)
    proxy.seen.clear()
    proxy.pick = first("get", Slow(2))
    assert bucket.read("a") == SMALL
    assert [request.operation for request in proxy.seen] == ["get", "get"]


@pytest.mark.parametrize("fault", [Status(503, "SlowDown"), CutUpload(0.5), Alter()], ids=repr)
@pytest.mark.parametrize("operation", ["put", "part", "complete"])
def test_a_store_that_stays_down_leaves_the_old_object_and_nothing_else(
    bucket: Bucket, proxy: Proxy, operation: str, fault: Fault
) -> None:
    data = SMALL if operation == "put" else BIG
    bucket.write("a", b"old")
    proxy.pick = first(operation, fault, TRIES)
    with pytest.raises(StoreError, match=rf"/a: cannot be written \(\w+, {TRIES} tries\)"):
        bucket.write("a", data)
    assert bucket.read("a") == b"old"
    assert visible(bucket) == ["a"]
    assert list(bucket._uploads("")) == []


def test_a_writer_that_fails_leaves_nothing(bucket: Bucket) -> None:
    def pieces() -> Iterator[bytes]:
        yield BIG
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        bucket.write("a", pieces())
    assert visible(bucket) == []
    assert list(bucket._uploads("")) == []


KILLED = """
import sys
from ophiolite.layers import bucket
bucket.PART_BYTES = 5 * 2**20
bucket.Bucket(sys.argv[1]).write("x/a", bytes(12 * 2**20))
"""


def test_a_killed_upload_is_invisible_and_swept(bucket: Bucket, proxy: Proxy, tmp_path: Path) -> None:
    switches = {"OPHIOLITE_STOP_AT": "rename:x/a", "OPHIOLITE_STOP_MARK": str(tmp_path / "mark")}
    done = subprocess.run([sys.executable, "-c", KILLED, bucket.url], env={**os.environ, **switches}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert visible(bucket) == []
    assert bucket.size("x/a") is None
    assert [path for path, _ in bucket._uploads("")] == ["x/a"]
    bucket.sweep("x", keep=("x/a",))
    assert [path for path, _ in bucket._uploads("")] == ["x/a"]
    bucket.sweep("x", keep=())
    assert list(bucket._uploads("")) == []


def test_a_stale_listing_decides_nothing(bucket: Bucket, proxy: Proxy, tmp_path: Path) -> None:
    store = Store(tmp_path, bucket)
    written = store.write("d/layers/l/0.shard", SMALL)
    proxy.pick = lambda request: Stale("0.shard")
    assert list(store.list("d/layers/l")) == []
    assert store.exists(written.path)
    store.check(written)


def test_wrong_credentials_are_said_without_being_shown(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    bucket_client.client.cache_clear()
    with pytest.raises(StoreError, match=r"SignatureDoesNotMatch.*Check the secret key") as caught:
        bucket.write("a", SMALL)
    assert "another-secret" not in str(caught.value)


def test_no_credentials_are_asked_for_where_tools_look(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    bucket_client.client.cache_clear()
    with pytest.raises(StoreError, match=r"NoCredentialsError\)\. Give credentials where"):
        bucket.read("a")


def test_a_bucket_is_neither_made_nor_removed(bucket: Bucket) -> None:
    with pytest.raises(StoreError, match=r"NoSuchBucket\)\. Make the bucket first"):
        Bucket("s3://nosuch/x").write("a", SMALL)
    bucket.write("a", SMALL)
    bucket.delete_folder("")
    assert visible(bucket) == []
    bucket.write("a", SMALL)
