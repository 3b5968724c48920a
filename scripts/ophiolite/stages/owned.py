"""The labels whose meshes or skeletons belong to one merge job, from the statistics of their layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.label_stats import LabelStats
from ophiolite.plan.model import FragmentPlan
from ophiolite.precomputed.sharding import ShardingSpec, locate
from ophiolite.stages.job import Job
from ophiolite.stages.layer import reduced_statistics
from ophiolite.stages.shards import shards_of_job


def owned_rows(job: Job, product: str) -> Iterator[tuple[LabelStats, NDArray[np.intp]]]:
    """Part by part of the statistics: the part, and its rows of labels that belong in the shards of this merge job."""
    plan = job.product(product)
    shards = shards_of_job(plan, int(job.item))
    spec = ShardingSpec.from_json(plan.sharding, "plan")
    for stats in reduced_statistics(job):
        number, _ = locate(spec, stats.labels)
        yield stats, np.flatnonzero((number >= shards.start) & (number < shards.stop))


def left_out(plan: FragmentPlan, label: int, voxels: int) -> str:
    """Why a product's options leave an object of so many mip-0 voxels out; empty where they do not."""
    chosen = [int(v) for v in plan.options["labels"]]
    if (chosen and label not in chosen) or label in [int(v) for v in plan.options["exclude_labels"]]:
        return "not asked for"
    return "dust" if voxels < plan.options["dust_vx"] else ""
