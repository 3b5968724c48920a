"""Healing in a bucket: an object that is as it would be written stays, unless it was found damaged."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from ophiolite.layers import bucket as bucket_module
from ophiolite.layers.bucket import Bucket
from ophiolite.layers.store import Store

URL = "s3://data/p"
PATH = "d/layers/em/8_8_8/0.shard"
PART = 1000
SIZES = (0, 10, PART, PART + 1, 3 * PART)


class Fake:
    """A store in memory that answers as S3 does: the ETag of parts is made of their sums."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.parts: list[bytes] = []
        self.asked: list[str] = []

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        self.asked.append("head")
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "404"}}, "HeadObject")
        data, tag = self.objects[Key]
        return {"ContentLength": len(data), "ETag": f'"{tag}"'}

    def put_object(self, Bucket: str, Key: str, Body: bytes, ContentMD5: str) -> None:
        self.asked.append("put")
        self.objects[Key] = Body, hashlib.md5(Body, usedforsecurity=False).hexdigest()

    def create_multipart_upload(self, Bucket: str, Key: str) -> dict[str, str]:
        self.parts = []
        return {"UploadId": "u"}

    def upload_part(self, Body: bytes, **_: Any) -> dict[str, str]:
        self.asked.append("part")
        self.parts.append(Body)
        return {"ETag": "e"}

    def complete_multipart_upload(self, Bucket: str, Key: str, **_: Any) -> None:
        sums = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in self.parts)
        tag = f"{hashlib.md5(sums, usedforsecurity=False).hexdigest()}-{len(self.parts)}"
        self.objects[Key] = b"".join(self.parts), tag


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    server = Fake()
    monkeypatch.setattr(bucket_module, "client", lambda scheme: server)
    monkeypatch.setattr(bucket_module, "PART_BYTES", PART)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return server


def content(size: int) -> bytes:
    return np.random.default_rng(size).bytes(size)


def sent(fake: Fake) -> bool:
    return bool({"put", "part"} & set(fake.asked))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "pieces"])
def test_what_is_as_it_would_be_written_stays(fake: Fake, size: int, pieces: bool) -> None:
    data = content(size)
    given = lambda: (data[i : i + 7] for i in range(0, size, 7)) if pieces else data  # noqa: E731
    written = Bucket(URL).write(PATH, given())
    fake.asked.clear()
    healing = Bucket(URL, frozenset({"another"}))
    assert healing.write(PATH, given()) == written
    assert fake.asked == ["head"]
    assert Bucket(URL).write(PATH, given()) == written
    assert sent(fake), "outside of healing every write is sent, without a question"


@pytest.mark.parametrize("size", SIZES[1:])
def test_what_is_another_or_missing_is_written(fake: Fake, size: int) -> None:
    healing = Bucket(URL, frozenset())
    data = content(size)
    assert healing.write(PATH, data).sha256 == hashlib.sha256(data).hexdigest()
    for other in (data[:-1], bytes([data[0] ^ 1]) + data[1:], data + b"x"):
        Bucket(URL).write(PATH, other)
        fake.asked.clear()
        assert healing.write(PATH, iter([data])).sha256 == hashlib.sha256(data).hexdigest()
        assert sent(fake)
        assert fake.objects[f"p/{PATH}"][0] == data


def test_what_was_found_damaged_is_written_though_the_store_says_it_is_sound(fake: Fake) -> None:
    """A store names the checksum of what came in, whatever its disks made of that."""
    data = content(PART)
    Bucket(URL).write(PATH, data)
    tag = fake.objects[f"p/{PATH}"][1]
    fake.objects[f"p/{PATH}"] = bytes(PART), tag
    Bucket(URL, frozenset()).write(PATH, data)
    assert fake.objects[f"p/{PATH}"][0] == bytes(PART)
    Bucket(URL, frozenset({PATH})).write(PATH, data)
    assert fake.objects[f"p/{PATH}"][0] == data


def test_an_array_that_is_sound_stays(fake: Fake) -> None:
    fill = lambda array: array.fill(3)  # noqa: E731
    first = Bucket(URL).write_array("d/work/em/carry/r0/0.npy", (20, 30, 5), np.uint8, fill)
    fake.asked.clear()
    assert Bucket(URL, frozenset()).write_array("d/work/em/carry/r0/0.npy", (20, 30, 5), np.uint8, fill) == first
    assert fake.asked == ["head"]


def test_a_store_heals_in_its_bucket_alone(tmp_path: Path) -> None:
    assert Store(tmp_path).healing([PATH]) == Store(tmp_path)
    assert Store(tmp_path, Bucket(URL)).healing([PATH]).bucket == Bucket(URL, frozenset({PATH}))
