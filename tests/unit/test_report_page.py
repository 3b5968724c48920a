"""The report page: loads nothing, escapes everything, repeats to the byte."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from ophiolite.errors import FormatError
from ophiolite.report.page import Figure, Report, human_bytes, human_time, render_page
from ophiolite.report.tables import STAGE_COLUMNS, stage_table
from report_demo import RULES, demo_report, timings, write_figures


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
    bare = replace(report, layers=[], figures=[], warnings=[], versions={}, config="", stages=report.stages[:0])
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


def test_stages_add_up() -> None:
    table = stage_table(timings(), RULES)
    assert tuple(table.columns) == STAGE_COLUMNS
    assert table["stage"].tolist() == [*RULES, "total"]
    assert table["jobs"].tolist() == [2] * len(RULES) + [12]
    row = table.set_index("stage").loc["mesh_fragments"]
    assert row["core_hours"] == pytest.approx(0.25)
    # 30 s between the ends, 225 s of the first job before that.
    assert row["wall_s"] == pytest.approx(255)
    assert row["peak_mb"] == 750
    assert row["bytes"] == 180_000_000
    total = table.iloc[-1]
    assert total["core_hours"] == pytest.approx(table["core_hours"][:-1].sum())
    assert total["peak_mb"] == table["peak_mb"][:-1].max()
    assert total["wall_s"] < table["wall_s"][:-1].sum()


def test_stages_without_a_place_in_the_order_come_last_by_name() -> None:
    assert stage_table(timings(), ["object_table"])["stage"].tolist() == ["object_table", *sorted(RULES[:-1]), "total"]
    assert stage_table([]).empty
    assert isinstance(stage_table([]), pd.DataFrame)


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
