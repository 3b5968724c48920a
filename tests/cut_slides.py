"""Slides with finished layers, and patches cut from them, for tests."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from ophiolite.config.load import parse_config
from ophiolite.layers.store import Store
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.stages.job import Job
from ophiolite.stages.pyramid_block import run_pyramid_block
from ophiolite.stages.slide_patches import write_slide_patches
from ophiolite.stages.slide_patches_table import write_patches_table
from ophiolite.stages.slide_tables import ITEMS, write_slide_table

SIZE = (1210, 730)


def slide_pixels(seed: int = 0) -> NDArray[np.uint8]:
    """(x, y, 3): glass, and tissue from x = 300 to 900, y = 100 to 700."""
    rng = np.random.default_rng(seed)
    rgb = np.full((*SIZE, 3), 244, np.float64)
    rgb[300:900, 100:700] = (190, 120, 170)
    smooth = rng.normal(0, 12, (SIZE[0] // 10, SIZE[1] // 10, 3)).repeat(10, axis=0).repeat(10, axis=1)
    rgb[300:900, 100:700] += smooth[:600, :600]
    return np.clip(rgb, 0, 255).astype(np.uint8)


def mask_pixels(ratio: int) -> NDArray[np.uint8]:
    """(x, y): two discs of two structures, at 1 / ratio of the slide."""
    x, y = np.ogrid[: SIZE[0] // ratio, : SIZE[1] // ratio]
    mask = np.zeros((SIZE[0] // ratio, SIZE[1] // ratio), np.uint8)
    mask[(x * ratio - 500) ** 2 + (y * ratio - 300) ** 2 < 140**2] = 1
    mask[(x * ratio - 700) ** 2 + (y * ratio - 560) ** 2 < 90**2] = 2
    return mask


def project(folder: Path, patches: dict[str, Any], ratio: int = 1, slides: int = 1, **options: Any) -> ProjectPlan:
    lines = ["slide_id\tcase_id\tgroup\timage\tmask\tmpp"]
    for n in range(slides):
        Image.fromarray(slide_pixels(n).transpose(1, 0, 2)).save(folder / f"{n}.png")
        mask = ""
        if ratio:
            mask = f"{n}_mask.png"
            Image.fromarray(mask_pixels(ratio).T).save(folder / mask)
        lines.append(f"S{n}\tcase{n}\tDN\t{n}.png\t{mask}\t0.5")
    (folder / "slides.tsv").write_text("\n".join(lines) + "\n")
    mask_options = {"binarise": None, "structures": {1: "glomerulus", 2: "sclerosed"}}
    config = {
        "project": "p",
        "store": str(folder / "results"),
        "slides": {"sheet": str(folder / "slides.tsv"), "mask": mask_options, "patches": patches, **options},
    }
    plan = make_plan(parse_config(config, "test"), Path(), Speeds())
    for dataset, data in plan.datasets.items():
        for layer in ("slide", "mask"):
            volume = data.layers.get(layer)
            if isinstance(volume, VolumePlan):
                make_layer(plan, store_of(folder), dataset, layer, volume)
    return plan


def make_layer(plan: ProjectPlan, store: Store, dataset: str, layer: str, volume: VolumePlan) -> None:
    for r in volume.rounds:
        for block in r.block_names():
            job = Job(plan, store, "pyramid_blocks", dataset, layer, f"r{r.number}.{block}", 1)
            job.finish(run_pyramid_block(job, r.number, block)[0])


def store_of(folder: Path) -> Store:
    return Store(folder / "results" / "p")


def cut(plan: ProjectPlan, folder: Path, dataset: str = "s0") -> list[dict[str, Any]]:
    """Run the job; returns the rows of its table."""
    store = store_of(folder)
    job = Job(plan, store, "slide_patches", dataset, "slide", "", 1)
    written, facts = write_slide_patches(job)
    job.finish(written, facts)
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(store.read(job.paths.patches))).to_pylist()
    return rows


def join(plan: ProjectPlan, folder: Path, **errors: str) -> list[dict[str, Any]]:
    """Make the tables of all slides, of which those named cannot be read; returns the rows of patch_counts."""
    assert plan.slides is not None
    store = store_of(folder)
    slides = [row.slide_id for row in plan.slides.planned()]
    items = [{"slide_id": slide, "kind": "slide", "error": errors.get(slide)} for slide in slides]
    write_slide_table(store, "items", items, ITEMS)
    write_patches_table(plan, plan.slides, store)
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(store.read("slides/tables/patch_counts.parquet"))).to_pylist()
    return rows
