"""The object table, a row per label: what its voxels, mesh and skeleton measure; and what the viewer shows of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.label_stats import LabelStats, centroids_vx
from ophiolite.layers.paths import PROPERTIES_FOLDER
from ophiolite.layers.statistics import read_stats_bytes
from ophiolite.layers.store import Store, Written
from ophiolite.parquet import read_parquet, sorted_table
from ophiolite.plan.model import VolumePlan
from ophiolite.precomputed.segment_properties import (
    NumberProperty,
    SegmentProperty,
    TagsProperty,
    TextProperty,
    encode_segment_properties,
)
from ophiolite.stages.job import Job
from ophiolite.stages.layer import part_of, reduced_path
from ophiolite.stages.slide_properties import object_properties, structure_properties

AXES = ("x", "y", "z")
SHOWN = {
    "voxels": "voxels at mip 0",
    "volume_um3": "volume in µm³",
    "mesh_faces": "triangles of the finest mesh",
    "mesh_area_um2": "area of the finest mesh in µm²",
    "cable_um": "cable length of the skeleton in µm",
    "skeleton_terminals": "free ends of the skeleton",
    "skeleton_branch_points": "branch points of the skeleton",
    "skeleton_radius_nm": "mean radius along the skeleton",
}


def objects_path(job: Job, part: int | str) -> str:
    """One part of a layer's object table."""
    return f"{job.paths.objects}/{part}.parquet"


def write_objects(job: Job, part: int) -> tuple[list[Written], int]:
    """Join statistics and measures of the labels of one part; returns the file and the number of objects."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    volume = job.volume
    stats = read_stats_bytes(job.store.read(reduced_path(job, part)))
    table = pa.table(_columns(stats, volume))
    for name, _ in volume.products():
        table = table.join(_measures(job, name, part), keys="label", join_type="left outer", use_threads=False)
    table = sorted_table(table, "label")
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return [job.store.write(objects_path(job, part), buffer.getvalue())], table.num_rows


def _columns(stats: LabelStats, volume: VolumePlan) -> dict[str, NDArray[Any]]:
    resolution = np.array(volume.scales[0].resolution_nm)
    centroid = centroids_vx(stats) * resolution
    voxel_nm3 = float(np.prod(resolution))
    out: dict[str, NDArray[Any]] = {
        "label": stats.labels,
        "voxels": stats.voxels,
        "volume_um3": stats.voxels * voxel_nm3 / 1e9,
    }
    for d, axis in enumerate(AXES):
        out[f"start_{axis}_vx"] = stats.start[:, d]
        out[f"stop_{axis}_vx"] = stats.stop[:, d]
        out[f"centroid_{axis}_nm"] = centroid[:, d]
    return out


def _measures(job: Job, product: str, part: int) -> Any:
    """Mesh or skeleton measures of the labels of one part, from all merge jobs."""
    import pyarrow as pa

    found = []
    for name in job.product(product).job_names():
        table = read_parquet(job.store.read(job.paths.measures(product, name)))
        labels = table.column("label").to_numpy()
        found.append(table.filter(pa.array(part_of(labels, job.volume.stats_parts) == part)))
    return pa.concat_tables(found)


def write_segment_properties(job: Job) -> tuple[list[Written], dict[str, int]]:
    """Write what the viewer lists of each object; the largest `max_inline_labels`, saying how many are left out."""
    paths = [objects_path(job, p) for p in range(job.segmentation.stats_parts)]
    chosen, labels = largest_objects(job.store, paths, job.volume.max_inline_labels)
    left_out = labels - len(chosen["label"])
    if left_out:
        job.say(
            f"{labels} objects: the properties keep the {len(chosen['label'])} largest and leave out {left_out}, since"
            " the viewer loads them whole; max_inline_labels sets how many"
        )
    make = {"mask": structure_properties, "mask_objects": object_properties}.get(job.volume.source.format or "")
    properties = make(job, chosen) if make else _properties(chosen, job.volume)
    data = encode_segment_properties(chosen["label"], properties)
    path = f"{job.paths.layer_folder}/{PROPERTIES_FOLDER}/info"
    return [job.store.write(path, data)], {"labels": len(chosen["label"]), "left_out": left_out}


def largest_objects(store: Store, paths: Sequence[str], most: int) -> tuple[dict[str, NDArray[Any]], int]:
    """The `most` largest objects of all parts of a table as columns, ascending by label, and how many there are.

    Of objects of one size those of the higher labels. One part is held at a time, and the largest so far.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    largest, labels = None, 0
    order = [("voxels", "descending"), ("label", "descending")]
    for path in paths:
        part = read_parquet(store.read(path))
        labels += part.num_rows
        both = part if largest is None else pa.concat_tables([largest, part])
        largest = both.take(pc.sort_indices(both, sort_keys=order)[:most]) if both.num_rows > most else both
    table = sorted_table(largest, "label")
    return {name: table.column(name).to_numpy() for name in table.column_names}, labels


def _properties(table: dict[str, NDArray[Any]], volume: VolumePlan) -> list[SegmentProperty]:
    numbers: list[SegmentProperty] = [
        NumberProperty(name, np.nan_to_num(table[name].astype(np.float64)).astype(np.float32), description)
        for name, description in SHOWN.items()
        if name in table
    ]
    texts = [f"{v} voxels" for v in table["voxels"].tolist()]
    return [TextProperty("label", texts, "label"), *numbers, _tags(table, volume)]


def _tags(table: dict[str, NDArray[Any]], volume: VolumePlan) -> TagsProperty:
    """What kind of object it is, as far as it can be told from its measures."""
    box = volume.scales[0].box
    flags = {"at_border": np.zeros(len(table["label"]), dtype=bool), "single_voxel": table["voxels"] == 1}
    for d, axis in enumerate(AXES):
        flags["at_border"] |= (table[f"start_{axis}_vx"] <= box.start[d]) | (table[f"stop_{axis}_vx"] >= box.stop[d])
    if "mesh_faces" in table:
        flags["has_mesh"] = np.nan_to_num(table["mesh_faces"].astype(np.float64)) > 0
    if "skeleton_vertices" in table:
        flags["has_skeleton"] = np.nan_to_num(table["skeleton_vertices"].astype(np.float64)) > 0
    names = sorted(flags)
    stacked = np.stack([flags[n] for n in names], axis=1)
    return TagsProperty("tags", names, [np.flatnonzero(row).tolist() for row in stacked])


def object_columns(store: Store, paths: Sequence[str], names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Of these columns those that an object table has, part after part; missing measures are NaN."""
    import pyarrow as pa

    parts = (read_parquet(store.read(path)) for path in paths)
    table = pa.concat_tables([part.select([n for n in names if n in part.column_names]) for part in parts])
    return {name: table.column(name).to_numpy() for name in table.column_names}
