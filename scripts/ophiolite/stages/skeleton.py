"""What a merge job of skeletons and the folder's info need, from the plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.kernels.skeleton_merge import CleanOptions, clean_skeleton, skeleton_measures, stitch_skeletons
from ophiolite.layers.store import Written
from ophiolite.plan.model import FragmentPlan
from ophiolite.precomputed.skeleton import CROSS_SECTIONAL_AREA, RADIUS, SkeletonInfo, encode_skeleton
from ophiolite.precomputed.skeleton_fragment import decode_skeleton_piece
from ophiolite.stages.job import Job
from ophiolite.stages.shards import Entry, Pieces
from ophiolite.stages.skeleton_areas import Areas

PRODUCT = "skeleton"
MEASURES = {
    "skeleton_vertices": "int64",
    "skeleton_components": "int64",
    "skeleton_terminals": "int64",
    "skeleton_branch_points": "int64",
    "cable_um": "float64",
    "skeleton_radius_nm": "float64",
}


def merge(job: Job) -> Callable[[int, Pieces], tuple[Entry | None, dict[str, Any]]]:
    """The function that merges one label: its shard entry (none where nothing is left) and its measures."""
    plan = job.product(PRODUCT)
    resolution = np.array(job.volume.scales[plan.mip].resolution_nm)
    options = clean_options(plan)
    areas = Areas(job) if CROSS_SECTIONAL_AREA.id in plan.options["attributes"] else None

    def of_label(label: int, pieces: Pieces) -> tuple[Entry | None, dict[str, Any]]:
        whole = stitch_skeletons([(origin, decode_skeleton_piece(data)) for origin, data in pieces])
        vertices_nm = whole.vertices / STEPS_PER_VOXEL * resolution
        vertices, edges, radius = clean_skeleton(vertices_nm, whole.edges, whole.radius_nm, options, whole.seam)
        found = skeleton_measures(vertices, edges, radius)
        measures = {
            "skeleton_vertices": found.vertices,
            "skeleton_components": found.components,
            "skeleton_terminals": found.terminals,
            "skeleton_branch_points": found.branch_points,
            "cable_um": found.cable_nm / 1000,
            "skeleton_radius_nm": found.mean_radius_nm,
        }
        if not len(vertices):
            return None, measures
        values = [radius.astype(np.float32)]
        if areas is not None:
            values.append(areas.of(label, vertices, edges))
        data = encode_skeleton(vertices.astype(np.float32), edges.astype(np.uint32), values)
        return (b"", data), measures

    return of_label


def clean_options(plan: FragmentPlan) -> CleanOptions:
    """How skeletons are cleaned, from the plan."""
    traced = plan.options["fragments"]
    return CleanOptions(**plan.options["shards"], scale=traced["scale"], const_nm=traced["const_nm"])


def write_info(job: Job) -> list[Written]:
    """Write the `info` of the skeleton folder."""
    plan = job.product(PRODUCT)
    more = (CROSS_SECTIONAL_AREA,) if CROSS_SECTIONAL_AREA.id in plan.options["attributes"] else ()
    info = SkeletonInfo(attributes=(RADIUS, *more), sharding=plan.sharding, mip=plan.mip)
    return [job.store.write(f"{job.paths.layer_folder}/{plan.folder}/info", info.to_json())]
