"""The report page: loads nothing, escapes everything, repeats to the byte."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from ophiolite.errors import FormatError
from ophiolite.plan.costs import SECONDS_PER_MVX
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.paper_scale import paper_scale
from ophiolite.report.page import Figure, Report, human_bytes, human_time, render_page
from ophiolite.report.tables import PAPER_DATASET, PAPER_WHOLE, RULE_COLUMNS, STAGE_COLUMNS, rule_table, stage_table
from ophiolite.stages.timings import STAGE_HEADERS, scale_rows, stage_rows, with_paper
from report_demo import RULES, VOXELS, demo_report, timings, write_figures


class Reader(HTMLParser):
    """Collects the elements, what they refer to, and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "br", "use", "path"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> list[Figure]:
    return write_figures(tmp_path_factory.mktemp("figures"))


@pytest.fixture(scope="module")
def report(figures: list[Figure]) -> Report:
    return demo_report(Path("results/demo"), figures)


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render_page(report)


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    reader = Reader(page)
    for reference in reader.references:
        assert re.match(r"data:image/png;base64,[A-Za-z0-9+/=]+$|#|\./", reference), reference[:80]
    assert {"script", "link", "iframe", "object", "embed", "base"}.isdisjoint(reader.tags)
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^)]*)", page))
    assert "default-src 'none'" in page


def test_names_are_text_and_nothing_else(page: str, report: Report) -> None:
    reader = Reader(page)
    assert reader.handlers == []
    assert "<script" not in page
    assert "<img src=https" not in page
    for text in (report.project, report.layers[1].layer, report.layers[1].dataset, report.warnings[0], report.config):
        assert text in reader.text
    # A hostile path stays a path beside the page.
    assert "./javascript%3Aalert%281%29/https%3A//example.org/info" in reader.references


def test_the_elements_are_closed_and_ids_unique(page: str) -> None:
    reader = Reader(page)
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))


def test_references_within_charts_hold(page: str) -> None:
    reader = Reader(page)
    inner = {reference[1:] for reference in reader.references if reference.startswith("#")}
    inner |= set(re.findall(r"url\(#([^)]+)\)", page))
    assert inner
    assert inner <= set(reader.ids)


def test_page_and_figures_repeat_to_the_byte(page: str, figures: list[Figure], tmp_path: Path) -> None:
    again = write_figures(tmp_path)
    for first, second in zip(figures, again, strict=True):
        assert first.path.read_bytes() == second.path.read_bytes(), first.title
    assert render_page(demo_report(Path("results/demo"), again)) == page


def test_empty_parts_leave_no_section(report: Report) -> None:
    bare = replace(report, layers=[], figures=[], warnings=[], versions={}, config="", costs=[])
    assert "<section" not in render_page(bare)
    assert "<section" in render_page(report)


