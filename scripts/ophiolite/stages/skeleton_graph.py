"""The branches of the finished skeletons of one export job, as a part of the layer's branch table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.skeleton_tree import KINDS, Branches, Forest, branches, rooted
from ophiolite.layers.objects import SkeletonReader
from ophiolite.layers.store import Written
from ophiolite.precomputed.skeleton import DecodedSkeleton
from ophiolite.stages.job import Job
from ophiolite.stages.shards import shards_of_export
from ophiolite.stages.tables import parquet_bytes, schema_of

# Labels whose skeletons are read at once.
TOGETHER = 500
COLUMNS = {
    "dataset": "string",
    "layer": "string",
    "label": "uint64",
    "tree": "int64",
    "branch": "int64",
    "parent": "int64",
    "from_kind": "string",
    "to_kind": "string",
    "length_nm": "double",
    "distance_nm": "double",
    "tortuosity": "double",
    "mean_radius_nm": "double",
    "min_radius_nm": "double",
    "max_radius_nm": "double",
    "strahler": "int64",
    "from_x_nm": "double",
    "from_y_nm": "double",
    "from_z_nm": "double",
    "to_x_nm": "double",
    "to_y_nm": "double",
    "to_z_nm": "double",
}


def finished_skeletons(job: Job) -> Iterator[tuple[int, DecodedSkeleton]]:
    """(label, skeleton) of the shards of one export job, ascending."""
    plan = job.product("skeleton")
    reader = SkeletonReader(job.store, f"{job.paths.layer_folder}/{plan.folder}")
    labels = reader.keys(shards_of_export(plan, int(job.item))).tolist()
    for first in range(0, len(labels), TOGETHER):
        some = labels[first : first + TOGETHER]
        yield from zip(some, reader.read_together(some), strict=True)
        job.say(f"{first + len(some)} of {len(labels)} labels")


def write_skeleton_graph(job: Job) -> tuple[list[Written], int]:
    """Write a row per branch; returns the file and the number of labels. Parts of other jobs than planned go."""
    parts: list[dict[str, NDArray[Any]]] = []
    for label, skeleton in finished_skeletons(job):
        forest = rooted(skeleton.vertices_nm, skeleton.edges, skeleton.attributes[0])
        found = branches(forest, skeleton.vertices_nm, skeleton.attributes[0])
        parts.append(branch_columns(label, forest, found, skeleton.vertices_nm))
    planned = {job.paths.branches(name) for name in job.product("skeleton").export_job_names()}
    job.store.keep_only(job.paths.branch_folder, planned)
    return [job.store.write(job.paths.branches(job.item), _table(job, parts))], len(parts)


def branch_columns(
    label: int, forest: Forest, found: Branches, vertices_nm: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """The columns of one label, all but dataset and layer."""
    distance = found.distance_nm
    out: dict[str, NDArray[Any]] = {
        "label": np.full(len(distance), label, np.uint64),
        "tree": found.tree,
        "branch": np.arange(len(distance)),
        "parent": found.parent,
        "from_kind": np.array(KINDS)[forest.kind[found.first]],
        "to_kind": np.array(KINDS)[forest.kind[found.last]],
        "length_nm": found.length_nm,
        "distance_nm": distance,
        "tortuosity": np.divide(found.length_nm, distance, out=np.full(len(distance), np.nan), where=distance > 0),
        "mean_radius_nm": found.mean_radius_nm,
        "min_radius_nm": found.min_radius_nm,
        "max_radius_nm": found.max_radius_nm,
        "strahler": found.order,
    }
    for end, place in (("from", found.first), ("to", found.last)):
        for d, axis in enumerate("xyz"):
            out[f"{end}_{axis}_nm"] = vertices_nm[forest.order[place], d].astype(np.float64)
    return out


def _table(job: Job, parts: list[dict[str, NDArray[Any]]]) -> bytes:
    """All labels as Parquet."""
    import pyarrow as pa

    schema = schema_of(COLUMNS)
    if not parts:
        return parquet_bytes(schema.empty_table())
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    count = len(columns["label"])
    columns |= {"dataset": np.full(count, job.dataset), "layer": np.full(count, job.layer)}
    return parquet_bytes(pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema))
