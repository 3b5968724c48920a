"""A report made from invented inputs: what the page and its figures look like without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.report.figures import (
    Portrait,
    SlicePanel,
    draw_distributions,
    draw_objects,
    draw_scene,
    draw_slices,
    draw_stages,
)
from ophiolite.report.page import Figure, LayerRow, Report, ScaleRow, Table
from ophiolite.report.render import Solid, label_colours
from ophiolite.report.tables import PAPER_WHOLE, rule_table, stage_of, stage_table
from ophiolite.stages.timings import STAGE_HEADERS, stage_rows, with_paper

RULES = ("pyramid_blocks", "mesh_fragments", "mesh_index", "mesh_shards", "skeleton_fragments", "object_table")
CPU_S = (120.0, 900.0, 3.0, 260.0, 1500.0, 9.0)
VOXELS = {("d", name): 2_000_000_000 for name in ("label pyramid", "mesh", "skeleton", "objects", PAPER_WHOLE, "whole")}
LABELS = (7, 2**40 + 3, 2**53 + 11)


def timings() -> list[dict[str, Any]]:
    """Two jobs of each rule, in the form in which jobs leave them."""
    return [
        {
            "dataset": "d",
            "stage": stage_of(rule, "segmentation"),
            "rule": rule,
            "seconds": cpu / 4,
            "cpu_s": cpu / 2,
            "peak_mb": 300 + cpu / 2,
            "bytes": int(cpu * 1e5),
            "files": 3,
            "work_bytes": int(cpu * 1e4),
            "work_files": 1,
            "finished": f"2026-01-01T00:{minute:02d}:{10 + 30 * job:02d}Z",
        }
        for minute, (rule, cpu) in enumerate(zip(RULES, CPU_S, strict=True))
        for job in (0, 1)
    ]


def tube(seed: int, label: int, rank: int) -> Solid:
    """A winding tube with its centreline for a skeleton."""
    t = np.linspace(0, 1, 90)
    rng = np.random.default_rng(seed)
    centre = np.stack([2400 * t, 500 * np.sin(5 * t + seed), 400 * np.cos(3 * t + seed)], axis=1)
    centre += 300 + 900 * rng.random(3) * (0.0, 1.0, 1.0)
    radius = 120 + 50 * np.sin(14 * t + seed)
    radius[[0, -1]] = 1
    around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([np.zeros(24), np.cos(around), np.sin(around)], axis=1)
    vertices = (centre[:, None] + radius[:, None, None] * ring).reshape(-1, 3)
    i, j = (grid.ravel() for grid in np.meshgrid(np.arange(89), np.arange(24), indexing="ij"))
    a, b = i * 24 + j, i * 24 + (j + 1) % 24
    # Counter-clockwise seen from outside.
    faces = np.concatenate([np.stack([a, b, b + 24], axis=1), np.stack([a, b + 24, a + 24], axis=1)])[:, ::-1]
    edges = np.stack([np.arange(89), np.arange(1, 90)], axis=1)
    red, green, blue = label_colours(np.array([label], dtype=np.uint64), [0] * rank + [label])[0]
    return Solid((float(red), float(green), float(blue)), vertices, faces, centre, edges)


def slice_pair() -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Image and labels (x, y) of a few round cells on noise."""
    x, y = np.meshgrid(np.arange(160), np.arange(120), indexing="ij")
    labels = np.zeros(x.shape, dtype=np.uint64)
    for label, cx, cy, r in (
        (LABELS[0], 50, 60, 38),
        (LABELS[1], 115, 40, 30),
        (LABELS[2], 112, 92, 21),
        (99, 8, 8, 9),
    ):
        labels[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = label
    noise = np.random.default_rng(5).normal(0, 14, x.shape)
    return np.clip(90 + 70 * (labels > 0) + noise, 0, 255).astype(np.uint8), labels


def write_figures(folder: Path) -> list[Figure]:
    """Draw every figure of the report into `folder`."""
    rng = np.random.default_rng(11)
    solids = [tube(seed, label, seed) for seed, label in enumerate(LABELS)]
    image, labels = slice_pair()
    half = image.reshape(80, 2, 60, 2).mean(axis=(1, 3))
    draw_scene(solids, (0, -300, -300), (3000, 2000, 2000), folder / "scene.png")
    draw_objects(
        [Portrait(s, str(n), "0.16 µm³    4,272 faces") for s, n in zip(solids, LABELS, strict=True)],
        folder / "objects.png",
    )
    draw_slices(
        [
            SlicePanel("mip 0    8 × 8 nm", image, labels, (8, 8), (40, 220)),
            SlicePanel("mip 1    16 × 16 nm", half, labels[::2, ::2], (16, 16), (40, 220)),
        ],
        LABELS,
        folder / "slices.png",
    )
    sizes = {
        "voxels": rng.lognormal(6, 2, 400).astype(int),
        "cable length (µm)": np.r_[rng.lognormal(1, 1, 300), np.zeros(9)],
    }
    draw_distributions(sizes, folder / "sizes.svg")
    draw_stages(rule_table(timings()), folder / "stages.svg")
    return [
        Figure("The largest objects together.", "In the frame of their volume.", folder / "scene.png"),
        Figure(
            "The largest objects.",
            "Each along its thinnest direction, its skeleton shining through.",
            folder / "objects.png",
        ),
        Figure("Slices.", "The same field at two mips; below, the labels over the image.", folder / "slices.png"),
        Figure("Sizes of objects.", "Logarithmic bins; dashed lines are medians.", folder / "sizes.svg"),
        Figure("Where the time goes.", "Processor time of each stage.", folder / "stages.svg", "cost"),
    ]


def demo_report(folder: Path, figures: list[Figure]) -> Report:
    """The whole report, with names that would break a careless page."""
    scales = [
        ScaleRow(
            mip,
            (8.0 * 2**mip, 8.0 * 2**mip, 40.0),
            (160 >> mip, 120 >> mip, 96),
            (0, -3, 7),
            (64, 64, 16),
            "raw + gzip",
            2,
        )
        for mip in range(2)
    ]
    return Report(
        project="demo <b>&amp;</b>",
        facts=[("2", "layers"), ("1.84 million", "voxels"), ("400", "objects"), ("279 MB", "written")],
        layers=[
            LayerRow("d", "em", "image", "uint8", "d/layers/em", "data/sample.h5:/volumes/raw", scales),
            LayerRow(
                'd"<script>alert(1)</script>',
                "<img src=https://example.org/x.png>",
                "segmentation",
                "uint64",
                "javascript:alert(1)/https://example.org",
                "https://example.org/data.h5",
                scales,
                ("mesh", "skeletons"),
            ),
        ],
        costs=[Table(STAGE_HEADERS, stage_rows(with_paper(stage_table(timings(), VOXELS, {}))), (0, 1), "Stages")],
        figures=figures,
        warnings=["d/em: jpeg is not exact & <i>never</i> was"],
        view_command=f"make view RESULTS={folder.name}",
        versions={"ophiolite": "0.1.0", "python": "3.11.7", "numpy": "2.3"},
        config="project: demo\ndatasets:\n  d:\n    layers: {em: {source: '</code></pre><script>alert(2)</script>'}}\n",
    )
