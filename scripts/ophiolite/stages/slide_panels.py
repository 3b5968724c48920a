"""The panels of a group of slides: which are shown, and what is drawn of them."""

from __future__ import annotations

from collections.abc import Sequence

from ophiolite.errors import OphioliteError
from ophiolite.kernels.case_splits import case_number
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan
from ophiolite.plan.slide_model import SlideRowPlan, SlidesPlan
from ophiolite.report.slide_panels import SlidePanel, draw_slide_panels, panel_px
from ophiolite.stages.slide_items import check_headers, coverage, open_row, open_row_mask, overview
from ophiolite.stages.slide_project import structures_of

SEED = 0


def panel_path(group: str) -> str:
    """The figure of a group."""
    return f"slides/figures/panels.{group}.png"


def groups_of(rows: Sequence[SlideRowPlan]) -> list[str]:
    """The groups, by name."""
    return sorted({row.group for row in rows})


def panel_rows(rows: Sequence[SlideRowPlan], group: str, count: int) -> list[SlideRowPlan]:
    """The rows of a group that are shown: drawn by the hash of their ids, those with a mask first, one case once while
    there are others; in the order of the sheet."""
    drawn = sorted((row for row in rows if row.group == group), key=lambda row: case_number(SEED, row.slide_id))
    cases: dict[str, int] = {}
    turns = {}
    for row in drawn:
        turns[row.slide_id] = cases[row.case_id] = cases.get(row.case_id, -1) + 1
    drawn.sort(key=lambda row: (row.mask is None, turns[row.slide_id]))
    return sorted(drawn[:count], key=lambda row: row.line)


def write_panels(plan: ProjectPlan, slides: SlidesPlan, store: Store, group: str) -> None:
    """Draw the figure of a group."""
    rows = panel_rows(slides.planned(), group, slides.options["panels"])
    path = store.local(panel_path(group))
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_slide_panels(build_panels(plan, rows), structures_of(plan), path)


def build_panels(plan: ProjectPlan, rows: Sequence[SlideRowPlan]) -> list[SlidePanel]:
    """The panels of rows; one that cannot be read is left out, as the table of items says why."""
    panels = []
    for row in rows:
        check_headers(plan, row)
        try:
            panels.append(_panel(plan, row))
        except OphioliteError:
            continue
    return panels


def _panel(plan: ProjectPlan, row: SlideRowPlan) -> SlidePanel:
    image, mask = open_row(plan, row), open_row_mask(plan, row)
    width, height, _ = image.shape_vx
    to_px = panel_px((width, height))
    masks = coverage(mask, to_px, list(structures_of(plan))) if mask else None
    pixel_um = image.mpp[0] * width / to_px[0] if row.mpp else None
    title = row.slide_id if row.case_id == row.slide_id else f"{row.slide_id}, case {row.case_id}"
    return SlidePanel(title, overview(image, to_px), masks, pixel_um)
