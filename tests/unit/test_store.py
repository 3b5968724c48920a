"""The store: files appear whole or not at all, and what goes wrong is said in one sentence."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ophiolite.errors import StoreError
from ophiolite.layers.bucket import Bucket
from ophiolite.layers.folder import partial_of
from ophiolite.layers.store import Store, Written

DATA = b"0123456789"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def everything(store: Store) -> list[str]:
    return sorted(p.relative_to(store.root).as_posix() for p in store.root.rglob("*") if p.is_file())


def test_bytes_and_parts_give_the_same_file(store: Store) -> None:
    whole = store.write("a/b/whole", DATA)
    parts = store.write("a/b/parts", (DATA[i : i + 3] for i in range(0, 10, 3)))
    assert whole == Written("a/b/whole", 10, hashlib.sha256(DATA).hexdigest())
    assert (parts.size_bytes, parts.sha256) == (whole.size_bytes, whole.sha256)
    assert store.read("a/b/parts") == DATA
    assert everything(store) == ["a/b/parts", "a/b/whole"]


def test_a_file_is_replaced_whole(store: Store) -> None:
    store.write("a", DATA)
    store.write("a", b"new")
    assert store.read("a") == b"new"


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(store: Store) -> None:
    def parts() -> Any:
        yield b"half"
        raise RuntimeError("no more")

    store.write("a", DATA)
    with pytest.raises(RuntimeError, match="no more"):
        store.write("a", parts())
    assert store.read("a") == DATA
    assert everything(store) == ["a"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Check the disk"),
        (errno.EACCES, "write permission"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "Check the disk"),
    ],
)
@pytest.mark.parametrize("way", ["write", "array"])
def test_a_disk_that_refuses_is_named_and_nothing_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int, said: str, way: str
) -> None:
    def fails(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fails)
    write = {
        "write": lambda: store.write("a/b", DATA),
        "array": lambda: store.write_array("a/b", (3, 2), np.uint8, lambda array: array.fill(1)),
    }[way]
    with pytest.raises(StoreError, match=said) as caught:
        write()
    assert str(store.root / "a" / "b") in str(caught.value)
    assert os.strerror(code) in str(caught.value)
    assert everything(store) == []


def test_an_array_is_filled_through_a_map_and_read_by_numpy(store: Store) -> None:
    def fill(array: Any) -> None:
        array[:] = np.arange(24).reshape(4, 3, 2)

    written = store.write_array("v.npy", (4, 3, 2), np.int32, fill)
    data = store.read("v.npy")
    assert (written.size_bytes, written.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    read = np.load(store.local("v.npy"))
    assert read.flags.f_contiguous
    np.testing.assert_array_equal(read, np.arange(24).reshape(4, 3, 2))
    again = store.write_array("w.npy", (4, 3, 2), np.int32, fill)
    assert again.sha256 == written.sha256


def test_a_range_must_lie_inside_the_file(store: Store) -> None:
    store.write("a", DATA)
    assert store.read_range("a", 3, 4) == b"3456"
    with pytest.raises(StoreError, match=r"ends inside the range at 8\. Expected 4 bytes\. Got 2.*snakemake --force"):
        store.read_range("a", 8, 4)


def test_what_is_missing_is_named(store: Store) -> None:
    for read in (lambda: store.read("a/b"), lambda: store.read_range("a/b", 0, 1)):
        with pytest.raises(StoreError, match=r"a/b: cannot be read \(No such file or directory\)"):
            read()


def test_a_folder_in_the_way_is_an_error(store: Store) -> None:
    store.write("a", DATA)
    with pytest.raises(StoreError, match="cannot be written"):
        store.write("a/b", DATA)
    with pytest.raises(StoreError, match="cannot be written"):
        store.make_folder("a/b")


def test_lists_hold_finished_files_only(store: Store) -> None:
    for name in ("x/2", "x/1", "y/3"):
        store.write(name, DATA)
    (store.root / "x" / ".4.123.partial").write_bytes(b"half")
    assert list(store.list("x")) == ["x/1", "x/2"]
    assert list(store.list("nowhere")) == []
    assert store.exists("x/1")
    assert not store.exists("x")


def test_two_writers_of_one_file_do_not_meet(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers on two machines that share the folder may have the same number of process."""
    monkeypatch.setattr(os, "getpid", lambda: 77)

    def parts() -> Iterator[bytes]:
        yield b"first "
        store.write("x/1", b"second")
        assert len(everything(store)) == 2
        yield b"ends"

    assert store.write("x/1", parts()).size_bytes == 10
    assert store.read("x/1") == b"first ends"
    assert everything(store) == ["x/1"]


