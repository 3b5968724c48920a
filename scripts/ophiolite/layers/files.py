"""What a place for files offers, be it a folder or a bucket, and what a write leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import DTypeLike, NDArray

from ophiolite.errors import StoreError, explain

REMAKE = "Remake it: `snakemake --force` on the receipt that names it"


@dataclass(frozen=True)
class Written:
    """What a write left behind: path relative to the store, size and sha256; of a shard what locates altered entries.

    entries : `precomputed.shard_sums.entry_sums` of a shard, empty for other files.
    """

    path: str
    size_bytes: int
    sha256: str
    entries: str = ""

    def to_json(self) -> dict[str, str | int]:
        """The entry of a receipt."""
        of_shard = {"entries": self.entries} if self.entries else {}
        return {"path": self.path, "bytes": self.size_bytes, "sha256": self.sha256, **of_shard}


class Files(Protocol):
    """Files named by relative paths with `/`; they appear whole or not at all.

    StoreError where the place refuses, and for paths that lead out of it.
    """

    def place(self, path: str) -> str:
        """Where a file lies, for messages."""

    def size(self, path: str) -> int | None:
        """Bytes of a finished file, None where there is none."""

    def read(self, path: str) -> bytes:
        """All bytes of a file."""

    def read_all(self, paths: Sequence[str]) -> list[bytes]:
        """All bytes of every one of some small files."""

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of every (offset, size) of a file; StoreError where it is shorter."""

    def read_spans(self, spans: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """The bytes of every (path, offset, size), each of another file; StoreError where one is shorter."""

    def checksum(self, path: str) -> str:
        """The sha256 of a file, read in parts."""

    def local_copy(self, path: str, folder: Path) -> Path:
        """The file on this machine, for a memory map; one that is not here yet is copied into `folder`."""

    def write(self, path: str, data: bytes | Iterable[bytes]) -> Written:
        """Write a file, replacing what is there."""

    def write_array(
        self, path: str, shape: tuple[int, ...], dtype: DTypeLike, fill: Callable[[NDArray[Any]], None]
    ) -> Written:
        """Write a Fortran-ordered .npy filled by `fill` through a memory map."""

    def delete(self, path: str) -> None:
        """Remove a file that may be absent."""

    def delete_folder(self, folder: str) -> int:
        """Remove all files below a folder that may be absent; returns their bytes."""

    def walk(self, folder: str) -> Iterator[tuple[str, int]]:
        """(path, bytes) of all finished files below a folder, in any order, as they are found."""

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        """(path, bytes) of all finished files below a folder, sorted."""

    def folders(self, folder: str) -> list[str]:
        """Names of what lies directly in a folder, sorted."""

    def sweep(self, folder: str, keep: tuple[str, ...]) -> None:
        """Remove what killed writers left below a folder, except of files whose path begins as one of `keep`."""


def inside(path: str) -> str:
    """A path of the store, as it is; raises StoreError where it leads out of it, as only a damaged one does."""
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise StoreError(
            explain(
                repr(path),
                "this path leads out of the store",
                expected="a path below it, without `..`",
                do="The receipt or plan that names it is damaged: `snakemake verify`, or remove it and run again",
            )
        )
    return path


def ends_early(place: str, offset: int, size: int, got: int) -> StoreError:
    """The error of a file that ends inside a range."""
    return StoreError(
        explain(place, f"ends inside the range at {offset}", expected=f"{size} bytes", got=f"{got}", do=REMAKE)
    )
