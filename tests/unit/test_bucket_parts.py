"""What of a bucket needs no server: which files go there, how ranges and parts are grouped, whose scratch is taken."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.config.load import parse_config
from ophiolite.errors import StoreError
from ophiolite.layers import bucket as bucket_module
from ophiolite.layers.bucket import Bucket, _cut
from ophiolite.layers.bucket_ranges import together
from ophiolite.layers.folder import partial_of
from ophiolite.layers.scratch import scratch_root
from ophiolite.layers.store import Store, Written, open_store
from ophiolite.report.server_objects import bulk_name

CONFIG = {
    "project": "p",
    "datasets": {"d": {"layers": {"em": {"type": "image", "source": "em.h5:/raw"}}}},
}


@pytest.mark.parametrize(
    "path", ["d/layers/em/info", "d/work/em/a.npy", "d/objects/em/0.parquet", "d/timings/r/em.json"]
)
def test_what_snakemake_does_not_know_goes_to_the_bucket(tmp_path: Path, path: str) -> None:
    store = open_store(tmp_path, "s3://data/runs", "p")
    assert store.files(path) == Bucket("s3://data/runs/p")
    assert store.place(path) == f"s3://data/runs/p/{path}"
    with pytest.raises(ValueError, match="is bulk"):
        store.local(path)
    assert open_store(tmp_path, "results", "p").local(path) == tmp_path / path


@pytest.mark.parametrize(
    "path", ["plan.json", "tables/layers.csv", "d/receipts/em/layers.json", "d/quality/em/r/0.parquet"]
)
def test_what_snakemake_tracks_stays_in_the_folder(tmp_path: Path, path: str) -> None:
    assert open_store(tmp_path, "s3://data/runs", "p").local(path) == tmp_path / path


@pytest.mark.parametrize(
    ("store", "results", "tracked"),
    [("results", None, "results"), ("s3://b12/x/", None, "results"), ("gs://b12", "here", "here")],
)
def test_the_folder_of_receipts(store: str, results: str | None, tracked: str) -> None:
    config = parse_config({**CONFIG, "store": store, "results": results}, "test")
    assert config.tracked == tracked
    assert not config.store.endswith("/")


@given(st.lists(st.tuples(st.integers(0, 2**22), st.integers(0, 2**20)), max_size=12))
def test_every_range_lies_in_its_group_and_no_group_is_too_large(ranges: list[tuple[int, int]]) -> None:
    groups = together(ranges)
    assert sorted(number for _, members in groups for number in members) == list(range(len(ranges)))
    for (start, length), members in groups:
        assert length <= max(bucket_module.PART_BYTES, *(ranges[n][1] for n in members))
        for number in members:
            offset, size = ranges[number]
            assert start <= offset
            assert offset + size <= start + length


@given(st.lists(st.binary(max_size=50), max_size=12), st.integers(1, 40))
def test_parts_hold_the_bytes_and_only_the_last_is_shorter(pieces: list[bytes], part: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket_module, "PART_BYTES", part)
        parts = list(_cut(pieces))
    assert b"".join(parts) == b"".join(pieces)
    assert all(len(p) == part for p in parts[:-1])
    assert not parts or 0 < len(parts[-1]) <= part


def test_scratch_is_the_same_for_the_same_store_and_for_this_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first = scratch_root("s3://data/a")
    assert first == scratch_root("s3://data/a") != scratch_root("s3://data/b")
    assert first.parent.stat().st_mode & 0o777 == 0o700
    store = Store(tmp_path / "r", Bucket("s3://data/a"))
    assert store.scratch("d/work/x") == first / "d/work/x"
    assert Store(tmp_path / "r").scratch("d/work/x") == tmp_path / "r/d/work/x"


def test_a_draft_lies_with_unfinished_work_and_those_of_killed_tries_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    bucket, path = Bucket("s3://data/a"), "d/work/em/carry/r0/0-0-0.npy"
    killed = partial_of(scratch_root(bucket.url) / path)
    killed.parent.mkdir(parents=True)
    killed.write_bytes(b"half")
    seen: list[list[Path]] = []

    def write(self: Bucket, path: str, data: object) -> Written:
        seen.append([file for file in tmp_path.rglob("*") if file.is_file()])
        return Written(path, 0, "")

    monkeypatch.setattr(Bucket, "write", write)
    bucket.write_array(path, (2, 2), np.uint8, lambda array: array.fill(1))
    ((draft,),) = seen
    assert draft.parent == killed.parent
    assert draft != killed
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


@pytest.mark.parametrize("way", ["open to others", "link"])
def test_scratch_that_somebody_else_prepared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = tmp_path / f"ophiolite-{os.getuid()}"
    if way == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        own.symlink_to(tmp_path / "elsewhere")
    else:
        own.mkdir()
        own.chmod(0o777)
    with pytest.raises(StoreError, match="is not this user's own folder"):
        scratch_root("s3://data/a")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/d/layers/em/info", "d/layers/em/info"),
        ("/d/layers/em/0-64_0-64_0-64", "d/layers/em/0-64_0-64_0-64"),
        ("/d/receipts/em/x.json", None),
        ("/d/layers/../../etc/passwd", None),
        ("/d/layers/%2e%2e/%2e%2e/x", None),
        ("/d/layers/a\\b", None),
        ("/d/layers", None),
    ],
)
def test_only_names_of_bulk_files_reach_the_bucket(address: str, name: str | None) -> None:
    assert bulk_name(address) == name
