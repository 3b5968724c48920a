"""Predictions and truths that would give wrong scores in silence: each is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ophiolite.errors import SourceError
from ophiolite.layers.store import Store
from ophiolite.plan.slide_layers import row_plan
from ophiolite.plan.slide_model import PREDICTED_ENDINGS
from ophiolite.sample.slide_set import write_mask
from ophiolite.sources.slide_sheet import SheetRow
from ophiolite.stages.slide_score_panels import worst_items
from ophiolite.stages.slide_score_planes import find_prediction
from ophiolite.stages.slide_score_tables import check_scored, write_score_tables
from ophiolite.stages.slide_scores import row_scores, score_part, write_scores
from ophiolite.stages.slide_tables import batch_names
from scored_slides import cut_predictions, kpis_slide, plan_of, read, slides_of
from smk_functions import smk_function


def test_the_truth_is_not_scored_against_itself(tmp_path: Path) -> None:
    kpis_slide(tmp_path)
    one = {"binarise": 127, "structures": {1: "any"}}
    plan = plan_of(tmp_path, tmp_path, tmp_path, mask=one)
    with pytest.raises(SourceError, match="the image of s itself"):
        row_scores(plan, Store(tmp_path / "p"), slides_of(plan).rows[0])
    (tmp_path / "links").mkdir()
    (tmp_path / "links/s.png").symlink_to(tmp_path / "m.png")
    plan = plan_of(tmp_path, tmp_path, tmp_path / "links", mask=one)
    with pytest.raises(SourceError, match="the mask of s itself"):
        row_scores(plan, Store(tmp_path / "p"), slides_of(plan).rows[0])


def test_one_file_is_no_prediction_of_two_items(tmp_path: Path) -> None:
    """Files of one name in two folders: which of them was predicted is told by the id alone."""
    lines = ["slide_id\tcase_id\tgroup\timage\tmask\tmpp\tkind"]
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / name / "1.png")
        write_mask(np.full((64, 64), 255, np.uint8), tmp_path / name / "1_mask.png")
        lines.append(f"{name}\t{name}\tg\t{name}/1.png\t{name}/1_mask.png\t\tpatch")
    (tmp_path / "slides.tsv").write_text("\n".join(lines) + "\n")
    plan = plan_of(tmp_path, tmp_path, tmp_path / "in", mask={"binarise": 127, "structures": {1: "any"}})
    store = Store(tmp_path / "p")

    def score() -> None:
        for batch in batch_names(slides_of(plan)):
            write_scores(plan, slides_of(plan), store, batch)
        write_score_tables(plan, slides_of(plan), store)
        check_scored(store)

    write_mask(np.full((64, 64), 255, np.uint8), tmp_path / "in/1.png")
    with pytest.raises(SourceError, match=r"in/1\.png.*names of a and b"):
        score()
    for name in "ab":
        (tmp_path / "in/1.png").rename(tmp_path / f"in/{name}.png")
        write_mask(np.full((64, 64), 255, np.uint8), tmp_path / "in/1.png")
    score()
    assert {Path(row["prediction"]).name for row in read(store, "slides/tables/scores.parquet")} == {"a.png", "b.png"}
    (tmp_path / "in/a.png").unlink()
    (tmp_path / "in/b.png").unlink()
    write_mask(np.full((64, 64), 255, np.uint8), tmp_path / "in/1_mask.png")
    (tmp_path / "in/1.png").unlink()
    with pytest.raises(SourceError, match=r"in/1_mask\.png.*names of a and b"):
        score()


def test_one_bad_prediction_leaves_the_others_their_scores(tmp_path: Path) -> None:
    """All of one batch: the bad ones are named in their rows and at the end, and enter no mean."""
    lines = ["slide_id\tcase_id\tgroup\timage\tmask\tmpp\tkind"]
    for name in "abcd":
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / f"{name}.png")
        write_mask(np.full((64, 64), 255, np.uint8), tmp_path / f"{name}_mask.png")
        write_mask(np.full((64, 64), 255, np.uint8), tmp_path / f"in/{name}.png")
        lines.append(f"{name}\t{name}\tg\t{name}.png\t{name}_mask.png\t\tpatch")
    (tmp_path / "slides.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "in/b.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    write_mask(np.full((63, 64), 255, np.uint8), tmp_path / "in/c.png")
    plan = plan_of(tmp_path, tmp_path, tmp_path / "in", mask={"binarise": 127, "structures": {1: "any"}})
    store = Store(tmp_path / "p")
    (batch,) = batch_names(slides_of(plan))
    errors = write_scores(plan, slides_of(plan), store, batch)
    assert [error.partition(":")[0] for error in errors] == ["b", "c"]
    assert "b.png: the mask cannot be read" in errors[0]
    assert "E142" in errors[1]
    write_score_tables(plan, slides_of(plan), store)
    rows = read(store, "slides/tables/scores.parquet")
    assert [(row["slide_id"], row["dice"], row["error"]) for row in rows] == [
        ("a", 1, None),
        ("b", None, errors[0]),
        ("c", None, errors[1]),
        ("d", 1, None),
    ]
    (dice,) = [row for row in read(store, "slides/tables/score_summary.parquet") if row["metric"] == "dice"]
    assert (dice["value"], dice["items"], dice["unscored"]) == (1, 2, 2)
    assert worst_items(rows, 9) == [("a", 1), ("d", 1)]
    with pytest.raises(SourceError, match=r"(?s)2 slides and patches cannot be scored:.*in/b\.png.*E142.*in/c\.png"):
        check_scored(store)
    assert not store.exists("slides/scored.json")
    for name in "bc":
        write_mask(np.full((64, 64), 255, np.uint8), tmp_path / f"in/{name}.png")
    assert write_scores(plan, slides_of(plan), store, batch) == []
    write_score_tables(plan, slides_of(plan), store)
    check_scored(store)
    assert store.exists("slides/scored.json")


@pytest.mark.parametrize("name", ["S.1", "scan", "scan.ome", "scan_mask", "scan.ome_img"])
@pytest.mark.parametrize("ending", PREDICTED_ENDINGS)
def test_the_workflow_looks_for_predictions_where_the_scores_do(tmp_path: Path, name: str, ending: str) -> None:
    image = Path(tmp_path / f"{name if name.endswith('_img') else 'scan.ome'}.tif")
    row = row_plan(SheetRow(2, "S.1", "c", "g", image, tmp_path / "scan_mask.png", None, "slide", None))
    (tmp_path / "in").mkdir()
    for other in (f"{name}.txt", f"x{name}.png", "scan_img.png"):
        (tmp_path / "in" / other).touch()
    wanted = tmp_path / "in" / f"{name.replace('_img', '_mask')}{ending}"
    wanted.touch()
    (tmp_path / "in" / f"{wanted.name}.geojson").touch()
    assert find_prediction(tmp_path / "in", row) == wanted
    found = smk_function(
        "prediction_of_row",
        os=os,
        SCORES={"predictions": str(tmp_path / "in")},
        slides_plan=lambda: {"predicted_endings": list(PREDICTED_ENDINGS)},
        predicted_files=lambda: {path.name for path in (tmp_path / "in").iterdir()},
    )
    assert found(row.model_dump(mode="json")) == str(wanted)
    wanted.unlink()
    assert find_prediction(tmp_path / "in", row) is None
    assert found(row.model_dump(mode="json")) is None


@pytest.mark.parametrize("compat", ["none", "kpis2024"])
@pytest.mark.parametrize("wrong", ["m.png", "in/s.png"])
def test_masks_of_0_and_1_are_not_scored_as_empty(tmp_path: Path, compat: str, wrong: str) -> None:
    masks = dict(zip(("m.png", "in/s.png"), kpis_slide(tmp_path), strict=True))
    one = {"binarise": 127, "structures": {1: "glomerulus"}}

    def score(mask: NDArray[np.uint8]) -> list[dict[str, Any]]:
        write_mask(mask, tmp_path / wrong)
        plan = plan_of(tmp_path, tmp_path, tmp_path / "in", mask=one, scores={"compat": compat})
        return row_scores(plan, Store(tmp_path / "p"), slides_of(plan).rows[0])

    with pytest.raises(SourceError, match=f"{re.escape(wrong)}.*0 to 1"):
        score(masks[wrong] // 254)
    assert score(masks[wrong] * 0)[0]["dice"] == 0


@pytest.mark.parametrize(
    ("compat", "stitch"), [("none", "vote"), ("none", "mean"), ("none", "gaussian"), ("kpis2024", "mean")]
)
def test_predicted_patches_of_0_and_1_are_not_scored_as_empty(tmp_path: Path, compat: str, stitch: str) -> None:
    kpis_slide(tmp_path)
    one = {"binarise": 127, "structures": {1: "glomerulus"}}
    patches = {"size_px": 280, "stride_px": 140, "mpp": 0.5}
    scores = {"compat": compat, "stitch": stitch}
    plan = plan_of(tmp_path, tmp_path, tmp_path / "parts", mask=one, scores=scores, patches=patches)
    store, row = Store(tmp_path / "p"), slides_of(plan).rows[0]
    predicted = np.zeros((700, 700), np.uint8)
    predicted[300:500, 300:500] = 1
    cut_predictions(plan, store, row, predicted, tmp_path / "parts")
    with pytest.raises(SourceError, match=r"parts.*0 to 1"):
        row_scores(plan, store, row)
    for value, expected in ((0, 0), (255, 40_000)):
        cut_predictions(plan, store, row, predicted * value, tmp_path / "parts")
        (found,) = row_scores(plan, store, row)
        assert found["predicted_px"] == expected


@pytest.mark.parametrize("stitch", ["mean", "gaussian"])
def test_probabilities_of_at_most_1_of_255_are_low_where_those_of_other_slides_are_higher(
    tmp_path: Path, stitch: str
) -> None:
    kpis_slide(tmp_path)
    patches = {"size_px": 280, "stride_px": 140, "mpp": 0.5}
    plan = plan_of(
        tmp_path,
        tmp_path,
        tmp_path / "parts",
        mask={"binarise": 127, "structures": {1: "glomerulus"}},
        scores={"stitch": stitch},
        patches=patches,
    )
    store, row = Store(tmp_path / "p"), slides_of(plan).rows[0]
    predicted = np.zeros((700, 700), np.uint8)
    predicted[300:500, 300:500] = 1
    cut_predictions(plan, store, row, predicted, tmp_path / "parts")
    other = np.full((280, 280), 200, np.uint8)
    (tmp_path / "parts/other_0_0_0.tif").write_bytes(b"II damaged")
    write_mask(other[:100], tmp_path / "parts/thumbnail.png")
    write_mask(other // 200, tmp_path / "parts/other_1_0_0.png")
    with pytest.raises(SourceError, match=r"parts.*0 to 1"):
        row_scores(plan, store, row)
    write_mask(other, tmp_path / "parts/other_2_0_0.png")
    (found,) = row_scores(plan, store, row)
    assert (found["predicted_px"], found["dice"]) == (0, 0)


def test_a_bilevel_patch_is_255_where_it_is_1(tmp_path: Path) -> None:
    kpis_slide(tmp_path)
    one = {"binarise": 127, "structures": {1: "glomerulus"}}
    patches = {"size_px": 280, "stride_px": 140, "mpp": 0.5}
    plan = plan_of(tmp_path, tmp_path, tmp_path / "parts", mask=one, scores={"compat": "kpis2024"}, patches=patches)
    store, row = Store(tmp_path / "p"), slides_of(plan).rows[0]
    predicted = np.zeros((700, 700), np.uint8)
    predicted[300:500, 300:500] = 255
    _, paths = cut_predictions(plan, store, row, predicted, tmp_path / "parts")
    for path in paths:
        Image.open(path).convert("1").save(path)
    (found,) = row_scores(plan, store, row)
    assert found["predicted_px"] == 40_000


def test_a_slide_that_was_not_cut_has_an_error_in_the_place_of_stitched_scores(tmp_path: Path) -> None:
    kpis_slide(tmp_path)
    (tmp_path / "parts").mkdir()
    patches = {"size_px": 280, "stride_px": 140, "mpp": 0.5}
    one = {"binarise": 127, "structures": {1: "glomerulus"}}
    plan = plan_of(tmp_path, tmp_path, tmp_path / "parts", mask=one, patches=patches)
    store, row, batch = Store(tmp_path / "p"), slides_of(plan).rows[0], "s"
    assert "was not cut into patches" in write_scores(plan, slides_of(plan), store, batch)[0]
    cut_predictions(plan, store, row, np.zeros((700, 700), np.uint8), tmp_path / "parts")
    assert write_scores(plan, slides_of(plan), store, batch) == []
    other = plan_of(tmp_path, tmp_path, tmp_path / "parts", mask=one, patches={**patches, "stride_px": 70})
    (error,) = write_scores(other, slides_of(other), store, batch)
    assert "was not cut into patches" in error, "patches of other settings are not what was predicted"
    assert [r["error"] for r in read(store, score_part(batch))] == [error]


def test_scores_wait_for_no_slide_that_cannot_be_read() -> None:
    """Of three slides one is predicted whole, one cannot be read."""
    rows = [{"slide_id": name, "dataset": name} for name in "abc"]
    asked: list[list[str]] = []

    def expand(pattern: str, dataset: list[str], layer: str) -> list[str]:
        asked.append(dataset)
        return dataset

    wait = smk_function(
        "patches_to_stitch",
        rows_to_score=lambda wildcards: rows,
        prediction_of_row=lambda row: row["slide_id"] == "a",
        planned=lambda: {"datasets": {n: {"layers": {"slide": {"digests": {"slide_patches": "1"}}}} for n in "abc"}},
        unreadable_slides=lambda: {"b"},
        receipt=lambda rule: rule,
        expand=expand,
    )
    assert wait(None) == ["c"]
    assert asked == [["c"]]
