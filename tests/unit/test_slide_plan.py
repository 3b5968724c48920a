"""From a sheet to the plan: names, refused rows, batches, digests, the table, and how long a thousand slides take."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ophiolite.config.load import parse_config
from ophiolite.errors import SourceError
from ophiolite.plan import slide_digests
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import ProjectPlan, Refused, VolumePlan
from ophiolite.plan.slide_digests import SlideRule
from ophiolite.plan.slide_model import SlidesPlan
from ophiolite.plan.slides import PATCHES_PER_BATCH
from ophiolite.plan.table import render_plan
from ophiolite.stages.slide_splits import case_rows
from slide_headers import write_header_slide

HEADER = ("slide_id", "case_id", "group", "image", "mask", "mpp", "kind")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        write_header_slide(tmp_path / f"{name}.tiff", (3000, 2000))
    write_header_slide(tmp_path / "bare.tiff", (3000, 2000), mpp=None)
    for name, size in (("whole", (2000, 3000)), ("half", (1000, 1500)), ("odd", (1000, 1400))):
        Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / f"{name}.png")
    for name in ("p0", "p1", "p0_mask"):
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / f"{name}.png")
    Image.fromarray(np.zeros((32, 64), np.uint8)).save(tmp_path / "p1_mask.png")
    return tmp_path


def planned(folder: Path, *rows: tuple[str, ...], sheet: str = "slides.tsv", **options: Any) -> ProjectPlan:
    lines = ["\t".join(HEADER), *("\t".join(row) for row in rows)]
    (folder / sheet).write_text("\n".join(lines) + "\n")
    config = {"project": "p", "store": str(folder / "results"), "slides": {"sheet": str(folder / sheet), **options}}
    return make_plan(parse_config(config, "test"), Path(), Speeds())


def slides_of(plan: ProjectPlan) -> SlidesPlan:
    assert plan.slides is not None
    return plan.slides


def layer(plan: ProjectPlan, dataset: str, name: str = "slide") -> VolumePlan:
    found = plan.datasets[dataset].layers[name]
    assert isinstance(found, VolumePlan), found
    return found


def refused(plan: ProjectPlan, dataset: str) -> str:
    layers = plan.datasets[dataset].layers
    assert list(layers) == ["slide"]
    found = layers["slide"]
    assert isinstance(found, Refused)
    return found.error


def test_a_slide_becomes_a_dataset_of_layers(folder: Path) -> None:
    plan = planned(folder, ("Case 1-A", "1", "DN", "a.tiff", "half.png"), ("b", "2", "", "b.tiff"))
    assert sorted(plan.datasets) == ["b", "case_1_a"]
    assert list(plan.datasets["case_1_a"].layers)[:3] == ["slide", "mask", "objects"]
    assert list(plan.datasets["b"].layers) == ["slide"]
    slide, mask, objects = (layer(plan, "case_1_a", name) for name in ("slide", "mask", "objects"))
    assert slide.scales[0].size_vx == (3000, 2000, 1)
    assert slide.scales[0].resolution_nm == pytest.approx((250, 250, 4000))
    assert (slide.scales[0].chunk_vx, slide.scales[0].encoding.name) == ((512, 512, 1), "jpeg")
    assert [s.factor for s in slide.scales] == [(2**mip, 2**mip, 1) for mip in range(4)]
    assert (slide.kind, slide.data_type, slide.method, slide.source.channels) == ("image", "uint8", "mean", 3)
    for labels, format in ((mask, "mask"), (objects, "mask_objects")):
        assert labels.scales[0].size_vx == (1500, 1000, 1)
        assert labels.scales[0].resolution_nm == pytest.approx((500, 500, 4000))
        assert (labels.kind, labels.method, labels.source.format) == ("segmentation", "mode", format)
    row, other = slides_of(plan).rows
    assert (row.dataset, row.case_id, row.group, row.mask_ratio) == ("case_1_a", "1", "DN", 2)
    assert (row.size_px, row.line) == ((3000, 2000), 2)
    assert row.mpp == pytest.approx((0.25, 0.25))
    assert (other.dataset, other.group, other.mask, other.mask_ratio) == ("b", "all", None, None)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("x", "", "", "bare.tiff"), "E140"),
        (("x", "", "", "a.tiff", "", "250"), "E141"),
        (("x", "", "", "a.tiff", "odd.png"), "E142"),
        (("x", "", "", "half.tiff"), "column image: 'half.tiff' does not exist"),
        (("x", "", "", "slides.tsv"), "slides.tsv"),
        (("tables", "", "", "a.tiff"), "a folder that every project has"),
        (("p1", "", "", "p1.png", "p1_mask.png", "", "patch"), "E142"),
    ],
)
def test_a_row_at_fault_is_refused_and_the_others_go_on(folder: Path, row: tuple[str, ...], says: str) -> None:
    plan = planned(folder, ("a", "", "", "a.tiff"), row, ("b", "", "", "b.tiff"))
    bad = [name for name in plan.datasets if name not in ("a", "b")]
    assert len(bad) == 1
    error = refused(plan, bad[0])
    assert "slides.tsv: row 3" in error
    assert says in error
    assert [layer(plan, name).kind for name in ("a", "b")] == ["image", "image"]
    assert [r.error for r in slides_of(plan).rows] == [None, error, None]
    assert [r.dataset for r in slides_of(plan).planned()] == ["a", "b"]
    assert f"REFUSED {error}" in render_plan(plan)


def test_rows_that_would_share_a_dataset_are_all_refused(folder: Path) -> None:
    plan = planned(
        folder,
        ("a", "", "", "a.tiff"), ("A", "", "", "b.tiff"), ("b", "", "", "b.tiff"), ("c", "", "", "a.tiff"),
        ("c", "", "", "c.tiff"), ("", "", "", "c.tiff"), ("b ", "", "", "none.tiff"),
    )  # fmt: skip
    assert sorted(plan.datasets) == ["a", "b", "c", "row_7"]
    assert refused(plan, "a").count("as that of another row") == 2
    assert "row 2" in refused(plan, "a")
    assert "row 3" in refused(plan, "a")
    assert refused(plan, "c").count("is the id of rows 5, 6") == 2
    assert "column slide_id: is empty" in refused(plan, "row_7")
    assert slides_of(plan).planned() == []


def test_a_row_more_changes_no_job_of_the_others(folder: Path) -> None:
    rows = [(name, "", "", f"{name}.tiff") for name in "ab"]
    before = {b.name: b.digests for b in slides_of(planned(folder, *rows)).batches}
    bad, good = ("bad", "", "", "none.tiff"), ("c", "", "", "c.tiff")
    after = {b.name: b.digests for b in slides_of(planned(folder, bad, good, *rows)).batches}
    assert list(after) == ["refused-0", "c", "a", "b"]
    assert {name: after[name] for name in before} == before


def test_patches_have_no_dataset_and_go_in_batches(folder: Path) -> None:
    patches = [(f"p{i}", "1", "", "p0.png", "p0_mask.png", "", "patch") for i in range(PATCHES_PER_BATCH + 3)]
    plan = planned(
        folder, ("a", "", "", "a.tiff"), *patches, ("b", "", "", "b.tiff"), ("a", "", "", "p0.png", "", "", "patch")
    )
    slides = slides_of(plan)
    assert [b.stop - b.first for b in slides.batches] == [1, PATCHES_PER_BATCH, 3, 1, 1]
    assert [i for b in slides.batches for i in range(b.first, b.stop)] == list(range(len(slides.rows)))
    assert (slides.rows[1].size_px, slides.rows[1].mpp, slides.rows[1].dataset) == ((64, 64), None, None)
    assert [b.name for b in slides.batches] == ["refused-0", "patches-0", "patches-1", "b", "refused-1"]
    assert [row.slide_id for row in slides.rows_of("patches-1")] == ["p200", "p201", "p202"]


def test_no_job_is_said_to_take_more_than_the_config_allows(folder: Path) -> None:
    write_header_slide(folder / "large.tiff", (16000, 12000))
    plan = planned(folder, ("a", "", "", "large.tiff", "large.tiff"))
    jobs = [cost for name in ("mask", "objects") for cost in layer(plan, "a", name).costs]
    assert jobs
    assert all(cost.memory_mb <= 2000 for cost in jobs), jobs


def test_what_the_rules_of_objects_take_follows_the_masks_size(folder: Path) -> None:
    """Against what was measured: MB and seconds at 4,096 and 24,576 pixels a side."""
    for side in (4096, 24576, 100_000):
        write_header_slide(folder / f"{side}.tiff", (side, side))
    rows = [(f"s{side}", "", "", f"{side}.tiff", f"{side}.tiff") for side in (4096, 24576, 100_000)]
    plan = planned(folder, *rows, ("png", "", "", "a.tiff", "whole.png"), ("half", "", "", "a.tiff", "half.png"))
    costs = {d: {cost.rule: cost for cost in layer(plan, d, "objects").costs} for d in plan.datasets}
    for rule, small, large in (
        ("mask_objects", (251, 0.8), (374, 4.0)),
        ("slide_objects", (270, 1.5), (298, 9.6)),
        ("slide_contours", (253, 1.5), (505, 8.4)),
    ):
        for dataset, (memory_mb, seconds) in (("s4096", small), ("s24576", large)):
            assert memory_mb <= costs[dataset][rule].memory_mb <= 1.5 * memory_mb, (rule, dataset)
            assert seconds / 2 <= costs[dataset][rule].seconds <= 2.5 * seconds, (rule, dataset)
        growth = costs["s100000"][rule].seconds - costs["s24576"][rule].seconds
        assert growth == pytest.approx(15.56 * (costs["s24576"][rule].seconds - 1.5), rel=0.05)
        assert costs["s100000"][rule].memory_mb < 3000
    assert costs["png"]["mask_objects"].memory_mb > costs["half"]["mask_objects"].memory_mb + 20, "a PNG is held whole"
    assert "slide_contours" not in {
        cost.rule for cost in layer(planned(folder, rows[0], mask={"contours": False}), "s4096", "objects").costs
    }


def test_patches_are_planned_by_what_reads_them_later(folder: Path) -> None:
    colours = Image.fromarray(np.zeros((64, 64), np.uint8)).convert("P")
    colours.putpalette([0, 0, 0, 255, 0, 0] + [9] * 762)
    colours.save(folder / "palette.png")
    square = {"type": "Polygon", "coordinates": [[[1, 1], [9, 1], [9, 9], [1, 1]]]}
    (folder / "outline.geojson").write_text(json.dumps(square))
    Image.new("CMYK", (64, 64)).save(folder / "ink.jpg")
    masks = ("palette.png", "outline.geojson", "ink.jpg")
    rows = [(f"p{i}", "", "", "p0.png", mask, "", "patch") for i, mask in enumerate(masks)]
    plan = planned(folder, *rows, ("p3", "", "", "ink.jpg", "", "", "patch"), ("b", "", "", "b.tiff"))
    first, second, third, fourth, last = slides_of(plan).rows
    assert (first.error, second.error, last.error) == (None, None, None)
    assert (first.size_px, first.mpp, first.mask_ratio) == ((64, 64), None, 1)
    assert "CMYK" in str(third.error)
    assert "CMYK" in str(fourth.error)


def test_a_changed_file_changes_its_own_digests_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {
        "one": SlideRule("slide", ("mask.structures",), ("slide/layer_done",)),
        "two": SlideRule("batch", ("patches",), ("slide/one",)),
        "three": SlideRule("cohort", (), ("slide/one", "two")),
        "off": SlideRule("slide", when=lambda options: options["patches"] is not None),
    }
    monkeypatch.setattr(slide_digests, "RULES", rules)
    rows = (("a", "1", "", "a.tiff"), ("b", "2", "", "b.tiff"))

    def digests(*rows: tuple[str, ...], **options: Any) -> tuple[list[str], list[str], str]:
        plan = planned(folder, *rows, **options)
        slides = slides_of(plan)
        datasets = [row.dataset for row in slides.rows if row.dataset]
        of_slides = [layer(plan, dataset).digests["one"] for dataset in datasets]
        assert all("off" not in layer(plan, dataset).digests for dataset in datasets)
        return of_slides, [batch.digests["two"] for batch in slides.batches], slides.digests["three"]

    before = digests(*rows)
    assert digests(*rows) == before
    of_slides, of_batches, of_all = digests(("c", "3", "", "c.tiff"), *rows)
    assert (of_slides[1:], of_batches[1:]) == before[:2]
    assert of_all != before[2]
    os.utime(folder / "b.tiff", ns=(10**18, 10**18))
    of_slides, of_batches, of_all = digests(*rows)
    assert [new == old for new, old in zip(of_slides, before[0], strict=True)] == [True, False]
    assert [new == old for new, old in zip(of_batches, before[1], strict=True)] == [True, False]
    assert of_all != before[2]
    changed = digests(*rows, mask={"structures": {1: "tubule"}})
    assert not set(changed[0]) & set(of_slides)


def test_the_table_has_a_line_per_slide_and_sums_their_rules(folder: Path) -> None:
    plan = planned(
        folder,
        ("a", "1", "DN", "a.tiff", "whole.png"),
        ("b", "2", "DN", "b.tiff"),
        ("p0", "3", "DN", "p0.png", "", "", "patch"),
    )
    lines = render_plan(plan).splitlines()
    assert [line.split()[:6] for line in lines if "3000 x 2000" in line] == [
        ["a", "1", "DN", "3000", "x", "2000"],
        ["b", "2", "DN", "3000", "x", "2000"],
    ]
    assert any(line.startswith("1 patches  1 cases  DN") for line in lines)
    assert next(line for line in lines if line.startswith("2 slides")).split()[2:5] == ["slide", "pyramid_blocks", "2"]


def test_a_sheet_that_cannot_be_read_ends_the_plan(folder: Path) -> None:
    with pytest.raises(SourceError, match="is no sheet"):
        planned(folder, ("a", "", "", "a.tiff"), sheet="slides.txt")


def test_a_hundred_huge_slides_are_planned_in_a_second_or_two(tmp_path: Path) -> None:
    write_header_slide(tmp_path / "0.tiff", (100_000, 100_000))
    for n in range(1, 100):
        os.link(tmp_path / "0.tiff", tmp_path / f"{n}.tiff")
    planned(tmp_path, ("warm", "", "", "0.tiff"))  # code is parsed once, however many slides there are
    before = time.process_time()
    plan = planned(tmp_path, *((f"s{n}", "", "", f"{n}.tiff") for n in range(100)))
    took = time.process_time() - before
    assert len(plan.datasets) == 100
    assert len(plan.to_bytes()) < 2_000_000
    assert took < 5, took


def test_the_draw_of_splits_counts_rows_that_are_refused(folder: Path) -> None:
    """Which file is absent changes nothing for the others' splits; a case that is no row at all is another draw."""
    rows = [("a", "1", "", "a.tiff"), ("b", "2", "", "b.tiff"), ("c", "3", "", "c.tiff")]
    whole = slides_of(planned(folder, *rows, splits={}))
    absent = slides_of(planned(folder, *rows[:2], ("c", "3", "", "none.tiff"), splits={}))
    fewer = slides_of(planned(folder, *rows[:2], splits={}))
    assert [(row.case_id, row.group) for row in absent.rows] == [("1", "all"), ("2", "all"), ("3", "all")]
    assert len({plan.digests["slide_splits"] for plan in (whole, absent, fewer)}) == 3
    drawn = [{r["case_id"]: r["split"] for r in case_rows(p.rows, p.options["splits"], {})} for p in (whole, absent)]
    assert drawn[0] == drawn[1]


def test_the_ratio_of_masks_too_small_to_tell_is_stated_in_the_config(folder: Path) -> None:
    Image.fromarray(np.zeros((19, 29), np.uint8)).save(folder / "small.png")
    rows = ("a", "", "", "a.tiff", "small.png"), ("b", "", "", "b.tiff", "half.png")
    assert "slides.mask.ratio" in refused(planned(folder, *rows), "a")
    assert [row.mask_ratio for row in slides_of(planned(folder, *rows, mask={"ratio": 102})).rows] == [102, 2]
