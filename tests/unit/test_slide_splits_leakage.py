"""Splits of a sheet, and planted leaks: each is found, named, and fails the rule; a clean dataset passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ophiolite.errors import ConfigError
from ophiolite.kernels.perceptual_hash import correlation, dct_hash, grey_square
from ophiolite.plan.slide_model import SlideRowPlan
from ophiolite.stages import slide_leakage
from ophiolite.stages.slide_leakage import boxes_of, find_leaks, leak_message, leak_rows, spelling, splits_of
from ophiolite.stages.slide_splits import case_rows, read_lock

OPTIONS: dict[str, object] = {
    "fractions": {"train": 0.5, "test": 0.5},
    "seed": 0,
    "stratify": True,
    "lock": "splits.lock.csv",
}


def row(number: int, case: str, group: str = "g", split: str | None = None, error: str | None = None) -> SlideRowPlan:
    return SlideRowPlan(
        line=number + 2,
        slide_id=f"s{number}",
        case_id=case,
        group=group,
        kind="slide",
        split=split,
        image=f"{number}.tif",
        mask=None,
        mpp=(0.5, 0.5),
        mpp_origin="sheet",
        size_px=(100, 100),
        mask_ratio=None,
        dataset=f"s{number}",
        fingerprint="",
        error=error,
    )


def test_cases_are_drawn_locked_or_as_the_sheet_says() -> None:
    rows = [row(i, f"c{i // 2}") for i in range(12)] + [row(12, "told", split="holdout")]
    table = case_rows(rows, OPTIONS, {"c0": "test", "c1": "test", "elsewhere": "train"})
    assert [r["case_id"] for r in table] == [*(f"c{i}" for i in range(6)), "told"]
    assert [r["items"] for r in table] == [2] * 6 + [1]
    assert [r["origin"] for r in table] == ["lock", "lock", *["drawn"] * 4, "sheet"]
    splits = {r["case_id"]: r["split"] for r in table}
    assert splits["c0"] == splits["c1"] == "test"
    assert splits["told"] == "holdout"
    assert sorted(splits[f"c{i}"] for i in range(6)) == ["test"] * 3 + ["train"] * 3


def test_without_options_only_the_sheet_counts() -> None:
    table = case_rows([row(0, "a", split="train"), row(1, "b")], None, {})
    assert [(r["case_id"], r["split"]) for r in table] == [("a", "train")]


def test_a_case_in_two_splits_of_the_sheet_is_listed_in_both() -> None:
    table = case_rows([row(0, "a", split="train"), row(1, "a", split="test")], OPTIONS, {})
    assert [(r["case_id"], r["split"]) for r in table] == [("a", "train"), ("a", "test")]


def test_a_row_that_is_refused_moves_no_other_case() -> None:
    good = [row(i, f"c{i}", group=f"g{i % 2}") for i in range(12)]
    before = {r["case_id"]: (r["split"], r["items"]) for r in case_rows(good, OPTIONS, {})}
    for i in range(12):
        rows = [row(j, f"c{j}", group=f"g{j % 2}", error="damaged" if j == i else None) for j in range(12)]
        after = {r["case_id"]: (r["split"], r["items"]) for r in case_rows(rows, OPTIONS, {})}
        assert after == {**before, f"c{i}": (before[f"c{i}"][0], 0)}
    unknown = row(12, "", error="no id")
    assert case_rows([*good, unknown], OPTIONS, {}) == case_rows(good, OPTIONS, {})


def test_what_a_refused_row_says_counts_where_others_say_nothing() -> None:
    told = [row(0, "a"), row(1, "a", split="test", error="damaged")]
    assert [(r["split"], r["origin"], r["items"]) for r in case_rows(told, OPTIONS, {})] == [("test", "sheet", 1)]
    settled = [row(0, "a", split="test", error="damaged"), row(1, "a", split="train")]
    assert [r["split"] for r in case_rows(settled, OPTIONS, {})] == ["train"]


def test_a_case_of_two_groups_has_the_same_one_in_any_order() -> None:
    rows = [row(0, "a", group="g2"), row(1, "a", group="g1", error="damaged")]
    assert [r["group"] for r in case_rows(rows, OPTIONS, {})] == ["g1"]
    assert case_rows(rows[::-1], OPTIONS, {}) == case_rows(rows, OPTIONS, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case_id,part\na,train\n", "line 1: the lock file has no column 'split'"),
        ("case_id,split\na,train\na,test\n", "E160 .*line 3: case 'a' is in two splits, 'train' and 'test'"),
        ("case_id,split\na,\n", "line 2: case_id or split is empty"),
        (None, "cannot be read"),
    ],
)
def test_a_lock_file_at_fault_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "lock.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_lock(path)


def test_our_own_table_is_a_lock_file(tmp_path: Path) -> None:
    path = tmp_path / "lock.csv"
    path.write_text("\ufeffcase_id,group,split,origin,items\na,g,train,drawn,2\nb,g,test,drawn,1\n")
    assert read_lock(path) == {"a": "train", "b": "test"}


def test_lock_config_and_sheet_must_agree() -> None:
    with pytest.raises(ConfigError, match=r"there is no split 'tset'.*train, test"):
        case_rows([row(0, "a")], OPTIONS, {"a": "tset"})
    with pytest.raises(ConfigError, match=r"E160.*'train' here and 'test' in the sheet"):
        case_rows([row(0, "a", split="test")], OPTIONS, {"a": "train"})


def picture(seed: int) -> NDArray[np.uint8]:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(128, 128)), 8)
    return np.asarray((noise - noise.min()) / np.ptp(noise) * 255, dtype=np.uint8)


def item(number: int, case: str, image: NDArray[np.uint8], **facts: Any) -> dict[str, Any]:
    hashed = dct_hash(grey_square(image, 32))
    return {
        "slide_id": f"s{number}",
        "case_id": case,
        "group": "g",
        "kind": "slide",
        "split": None,
        "image": f"{number}.tif",
        "file_sha256": f"file {number}",
        "pixel_hash": f"pixels {number}",
        "perceptual_hash": None if hashed is None else f"{hashed:016x}",
        "thumbnail": grey_square(image, 64).tobytes(),
        "width_px": 100,
        "height_px": 100,
        "error": None,
        **facts,
    }


def clean() -> tuple[list[dict[str, Any]], list[str | None]]:
    items = [item(i, f"c{i // 2}", picture(i)) for i in range(12)]
    return items, ["train" if i < 8 else "test" for i in range(12)]


def leaks(
    items: list[dict[str, Any]], splits: list[str | None], boxes: dict[int, Any] | None = None
) -> dict[str, list[tuple[str, str]]]:
    found = find_leaks(items, splits, boxes or {})
    out = {}
    for check in found:
        rows = leak_rows(check, found[check], items, splits)
        leaking = [(r["image_a"], r["image_b"]) for r in rows if r["leak"]]
        assert len(leaking) == found[check].leaks
        if leaking:
            message = leak_message("leakage.csv", rows, found)
            assert message.startswith("E160")
            assert f"{leaking[0][0]} (case" in message
            assert f"{leaking[0][1]} (case" in message
            out[check] = leaking
    return out


def test_a_clean_dataset_has_no_leak() -> None:
    items, splits = clean()
    assert leaks(items, splits) == {}


def test_a_case_in_two_splits() -> None:
    items, splits = clean()
    items[9]["case_id"] = "c0"
    assert leaks(items, splits) == {"case": [("0.tif", "9.tif")]}


def test_a_case_spelt_in_two_ways() -> None:
    items, splits = clean()
    items[0]["case_id"], items[9]["case_id"] = "12_116", "12-116"
    assert leaks(items, splits) == {"case name": [("0.tif", "9.tif")]}
    assert spelling("A 3") != spelling("A 31")


def test_a_copied_file() -> None:
    items, splits = clean()
    for key in ("file_sha256", "pixel_hash", "perceptual_hash", "thumbnail"):
        items[10][key] = items[1][key]
    assert leaks(items, splits) == {"file": [("1.tif", "10.tif")], "pixels": [("1.tif", "10.tif")]}


def test_the_same_pixels_in_another_container() -> None:
    items, splits = clean()
    for key in ("pixel_hash", "perceptual_hash", "thumbnail"):
        items[10][key] = items[1][key]
    assert leaks(items, splits) == {"pixels": [("1.tif", "10.tif")]}


def test_a_near_duplicate() -> None:
    items, splits = clean()
    altered = np.clip(picture(3) * 0.9 + 12, 0, 255).astype(np.uint8)
    items[11] = item(11, "c5", altered)
    assert leaks(items, splits) == {"near duplicate": [("3.tif", "11.tif")]}
    row = leak_rows("near duplicate", find_leaks(items, splits, {})["near duplicate"], items, splits)[0]
    alike = correlation(grey_square(picture(3), 64), grey_square(altered, 64))
    assert row["correlation"] == pytest.approx(alike)
    assert row["bits"] <= 4


def test_equal_hashes_of_pictures_that_differ_are_no_leak() -> None:
    items, splits = clean()
    items[11]["perceptual_hash"] = items[3]["perceptual_hash"]
    assert leaks(items, splits) == {}


def test_overlapping_patches_of_one_slide() -> None:
    items, splits = clean()
    boxes = {0: ("a", (0, 0, 100, 100)), 8: ("a", (99, 50, 100, 100)), 9: ("a", (200, 0, 100, 100)),
             10: ("b", (0, 0, 100, 100))}  # fmt: skip
    assert leaks(items, splits, boxes) == {"overlap": [("0.tif", "8.tif")]}


def patch(number: int, name: str, case: str) -> dict[str, Any]:
    return {**item(number, case, picture(number)), "kind": "patch", "image": f"cut/{name}.png"}


def test_patches_of_one_slide_are_known_where_each_is_a_case_of_its_own() -> None:
    names = [f"S0_{3 * row + col}_{50 * col}_{50 * row}" for row in range(2) for col in range(3)]
    items = [patch(i, name, name) for i, name in enumerate(names)]
    splits: list[str | None] = ["train", "train", "test", "test", "test", "test"]
    found = leaks(items, splits, boxes_of(items))["overlap"]
    assert ("cut/S0_1_50_0.png", "cut/S0_2_100_0.png") in found
    assert ("cut/S0_0_0_0.png", "cut/S0_2_100_0.png") not in found
    assert len(found) == 6


def test_numbers_that_are_no_index_join_no_patches() -> None:
    """Here the first number is the slide's, and all patches begin at its corner or beside it."""
    items = [patch(i, f"tile_{i // 2}_{50 * (i % 2)}_0", f"c{i // 2}") for i in range(6)]
    assert leaks(items, ["train", "train", "test", "test", "test", "test"], boxes_of(items)) == {}


