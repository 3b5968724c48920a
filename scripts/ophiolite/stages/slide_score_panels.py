"""The slides that are predicted worst: image, truth against prediction, and both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.area_means import StripReducer
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan
from ophiolite.plan.slide_model import SlideRowPlan, SlidesPlan
from ophiolite.report.slide_panels import SlidePanel, draw_slide_panels, panel_px
from ophiolite.stages.slide_items import open_row, overview
from ophiolite.stages.slide_score_planes import Planes
from ophiolite.stages.slide_scores import open_prediction
from ophiolite.stages.slide_tables import Row, read_slide_table

FIGURE = "slides/figures/score_panels.png"
AGREEMENT = {1: "found", 2: "missed or misnamed", 3: "false"}


def write_score_panels(plan: ProjectPlan, slides: SlidesPlan, store: Store) -> None:
    """Draw the worst items, as many as the option `panels` says."""
    scores = read_slide_table(store, "scores")
    rows = {row.slide_id: row for row in slides.planned()}
    panels = []
    for slide_id, mean in worst_items(scores, slides.options["panels"]):
        panels.append(_panel(plan, store, rows[slide_id], mean))
    path = store.local(FIGURE)
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_slide_panels(panels, AGREEMENT, path)


def worst_items(scores: Sequence[Row], count: int) -> list[tuple[str, float]]:
    """The ids and mean Dice over structures of the items that agree least, worst first, ties by id."""
    dice: dict[str, list[float]] = {}
    for row in scores:
        if row["dice"] is not None and np.isfinite(row["dice"]):
            dice.setdefault(row["slide_id"], []).append(row["dice"])
    means = [(slide_id, float(np.mean(values))) for slide_id, values in dice.items()]
    return sorted(means, key=lambda item: (item[1], item[0]))[:count]


def _panel(plan: ProjectPlan, store: Store, row: SlideRowPlan, mean: float) -> SlidePanel:
    image = open_row(plan, row)
    width, height, _ = image.shape_vx
    to_px = panel_px((width, height))
    opened = open_prediction(plan, store, row)
    assert opened is not None
    pixel_um = image.mpp[0] * width / to_px[0] if row.mpp else None
    title = f"{row.slide_id}, {row.group}: mean Dice {mean:.3f}"
    return SlidePanel(title, overview(image, to_px), agreement(opened.planes, to_px), pixel_um)


def agreement(planes: Planes, to_px: tuple[int, int]) -> dict[int, NDArray[np.float64]]:
    """The part of each pixel of a picture that is found, missed or misnamed, and false: (x, y), 0 to 1."""
    reducer = StripReducer(planes.size_px, to_px, len(AGREEMENT))
    for top, bottom in planes.strips():
        truth, predicted = planes.truth.rows(top, bottom), planes.predicted.rows(top, bottom)
        kinds = (truth > 0) & (truth == predicted), (truth > 0) & (truth != predicted), (truth == 0) & (predicted > 0)
        reducer.add(np.stack([kind.astype(np.uint8) * 255 for kind in kinds], axis=2))
    parts = reducer.picture() / 255
    return {value: parts[..., i] for i, value in enumerate(AGREEMENT)}
