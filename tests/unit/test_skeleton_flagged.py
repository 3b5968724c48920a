"""Skeletons that the quality report flags are named in a piece of config that has them traced from whole objects."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import yaml
from bone_shapes import bones
from snakemake.utils import update_config
from test_skeleton_quality import measured, project

from ophiolite.config.load import parse_config
from ophiolite.layers.store import Store
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import VolumePlan
from ophiolite.stages import skeleton_flagged
from ophiolite.stages.skeleton_flagged import FILE, flagged, write_flagged
from ophiolite.stages.skeleton_quality_section import skeleton_section
from ophiolite.stages.skeleton_quality_table import TABLE

LARGE = 2**53 + 1


def rows(gravity: dict[int, int], status: str = "measured") -> list[dict[str, Any]]:
    return [{"label": label, "status": status, "gravity": of} for label, of in gravity.items()]


def test_the_gravest_are_named_and_the_others_counted(monkeypatch: Any) -> None:
    monkeypatch.setattr(skeleton_flagged, "MOST", 3)
    found = rows({9: 2, 5: 9, 7: 2, 3: 1, 8: 0, 6: 2}) + rows({4: 10}, "without voxels")
    for seed in range(5):
        random.Random(seed).shuffle(found)
        got = flagged(found, [])
        assert (got.more, got.found) == ((5, 6, 7), 5)
        assert got.told == "5 flagged, the gravest 3 of them named"
    got = flagged(found, [6, 1])
    assert (got.named, got.more, got.found) == ((1, 6), (5, 7, 9), 4)
    assert got.line == "whole_labels: [1, 5, 6, 7, 9]"
    assert got.told == "4 flagged, the gravest 3 of them named, beside 2 named already"
    assert flagged([], []).line == flagged(rows({7: 3}, "without voxels"), []).line == "whole_labels: []"
    assert flagged(rows({2**53: 1, LARGE: 1}), []).line == f'whole_labels: [{2**53}, "{LARGE}"]'


def whole_labels(config: dict[str, Any]) -> list[str]:
    layer = make_plan(parse_config(config, "test"), Path(), Speeds()).datasets["d"].layers["v"]
    assert isinstance(layer, VolumePlan)
    found: list[str] = layer.product("skeleton").options["objects"]["whole_labels"]
    return found


def test_what_is_flagged_becomes_the_config(tmp_path: Path) -> None:
    """A broken skeleton and one whose radii cover next to nothing; what is sound, or none, is not named."""
    thin = bones([[(0, 8, 8), (59, 8, 8)]], 2.0)
    plan = project(tmp_path, {"whole_labels": [9]}, {5: thin, LARGE: bones([[(0, 22, 22), (30, 22, 22)]], 40.0)})
    store = Store(tmp_path / "results" / "p")
    table = measured(plan, store)
    assert "its radii cover" in table.loc[5, "faults"]
    assert "broken" in table.loc[LARGE, "faults"]
    TABLE.write(plan, store)
    write_flagged(plan, store)
    first = store.read(FILE)
    write_flagged(plan, store)
    assert store.read(FILE) == first
    config = dict(plan.config)
    assert whole_labels(config) == ["9"]
    # As Snakemake does with two files of config.
    update_config(config, yaml.safe_load(first))
    assert whole_labels(config) == ["5", "9", str(LARGE)]
    section = skeleton_section(plan, store)
    lines = [row for t in section.tables if "again" in t.title for row in t.rows]
    assert lines == [
        (
            "datasets.d.layers.v.skeleton",
            "2 flagged, beside 1 named already",
            f'whole_labels: [5, 9, "{LARGE}"]',
        )
    ]
