"""An annotation layer from its table; partners of synapses are looked up in a finished segmentation layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box
from ophiolite.layers.annotation_layer import annotation_files
from ophiolite.layers.shard_files import write_shard
from ophiolite.layers.store import Written
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.model import AnnotationPlan
from ophiolite.precomputed.annotation import AnnotationType
from ophiolite.precomputed.annotation_table import AnnotationTable
from ophiolite.sources.annotation_tables import read_annotation_table
from ophiolite.sources.cremi_annotations import read_cremi_partners
from ophiolite.stages.job import Job
from ophiolite.stages.layer import volume_info
from ophiolite.stages.slide_outlines import outline_table

KINDS = {
    "polyline": AnnotationType.POLYLINE,
    "point": AnnotationType.POINT,
    "line": AnnotationType.LINE,
    "box": AnnotationType.AXIS_ALIGNED_BOUNDING_BOX,
    "ellipsoid": AnnotationType.ELLIPSOID,
}


def write_annotations(job: Job) -> tuple[list[Written], int]:
    """Write every file of the layer and remove stale ones; returns them and the number of annotations."""
    plan = job.annotations
    table = _read(job, plan)
    folder = job.paths.layer_folder
    written = [
        write_shard(job.store, f"{folder}/{path}", sharding, data)
        if sharding
        else job.store.write(f"{folder}/{path}", data)
        for path, data, sharding in annotation_files(table, plan.limit)
    ]
    job.store.keep_only(folder, {file.path for file in written})
    return written, len(table)


def _read(job: Job, plan: AnnotationPlan) -> AnnotationTable:
    if plan.outlines_of is not None and plan.geometry is not None:
        return outline_table(job, plan.outlines_of, KINDS[plan.geometry])
    file, _, inside = plan.source.partition(":")
    if inside or plan.geometry is None:
        return read_cremi_partners(Path(file), inside or "/annotations", _labels_at(job, plan))
    return read_annotation_table(Path(file), KINDS[plan.geometry], label_columns=plan.label_columns)


def _labels_at(job: Job, plan: AnnotationPlan) -> Callable[[NDArray[np.float64]], NDArray[np.uint64]] | None:
    """Looks labels up at points `(n, 3)` in nm; 0 outside the volume."""
    if plan.segmentation is None:
        return None
    segmentation = replace(job, layer=plan.segmentation)
    volume = VolumeReader(job.store, segmentation.paths.layer_folder, 0, volume_info(segmentation.volume))

    def labels_at(points_nm: NDArray[np.float64]) -> NDArray[np.uint64]:
        voxels = np.floor(points_nm / np.array(volume.scale.resolution_nm)).astype(np.int64)
        grid = volume.scale.grid
        chunks = (voxels - np.array(grid.box.start)) // np.array(grid.cell_vx)
        out = np.zeros(len(voxels), dtype=np.uint64)
        order = np.lexsort(chunks.T)
        cuts = np.flatnonzero(np.any(np.diff(chunks[order], axis=0) != 0, axis=1)) + 1
        for rows in np.split(order, cuts):
            if not len(rows):
                continue
            low, high = voxels[rows].min(axis=0).tolist(), (voxels[rows].max(axis=0) + 1).tolist()
            box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
            x, y, z = (voxels[rows] - np.array(box.start)).T
            out[rows] = volume.read(box)[..., 0][x, y, z]
        return out

    return labels_at