def test_leaks_are_named_however_many_copies_lie_within_a_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slide_leakage, "MOST_ROWS", 3)
    items, splits = clean()
    for i in (0, 1, 2, 3, 4, 5, 6):
        items[i]["file_sha256"] = "copy"
    items[7]["file_sha256"] = items[8]["file_sha256"] = "leak"
    assert leaks(items, splits) == {"file": [("7.tif", "8.tif")]}
    assert find_leaks(items, splits, {})["file"].within == 6


def test_copies_within_a_split_are_told_but_are_no_leak() -> None:
    items, splits = clean()
    items[4]["file_sha256"] = items[2]["file_sha256"]
    assert leaks(items, splits) == {}
    found = find_leaks(items, splits, {})
    assert (found["file"].within, found["file"].leaks) == (1, 0)
    assert found["pixels"].within == 0


def test_what_is_not_looked_for_within_a_split_is_not_counted_as_none() -> None:
    """Two patches of one split that overlap and look alike: the checks do not look there, and say so."""
    items, splits = clean()
    items[4]["perceptual_hash"], items[4]["thumbnail"] = items[2]["perceptual_hash"], items[2]["thumbnail"]
    found = find_leaks(items, splits, {2: ("a", (0, 0, 100, 100)), 4: ("a", (50, 0, 100, 100))})
    unlooked = {check for check in found if found[check].within is None}
    assert unlooked == {"case", "case name", "near duplicate", "overlap"}


def test_many_copies_are_each_named_once() -> None:
    items, splits = clean()
    for i in (2, 5, 9, 10):
        items[i]["file_sha256"] = "copy"
    assert leaks(items, splits)["file"] == [("2.tif", "9.tif"), ("5.tif", "9.tif"), ("2.tif", "10.tif")]


def test_items_that_cannot_be_read_are_not_compared() -> None:
    items, splits = clean()
    broken = dict.fromkeys(items[0])
    items[9] = {**broken, "slide_id": "s9", "case_id": "c4", "group": "g", "image": "9.tif", "error": "damaged"}
    assert leaks(items, splits) == {}
    assert find_leaks(items, splits, {})["file"].compared == 11


def test_the_sheet_says_the_split_of_an_item_before_its_case() -> None:
    items, _ = clean()
    items[1]["split"] = "test"
    cases = [{"case_id": "c0", "split": "train"}, {"case_id": "c0", "split": "test"}]
    assert splits_of(items[:3], cases) == ["train", "test", None]
