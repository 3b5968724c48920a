"""Files from public addresses, with pinned checksums, from a local mirror where there is one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from ophiolite.errors import SourceError, explain

_PIECE = 2**22


class Entry(Protocol):
    """A file to fetch: its public address and its SHA-256 as 64 hex digits."""

    @property
    def url(self) -> str:
        """Public address."""

    @property
    def sha256(self) -> str:
        """Checksum of the file."""


def fetch(name: str, entry: Entry, mirror: Path | None, cache: Path) -> Path:
    """The local path of a file with the right checksum: from `mirror`, else from `cache`, else downloaded into `cache`.

    `name` is the file's name in both folders. SourceError for a file that is not the pinned one, wherever it came from,
    and for an address that cannot be reached.
    """
    if mirror is not None and (mirror / name).is_file():
        return _checked(mirror / name, entry, do="Put the original file into the mirror folder, or remove it there")
    cached = cache / name
    if cached.is_file():
        return _checked(cached, entry, do="Delete it, and it is fetched again")
    import pooch

    cache.mkdir(parents=True, exist_ok=True)
    try:
        return Path(pooch.retrieve(entry.url, f"sha256:{entry.sha256}", fname=name, path=cache, progressbar=False))
    except ValueError as error:
        raise SourceError(
            explain(
                entry.url,
                f"what was downloaded is not the pinned file ({error})",
                expected=f"SHA-256 {entry.sha256}",
                do="Try again; if it stays so, the published file has changed, and so must its checksum in the config",
            )
        ) from error
    except OSError as error:
        raise SourceError(
            explain(
                entry.url,
                f"the file cannot be downloaded ({error})",
                do=f"Check the connection, or put {name} into a folder and name it as `mirror` in the config",
            )
        ) from error


def _checked(file: Path, entry: Entry, *, do: str) -> Path:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    if digest.hexdigest() != entry.sha256:
        raise SourceError(
            explain(
                str(file),
                "this is not the pinned file",
                expected=f"SHA-256 {entry.sha256}",
                got=digest.hexdigest(),
                do=do,
            )
        )
    return file