@pytest.mark.parametrize(
    "content",
    [
        "<svg><script>alert(1)</script></svg>",
        '<svg><image href="https://example.org/a.png"/></svg>',
        '<svg onload="alert(1)"></svg>',
        "GIF89a",
    ],
)
def test_a_figure_that_runs_or_loads_is_refused(report: Report, tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.svg").write_text(content)
    bad = replace(report, figures=[Figure("bad", "", tmp_path / "bad.svg")])
    with pytest.raises(FormatError, match=r"bad\.svg"):
        render_page(bad)


def test_rules_add_up_to_stages_and_stages_to_the_whole() -> None:
    rules = rule_table(timings())
    assert tuple(rules.columns) == RULE_COLUMNS
    assert rules["rule"].tolist() == list(RULES)
    row = rules.set_index("rule").loc["mesh_fragments"]
    assert row["core_hours"] == pytest.approx(0.25)
    # 30 s between the ends, 225 s of the first job before that.
    assert row["wall_s"] == pytest.approx(255)
    assert row["peak_mb"] == 750
    stages = stage_table(timings(), VOXELS, {("d", "mesh"): 7})
    assert tuple(stages.columns) == STAGE_COLUMNS
    by_name = stages.set_index("stage")
    assert by_name.index.tolist() == ["label pyramid", "mesh", "skeleton", "objects", PAPER_WHOLE, "whole"]
    assert by_name["jobs"].tolist() == [2, 6, 2, 2, 10, 12]
    mesh = rules["stage"] == "mesh"
    assert by_name.loc["mesh", "core_hours"] == pytest.approx(rules["core_hours"][mesh].sum())
    assert by_name.loc["mesh", "gvx_per_core_hour"] == pytest.approx(2 / (1163 / 3600))
    assert by_name.loc["mesh", "bytes"] == 2 * 1163 * 100_000
    assert by_name.loc["mesh", "work_files"] == 6
    assert by_name["voxels_at_mip"].fillna(0).tolist() == [0, 7, 0, 0, 0, 0]
    whole = by_name.loc["whole"]
    assert whole["core_hours"] == pytest.approx(rules["core_hours"].sum())
    assert whole["peak_mb"] == rules["peak_mb"].max()
    assert whole["wall_s"] < rules["wall_s"].sum()
    assert whole["bytes_per_mvx"] == pytest.approx(whole["bytes"] / 2000)


def test_datasets_come_apart_and_then_together() -> None:
    jobs = [{**job, "dataset": name} for name in ("b", "a") for job in timings() if job["rule"] == "mesh_index"]
    table = stage_table(jobs, {("a", "mesh"): 10**9, ("a", "whole"): 10**9, ("b", "whole"): 3 * 10**9}, {})
    assert list(zip(table["dataset"], table["stage"], strict=True)) == [
        ("a", "mesh"), ("a", "whole"), ("b", "mesh"), ("b", "whole"), ("all", "whole"),
    ]  # fmt: skip
    assert table["voxels"].tolist() == [10**9, 10**9, 0, 3 * 10**9, 4 * 10**9]
    assert table["gvx_per_core_hour"].isna().tolist() == [False, False, True, False, False]


def test_the_papers_rows_stand_at_the_end_and_leave_out_what_it_does_not_say() -> None:
    rows = stage_rows(with_paper(stage_table(timings(), VOXELS, {("d", "mesh"): 7})))
    assert all(len(row) == len(STAGE_HEADERS) for row in rows)
    last = dict(zip(STAGE_HEADERS, rows[-1], strict=True))
    assert last["dataset"] == PAPER_DATASET
    assert (last["GVx"], last["core-h"], last["GVx/core-h"], last["files"]) == ("283.1", "36", "7.9", "")
    assert last["per MVx"] == "24.0 kB"
    assert pytest.approx(7.9, abs=0.05) == 283.1 / 36


def test_rules_without_a_place_in_the_order_come_last_by_name() -> None:
    jobs = [{**job, "rule": name} for job, name in zip(timings(), ("z", "a", "mesh_done"), strict=False)]
    assert rule_table([{**job, "stage": "mesh"} for job in jobs])["rule"].tolist() == ["mesh_done", "a", "z"]
    assert rule_table([]).empty
    assert stage_table([], {}, {}).empty


def test_the_papers_largest_work_scales_with_the_measured_speeds() -> None:
    of_plan = {row.quantity: row for row in paper_scale(Speeds())}
    measured = {row.quantity: row for row in paper_scale(Speeds({"mesh_fragments": 1.5}))}
    assert of_plan["mesh fragments"].estimate == pytest.approx(298e6 / 16 * SECONDS_PER_MVX["mesh_fragments"] / 3600)
    assert measured["mesh fragments"].estimate == pytest.approx(298e6 / 16 * 1.5 / 3600)
    assert (of_plan["mesh fragments"].measured, measured["mesh fragments"].measured) == (False, True)
    assert measured["skeleton fragments"] == of_plan["skeleton fragments"]
    assert of_plan["skeletons, shards"].estimate == 2**19
    assert [len(row) for row in scale_rows(pd.DataFrame([asdict(r) for r in measured.values()]))] == [6] * 6


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_499, "999 kB"),
        (999_999, "1.00 MB"),
        (3.4e9, "3.40 GB"),
        (5e18, "5,000 PB"),
    ],
)
def test_bytes_for_reading(count: float, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (190, "3 min 10 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_for_reading(seconds: float, text: str) -> None:
    assert human_time(seconds) == text
