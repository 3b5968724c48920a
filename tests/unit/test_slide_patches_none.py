"""Slides of which no patch is kept: what is said of them, and that they hold up no other."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cut_slides import SIZE, cut, join, make_layer, project, store_of
from ophiolite.config.load import parse_config
from ophiolite.errors import SourceError
from ophiolite.layers.receipts import read_receipt
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import VolumePlan
from ophiolite.stages.slide_patches_table import check_patches_kept


def test_where_no_patch_is_kept_it_is_said_which_thresholds_would_keep_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = project(tmp_path, {"size_px": 200, "stride_px": 100, "min_label": 0.9999})
    rows = cut(plan, tmp_path)
    assert len(rows) == 66
    assert not any(row["keep"] for row in rows)
    text = none_kept_of(tmp_path)
    assert text in capsys.readouterr().err
    assert text.startswith("slide S0: E144: none of 66 patches is kept")
    assert "label: " in text
    assert "Structures cover 0-10 % of" in text
    for name, other in (("min_tissue", "min_label"), ("min_label", "min_tissue")):
        found = thresholds(text, name)
        assert max(found.values()) >= 33
        for threshold, count in found.items():
            options = {"size_px": 200, "stride_px": 100, name: threshold, other: 0}
            assert sum(row["keep"] for row in cut(project(tmp_path, options), tmp_path)) == count


def none_kept_of(folder: Path, dataset: str = "s0") -> str:
    """What the receipt of a slide's patches says where none was kept."""
    return str(read_receipt(store_of(folder), f"{dataset}/receipts/slide/slide_patches.json").facts["none_kept"])


def thresholds(text: str, name: str) -> dict[float, int]:
    listed = re.search(rf"; {name} ((?:[\d.]+ would keep \d+(?:, )?)+)", text)
    assert listed
    pairs = re.findall(r"([\d.]+) would keep (\d+)", listed[1])
    return {float(value): int(count) for value, count in pairs}


def test_a_slide_smaller_than_a_patch_has_none(tmp_path: Path) -> None:
    assert cut(project(tmp_path, {"size_px": 2048, "stride_px": 1024}), tmp_path) == []
    assert "E144: the slide is smaller than a patch" in none_kept_of(tmp_path)


def test_a_slide_without_patches_does_not_hold_up_the_others(tmp_path: Path) -> None:
    plan = project(tmp_path, {"size_px": 200, "stride_px": 150, "min_label": 0.3}, slides=3)
    Image.fromarray(np.zeros((SIZE[1], SIZE[0]), np.uint8)).save(tmp_path / "1_mask.png")
    small = np.full((150, 150, 3), 120, np.uint8)
    Image.fromarray(small).save(tmp_path / "2.png")
    Image.fromarray(small[:, :, 0] * 0).save(tmp_path / "2_mask.png")
    plan = make_plan(parse_config({**plan.config}, "test"), Path(), Speeds())
    for dataset, layer in (("s1", "slide"), ("s1", "mask"), ("s2", "slide"), ("s2", "mask")):
        volume = plan.datasets[dataset].layers[layer]
        assert isinstance(volume, VolumePlan)
        make_layer(plan, store_of(tmp_path), dataset, layer, volume)
    kept = sum(row["keep"] for dataset in ("s0", "s1", "s2") for row in cut(plan, tmp_path, dataset))
    counts = join(plan, tmp_path)
    assert [(c["slide_id"], c["patches"], c["kept"]) for c in counts] == [("S0", 28, kept), ("S1", 28, 0), ("S2", 0, 0)]
    assert kept
    told = [c["none_kept"] or "" for c in counts]
    assert told[0] == ""
    assert "none of 28 patches is kept" in told[1]
    assert "smaller than a patch" in told[2]
    assert len(patches_csv(tmp_path)) == 56
    with pytest.raises(SourceError) as raised:
        check_patches_kept(store_of(tmp_path))
    first, *others = str(raised.value).split("\n  ")
    assert (first, others) == ("2 of 3 slides have no patches:", told[1:])


def patches_csv(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(store_of(folder).read("slides/tables/patches.csv").decode())))


def test_an_unreadable_slide_is_left_out_and_named(tmp_path: Path) -> None:
    plan = project(tmp_path, {"size_px": 200, "stride_px": 150}, slides=2)
    cut(plan, tmp_path, "s1")
    counts = join(plan, tmp_path, S0="E143 0.png: a tile")
    assert [(c["slide_id"], c["patches"], c["kept"], c["error"]) for c in counts] == [
        ("S0", None, None, "E143 0.png: a tile"),
        ("S1", 28, counts[1]["kept"], None),
    ]
    assert {row["slide_id"] for row in patches_csv(tmp_path)} == {"S1"}
    store = store_of(tmp_path)
    with pytest.raises(SourceError, match=r"1 of 2 slides have no patches:\n  slide S0: E143 0\.png: a tile"):
        check_patches_kept(store)
    assert not store.exists("slides/patched.json")
    cut(plan, tmp_path)
    join(plan, tmp_path)
    check_patches_kept(store)
    assert store.exists("slides/patched.json")
    before = sorted(store.list("slides/patches"))
    join(plan, tmp_path, S1="E143 1.png: a tile")
    assert {row["slide_id"] for row in patches_csv(tmp_path)} == {"S0"}
    assert sorted(store.list("slides/patches")) == before, "its receipt names them, and they may be listed again"


@pytest.mark.parametrize(
    ("patches", "says"),
    [({"mpp": 0.25}, "finer than their slide"), ({"level": 9}, "no such level")],
)
def test_patches_that_a_slide_cannot_give_are_refused_in_the_plan(
    tmp_path: Path, patches: dict[str, float], says: str
) -> None:
    plan = project(tmp_path, {"size_px": 64, "stride_px": 64, **patches})
    assert plan.slides is not None
    (row,) = plan.slides.rows
    assert says in str(row.error)
    assert "row 2, S0" in str(row.error)
