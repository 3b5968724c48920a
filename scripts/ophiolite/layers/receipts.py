"""Receipts: what a bulk job declares as its output; small, deterministic, all that Snakemake tracks of it.

A receipt ends with the sha256 of all that stands before it, since nothing else says what a receipt should hold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ophiolite.errors import LayerError, explain
from ophiolite.layers.stop import write_point
from ophiolite.layers.store import Store, Written

VERSION = 2
SEAL = b',\n "sha256": "'
END = b'"\n}\n'


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
        content = json.dumps(data, indent=1, sort_keys=True).removesuffix("\n}").encode()
        return content + SEAL + _sha256(content) + END


def write_receipt(store: Store, path: str, receipt: Receipt) -> None:
    """Write a receipt: the last thing a job does."""
    write_point("receipt", path)
    store.write(path, receipt.to_bytes())


def read_receipt(store: Store, path: str) -> Receipt:
    """Read a receipt; raises LayerError where it is none, or not as it was written."""
    try:
        text = store.read(path)
        data = json.loads(text)
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']}, not {VERSION}")
        content = text.rpartition(SEAL)[0]
        if text != content + SEAL + _sha256(content) + END:
            raise ValueError("altered since it was written: its sha256 is another")
        files = [Written(f["path"], f["bytes"], f["sha256"], f.get("entries", "")) for f in data["files"]]
        return Receipt(data["rule"], data["item"], data["digest"], files, data["facts"])
    except (ValueError, KeyError, TypeError) as error:
        do = "Remake it: `snakemake verify`, then `snakemake heal`; or `snakemake --force` on it"
        raise LayerError(explain(store.place(path), f"is no sound receipt ({error})", do=do)) from None


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
