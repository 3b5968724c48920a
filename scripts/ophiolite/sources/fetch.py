"""Files with pinned checksums: kept in one folder, taken from a local mirror or from their public address."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from ophiolite.errors import SourceError, explain

DATA = "data"
MIRROR_VARIABLE = "OPHIOLITE_MIRROR"
_PIECE = 2**22


@dataclass(frozen=True)
class Pinned:
    """A file to fetch: its public address, where it has one, and its SHA-256 as 64 hex digits."""

    url: str | None
    sha256: str


def fetch(name: str, entry: Pinned, mirror: Path | None, folder: Path) -> Path:
    """Bring a file with the right checksum to `folder / name` and return that path.

    What lies there is kept; else a file of that name in `mirror` is linked to, else it is downloaded. SourceError for
    a file that is not the pinned one, wherever it came from, and for an address that is not known or not reached.
    """
    place = folder / name
    if place.is_file():
        return _checked(place, entry, do="Delete it, and it is fetched again")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        if mirror is not None and (mirror / name).is_file():
            kept = _checked(mirror / name, entry, do="Put the original file into the mirror folder, or remove it there")
            place.symlink_to(kept.resolve())
            return place
    except OSError as error:
        raise SourceError(
            explain(str(place), f"the file cannot be placed ({error})", do="Check the permissions of the folder")
        ) from None
    if entry.url is None:
        raise SourceError(
            explain(
                name,
                "it has no public address and is not in a mirror folder",
                expected=f"{mirror / name}" if mirror else f"a mirror folder that holds {name}",
                do=f"Set the environment variable {MIRROR_VARIABLE}, or `mirror` in the config, to the folder with it",
            )
        )
    return _downloaded(name, entry.url, entry.sha256, folder)


def _downloaded(name: str, url: str, sha256: str, folder: Path) -> Path:
    import pooch

    try:
        return Path(pooch.retrieve(url, f"sha256:{sha256}", fname=name, path=folder, progressbar=False))
    except ValueError as error:
        raise SourceError(
            explain(
                url,
                f"what was downloaded is not the pinned file ({error})",
                expected=f"SHA-256 {sha256}",
                do="Try again; if it stays so, the published file has changed, and so must its checksum in the config",
            )
        ) from error
    except OSError as error:
        raise SourceError(
            explain(
                url,
                f"the file cannot be downloaded ({error})",
                do=f"Check the connection, or put {name} into a folder and name it in the environment variable "
                f"{MIRROR_VARIABLE} or as `mirror` in the config",
            )
        ) from error


def _checked(file: Path, entry: Pinned, *, do: str) -> Path:
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


def mirror_folder(configured: str | None) -> Path | None:
    """The mirror: the folder in the environment variable, else the configured one, else none."""
    chosen = os.environ.get(MIRROR_VARIABLE) or configured
    return Path(chosen) if chosen else None


def receipt_bytes(name: str, sha256: str, error: str | None, failures: int) -> bytes:
    """The receipt of a fetched file: `error` says why it is not there, `failures` how many tries have failed so far."""
    data = {"name": name, "sha256": sha256, "error": error, "failures": failures}
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def receipt_path(name: str, folder: Path) -> Path:
    """Where the receipt of a fetched file lies."""
    return folder / f"{name}.fetched.json"


def require_fetched(name: str, folder: Path) -> None:
    """Raise SourceError where a file is not there, with the reason where its receipt gives one."""
    receipt = receipt_path(name, folder)
    if not receipt.is_file():
        if (folder / name).is_file():
            return
        raise SourceError(
            explain(
                str(folder / name), "has not been fetched", do="Run the workflow, or `python -m ophiolite fetch --help`"
            )
        )
    try:
        error = json.loads(receipt.read_text())["error"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise SourceError(
            explain(str(receipt), f"is no receipt of a download ({problem})", do="Delete it and run again")
        ) from None
    if error:
        raise SourceError(str(error))
