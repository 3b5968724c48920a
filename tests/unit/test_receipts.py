"""Receipts: the same bytes for the same work, read back as written, refused where they are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ophiolite.errors import LayerError, StoreError
from ophiolite.layers.receipts import Receipt, read_receipt, write_receipt
from ophiolite.layers.store import Store, Written

FILES = [Written("d/layers/v/1", 3, "aa"), Written("d/layers/v/0", 5, "bb")]
PATH = "d/receipts/v/rule/0.json"


def test_the_order_in_which_files_were_written_does_not_show() -> None:
    one = Receipt("rule", "0", "digest", FILES, {"b": 1, "a": [2]})
    other = Receipt("rule", "0", "digest", FILES[::-1], {"a": [2], "b": 1})
    assert one.to_bytes() == other.to_bytes()
    data = json.loads(one.to_bytes())
    assert data["version"] == 2
    assert [file["path"] for file in data["files"]] == ["d/layers/v/0", "d/layers/v/1"]
    assert data["files"][0] == {"path": "d/layers/v/0", "bytes": 5, "sha256": "bb"}


def test_it_is_read_back_as_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    receipt = Receipt("rule", "0", "digest", sorted(FILES, key=lambda f: f.path), {"label": str(2**64 - 1)})
    write_receipt(store, PATH, receipt)
    assert read_receipt(store, PATH) == receipt


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 2}',
        '{"version": 3, "rule": "r", "item": "", "digest": "", "files": [], "facts": {}}',
        '{"version": 2, "rule": "r", "item": "", "digest": "", "files": [], "facts": {}}',
        '{"version": 2, "rule": "r", "item": "", "digest": "", "files": [{"path": "a"}], "facts": {}}',
    ],
)
def test_anything_else_is_no_receipt(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path)
    store.write(PATH, text.encode())
    with pytest.raises(LayerError, match=r"0\.json: is no sound receipt .*snakemake --force"):
        read_receipt(store, PATH)


def test_no_byte_of_it_can_change_unseen(tmp_path: Path) -> None:
    store = Store(tmp_path)
    written = Receipt("rule", "0", "digest", FILES, {"ranges": [[3, 0, 17]]}).to_bytes()
    for place in range(len(written)):
        altered = bytearray(written)
        altered[place] ^= 1
        store.write(PATH, bytes(altered))
        with pytest.raises(LayerError, match="is no sound receipt"):
            read_receipt(store, PATH)
    for other in (written[:-1], written + b"\n", written.replace(b"17", b"18")):
        store.write(PATH, other)
        with pytest.raises(LayerError, match="is no sound receipt"):
            read_receipt(store, PATH)


def test_one_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"0\.json: cannot be read"):
        read_receipt(Store(tmp_path), PATH)
