"""Scores of predicted masks, a batch of slides or patches at a time: pixels, objects, the challenge's conventions."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.kernels.kpis_scoring import FULL, MIN_OBJECT_PX, patch_dice
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan
from ophiolite.plan.slide_model import SlideRowPlan, SlidesPlan
from ophiolite.sources.mask import MaskReading, MaskSource, open_mask
from ophiolite.sources.mask_pixels import open_pixels
from ophiolite.stages.slide_counts import Counted, count_objects, structure_scores
from ophiolite.stages.slide_items import open_row_mask
from ophiolite.stages.slide_patch_predictions import stitched_planes
from ophiolite.stages.slide_project import structures_of
from ophiolite.stages.slide_score_planes import (
    ArrayRows,
    Planes,
    find_prediction,
    grey_levels,
    kpis_rows,
    kpis_size,
    mask_planes,
    refuse_levels,
)
from ophiolite.stages.slide_tables import FOLDER, Row
from ophiolite.stages.tables import parquet_bytes, schema_of, table_of

# Arrow types. A row per item and structure; of one without a prediction the names alone, of one at fault the error too.
SCORES = {
    "slide_id": "string", "case_id": "string", "group": "string", "kind": "string", "value": "int64",
    "structure": "string", "prediction": "string", "pixel_um": "float64", "truth_px": "int64",
    "predicted_px": "int64", "shared_px": "int64", "dice": "float64", "iou": "float64", "truth_objects": "int64",
    "predicted_objects": "int64", "found": "int64", "missed": "int64", "false": "int64", "precision": "float64",
    "recall": "float64", "f1": "float64", "sq": "float64", "pq": "float64", "nonbinary_px": "int64",
    "error": "string",
}  # fmt: skip


def score_part(batch: str) -> str:
    """The scores of one batch of rows."""
    return f"{FOLDER}/scores/{batch}.parquet"


def write_scores(plan: ProjectPlan, slides: SlidesPlan, store: Store, batch: str) -> list[str]:
    """Score the rows of a batch that have a mask; returns why any could not be compared, which their rows say too."""
    found: list[Row] = []
    errors = []
    for row in slides.rows_of(batch):
        if row.mask is None:
            continue
        try:
            found += row_scores(plan, store, row)
        except SourceError as error:
            errors.append(f"{row.slide_id}: {error}")
            found += [{**names, "error": errors[-1]} for names in _names(plan, row)]
    store.write(score_part(batch), parquet_bytes(table_of(found, schema_of(SCORES))))
    return errors


def _names(plan: ProjectPlan, row: SlideRowPlan) -> list[Row]:
    """The rows of one slide or patch without their scores."""
    shared = {"slide_id": row.slide_id, "case_id": row.case_id, "group": row.group, "kind": row.kind}
    return [{**shared, "value": value, "structure": name} for value, name in structures_of(plan).items()]


def row_scores(plan: ProjectPlan, store: Store, row: SlideRowPlan) -> list[Row]:
    """The rows of one slide or patch, one per structure; SourceError where its prediction cannot be compared."""
    assert plan.slides is not None
    options = plan.slides.options["scores"]
    opened = open_prediction(plan, store, row)
    structures = _names(plan, row)
    if opened is None:
        return structures
    if isinstance(opened, KpisPatch):
        return [{**structures[0], "prediction": opened.path, "dice": patch_dice(opened.truth, opened.predicted)}]
    counted = count_objects(opened.planes, *least_sizes(plan, opened.planes))
    _check_read(opened.planes, counted)
    pixel_um = row.mpp[0] * opened.planes.slide_px[0] if row.mpp else None
    facts = {"prediction": opened.path, "pixel_um": pixel_um, "nonbinary_px": opened.nonbinary_px}
    kpis = options["compat"] == "kpis2024"
    return [{**s, **facts, **structure_scores(counted, s["value"], options["min_iou"], kpis=kpis)} for s in structures]


def _check_read(planes: Planes, counted: Counted) -> None:
    """Raise SourceError where a mask has objects, none of which was read as such."""
    for rows, objects in ((planes.truth, counted.truth), (planes.predicted, counted.predicted)):
        if not len(objects.runs):
            rows.check_read()


@dataclass(frozen=True)
class Prediction:
    """A prediction beside its truth. path : where it lies; nonbinary_px : stored neither as 0 nor as the largest, None
    where a slide is put together from its patches, which overlap."""

    path: str
    planes: Planes
    nonbinary_px: int | None


@dataclass(frozen=True)
class KpisPatch:
    """A patch as the challenge scores it: its truth (x, y) as stored, where it was predicted (x, y) bool."""

    path: str
    truth: NDArray[Any]
    predicted: NDArray[np.bool_]

    @property
    def planes(self) -> Planes:
        """Both as masks of 0 and 1."""
        size = (self.truth.shape[0], self.truth.shape[1])
        rows = [ArrayRows(mask.astype(np.uint8)) for mask in (self.truth > FULL // 2, self.predicted)]
        return Planes(size, (1, 1), rows[0], rows[1])


def open_prediction(plan: ProjectPlan, store: Store, row: SlideRowPlan) -> Prediction | KpisPatch | None:
    """The prediction of a row and its truth, as the options say; None where there is no file for it."""
    assert plan.slides is not None
    options = plan.slides.options["scores"]
    kpis = options["compat"] == "kpis2024"
    path = find_prediction(Path(options["predictions"]), row)
    if path is None:
        planes = stitched_planes(plan, store, row)
        return Prediction(options["predictions"], planes, None) if planes else None
    if kpis and row.kind == "patch":
        return kpis_patch(path, row)
    if kpis:
        size, ratio = kpis_size(row)
        assert row.mask is not None
        truth, predicted = kpis_rows(Path(row.mask), row), kpis_rows(path, row)
        return Prediction(str(path), Planes(size, (ratio, ratio), truth, predicted), predicted.nonbinary())
    mask = open_row_mask(plan, row)
    assert mask is not None
    assert row.size_px is not None
    predicted_mask = predicted_source(plan, path, row, mask)
    nonbinary = sum(predicted_mask.nonbinary(box) for box in predicted_mask.strips())
    return Prediction(str(path), mask_planes(mask, predicted_mask, row.size_px), nonbinary)


def predicted_source(plan: ProjectPlan, path: Path, row: SlideRowPlan, truth: MaskSource) -> MaskSource:
    """A predicted mask, read as the masks of the sheet are; SourceError E142 where its size does not fit the slide."""
    assert plan.slides is not None
    assert row.size_px is not None
    x, y, z = truth.resolution_nm or (1.0, 1.0, 1.0)
    reading = MaskReading(
        slide_size_px=row.size_px,
        slide_resolution_nm=(x / truth.ratio, y / truth.ratio, z),
        binarise=plan.slides.options["mask"]["binarise"],
        structures=structures_of(plan),
        slide_start_px=(truth.voxel_offset_vx[0] * truth.ratio, truth.voxel_offset_vx[1] * truth.ratio),
        ratio=truth.ratio,
    )
    return open_mask(path, reading)


def kpis_patch(path: Path, row: SlideRowPlan) -> KpisPatch:
    """A patch and its prediction; SourceError where they are of different sizes."""
    assert row.mask is not None
    truth, predicted = open_pixels(Path(row.mask)), open_pixels(path)
    if truth.size_px != predicted.size_px:
        expected, got = ("{} x {}".format(*p.size_px) for p in (truth, predicted))
        problem = "a predicted patch is as large as its mask"
        raise SourceError(explain(f"E142 {path}", problem, expected=expected, got=got, do="Pair the right files"))
    window = (0, 0, *truth.size_px)
    values = grey_levels(predicted, window)
    refuse_levels(path, int(values.max()), FULL // 2)
    return KpisPatch(str(path), grey_levels(truth, window), values > FULL // 2)


def least_sizes(plan: ProjectPlan, planes: Planes) -> tuple[int, int]:
    """The smallest objects of the truth and of the prediction that count, in pixels of the plane."""
    assert plan.slides is not None
    options = plan.slides.options
    if options["scores"]["compat"] == "kpis2024":
        return 0, MIN_OBJECT_PX
    truth_px, predicted_px = options["mask"]["min_object_px"], options["scores"]["min_object_px"]
    return ceil(truth_px * planes.truth_cells), ceil(predicted_px * planes.predicted_cells)
