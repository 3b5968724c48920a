"""Harm done to the files of a finished project: to each kind that its receipts name, in each way."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path

from workspace import files_below


def flip(file: Path) -> None:
    """Another bit in the middle."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(bytes(data))


def flip_facts(file: Path) -> None:
    """Another digit in the facts of a receipt, which is as good JSON as before."""
    text = file.read_text()
    place = max(i for i in range(text.index('\n "facts"'), text.index('\n "files"')) if text[i].isdigit())
    file.write_text(text[:place] + str(9 - int(text[place])) + text[place + 1 :])


def truncate(file: Path) -> None:
    """One byte less."""
    file.write_bytes(file.read_bytes()[:-1])


def delete(file: Path) -> None:
    """No file any more."""
    file.unlink()


HARMS = {flip: "altered", truncate: "wrong size", delete: "missing"}


def kinds_of(project: Path, dataset: str) -> dict[str, Path]:
    """The largest file of every kind that receipts of a dataset name; numbers and coordinates stand as *.

    The largest, since a shard without entries is all index.
    """
    found: dict[str, Path] = {}
    for receipt in files_below(project / dataset / "receipts"):
        for entry in json.loads(receipt.read_text())["files"]:
            named = re.sub(r"[0-9a-f]+\.shard$", "*.shard", entry["path"].removeprefix(f"{dataset}/"))
            kind = re.sub(r"\d+([-_.]\d+)*", "*", named)
            file = project / entry["path"]
            found[kind] = max(file, found.get(kind, file), key=lambda f: (f.stat().st_size, f.name))
    return found


def damage(project: Path, dataset: str, turn: int, but: Iterable[str] = ()) -> dict[str, str]:
    """Harm a file of every kind, each kind in another way each turn; returns what is to be said of each path."""
    damaged = {}
    for number, (kind, file) in enumerate(sorted(kinds_of(project, dataset).items())):
        if kind not in but:
            harm = list(HARMS)[(number + turn) % len(HARMS)]
            harm(file)
            damaged[file.relative_to(project).as_posix()] = HARMS[harm]
    return damaged


def faults_of(project: Path) -> dict[str, dict[str, str]]:
    """The rows of the table that `verify` leaves, by path."""
    with open(project / "tables" / "verify.csv", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def times_of(project: Path, dataset: str) -> dict[str, int]:
    """When each file was written, but for logs and timings, which every run leaves."""
    left = ("logs", "timings", "benchmarks", "healing")
    found = ((f.relative_to(project / dataset), f) for f in files_below(project / dataset))
    return {f"{dataset}/{name.as_posix()}": f.stat().st_mtime_ns for name, f in found if name.parts[0] not in left}


def names_one_entry(path: str, detail: str) -> bool:
    """Whether one chunk, label or annotation of an altered shard is named, and nothing else is said."""
    folder, annotations = path.split("/")[-2], "/synapses/" in path
    what = {"mesh": "label", "skeletons": "label"}.get(folder, folder if annotations else "chunk")
    return re.fullmatch(rf"{what} [-_0-9]+", detail) is not None
