"""The outlines of a slide's objects: for the viewer as annotation layers, for QuPath as GeoJSON."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.mask_runs import ObjectMeasures, runs_in_rows
from ophiolite.kernels.run_contours import Contours, trace_contours
from ophiolite.layers.store import Written
from ophiolite.plan.model import VolumePlan
from ophiolite.precomputed.annotation import AnnotationType, Property
from ophiolite.precomputed.annotation_table import AnnotationTable, Related
from ophiolite.stages.job import Job
from ophiolite.stages.mask_objects import mask_of, read_measures, runs_of
from ophiolite.stages.slide_objects import structure_names

# Runs of objects whose outlines are traced together.
RUNS_AT_ONCE = 1 << 20
# Colours of structures, in the order of their values (Okabe and Ito, jfly.uni-koeln.de/color, 2008).
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167), (213, 94, 0), (0, 114, 178), (240, 228, 66))


def contours_path(job: Job) -> str:
    """Where the outlines lie that the annotation layers are made of."""
    return f"{job.paths.work}/slide_contours.npz"


def geojson_path(job: Job) -> str:
    """Where the outlines lie for other programs."""
    return f"{job.paths.objects}/contours.geojson"


def write_contours(job: Job, max_error_px: float) -> tuple[list[Written], dict[str, int]]:
    """Trace all objects; returns the files, and how many rings there are and objects that were not simplified."""
    measures, structures = read_measures(job)
    ratio, low = mask_of(job).ratio, np.array(job.volume.scales[0].voxel_offset_vx[:2])
    parts = [
        replace(part, points=(part.points + low) * ratio) for part in _traced(runs_of(job), measures, max_error_px)
    ]
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


def outline_table(job: Job, layer: str, kind: AnnotationType) -> AnnotationTable:
    """The annotations of the outlines (POLYLINE) or boxes of the objects of segmentation layer `layer`.

    All lie in the middle of the section, carry `area_um2` and the structure, and belong to their object.
    """
    objects = replace(job, layer=layer)
    measures, structures = read_measures(objects)
    names = structure_names(objects)
    area = measures.area * _pixel_um2(objects.volume)
    properties = (
        Property("area_um2", "float32", "area of the object in µm²"),
        Property("structure", "uint16", "structure of the object", tuple(names), tuple(names.values())),
    )
    labels = np.arange(1, len(structures) + 1, dtype=np.uint64)
    if kind is AnnotationType.POLYLINE:
        points, stops, labels = _closed(objects)
        geometry, cuts = _in_nm(objects.volume, points), np.concatenate([[0], stops]).astype(np.int64)
    else:
        ratio, low = mask_of(objects).ratio, np.array(objects.volume.scales[0].voxel_offset_vx[:2])
        corners = (np.stack([measures.start, measures.stop], axis=1) + low) * ratio
        geometry, cuts = _in_nm(objects.volume, corners), None
    rows = labels.astype(np.int64) - 1
    return AnnotationTable(
        kind=kind,
        geometry_nm=geometry,
        ids=np.arange(1, len(labels) + 1, dtype=np.uint64),
        properties=properties,
        columns={"area_um2": area[rows], "structure": structures[rows]},
        relationships={layer: Related.of_columns(labels)},
        points=cuts,
    )


def _traced(runs: NDArray[np.uint32], measures: ObjectMeasures, max_error_px: float) -> Iterator[Contours]:
    """The contours of all objects by rising label, as many objects at once as have RUNS_AT_ONCE runs together."""
    counts = measures.crossings[:, 0] // 2
    batch = np.cumsum(counts) // RUNS_AT_ONCE
    for members in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(batch)) + 1):
        if len(members):
            first, last = int(members[0]), int(members[-1])
            rows = runs_in_rows(
                runs, int(measures.start[first : last + 1, 1].min()), int(measures.stop[first : last + 1, 1].max())
            )
            mine = [
                part[(part[:, 3] > first) & (part[:, 3] <= last + 1)]
                for part in (rows[at : at + RUNS_AT_ONCE] for at in range(0, len(rows), RUNS_AT_ONCE))
            ]
            yield trace_contours(np.concatenate(mine), max_error_px)


def _closed(job: Job) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.uint64]]:
    """The rings with their first point repeated at the end: points, stops, labels."""
    with np.load(io.BytesIO(job.read_work(contours_path(job), "slide_contours"))) as data:
        points, stops, labels = data["points"], data["stops"], data["labels"]
    starts = np.concatenate([[0], stops])[:-1].astype(np.int64)
    return (
        np.insert(points, stops, points[starts], axis=0),
        stops + np.arange(1, len(stops) + 1),
        labels.astype(np.uint64),
    )


def _in_nm(volume: VolumePlan, points_px: NDArray[Any]) -> NDArray[np.float64]:
    """Points of the slide (..., 2) in the middle of the section (..., 3)."""
    x_nm, y_nm, z_nm = volume.source.reading["slide_resolution_nm"]
    middle = np.full((*points_px.shape[:-1], 1), z_nm / 2)
    return np.concatenate([points_px * (x_nm, y_nm), middle], axis=-1)


def _pixel_um2(volume: VolumePlan) -> float:
    x_nm, y_nm, _ = volume.scales[0].resolution_nm
    return x_nm * y_nm / 1e6


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
    names, area = structure_names(job), measures.area * _pixel_um2(job.volume)
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
                    "measurements": {"Area µm^2": float(area[label - 1])},
                },
            }
