"""The store: where bytes lie. Writes are atomic: temporary name, fsync, rename."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ophiolite.errors import StoreError, explain
from ophiolite.layers.stop import write_point

REMAKE = "Remake it: `snakemake --force` on the receipt that names it"


@dataclass(frozen=True)
class Written:
    """What a write left behind: path relative to the store, size and sha256."""

    path: str
    size_bytes: int
    sha256: str

    def to_json(self) -> dict[str, str | int]:
        """The entry of a receipt."""
        return {"path": self.path, "bytes": self.size_bytes, "sha256": self.sha256}


def _target_of(partial: Path) -> Path:
    """The file that a partial one was to become."""
    return partial.with_name(partial.name[1:].rsplit(".", 2)[0])


def _reserve(file: Path) -> None:
    """Take the space of a sparse file; a disk that has it not would kill the process that fills its memory map."""
    if hasattr(os, "posix_fallocate"):
        with open(file, "rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


@dataclass(frozen=True)
class Store:
    """Files under one local folder, named by relative paths with `/`."""

    root: Path

    def local(self, path: str) -> Path:
        """The file's place on this machine."""
        return self.root / path

    def exists(self, path: str) -> bool:
        """True where a finished file lies there."""
        return self.local(path).is_file()

    def read(self, path: str) -> bytes:
        """All bytes of a file; raises StoreError where it cannot be read."""
        try:
            return self.local(path).read_bytes()
        except OSError as error:
            raise self._unreadable(path, error) from None

    def read_range(self, path: str, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; raises StoreError where the file is shorter."""
        try:
            with open(self.local(path), "rb") as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise self._unreadable(path, error) from None
        if len(data) != size:
            raise StoreError(
                explain(
                    str(self.local(path)),
                    f"ends inside the range at {offset}",
                    expected=f"{size} bytes",
                    got=f"{len(data)}",
                    do=REMAKE,
                )
            )
        return data

    def write(self, path: str, data: bytes | Iterable[bytes]) -> Written:
        """Write a file atomically; raises StoreError where the disk is full or forbids it, leaving nothing behind."""
        digest, size = hashlib.sha256(), 0
        with self._replacing(path) as partial, open(partial, "wb") as file:
            for part in (data,) if isinstance(data, bytes) else data:
                file.write(part)
                digest.update(part)
                size += len(part)
            file.flush()
            write_point("fsync", path)
            os.fsync(file.fileno())
        return Written(path, size, digest.hexdigest())

    def make_folder(self, folder: str) -> None:
        """Make a folder that may be there; raises StoreError where the disk forbids it."""
        try:
            self.local(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(self._unwritable(self.local(folder), error)) from None

    def write_array(
        self, path: str, shape: tuple[int, ...], dtype: DTypeLike, fill: Callable[[NDArray[Any]], None]
    ) -> Written:
        """Write a Fortran-ordered .npy atomically, filled by `fill` through a memory map: never whole in memory."""
        with self._replacing(path) as partial:
            array = np.lib.format.open_memmap(partial, "w+", np.dtype(dtype), shape, fortran_order=True)
            _reserve(partial)
            fill(array)
            array.flush()
            del array
            with open(partial, "rb+") as file:
                digest = hashlib.file_digest(file, "sha256")
                write_point("fsync", path)
                os.fsync(file.fileno())
            size = partial.stat().st_size
        return Written(path, size, digest.hexdigest())

    @contextmanager
    def _replacing(self, path: str) -> Iterator[Path]:
        """A partial file to fill, which takes its name when the block ends well and goes when it does not."""
        target = self.local(path)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield partial
                write_point("rename", path)
                os.replace(partial, target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(self._unwritable(target, error)) from None

    def check(self, file: Written) -> None:
        """Raise StoreError unless a file is there with the size that was written."""
        target = self.local(file.path)
        size = target.stat().st_size if target.is_file() else None
        if size != file.size_bytes:
            raise StoreError(
                explain(
                    str(target),
                    "is not what its receipt says",
                    expected=f"{file.size_bytes} bytes",
                    got="no file" if size is None else f"{size} bytes",
                    do=REMAKE,
                )
            )

    def delete(self, path: str) -> None:
        """Remove a file that may be absent."""
        self.local(path).unlink(missing_ok=True)

    def list(self, folder: str) -> Iterator[str]:
        """Paths of all finished files below a folder, sorted."""
        base = self.local(folder)
        for file in sorted(base.rglob("*")):
            if file.is_file() and not file.name.endswith(".partial"):
                yield file.relative_to(self.root).as_posix()

    def sweep(self, folder: str, keep: tuple[str, ...] = ()) -> None:
        """Remove what killed writers left below a folder, except of files whose path begins as one of `keep`."""
        for file in self.local(folder).rglob(".*.partial"):
            if not _target_of(file).relative_to(self.root).as_posix().startswith(keep):
                file.unlink(missing_ok=True)

    def sweep_files(self, paths: Iterable[str]) -> None:
        """Remove what killed writers of these very files left."""
        targets = {self.local(path) for path in paths}
        for folder in {target.parent for target in targets}:
            for file in folder.glob(".*.partial"):
                if _target_of(file) in targets:
                    file.unlink(missing_ok=True)

    def _unreadable(self, path: str, error: OSError) -> StoreError:
        do = REMAKE if error.errno == errno.ENOENT else "Check the disk"
        return StoreError(explain(str(self.local(path)), f"cannot be read ({error.strerror})", do=do))

    @staticmethod
    def _unwritable(target: Path, error: OSError) -> str:
        advice = {
            errno.ENOSPC: "Free some space or set another `store:`, then run again: finished work is kept",
            errno.EACCES: "Give this user write permission or set another `store:`",
            errno.EROFS: "The disk is read-only; set another `store:`",
        }
        do = advice.get(error.errno or 0, "Check the disk, then run again")
        return explain(str(target), f"cannot be written ({error.strerror})", do=do)
