"""The outlines of a slide's objects: for the viewer as annotation layers, for QuPath as GeoJSON."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.mask_runs import runs_in_rows
from ophiolite.kernels.object_measures import ObjectMeasures
from ophiolite.kernels.run_contours import Contours, trace_contours
from ophiolite.layers.store import Written
from ophiolite.stages.job import Job
from ophiolite.stages.slide_measures import (
    contours_path,
    pixel_um,
    read_measures,
    runs_of,
    slide_px,
    structure_names,
)

# Runs of objects whose outlines are traced together.
RUNS_AT_ONCE = 1 << 20
# Colours of structures, in the order of their values (Okabe and Ito, jfly.uni-koeln.de/color, 2008).
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167), (213, 94, 0), (0, 114, 178), (240, 228, 66))


def geojson_path(job: Job) -> str:
    """Where the outlines lie for other programs."""
    return f"{job.paths.objects}/contours.geojson"


def write_contours(job: Job, max_error_px: float) -> tuple[list[Written], dict[str, int]]:
    """Trace all objects; returns the files, and how many rings there are and objects that were not simplified."""
    measures, structures = read_measures(job)
    traced = _traced(runs_of(job), measures, max_error_px)
    parts = [replace(part, points=slide_px(job, part.points)) for part in traced]
    ends = np.cumsum([0, *(len(part.points) for part in parts)])
    arrays: dict[str, Any] = {
        "points": np.concatenate([np.zeros((0, 2)), *(part.points for part in parts)]),
        "stops": np.concatenate([np.zeros(0, np.int64), *(p.stops + e for p, e in zip(parts, ends, strict=False))]),
        "labels": np.concatenate([np.zeros(0, np.uint32), *(part.labels for part in parts)]),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    features = _features(job, parts, measures, structures)
    written = [
        job.store.write(contours_path(job), buffer.getvalue()),
        job.store.write(geojson_path(job), _collection(features)),
    ]
    return written, {"rings": len(arrays["labels"]), "unsimplified": sum(part.unsimplified for part in parts)}


def _traced(runs: NDArray[np.uint32], measures: ObjectMeasures, max_error_px: float) -> Iterator[Contours]:
    """The contours of all objects by rising label, as many objects at once as have RUNS_AT_ONCE runs together."""
    counts = measures.crossings[:, 0] // 2
    batch = np.cumsum(counts) // RUNS_AT_ONCE
    for members in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(batch)) + 1):
        if len(members) == 0:
            continue
        first, last = int(members[0]), int(members[-1])
        top, bottom = measures.start[first : last + 1, 1].min(), measures.stop[first : last + 1, 1].max()
        rows = runs_in_rows(runs, int(top), int(bottom))
        parts = (rows[at : at + RUNS_AT_ONCE] for at in range(0, len(rows), RUNS_AT_ONCE))
        mine = [part[(part[:, 3] > first) & (part[:, 3] <= last + 1)] for part in parts]
        yield trace_contours(np.concatenate(mine), max_error_px)


def _collection(features: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """A GeoJSON file, a line per feature."""
    yield b'{"type":"FeatureCollection","features":['
    before = b"\n"
    for feature in features:
        yield before + json.dumps(feature, ensure_ascii=False, separators=(",", ":")).encode()
        before = b",\n"
    yield b"\n]}\n"


def _features(
    job: Job, parts: list[Contours], measures: ObjectMeasures, structures: NDArray[np.uint16]
) -> Iterator[dict[str, Any]]:
    """A polygon per object in pixels of the slide, as QuPath reads annotations; holes are its further rings."""
    names, (x_um, y_um) = structure_names(job), pixel_um(job.volume)
    colours = {value: list(COLOURS[i % len(COLOURS)]) for i, value in enumerate(sorted(names))}
    for part in parts:
        rings: dict[int, list[list[list[float]]]] = {}
        for label, ring in part.rings():
            rings.setdefault(label, []).append([*ring.tolist(), ring[0].tolist()])
        for label, polygon in rings.items():
            value = int(structures[label - 1])
            yield {
                "type": "Feature",
                "id": str(label),
                "geometry": {"type": "Polygon", "coordinates": polygon},
                "properties": {
                    "objectType": "annotation",
                    "name": str(label),
                    "classification": {"name": names[value], "color": colours[value]},
                    "measurements": {"Area µm^2": float(measures.area[label - 1] * (x_um * y_um))},
                },
            }