def test_names_of_unfinished_files_are_swept_by_the_file_they_were_to_become(store: Store) -> None:
    for name in ("x/1", "x/1.npy", "x/.hidden"):
        partial = partial_of(store.local(name))
        partial.parent.mkdir(exist_ok=True)
        partial.write_bytes(b"half")
        store.sweep_files([f"{name}.other", "x/2"])
        assert partial.exists()
        store.sweep_files([name])
        assert not partial.exists()


def test_what_cannot_be_removed_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("x/y/1", DATA)

    def refuses(path: object, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    for module, name in ((os, "unlink"), (os, "rmdir")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, refuses)
            with pytest.raises(StoreError, match=r"cannot be removed \(Permission denied\).*run again"):
                store.delete_folder("x")
    assert store.delete_folder("x") >= 0
    assert store.delete_folder("x") == 0
    store.write("z", DATA)
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuses)
        with pytest.raises(StoreError, match=r"z: cannot be removed \(Permission denied\)"):
            store.delete("z")


def test_sweeping_takes_what_killed_writers_left_except_of_others(store: Store) -> None:
    store.write("x/1", DATA)
    for name in ("x/.1.77.partial", "x/.info.78.partial", "x/mesh/.0.shard.79.partial"):
        store.local(name).parent.mkdir(exist_ok=True)
        store.local(name).write_bytes(b"half")
    store.sweep("x", keep=("x/info", "x/mesh/"))
    assert everything(store) == ["x/.info.78.partial", "x/1", "x/mesh/.0.shard.79.partial"]
    store.sweep("x")
    assert everything(store) == ["x/1"]


def test_sweeping_files_takes_what_was_to_become_them(store: Store) -> None:
    for name in ("x/.1.77.partial", "x/.1.78.partial", "x/.11.77.partial", "y/.1.77.partial"):
        store.local(name).parent.mkdir(exist_ok=True)
        store.local(name).write_bytes(b"half")
    store.sweep_files(["x/1", "x/2", "z/1"])
    assert everything(store) == ["x/.11.77.partial", "y/.1.77.partial"]


def test_a_file_is_checked_against_what_was_written(store: Store) -> None:
    written = store.write("a", DATA)
    store.check(written)
    store.local("a").write_bytes(DATA[:5])
    with pytest.raises(StoreError, match=r"Expected 10 bytes\. Got 5 bytes"):
        store.check(written)
    store.delete("a")
    store.delete("a")
    with pytest.raises(StoreError, match="Got no file"):
        store.check(written)


OUTSIDE = ("../x", "d/layers/../../../x", "/etc/passwd", "/d/layers/em/info", "d/layers/..", "..", "d/layers/a\0b")
OPERATIONS: dict[str, Callable[[Store, str], object]] = {
    "local": lambda store, path: store.folder.local(path),
    "scratch": Store.scratch,
    "size": Store.size,
    "read": Store.read,
    "read_range": lambda store, path: store.read_range(path, 0, 1),
    "read_spans": lambda store, path: store.read_spans([(path, 0, 1)]),
    "checksum": Store.checksum,
    "local_copy": lambda store, path: store.local_copy(path, store.root),
    "write": lambda store, path: store.write(path, DATA),
    "write_array": lambda store, path: store.write_array(path, (1,), "u1", lambda array: None),
    "make_folder": Store.make_folder,
    "check": lambda store, path: store.check(Written(path, 1, "")),
    "delete": Store.delete,
    "delete_folder": Store.delete_folder,
    "sizes": lambda store, path: list(store.sizes(path)),
    "folders": Store.folders,
    "remove_empty": lambda store, path: store.folder.remove_empty(path),
    "sweep": Store.sweep,
    "sweep_files": lambda store, path: store.folder.sweep_files([path]),
}


@pytest.mark.parametrize("bucket", [None, Bucket("s3://nowhere/x")], ids=["folder", "bucket"])
@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_outside_is_touched(operation: str, path: str, bucket: Bucket | None, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(DATA)
    with pytest.raises(StoreError, match="leads out of the store"):
        OPERATIONS[operation](Store(tmp_path / "store", bucket), path)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == DATA


@pytest.mark.parametrize("path", ["", "d/layers", "d/layers/a..b", "..a/b", "d/work/x/..."])
def test_dots_in_names_are_names(path: str, tmp_path: Path) -> None:
    assert Store(tmp_path).local(path) == tmp_path / path
