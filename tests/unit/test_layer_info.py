"""A layer's `info` job done again: its history keeps the date of its first writing while nothing else changes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from ophiolite.__main__ import main

PROVENANCE = "d/layers/em/provenance"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["v"] = np.zeros((8, 8, 8), dtype=np.uint8)
    layer = {"type": "image", "source": f"{tmp_path}/raw.h5:/v", "resolution_nm": [8, 8, 8]}
    config = {"project": "p", "store": str(tmp_path / "results"), "datasets": {"d": {"layers": {"em": layer}}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["make_plan", "--config", str(tmp_path / "config.yaml")]) == 0
    return tmp_path / "results" / "p"


def write_at(project: Path, date: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda *_: date)
    assert main(["layer_info", "--plan", str(project / "plan.json"), "--dataset", "d", "--layer", "em"]) == 0


def test_done_again_it_leaves_the_history_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project / PROVENANCE
    write_at(project, "2026-01-01 00:00 UTC", monkeypatch)
    first, state = file.read_bytes(), file.stat()
    write_at(project, "2026-02-02 00:00 UTC", monkeypatch)
    assert file.read_bytes() == first
    assert file.stat().st_mtime_ns == state.st_mtime_ns
    assert json.loads(first)["processing"][0]["date"] == "2026-01-01 00:00 UTC"


@pytest.mark.parametrize("harm", ["", "{", "[1]", '{"processing": 1}', "source", "two steps"])
def test_a_history_that_is_another_is_written_again(project: Path, monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    file = project / PROVENANCE
    write_at(project, "2026-01-01 00:00 UTC", monkeypatch)
    sound = json.loads(file.read_text())
    if harm == "source":
        file.write_text(json.dumps({**sound, "sources": ["elsewhere"]}))
    elif harm == "two steps":
        file.write_text(json.dumps({**sound, "processing": sound["processing"] * 2}))
    else:
        file.write_text(harm)
    write_at(project, "2026-02-02 00:00 UTC", monkeypatch)
    (step,) = sound["processing"]
    assert json.loads(file.read_text()) == {**sound, "processing": [{**step, "date": "2026-02-02 00:00 UTC"}]}
