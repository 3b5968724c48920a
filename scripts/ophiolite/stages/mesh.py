"""What a merge job of meshes needs, from the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.kernels.lod import LodOptions
from ophiolite.kernels.mesh_measure import measure
from ophiolite.kernels.octree import mesh_entry
from ophiolite.kernels.seams import FRAGMENT_SHARE, dissolve_seams
from ophiolite.kernels.stitch import join
from ophiolite.precomputed.mesh_fragment import decode_mesh_piece
from ophiolite.stages.job import Job
from ophiolite.stages.shards import Entry, Pieces

FRAGMENT_VX = 512
MEASURES = {
    "mesh_vertices": "int64",
    "mesh_faces": "int64",
    "mesh_area_um2": "float64",
    "mesh_volume_um3": "float64",
    "mesh_watertight": "bool",
    "mesh_lods": "int64",
    "mesh_lods_refused": "int64",
}


def merge(job: Job) -> Callable[[int, Pieces], tuple[Entry | None, dict[str, Any]]]:
    """The function that merges one label: its shard entry (none where no face is left) and its measures."""
    plan = job.product("mesh")
    resolution = np.array(job.volume.scales[plan.mip].resolution_nm)
    settings = plan.options["shards"]
    lods = LodOptions(
        fragment_nm=FRAGMENT_VX * float(resolution.max()), quantization_bits=settings["quantization_bits"]
    )
    if settings["lods"] != "auto":
        lods = replace(lods, max_lods=settings["lods"])
    base_error_nm = settings["max_error_nm"] if plan.options["fragments"]["simplify"] else 0.0
    open_edges = plan.options["fragments"]["open_edges"]

    def of_label(label: int, pieces: Pieces) -> tuple[Entry | None, dict[str, Any]]:
        vertices, faces, seam = join([(origin, decode_mesh_piece(data)) for origin, data in pieces])
        if base_error_nm:
            allowed = base_error_nm * (1 - FRAGMENT_SHARE)
            vertices, faces = dissolve_seams(vertices, faces, seam, resolution / STEPS_PER_VOXEL, allowed)
        vertices_nm = vertices / STEPS_PER_VOXEL * resolution
        found = measure(vertices_nm, faces)
        measures = {
            "mesh_vertices": found.vertices,
            "mesh_faces": found.faces,
            "mesh_area_um2": found.area_nm2 / 1e6,
            "mesh_volume_um3": found.volume_nm3 / 1e9,
            "mesh_watertight": found.watertight,
            "mesh_lods": 0,
            "mesh_lods_refused": 0,
        }
        if not len(faces):
            job.say(f"label {label}: its mesh has no face left")
            return None, measures
        entry = mesh_entry(vertices_nm, faces, lods, settings["draco_level"], base_error_nm)
        if not entry.sound:
            job.say(f"label {label}: its finest level has no room for all vertices; stored with some at one place")
        opened = not (found.watertight or open_edges)
        if opened:
            job.say(f"label {label}: its mesh is not closed; please report it, with the label's voxels if you can")
        refused = entry.refused + int(opened and entry.sound)
        measures |= {"mesh_lods": entry.lods, "mesh_lods_refused": refused}
        return entry.stored, measures

    return of_label
