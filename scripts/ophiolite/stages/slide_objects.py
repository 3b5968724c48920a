"""The object table of a slide: what each connected object of its mask measures, and its mean colour on the slide."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box
from ophiolite.kernels.mask_runs import (
    mean_colours,
    paint_labels,
    runs_in_rows,
)
from ophiolite.kernels.object_measures import eccentricities, perimeters_um
from ophiolite.layers.store import Written
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.model import ScalePlan
from ophiolite.stages.job import Job
from ophiolite.stages.layer import volume_info
from ophiolite.stages.slide_measures import (
    pixel_um,
    read_measures,
    runs_of,
    slide_px,
    slide_ratio,
    slide_table_path,
    structure_names,
)

CHANNELS = ("red", "green", "blue")


def write_slide_objects(job: Job) -> tuple[list[Written], int]:
    """Measure the objects of a slide's mask; returns the table's file and the number of objects."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = _shapes(job)
    colours = _colours(job, len(columns["label"]))
    for channel, name in enumerate(CHANNELS):
        columns[f"mean_{name}"] = colours[:, channel]
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return [job.store.write(slide_table_path(job), buffer.getvalue())], len(columns["label"])


def _shapes(job: Job) -> dict[str, Any]:
    """Sizes and shapes; places in pixels of the slide, whole numbers at their corners."""
    measures, structures = read_measures(job)
    names, sides = structure_names(job), pixel_um(job.volume)
    columns: dict[str, Any] = {
        "label": np.arange(1, len(structures) + 1, dtype=np.uint64),
        "structure": [names[value] for value in structures.tolist()],
        "area_px": measures.area,
        "area_um2": measures.area * (sides[0] * sides[1]),
        "perimeter_um": perimeters_um(measures, sides),
        "eccentricity": eccentricities(measures, sides),
    }
    places = {"start": measures.start, "stop": measures.stop, "centroid": measures.centre + 0.5}
    for name, points in places.items():
        for d, axis in enumerate("xy"):
            columns[f"{name}_{axis}_px"] = slide_px(job, points)[:, d]
    return columns


def _colours(job: Job, count: int) -> NDArray[np.float64]:
    """Mean red, green, blue (count, 3) of the finished slide under each object, read where there are objects.

    The slide is read at the coarsest mip of which a mask pixel covers whole pixels.
    """
    from ophiolite.kernels.mask_runs_loops import add_colours

    slide = replace(job, layer="slide")
    ratio, runs = slide_ratio(job), runs_of(job)
    scale = max((s for s in slide.volume.scales if _divides(s, ratio)), key=lambda s: s.mip)
    reader = VolumeReader(job.store, slide.paths.layer_folder, scale.mip, volume_info(slide.volume))
    step = ratio // scale.factor[0]
    low = job.volume.scales[0].voxel_offset_vx
    width, height, _ = job.volume.scales[0].size_vx
    tile = max(1, scale.chunk_vx[0] // step)
    sums = np.zeros((count, len(CHANNELS) + 1), np.int64)
    for top in range(0, height, tile):
        stop = min(top + tile, height)
        rows = runs_in_rows(runs, top, stop)
        for column in _columns(rows, tile, width):
            left, right = column * tile, min((column + 1) * tile, width)
            labels = paint_labels(rows, (left, top), (right, stop))
            start = ((left + low[0]) * step, (top + low[1]) * step, 0)
            end = ((right + low[0]) * step, (stop + low[1]) * step, 1)
            colours = reader.read(Box(start, end).intersect(reader.box))
            add_colours(labels, colours[:, :, 0], step, sums)
    return mean_colours(sums)


def _divides(scale: ScalePlan, ratio: int) -> bool:
    """Whether a mask pixel covers whole pixels of a mip of the slide."""
    return scale.factor[0] == scale.factor[1] and ratio % scale.factor[0] == 0


def _columns(rows: NDArray[np.uint32], tile: int, width: int) -> list[int]:
    """The tiles along x that runs lie in."""
    marks = np.zeros(width // tile + 2, np.int64)
    np.add.at(marks, rows[:, 1] // tile, 1)
    np.add.at(marks, (rows[:, 2] - 1) // tile + 1, -1)
    return [int(i) for i in np.flatnonzero(np.cumsum(marks))]
