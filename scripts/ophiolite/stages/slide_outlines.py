"""The outlines and boxes of a slide's objects as annotations."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.plan.model import VolumePlan
from ophiolite.precomputed.annotation import AnnotationType, Property
from ophiolite.precomputed.annotation_table import AnnotationTable, Related
from ophiolite.stages.job import Job
from ophiolite.stages.slide_measures import contours_path, pixel_um, read_measures, slide_px, structure_names


def outline_table(job: Job, layer: str, kind: AnnotationType) -> AnnotationTable:
    """The annotations of the outlines (POLYLINE) or boxes of the objects of segmentation layer `layer`.

    Outlines lie in the middle of the section, boxes reach through it; both carry `area_um2` and the structure, and
    belong to their object.
    """
    objects = replace(job, layer=layer)
    measures, structures = read_measures(objects)
    names, (x_um, y_um) = structure_names(objects), pixel_um(objects.volume)
    properties = (
        Property("area_um2", "float32", "area of the object in µm²"),
        Property("structure", "uint16", "structure of the object", tuple(names), tuple(names.values())),
    )
    section_nm = objects.volume.source.reading["slide_resolution_nm"][2]
    if kind is AnnotationType.POLYLINE:
        points, cuts, labels = _closed(objects)
        geometry = _in_nm(objects.volume, points, np.full(len(points), section_nm / 2))
    else:
        labels, cuts = np.arange(1, len(structures) + 1, dtype=np.uint64), None
        corners = slide_px(objects, np.stack([measures.start, measures.stop], axis=1))
        geometry = _in_nm(objects.volume, corners, np.tile([0.0, section_nm], (len(corners), 1)))
    rows = labels.astype(np.int64) - 1
    return AnnotationTable(
        kind=kind,
        geometry_nm=geometry,
        ids=np.arange(1, len(labels) + 1, dtype=np.uint64),
        properties=properties,
        columns={"area_um2": measures.area[rows] * (x_um * y_um), "structure": structures[rows]},
        relationships={layer: Related.of_columns(labels)},
        points=cuts,
    )


def _closed(job: Job) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.uint64]]:
    """The rings with their first point repeated at the end: points, where each begins and the last ends, labels."""
    with np.load(io.BytesIO(job.read_work(contours_path(job), "slide_contours"))) as data:
        points, stops, labels = data["points"], data["stops"], data["labels"]
    cuts = np.concatenate([[0], stops]).astype(np.int64)
    closed = np.insert(points, stops, points[cuts[:-1]], axis=0)
    return closed, cuts + np.arange(len(cuts)), labels.astype(np.uint64)


def _in_nm(volume: VolumePlan, points_px: NDArray[Any], z_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of the slide (..., 2) at z_nm (...) as (..., 3)."""
    x_nm, y_nm, _ = volume.source.reading["slide_resolution_nm"]
    return np.concatenate([points_px * (x_nm, y_nm), z_nm[..., None]], axis=-1)
