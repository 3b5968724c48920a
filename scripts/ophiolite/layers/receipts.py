"""Receipts: what a bulk job declares as its output; small, deterministic, all that Snakemake tracks of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ophiolite.errors import LayerError, explain
from ophiolite.layers.stop import write_point
from ophiolite.layers.store import Store, Written

VERSION = 1


@dataclass(frozen=True)
class Receipt:
    """What one job wrote.

    rule, item : the rule and the block, part or job it ran for.
    digest : settings and code the files were made with.
    files : every bulk file, with size and checksum.
    facts : small results that later jobs need (byte ranges, counts).
    """

    rule: str
    item: str
    digest: str
    files: Sequence[Written]
    facts: dict[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Deterministic JSON."""
        data = {
            "version": VERSION,
            "rule": self.rule,
            "item": self.item,
            "digest": self.digest,
            "files": [f.to_json() for f in sorted(self.files, key=lambda f: f.path)],
            "facts": self.facts,
        }
        return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def write_receipt(store: Store, path: str, receipt: Receipt) -> None:
    """Write a receipt: the last thing a job does."""
    write_point("receipt", path)
    store.write(path, receipt.to_bytes())


def read_receipt(store: Store, path: str) -> Receipt:
    """Read a receipt; raises LayerError where it is none."""
    try:
        data = json.loads(store.read(path))
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']}")
        files = [Written(f["path"], f["bytes"], f["sha256"]) for f in data["files"]]
        return Receipt(data["rule"], data["item"], data["digest"], files, data["facts"])
    except (ValueError, KeyError, TypeError) as error:
        raise LayerError(
            explain(store.place(path), f"is no receipt ({error})", do="Remake it: `snakemake --force` on it")
        ) from None
