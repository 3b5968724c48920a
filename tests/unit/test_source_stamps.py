"""What the workflow notices of a source before anything is planned: files, folders and patterns of slices."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import pytest

from smk_functions import smk_function


def stamps(*sources: Any) -> Any:
    layers = {f"l{i}": source if isinstance(source, dict) else {"source": source} for i, source in enumerate(sources)}
    names = {"DATASETS": {"d": {"layers": layers}}, "stamps_of_slides": dict, "glob": glob, "os": os}
    return smk_function("source_stamps", "stamp_of", **names)()


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    folder = tmp_path / "stack"
    folder.mkdir()
    for name in ("s0.tif", "s1.tif"):
        (folder / name).write_bytes(b"slice")
        os.utime(folder / name, ns=(10**18, 10**18))
    os.utime(folder, ns=(10**18, 10**18))
    return folder


@pytest.mark.parametrize("text", ["{}", "{}/*.tif", "{}/s0.tif", "{}/s0.tif:/inside"])
def test_an_edited_slice_is_noticed_and_a_look_is_not(stack: Path, text: str) -> None:
    source = text.format(stack)
    before = stamps(source)
    (stack / "s0.tif").read_bytes()
    assert stamps(source) == before
    (stack / "s0.tif").write_bytes(b"ecils")
    assert stamps(source) != before


@pytest.mark.parametrize("text", ["{}", "{}/*.tif"])
def test_a_slice_more_or_less_is_noticed(stack: Path, text: str) -> None:
    source = text.format(stack)
    before = stamps(source)
    (stack / "s2.tif").write_bytes(b"slice")
    more = stamps(source)
    assert more != before
    (stack / "s2.tif").unlink()
    os.utime(stack, ns=(10**18, 10**18))
    assert stamps(source) == before


def test_tables_of_renamed_labels_count_too(stack: Path) -> None:
    layer = {"source": "https://example.org/volume", "relabel": f"{stack}/s1.tif:/transforms"}
    before = stamps(layer)
    (stack / "s1.tif").write_bytes(b"other")
    assert stamps(layer) != before


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    before = stamps(f"{tmp_path}/later.h5:/v", {"source": "gs://bucket/x", "relabel": None})
    (tmp_path / "later.h5").write_bytes(b"now")
    assert stamps(f"{tmp_path}/later.h5:/v", {"source": "gs://bucket/x", "relabel": None}) != before
