"""Slides with predictions, and plans that score them, for tests."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from ophiolite.config.load import parse_config
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.receipts import Receipt, write_receipt
from ophiolite.layers.store import Store
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.plan.slide_model import SlideRowPlan, SlidesPlan
from ophiolite.sample.slide_set import write_mask
from ophiolite.stages.patch_frame import Frame, frame_of
from ophiolite.stages.slide_patches import Names, patch_options
from ophiolite.stages.tables import parquet_bytes, schema_of, table_of

TWO = {1: "glomerulus", 2: "sclerosed"}


def plan_of(folder: Path, store: Path, predictions: Path, **options: Any) -> ProjectPlan:
    mask = options.pop("mask", {"binarise": None, "structures": TWO})
    scores = {"predictions": str(predictions), "bootstrap": 200, **options.pop("scores", {})}
    slides = {"sheet": str(folder / "slides.tsv"), "mask": mask, "scores": scores, **options}
    return make_plan(parse_config({"project": "p", "store": str(store), "slides": slides}, "test"), Path(), Speeds())


def slides_of(plan: ProjectPlan) -> SlidesPlan:
    assert plan.slides is not None
    return plan.slides


def read(store: Store, path: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(store.read(path))).to_pylist()
    return rows


def slow_dice(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    return 2 * int((truth & predicted).sum()) / int(truth.sum() + predicted.sum())


def cut_predictions(
    plan: ProjectPlan, store: Store, row: SlideRowPlan, mask: NDArray[np.uint8], folder: Path
) -> tuple[Frame, list[Path]]:
    """Cut a mask of a slide's frame into predicted patches, and write the table that says all were kept."""
    assert row.dataset is not None
    volume = plan.datasets[row.dataset].layers["slide"]
    assert isinstance(volume, VolumePlan)
    options = patch_options(slides_of(plan))
    frame, names = frame_of(volume, row.mask_ratio or 1, options, "here"), Names(row, options)
    rows, paths = [], []
    for patch in frame.patches(options):
        own = np.zeros((options.size_px, options.size_px), np.uint8)
        own[: patch.w, : patch.h] = mask[patch.x : patch.x + patch.w, patch.y : patch.y + patch.h]
        paths.append(folder / f"{names.patch(patch)}.png")
        write_mask(own, paths[-1])
        rows.append(
            {
                "patch": names.patch(patch), "image": names.image(patch), "mask": names.mask(patch), "keep": True,
                "x_px": patch.x, "y_px": patch.y, "w_px": patch.w, "h_px": patch.h,
            }
        )  # fmt: skip
    kinds = {"patch": "string", "image": "string", "mask": "string", "keep": "bool"}
    schema = schema_of(kinds | dict.fromkeys(("x_px", "y_px", "w_px", "h_px"), "int64"))
    of_slide = LayerPaths(row.dataset, "slide")
    store.write(of_slide.patches, parquet_bytes(table_of(rows, schema)))
    done = Receipt("slide_patches", "", volume.digests["slide_patches"], [])
    write_receipt(store, of_slide.receipt("slide_patches", ""), done)
    return frame, paths


def kpis_slide(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A slide at 40x, truth and prediction at its size: an object found, one missed, one false, small ones."""
    side = 1400
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8)).save(folder / "s.png")
    truth, predicted = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    truth[40:440, 40:440] = predicted[50:450, 45:445] = 255
    truth[40:440, 800:1200] = 255
    predicted[800:1200, 800:1200] = 255
    predicted[700:760, 100:160] = 255
    truth[1300:1340, 1300:1340] = 254
    write_mask(truth, folder / "m.png")
    write_mask(predicted, folder / "in" / "s.png")
    header = "slide_id\tcase_id\tgroup\timage\tmask\tmpp"
    (folder / "slides.tsv").write_text(f"{header}\ns\tc\tg\ts.png\tm.png\t0.25\n")
    return truth, predicted
