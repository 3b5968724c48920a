"""`snakemake score_slides` on phantom slides: tables and figure, what a changed prediction makes again, bad ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from workspace import Workspace, planned_jobs

from ophiolite.__main__ import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scored(kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three of the built-in slides, scored; copied before it is changed."""
    folder = tmp_path_factory.mktemp("scored")
    assert main(["make_slides", str(folder / "slides"), "--size-px", "800", "560"]) == 0
    sheet = folder / "slides/slides.tsv"
    sheet.write_text("".join(line + "\n" for line in sheet.read_text().splitlines()[:4]))
    config = {
        "project": "tiny",
        "store": "results",
        "slides": {
            "sheet": "slides/slides.tsv",
            "mask": {"binarise": None, "structures": {1: "glomerulus", 2: "sclerosed"}},
            "scores": {"predictions": "slides/predictions", "bootstrap": 100},
        },
    }
    workspace = Workspace(folder, config)
    workspace.write_config()
    workspace.take_kernels(kernels)
    done = workspace.snakemake("--", "score_slides")
    assert done.code == 0, done.text
    return workspace


def rows(workspace: Workspace, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(workspace.project / f"slides/tables/{table}.parquet").to_pylist()
    return found


def test_scores_are_those_that_were_planted(scored: Workspace) -> None:
    told = json.loads((scored.folder / "slides/truth.json").read_text())
    found = rows(scored, "scores")
    assert len(found) == 6
    for row in found:
        expected = told[row["slide_id"]]["expected_scores"][row["structure"]]
        assert {key: row[key] for key in expected} == expected
    assert {row["group"] for row in rows(scored, "score_summary")} == {"all"}
    with Image.open(scored.project / "slides/figures/score_panels.png") as picture:
        assert picture.size[0] > 1000
    assert not (scored.project / "12_101/layers").exists(), "no layer is made for scores"
    assert planned_jobs(scored.snakemake("-n", "--", "score_slides").text) == {}


def test_a_changed_prediction_is_scored_again_alone(scored: Workspace, tmp_path: Path) -> None:
    workspace = scored.copy_to(tmp_path / "changed")
    predictions = workspace.folder / "slides/predictions"
    shutil.copy(predictions / "12-102.png", predictions / "12-101.png")
    again = planned_jobs(workspace.snakemake("-n", "--", "score_slides").text)
    assert again == {"score_slide": 1, "score_tables": 1, "score_faults": 1, "score_panels": 1, "score_slides": 1}
    done = workspace.snakemake("--", "score_slides")
    assert done.code == 0, done.text
    worse = {row["slide_id"] for row in rows(workspace, "scores") if row["dice"] < 0.5}
    assert worse == {"12-101"}


def test_a_prediction_of_another_size_is_named_and_others_go_on(scored: Workspace, tmp_path: Path) -> None:
    workspace = scored.copy_to(tmp_path / "bad")
    path = workspace.folder / "slides/predictions/12-103.png"
    with Image.open(path) as picture:
        picture.crop((0, 0, 300, 300)).save(path)
    shutil.rmtree(workspace.project / "slides/scores")
    done = workspace.snakemake("--keep-going", "--", "score_slides")
    assert done.code != 0
    assert "1 slides and patches cannot be scored" in done.text
    logs = "".join(log.read_text() for log in sorted((workspace.project / "logs/score_slide").iterdir()))
    assert "E142" in logs
    assert "12-103.png" in logs
    assert {row["slide_id"] for row in rows(workspace, "scores") if row["error"]} == {"12-103"}
    assert {row["slide_id"] for row in rows(workspace, "scores") if row["dice"] is not None} == {"12-101", "12-102"}
    assert rows(workspace, "score_summary")
