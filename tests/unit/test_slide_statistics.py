"""Statistics of a dataset of slides, against NumPy over everything, and cards made of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophiolite.report.slide_card import Card, card_tables, left_out, markdown, volume_of_data
from ophiolite.stages.slide_card import card_json
from ophiolite.stages.slide_statistics import EVERY_GROUP, lower_median, object_rows, occurrence_rows, size_rows

GIVEN: dict[str, str | None] = dict.fromkeys(
    ("title", "description", "modality", "task", "anatomy", "licence", "url", "citation")
)


def item(number: int, group: str, size: tuple[int, int], mpp: float | None = 0.5, **facts: Any) -> dict[str, Any]:
    return {
        "slide_id": f"s{number}",
        "case_id": f"c{number // 2}",
        "group": group,
        "kind": "slide",
        "split": None,
        "image": f"{number}.tif",
        "mask": f"{number}.png",
        "format": "tif",
        "file_bytes": 100 + number,
        "mask_bytes": 10,
        "width_px": size[0],
        "height_px": size[1],
        "mpp_x_um": mpp,
        "mpp_y_um": mpp,
        "tissue_fraction": 0.5,
        "objects": 0,
        "error": None,
        **facts,
    }


def structure(of: dict[str, Any], value: int, areas: list[int]) -> dict[str, Any]:
    pixels = sum(areas)
    scale = of["mpp_x_um"] ** 2 if of["mpp_x_um"] else None
    return {
        **{key: of[key] for key in ("slide_id", "case_id", "group", "kind")},
        "value": value,
        "structure": f"structure {value}",
        "pixels": pixels,
        "area_um2": None if scale is None else pixels * scale,
        "fraction": pixels / (of["width_px"] * of["height_px"]),
        "objects": len(areas),
        "edge_objects": int(bool(areas)),
        "object_areas_px": areas,
    }


@given(st.lists(st.integers(-5, 5), max_size=9))
def test_the_lower_median_is_one_of_the_values(values: list[int]) -> None:
    found = lower_median(values)
    assert found == (np.percentile(values, 50, method="lower") if values else None)


def test_sizes_are_those_of_items_that_exist() -> None:
    items = [item(0, "a", (10, 40)), item(1, "a", (30, 30)), item(2, "b", (50, 10), None), item(3, "b", (20, 20))]
    items.append({**item(4, "b", (9999, 9999)), "error": "damaged"})
    rows = {row["group"]: row for row in size_rows(items)}
    assert list(rows) == [EVERY_GROUP, "a", "b"]
    whole = rows[EVERY_GROUP]
    assert (whole["items"], whole["cases"], whole["labelled"], whole["without_mpp"]) == (4, 2, 4, 1)
    assert [whole[f"{n}_{axis}_px"] for n in ("min", "median", "max") for axis in ("width", "height")] == [
        10, 40, 20, 20, 30, 30,
    ]  # fmt: skip
    assert whole["pixels"] == 400 + 900 + 500 + 400
    assert whole["image_bytes"] == 100 + 101 + 102 + 103
    assert rows["b"]["min_mpp_um"] == 0.5


@st.composite
def datasets(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    items, structures = [], []
    for number in range(draw(st.integers(1, 8))):
        mpp = draw(st.sampled_from([0.25, 0.5, None]))
        items.append(item(number, draw(st.sampled_from("ab")), (100, 50 + number), mpp))
        if draw(st.booleans()):
            for value in (1, 2):
                areas = draw(st.lists(st.integers(1, 900), max_size=5))
                structures.append(structure(items[-1], value, areas))
        else:
            items[-1] |= {"mask": None, "mask_bytes": None}
    return items, structures


@given(datasets())
@settings(max_examples=60, deadline=None)
def test_occurrences_and_objects_are_counted(data: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    items, structures = data
    of = {i["slide_id"]: i for i in items}
    occurrences, objects = occurrence_rows(items, structures), object_rows(items, structures)
    assert [(r["group"], r["structure"]) for r in occurrences] == [(r["group"], r["structure"]) for r in objects]
    for row, sizes in zip(occurrences, objects, strict=True):
        own = [
            s for s in structures if s["structure"] == row["structure"] and row["group"] in (s["group"], EVERY_GROUP)
        ]
        assert row["labelled"] == len(own)
        assert row["items_with"] == sum(bool(s["object_areas_px"]) for s in own)
        assert row["occurrence_ratio"] == row["items_with"] / len(own)
        areas = np.array([a for s in own for a in s["object_areas_px"]])
        assert (row["objects"], row["pixels"]) == (len(areas), areas.sum())
        assert sizes["objects"] == len(areas)
        if len(areas):
            assert sizes["area_px_min"] == areas.min()
            assert sizes["area_px_median"] == np.percentile(areas, 50, method="lower")
            assert sizes["area_px_max"] == areas.max()
        known = [s for s in own if of[s["slide_id"]]["mpp_x_um"]]
        um2 = [a * of[s["slide_id"]]["mpp_x_um"] ** 2 for s in known for a in s["object_areas_px"]]
        if um2:
            assert sizes["area_um2_median"] == pytest.approx(np.median(um2))
            assert sizes["area_um2_mean"] == pytest.approx(np.mean(um2))
        else:
            assert sizes.get("area_um2_median") is None
        tissue = sum(0.5 * 100 * of[s["slide_id"]]["height_px"] * of[s["slide_id"]]["mpp_x_um"] ** 2 for s in known)
        expected = sum(s["objects"] for s in known) / tissue * 1e6 if tissue else None
        assert sizes["objects_per_mm2"] == (None if expected is None else pytest.approx(expected))


def card(**more: Any) -> Card:
    items = [item(0, "a", (10, 40), objects=3), item(1, "b", (30, 30), mask=None, mask_bytes=None)]
    items.append({**dict.fromkeys(items[0]), "slide_id": "s9", "error": "E143 s9.tif: damaged | torn"})
    structures = [structure(items[0], 1, [5, 7, 20])]
    facts: dict[str, Any] = {
        "project": "kidneys",
        "given": GIVEN,
        "structures": {1: "structure 1"},
        "items": items,
        "sizes": size_rows(items),
        "occurrences": occurrence_rows(items, structures),
        "objects": _filled(object_rows(items, structures)),
        "cases": [
            {"case_id": "c0", "group": "a", "split": "train", "origin": "drawn", "items": 1},
            {"case_id": "c1", "group": "b", "split": "test", "origin": "lock", "items": 1},
        ],
        "checks": [
            {"check": "case", "compared": 2, "leaks": 0, "within_split": None},
            {"check": "file", "compared": 2, "leaks": 0, "within_split": 3},
        ],
        "refused": [("row 7", "no mpp")],
        **more,
    }
    return Card(**facts)


def _filled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from ophiolite.stages.slide_statistics import OBJECTS

    return [{**dict.fromkeys(OBJECTS), **row} for row in rows]


def test_a_card_counts_what_can_be_read_and_says_what_cannot() -> None:
    made = card()
    assert volume_of_data(made) == "2 slides of 1 case in 2 groups, 211 B"
    text = markdown(made)
    assert text.startswith("# kidneys\n")
    assert "| Modality | not stated |" in text
    assert "- row 7: no mpp\n- s9: E143 s9.tif: damaged" in text
    assert "| structure 1 | a | slides | 3 | 1 | 3 | 1.25 / 1.5 / 1.75 / 3.375 / 5 |" in text
    assert "| all groups | 1 | 50 % | 1 | 1 | 50 % | 1 |" in text
    assert "| case | 2 | 0 | – |\n| file | 2 | 0 | 3 |" in text
    assert len(left_out(made)) == 2


def test_what_the_config_says_stands_beside_what_was_measured() -> None:
    given_ = {**GIVEN, "title": "Mouse | kidneys", "task": "segmentation", "citation": "Doe 2024"}
    made = card(given=given_)
    assert "| Task | segmentation |" in markdown(made)
    assert "| To cite | Doe 2024 |" in markdown(made)
    data = json.loads(json.dumps(card_json(made)))
    assert data["given"] == given_
    assert (data["items"], data["cases"], data["groups"]) == (2, 1, ["a", "b"])
    assert data["splits"] == {"c0": "train", "c1": "test"}


def test_tables_of_markdown_keep_their_columns() -> None:
    for block in markdown(card()).split("\n\n"):
        lines = block.split("\n")
        if lines[0].startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_a_dataset_without_masks_and_splits_has_a_card() -> None:
    bare = card(items=[], sizes=[], occurrences=[], objects=[], cases=[], refused=[], checks=[])
    assert list(card_tables(bare)) == ["dataset"]
    assert volume_of_data(bare) == "nothing of 0 cases, 0 B"


def test_every_column_stands_in_the_page_of_formats() -> None:
    from ophiolite.stages import slide_leakage, slide_statistics, slide_tables

    page = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text()
    section = page[page.index("## Dataset of slides") :].partition("\n## ")[0]
    rows = {line.split(" | ")[0].strip("| "): set(re.findall(r"`(\w+)`", line)) for line in section.split("\n")}
    columns = {
        "items": slide_tables.ITEMS,
        "structures": slide_tables.STRUCTURES,
        "splits": slide_tables.SPLITS,
        "sizes": slide_statistics.SIZES,
        "occurrences": slide_statistics.OCCURRENCES,
        "objects": slide_statistics.OBJECTS,
        "leakage": slide_leakage.LEAKAGE,
    }
    assert {name: set(of) - rows[name] for name, of in columns.items()} == {name: set() for name in columns}


def test_files_may_be_checked_by_hand(tmp_path: Path) -> None:
    import hashlib

    from ophiolite.stages.slide_facts import files_sha256

    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    one, two = str(tmp_path / "a"), str(tmp_path / "b")
    assert files_sha256([one]) == hashlib.sha256(b"a").hexdigest()
    lines = "".join(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in "ab")
    assert files_sha256([one, two]) == hashlib.sha256(lines.encode()).hexdigest()
