"""The store of a project: a folder, and for bulk files an object store where the config names one.

What Snakemake tracks (receipts, tables, figures, the plan) and what it writes itself (logs) always lie in the folder.
Layers, intermediate files, object tables and timings are bulk; they never pass through Snakemake.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike, NDArray

from ophiolite.errors import StoreError, explain
from ophiolite.layers.bucket import Bucket
from ophiolite.layers.files import REMAKE, Files, Written
from ophiolite.layers.folder import Folder
from ophiolite.layers.paths import BULK_FOLDERS
from ophiolite.layers.scratch import scratch_root

__all__ = ["REMAKE", "Store", "Written", "open_store"]


@dataclass(frozen=True)
class Store:
    """Files named by relative paths with `/`, under `root` or, if bulk, in `bucket` where there is one."""

    root: Path
    bucket: Bucket | None = None

    @property
    def folder(self) -> Folder:
        """The local part."""
        return Folder(self.root)

    @property
    def bulk(self) -> Files:
        """The place of bulk files."""
        return self.bucket or self.folder

    def files(self, path: str) -> Files:
        """The place that holds a path."""
        bulk = path.split("/", 2)[1:2]
        return self.bucket if self.bucket and bulk and bulk[0] in BULK_FOLDERS else self.folder

    def healing(self, damaged: Iterable[str]) -> Store:
        """This store, where writes leave objects alone that are as they would write them and that are not `damaged`."""
        return replace(self, bucket=replace(self.bucket, damaged=frozenset(damaged))) if self.bucket else self

    def local(self, path: str) -> Path:
        """The place on this machine of a file that is not bulk."""
        if self.files(path) is self.bucket:
            raise ValueError(f"{path} is bulk, and lies in {self.place(path)}")
        return self.folder.local(path)

    def scratch(self, path: str) -> Path:
        """A place on this machine for unfinished work: in the store, or where that is a bucket, among temporary files.

        The same path gives the same place, so that a later try on this machine finds what an earlier one left.
        """
        return Folder(scratch_root(self.bucket.url) if self.bucket else self.root).local(path)

    def place(self, path: str) -> str:
        """Where a file lies, for messages."""
        return self.files(path).place(path)

    def exists(self, path: str) -> bool:
        """True where a finished file lies there."""
        return self.size(path) is not None

    def size(self, path: str) -> int | None:
        """Bytes of a file, None where there is none."""
        return self.files(path).size(path)

    def read(self, path: str) -> bytes:
        """All bytes of a file; raises StoreError where it cannot be read."""
        return self.files(path).read(path)

    def read_all(self, folder: str) -> Sequence[bytes]:
        """The bytes of all small files below a folder, by path."""
        return self.files(f"{folder}/").read_all([path for path, _ in self.sizes(folder)])

    def read_range(self, path: str, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; raises StoreError where the file is shorter."""
        return self.files(path).read_ranges(path, [(offset, size)])[0]

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of every (offset, size), in few requests; raises StoreError where the file is shorter."""
        return self.files(path).read_ranges(path, ranges)

    def read_spans(self, spans: Sequence[tuple[str, int, int]]) -> Sequence[bytes]:
        """The bytes of every (path, offset, size) of bulk files; raises StoreError where one is shorter or missing."""
        return self.bulk.read_spans(spans)

    def checksum(self, path: str) -> str:
        """The sha256 of a file, read in parts; raises StoreError where it cannot be read."""
        return self.files(path).checksum(path)

    def local_copy(self, path: str, folder: Path) -> Path:
        """The file on this machine, for a memory map; from a bucket it is copied into `folder`."""
        return self.files(path).local_copy(path, folder)

    def write(self, path: str, data: bytes | Iterable[bytes]) -> Written:
        """Write a file atomically; raises StoreError where the store refuses, leaving nothing behind."""
        return self.files(path).write(path, data)

    def write_array(
        self, path: str, shape: tuple[int, ...], dtype: DTypeLike, fill: Callable[[NDArray[Any]], None]
    ) -> Written:
        """Write a Fortran-ordered .npy atomically, filled by `fill` through a memory map: never whole in memory."""
        return self.files(path).write_array(path, shape, dtype, fill)

    def make_folder(self, folder: str) -> None:
        """Make a local folder that may be there; raises StoreError where the disk forbids it."""
        self.folder.make(folder)

    def check(self, file: Written) -> None:
        """Raise StoreError unless a file is there with the size that was written."""
        size = self.size(file.path)
        if size != file.size_bytes:
            raise StoreError(
                explain(
                    self.place(file.path),
                    "is not what its receipt says",
                    expected=f"{file.size_bytes} bytes",
                    got="no file" if size is None else f"{size} bytes",
                    do=REMAKE,
                )
            )

    def delete(self, path: str) -> None:
        """Remove a file that may be absent."""
        self.files(path).delete(path)

    def keep_only(self, folder: str, kept: Container[str]) -> None:
        """Remove the files below a folder that are not among those kept, such as what earlier settings left."""
        for path in list(self.list(folder)):
            if path not in kept:
                self.delete(path)

    def delete_folder(self, folder: str) -> int:
        """Remove all files below a folder that may be absent; returns their bytes."""
        return self.files(folder).delete_folder(folder)

    def list(self, folder: str) -> Iterator[str]:
        """Paths of all finished files below a folder, sorted. A bucket's listing may be stale: receipts decide."""
        return (path for path, _ in self.sizes(folder))

    def walk(self, folder: str) -> Iterator[tuple[str, int]]:
        """(path, bytes) of all finished files below a folder, in any order; they may be more than fit into memory."""
        return self.files(f"{folder}/").walk(folder)

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        """(path, bytes) of all finished files below a folder, sorted."""
        return self.files(f"{folder}/").sizes(folder)

    def has_files(self, folder: str) -> bool:
        """True where a finished file lies anywhere below a folder."""
        return next(self.list(folder), None) is not None

    def folders(self, folder: str) -> Sequence[str]:
        """Names of what lies directly in a folder, sorted."""
        return self.files(f"{folder}/").folders(folder)

    def remove_empty(self, folder: str) -> None:
        """Remove the empty folders below a folder; a bucket has none."""
        if self.files(folder) is not self.bucket:
            self.folder.remove_empty(folder)

    def sweep(self, folder: str, keep: tuple[str, ...] = ()) -> None:
        """Remove what killed writers left below a folder, except of files whose path begins as one of `keep`."""
        self.files(folder).sweep(folder, keep)

    def sweep_files(self, paths: Iterable[str]) -> None:
        """Remove what killed writers of these very files left; a bucket is swept when a layer is closed."""
        every = tuple(paths)
        self.folder.sweep_files([path for path in every if self.files(path) is not self.bucket])


def open_store(folder: Path, store: str, project: str) -> Store:
    """The store of a project whose tracked files lie in `folder`; `store` is what the config says."""
    return Store(folder, Bucket(f"{store.rstrip('/')}/{project}") if "://" in store else None)
