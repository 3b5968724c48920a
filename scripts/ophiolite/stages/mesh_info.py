"""The info of the mesh folder, from the plan; apart from the merge, whose kernels take long to load."""

from __future__ import annotations

from ophiolite.layers.store import Written
from ophiolite.precomputed.multilod import MeshInfo
from ophiolite.stages.job import Job


def write_info(job: Job) -> list[Written]:
    """Write the `info` of the mesh folder: stored models are nanometres."""
    plan = job.product("mesh")
    info = MeshInfo(
        vertex_quantization_bits=plan.options["shards"]["quantization_bits"],
        sharding=plan.sharding,
        extra={"mip": plan.mip},
    )
    return [job.store.write(f"{job.paths.layer_folder}/{plan.folder}/info", info.to_json())]
