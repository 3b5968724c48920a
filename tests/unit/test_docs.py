"""The pages say what is: every field that is written stands in the page of formats, every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from ophiolite.kernels.label_stats import LabelStats
from ophiolite.layers.receipts import Receipt
from ophiolite.layers.statistics import STATS
from ophiolite.layers.store import Written
from ophiolite.plan import model
from ophiolite.plan.paper_scale import ScaleRow
from ophiolite.report.tables import STAGE_COLUMNS
from ophiolite.sources.fetch import receipt_bytes
from ophiolite.stages import (
    compression_codec,
    mesh,
    mesh_quality_table,
    objects,
    pyramid_quality_table,
    skeleton,
    skeleton_graph,
    skeleton_quality_table,
)
from ophiolite.stages.fragment_index import INDEX
from ophiolite.stages.pyramid_quality import SUMS
from ophiolite.stages.timings import COLUMNS

HERE = Path(__file__).resolve().parent.parent.parent
PAGES = sorted({*HERE.glob("*.md"), *HERE.glob("docs/*.md"), *HERE.glob("*/README.md")})
FORMATS = HERE / "docs" / "formats.md"
PLANS = (
    model.ProjectPlan, model.VolumePlan, model.SourcePlan, model.ScalePlan, model.EncodingPlan, model.RoundPlan,
    model.FragmentPlan, model.Cost, model.JobsPlan, model.AnnotationPlan, model.Refused,
)  # fmt: skip


def section(start: str) -> str:
    """The text of one section of the page."""
    text = FORMATS.read_text()
    begin = text.index(f"## {start}")
    return text[begin : text.find("\n## ", begin + 1)]


def keys_of(data: bytes) -> set[str]:
    return set(re.findall(r'"(\w+)":', data.decode()))


def object_columns() -> list[str]:
    nothing = np.zeros((0, 3), np.int64)
    none = np.zeros(0, np.uint64)
    scale = model.ScalePlan.model_construct(resolution_nm=(1.0, 1.0, 1.0))
    volume = model.VolumePlan.model_construct(scales=(scale,))
    columns = objects._columns(LabelStats(none, none, nothing, nothing, nothing), volume)
    return [c for c in columns if "_y_" not in c and "_z_" not in c] + list(mesh.MEASURES) + list(skeleton.MEASURES)


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("`plan.json`", [name for part in PLANS for name in part.model_fields]),
        ("Receipts", keys_of(Receipt("r", "i", "d", [Written("p", 1, "s", "1:0")]).to_bytes())),
        ("Receipts", keys_of(receipt_bytes("n", "s", None, 0))),
        ("Timings", COLUMNS),
        ("Timings", STAGE_COLUMNS),
        ("Timings", [field.name for field in fields(ScaleRow)]),
        ("Pyramid quality", [*SUMS, *pyramid_quality_table.COLUMNS]),
        ("Mesh quality", mesh_quality_table.COLUMNS),
        ("Skeleton quality", skeleton_quality_table.COLUMNS),
        ("Compression", compression_codec.COLUMNS),
        ("Fragment index", INDEX.names),
        ("Label statistics", STATS.names),
        ("Object tables", object_columns()),
        ("Branches", [c for c in skeleton_graph.COLUMNS if "_y_" not in c and "_z_" not in c]),
    ],
    ids=[
        "plan",
        "receipt",
        "fetched",
        "timings",
        "stages",
        "scale",
        "pyramid",
        "meshes",
        "skeletons",
        "compression",
        "index",
        "statistics",
        "objects",
        "branches",
    ],
)
def test_every_field_stands_in_its_section(title: str, names: Iterable[str]) -> None:
    said = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`[^`]+`", section(title)))))
    assert set(names) - said == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(HERE).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [x for x in links if not x.startswith("http") and not (page.parent / x).exists()] == []
