"""A local folder as a place for files. Writes are atomic: temporary name, fsync, rename."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ophiolite.errors import StoreError, explain
from ophiolite.layers.files import REMAKE, Written, ends_early, inside
from ophiolite.layers.stop import write_point


@dataclass(frozen=True)
class Folder:
    """Files under one local folder."""

    root: Path

    def local(self, path: str) -> Path:
        """The file's place on this machine; raises StoreError where it is not below the root."""
        return self.root / inside(path)

    def place(self, path: str) -> str:
        """Where a file lies, for messages."""
        return str(self.local(path))

    def size(self, path: str) -> int | None:
        """Bytes of a finished file, None where there is none; raises StoreError where the disk does not say."""
        found = self._stat(path)
        return found.st_size if found and stat.S_ISREG(found.st_mode) else None

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder of this name; raises StoreError where the disk does not say."""
        found = self._stat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def read(self, path: str) -> bytes:
        """All bytes of a file; raises StoreError where it cannot be read."""
        with self._open(path) as file:
            return file.read()

    def read_all(self, paths: Sequence[str]) -> list[bytes]:
        """All bytes of every one of some small files."""
        return [self.read(path) for path in paths]

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of every (offset, size) of a file; raises StoreError where it is shorter."""
        found = []
        with self._open(path) as file:
            for offset, size in ranges:
                file.seek(offset)
                found.append(file.read(size))
                if len(found[-1]) != size:
                    raise ends_early(self.place(path), offset, size, len(found[-1]))
        return found

    def read_spans(self, spans: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """The bytes of every (path, offset, size), each of another file; StoreError where one is shorter."""
        return [self.read_ranges(path, [(offset, size)])[0] for path, offset, size in spans]

    def checksum(self, path: str) -> str:
        """The sha256 of a file, read in parts; raises StoreError where it cannot be read."""
        with self._open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def local_copy(self, path: str, folder: Path) -> Path:
        """The file itself."""
        return self.local(path)

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

    def write_array(
        self, path: str, shape: tuple[int, ...], dtype: DTypeLike, fill: Callable[[NDArray[Any]], None]
    ) -> Written:
        """Write a Fortran-ordered .npy atomically, filled by `fill` through a memory map: never whole in memory."""
        with self._replacing(path) as partial:
            fill_array(partial, shape, dtype, fill)
            with open(partial, "rb+") as file:
                digest = hashlib.file_digest(file, "sha256")
                write_point("fsync", path)
                os.fsync(file.fileno())
            size = partial.stat().st_size
        return Written(path, size, digest.hexdigest())

    def make(self, folder: str) -> None:
        """Make a folder that may be there; raises StoreError where the disk forbids it."""
        try:
            self.local(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(_unwritable(self.place(folder), error)) from None

    def delete(self, path: str) -> None:
        """Remove a file that may be absent."""
        with _removing(self.local(path)) as place:
            place.unlink(missing_ok=True)

    def delete_folder(self, folder: str) -> int:
        """Remove a folder, or a file, that may be absent; returns the bytes of its files."""
        with _removing(self.local(folder)) as place:
            size = sum(f.stat().st_size for f in [place, *place.rglob("*")] if f.is_file())
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
        return size

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        """(path, bytes) of all finished files below a folder, sorted."""
        yield from sorted(self.walk(folder))

    def walk(self, folder: str) -> Iterator[tuple[str, int]]:
        """(path, bytes) of all finished files below a folder, in any order: never all of them in memory."""
        for path in self._below(folder.rstrip("/")):
            size = None if path.endswith(".partial") else self.size(path)
            if size is not None:
                yield path, size

    def _below(self, folder: str) -> Iterator[str]:
        """Paths of all but folders below a folder that may be absent; raises StoreError where the disk does not say."""
        try:
            with os.scandir(self.local(folder)) as found:
                for entry in found:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        yield from self._below(path)
                    else:
                        yield path
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StoreError(_unreadable(str(error.filename or self.place(folder)), error)) from None

    def folders(self, folder: str) -> list[str]:
        """Names of what lies directly in a folder, sorted."""
        place = self.local(folder)
        return sorted(item.name for item in place.iterdir()) if place.is_dir() else []

    def remove_empty(self, folder: str) -> None:
        """Remove the empty folders below a folder."""
        if self.is_folder(folder):
            _prune(self.root / folder)

    def sweep(self, folder: str, keep: tuple[str, ...]) -> None:
        """Remove what killed writers left below a folder, except of files whose path begins as one of `keep`."""
        for path in self._below(folder):
            file = self.local(path)
            if _is_partial(file.name) and not _target_of(file).relative_to(self.root).as_posix().startswith(keep):
                file.unlink(missing_ok=True)

    def sweep_files(self, paths: Sequence[str]) -> None:
        """Remove what killed writers of these very files left."""
        targets = {self.local(path) for path in paths}
        for folder in {target.parent for target in targets}:
            for file in folder.glob(".*.partial"):
                if _target_of(file) in targets:
                    file.unlink(missing_ok=True)

    def _stat(self, path: str) -> os.stat_result | None:
        try:
            return self.local(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(_unreadable(self.place(path), error)) from None

    @contextmanager
    def _open(self, path: str) -> Iterator[BufferedReader]:
        """A file to read; raises StoreError where it cannot be read."""
        try:
            with open(self.local(path), "rb") as file:
                yield file
        except OSError as error:
            raise StoreError(_unreadable(self.place(path), error)) from None

    @contextmanager
    def _replacing(self, path: str) -> Iterator[Path]:
        """A partial file to fill, which takes its name when the block ends well and goes when it does not."""
        target = self.local(path)
        partial = partial_of(target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield partial
                write_point("rename", path)
                # A job that is done again leaves alone what it finds as it would write it.
                if target.is_file() and _same(partial, target):
                    partial.unlink()
                else:
                    os.replace(partial, target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(_unwritable(str(target), error)) from None


def fill_array(file: Path, shape: tuple[int, ...], dtype: DTypeLike, fill: Callable[[NDArray[Any]], None]) -> None:
    """Make a Fortran-ordered .npy and fill it through a memory map; raises OSError where the disk lacks the room."""
    array = np.lib.format.open_memmap(file, "w+", np.dtype(dtype), shape, fortran_order=True)
    _reserve(file)
    fill(array)
    array.flush()


def _reserve(file: Path) -> None:
    """Take the space of a sparse file; a disk that has it not would kill the process that fills its memory map."""
    if hasattr(os, "posix_fallocate"):
        with open(file, "rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def _same(partial: Path, target: Path) -> bool:
    """Whether two files hold the same bytes; one that the disk no longer reads is another."""
    try:
        return filecmp.cmp(partial, target, shallow=False)
    except OSError:
        return False


def partial_of(target: Path) -> Path:
    """A name for the unfinished file beside it that no other writer takes, on this machine or another."""
    return target.with_name(f".{target.name}.{secrets.token_hex(6)}.partial")


def _is_partial(name: str) -> bool:
    return name.startswith(".") and name.endswith(".partial")


def _prune(folder: Path) -> bool:
    """Remove the empty folders below a folder, which may hold millions of files; returns whether it is empty now."""
    folders, files = [], 0
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            else:
                files += 1
    empty = [sub for sub in folders if _prune(sub)]
    for sub in empty:
        sub.rmdir()
    return files + len(folders) == len(empty)


def _target_of(partial: Path) -> Path:
    """The file that a partial one was to become."""
    return partial.with_name(partial.name[1:].rsplit(".", 2)[0])


@contextmanager
def _removing(place: Path) -> Iterator[Path]:
    """Something to remove; raises StoreError where the disk refuses."""
    try:
        yield place
    except OSError as error:
        do = "Give this user write permission on it, or check the disk, then run again"
        said = f"cannot be removed ({error.strerror or error})"
        raise StoreError(explain(str(error.filename or place), said, do=do)) from None


def _unreadable(place: str, error: OSError) -> str:
    advice = {errno.ENOENT: REMAKE, errno.EACCES: "Give this user read permission on it, and on its folders"}
    lost = "Check the disk; a file that it has lost is to be removed: running again, or `snakemake heal`, remakes it"
    return explain(place, f"cannot be read ({error.strerror})", do=advice.get(error.errno or 0, lost))


def _unwritable(place: str, error: OSError) -> str:
    advice = {
        errno.ENOSPC: "Free some space or set another `store:`, then run again: finished work is kept",
        errno.EACCES: "Give this user write permission or set another `store:`",
        errno.EROFS: "The disk is read-only; set another `store:`",
    }
    do = advice.get(error.errno or 0, "Check the disk, then run again")
    return explain(place, f"cannot be written ({error.strerror})", do=do)
