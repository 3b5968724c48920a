"""Facts of slides and patches, and the chain from them to the page: counted pixels, planted faults, equal bytes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ophiolite.commands import (
    slide_card,
    slide_facts,
    slide_leakage,
    slide_panels,
    slide_readable,
    slide_splits,
    slide_statistics,
)
from ophiolite.config.load import parse_config
from ophiolite.errors import SourceError
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.sources.mask import MaskReading, open_mask
from ophiolite.stages import slide_facts as facts_stage
from ophiolite.stages.job import load_plan
from ophiolite.stages.slide_panels import panel_rows
from ophiolite.stages.slide_project import open_slides
from ophiolite.stages.slide_tables import batch_names, read_parts, read_slide_table
from ophiolite.stages.slides_page import build_slides_page

HEADER = ("slide_id", "case_id", "group", "image", "mask", "mpp", "kind", "split")
SIZE = (90, 60)
# x, y, width, height and value of what masks show: two of the first structure touch by a corner, one lies at the edge.
BLOBS = ((10, 10, 8, 6, 1), (18, 16, 4, 4, 1), (40, 20, 5, 5, 2), (80, 50, 10, 3, 1))


def picture(seed: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(*size, 3)), (5, 5, 0))
    return np.asarray((noise - noise.min()) / np.ptp(noise) * 255, dtype=np.uint8)


def mask(blobs: tuple[tuple[int, int, int, int, int], ...] = BLOBS) -> NDArray[np.uint8]:
    out = np.zeros(SIZE, np.uint8)
    for x, y, w, h, value in blobs:
        out[x : x + w, y : y + h] = value
    return out


def save(path: Path, array: NDArray[np.uint8]) -> str:
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(array.swapaxes(0, 1))).save(path)
    return path.name


def project(folder: Path, *rows: tuple[str, ...], **options: Any) -> Path:
    """The plan of a sheet with these rows."""
    (folder / "slides.tsv").write_text("\n".join("\t".join(row) for row in (HEADER, *rows)) + "\n")
    slides = {
        "sheet": str(folder / "slides.tsv"),
        "mask": {"binarise": None, "structures": {1: "glomerulus", 2: "tubule"}},
        **options,
    }
    config = parse_config({"project": "p", "store": str(folder / "results"), "slides": slides}, "test")
    plan = folder / "results" / "p" / "plan.json"
    plan.parent.mkdir(parents=True, exist_ok=True)
    plan.write_bytes(make_plan(config, Path(), Speeds()).to_bytes())
    return plan


def run(command: Any, plan: Path, *more: str) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args(["--plan", str(plan), *more]))


def run_all(plan: Path, *commands: Any) -> None:
    _, slides, _ = open_slides(plan)
    for batch in batch_names(slides):
        run(slide_facts, plan, "--batch", batch)
    for command in commands:
        run(command, plan)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    save(tmp_path / "a.png", picture(0))
    save(tmp_path / "a_mask.png", mask())
    save(tmp_path / "b.png", picture(1))
    save(tmp_path / "b_mask.png", mask(BLOBS[:1]))
    save(tmp_path / "p.png", picture(2))
    save(tmp_path / "p_mask.png", mask(()))
    return project(
        tmp_path,
        ("a", "c0", "x", "a.png", "a_mask.png", "0.5", "slide", ""),
        ("b", "c1", "y", "b.png", "b_mask.png", "2", "slide", ""),
        ("p", "c2", "y", "p.png", "p_mask.png", "", "patch", ""),
        splits={"fractions": {"train": 0.5, "test": 0.5}},
    )


def test_what_masks_and_images_hold_is_counted(sheet: Path) -> None:
    run_all(sheet)
    _, slides, store = open_slides(sheet)
    items = {row["slide_id"]: row for row in read_parts(store, slides, "items")}
    assert [(i["width_px"], i["height_px"], i["mpp_x_um"]) for i in items.values()] == [
        (90, 60, 0.5), (90, 60, 2.0), (90, 60, None),
    ]  # fmt: skip
    assert all(item["error"] is None for item in items.values())
    rows = [row for row in read_parts(store, slides, "structures") if row["slide_id"] == "a"]
    assert [row["structure"] for row in rows] == ["glomerulus", "tubule"]
    assert [row["pixels"] for row in rows] == [48 + 16 + 30, 25]
    assert [row["objects"] for row in rows] == [2, 1]
    assert [row["edge_objects"] for row in rows] == [1, 0]
    assert rows[0]["object_areas_px"] == [64, 30]
    assert rows[1]["area_um2"] == 25 * 0.25
    assert rows[1]["fraction"] == 25 / 5400
    empty = [row for row in read_parts(store, slides, "structures") if row["slide_id"] == "p"]
    assert [(row["pixels"], row["objects"], row["area_um2"]) for row in empty] == [(0, 0, None)] * 2


def test_the_hash_is_of_pixels_whatever_holds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tifffile

    image = picture(5, (300, 200))
    save(tmp_path / "a.png", image)
    tifffile.imwrite(tmp_path / "b.tif", image.swapaxes(0, 1), photometric="rgb", tile=(64, 64), compression="deflate")
    changed = image.copy()
    changed[299, 199, 2] ^= 1
    save(tmp_path / "c.png", changed)
    rows = [
        (name, name, "x", file, "", "0.5", "slide", "")
        for name, file in {"a": "a.png", "b": "b.tif", "c": "c.png"}.items()
    ]
    plan = project(tmp_path, *rows)
    run_all(plan)
    _, slides, store = open_slides(plan)
    whole = read_parts(store, slides, "items")
    a, b, c = (row["pixel_hash"] for row in whole)
    assert a == b != c
    assert len({row["perceptual_hash"] for row in whole}) == 1
    assert len({row["file_sha256"] for row in whole}) == 3
    monkeypatch.setattr(facts_stage, "MOST_BYTES", 300 * 3 * 7)
    monkeypatch.setattr(facts_stage, "ROWS_TOGETHER", 3)
    monkeypatch.setattr(facts_stage, "COLUMN_PX", 37)
    run_all(plan)
    assert read_parts(store, slides, "items") == whole


def test_coarse_masks_count_in_pixels_of_the_slide(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture(0, (180, 120)))
    save(tmp_path / "m.png", mask())
    plan = project(tmp_path, ("a", "a", "x", "a.png", "m.png", "0.5", "slide", ""))
    run_all(plan)
    _, slides, store = open_slides(plan)
    (item,) = read_parts(store, slides, "items")
    assert item["mask_ratio"] == 2
    glomeruli = read_parts(store, slides, "structures")[0]
    assert glomeruli["object_areas_px"] == [4 * 64, 4 * 30]
    assert glomeruli["area_um2"] == 4 * 94 * 0.25


def test_objects_at_the_edge_of_a_cropped_slide_are_counted(tmp_path: Path) -> None:
    """The mask begins at (40, 60) of its slide; so does the count of its rows."""
    save(tmp_path / "m.png", mask())
    facts = {"mpp_x_um": 0.5, "mpp_y_um": 0.5}
    found = []
    for start in ((0, 0), (40, 60)):
        reading = MaskReading(SIZE, (500.0, 500.0, 4000.0), None, {1: "a", 2: "b"}, slide_start_px=start)
        found.append(facts_stage.mask_facts(open_mask(tmp_path / "m.png", reading), {1: "a", 2: "b"}, 0, facts))
    assert [row["edge_objects"] for row in found[0].structures] == [1, 0]
    assert found[1].structures == found[0].structures


def test_small_objects_are_left_out_but_not_their_pixels(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture(0))
    save(tmp_path / "m.png", mask())
    options = {"mask": {"binarise": None, "structures": {1: "glomerulus", 2: "tubule"}, "min_object_px": 31}}
    plan = project(tmp_path, ("a", "a", "x", "a.png", "m.png", "0.5", "slide", ""), **options)
    run_all(plan)
    _, slides, store = open_slides(plan)
    rows = read_parts(store, slides, "structures")
    assert [(row["pixels"], row["objects"]) for row in rows] == [(94, 1), (25, 0)]


def test_a_patch_that_cannot_be_read_is_told_and_the_others_go_on(sheet: Path) -> None:
    folder = sheet.parents[2]
    whole = (folder / "p.png").read_bytes()
    (folder / "p.png").write_bytes(whole[: len(whole) // 2])
    run_all(sheet, slide_statistics, slide_splits, slide_leakage)
    _, _, store = open_slides(sheet)
    items = {row["slide_id"]: row for row in read_slide_table(store, "items")}
    assert "p.png" in items["p"]["error"]
    assert items["a"]["error"] is items["b"]["error"] is None
    with pytest.raises(SourceError, match=r"1 of 3 .* cannot be read:\n.*p\.png"):
        run(slide_readable, sheet)
    for group in ("x", "y"):
        run(slide_panels, sheet, "--group", group)
    run(slide_card, sheet)
    page = build_slides_page(*open_slides(sheet))
    assert "p: " in page
    assert 'id="left_out"' in page


def test_a_slide_that_changed_since_the_plan_fails_its_job(sheet: Path) -> None:
    save(sheet.parents[2] / "a.png", picture(9, (91, 60)))
    with pytest.raises(SourceError, match=r"a\.png.*changed since the plan"):
        run(slide_facts, sheet, "--batch", "a")


def test_a_mask_that_binarising_empties_is_an_error(tmp_path: Path) -> None:
    save(tmp_path / "p.png", picture(0))
    save(tmp_path / "m.png", mask())
    options = {"mask": {"binarise": 127, "structures": {1: "glomerulus"}}}
    plan = project(tmp_path, ("p", "p", "x", "p.png", "m.png", "", "patch", ""), **options)
    run_all(plan)
    _, slides, store = open_slides(plan)
    (item,) = read_parts(store, slides, "items")
    assert "binarising leaves nothing" in item["error"]


def test_the_whole_chain_gives_the_same_bytes_again(sheet: Path) -> None:
    def chain() -> dict[str, bytes]:
        run_all(sheet, slide_statistics, slide_readable, slide_splits, slide_leakage)
        for group in ("x", "y"):
            run(slide_panels, sheet, "--group", group)
        run(slide_card, sheet)
        root = sheet.parent / "slides"
        files = {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
        return {**files, "page": build_slides_page(*open_slides(sheet)).encode()}

    first = chain()
    assert chain() == first
    data = json.loads(first["card.json"])
    assert (data["items"], data["cases"], data["groups"]) == (3, 3, ["x", "y"])
    assert {row["structure"]: row["objects"] for row in data["objects"] if row["group"] == "x"} == {
        "glomerulus": 2, "tubule": 1,
    }  # fmt: skip
    page = first["page"].decode()
    assert re.search(r'href="dataset\?name=a"', page)
    assert page.count("data:image/png") == 2
    assert "<script" not in page
    described = json.loads(first["croissant.json"])
    for file in described["distribution"]:
        stored = first[file["contentUrl"]]
        assert file["contentSize"] == f"{len(stored)} B"
        columns = stored.split(b"\n")[0].decode().replace('"', "").split(",")
        records = next(r for r in described["recordSet"] if r["@id"] == file["@id"].removesuffix(".csv"))
        assert {field["source"]["extract"]["column"] for field in records["field"]} <= set(columns)


def test_a_leak_fails_after_the_table_is_written(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture(0))
    save(tmp_path / "b.png", picture(0))
    plan = project(
        tmp_path,
        ("a", "c0", "x", "a.png", "", "0.5", "slide", "train"),
        ("b", "c1", "x", "b.png", "", "0.5", "slide", "test"),
    )
    run_all(plan, slide_splits)
    with pytest.raises(SourceError, match=r"(?s)E160.*leakage\.csv.*a\.png.*b\.png"):
        run(slide_leakage, plan)
    _, _, store = open_slides(plan)
    assert {row["check"] for row in read_slide_table(store, "leakage")} == {"file", "pixels"}
    assert not store.exists("slides/leakage.json")


def test_overlapping_patches_of_the_challenge_are_found_by_their_names(tmp_path: Path) -> None:
    names = ["56Nx_12-116_0_0_0_img.png", "56Nx_12-116_1_45_0_img.png", "56Nx_12-116_2_90_0_img.png"]
    for i, name in enumerate(names):
        save(tmp_path / name, picture(i))
    rows = [
        (name[:-8], case, "56Nx", name, "", "", "patch", split)
        for name, case, split in zip(names, ("12-116", "12_116", "12-116"), ("train", "test", "train"), strict=True)
    ]
    plan = project(tmp_path, *rows)
    run_all(plan, slide_splits)
    with pytest.raises(SourceError, match=r"(?s)case name.*overlap.*2,700 pixels"):
        run(slide_leakage, plan)
    _, _, store = open_slides(plan)
    found = [(row["check"], row["image_a"], row["image_b"]) for row in read_slide_table(store, "leakage")]
    places = [str(tmp_path / name) for name in names]
    assert found.count(("overlap", places[0], places[1])) == 1
    assert found.count(("overlap", places[1], places[2])) == 1
    assert len([row for row in found if row[0] == "overlap"]) == 2


def test_panels_show_masked_slides_of_different_cases_first(sheet: Path) -> None:
    slides = load_plan(sheet).slides
    assert slides is not None
    row = slides.rows[0]
    cases = ["a", "a", "a", "b", "c", "c"]
    rows = [
        row.model_copy(update={"slide_id": f"s{i}", "case_id": case, "line": i, "mask": None if case == "c" else "m"})
        for i, case in enumerate(cases)
    ]
    shown = panel_rows(rows, "x", 2)
    assert {r.case_id for r in shown} == {"a", "b"}
    assert [r.line for r in shown] == sorted(r.line for r in shown)
    assert {r.case_id for r in panel_rows(rows, "x", 4)} == {"a", "b"}
    assert len(panel_rows(rows, "x", 9)) == 6
    assert panel_rows(rows, "y", 2) == []


GLOMERULI = Path(os.environ.get("OPHIOLITE_DATA", "../shared/data")).resolve() / "slides" / "glomeruli"


@pytest.mark.skipif(not GLOMERULI.is_dir(), reason="the fields of glomeruli are not here")
def test_the_biologists_glomeruli_are_counted(tmp_path: Path) -> None:
    rows = [
        (
            name,
            name,
            "VEGF",
            str(GLOMERULI / f"R22_VEGF_2_15.0x{name}.jpg"),
            str(GLOMERULI / outlines),
            "0.5",
            "slide",
            "",
        )
        for name, outlines in (("C1", "RoiSetR22C1.zip"), ("C2", "derived_mask_C2.png"))
    ]
    plan = project(tmp_path, *rows, mask={"binarise": 0, "structures": {1: "glomerulus"}})
    run_all(plan)
    _, slides, store = open_slides(plan)
    assert [row["objects"] for row in read_parts(store, slides, "structures")] == [7, 6]
