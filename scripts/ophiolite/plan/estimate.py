"""Estimates of time, memory, bytes and files of every rule; they never shape the geometry."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from ophiolite.config.model import Jobs
from ophiolite.geometry.box import low, mul, prod
from ophiolite.layers.store import Store
from ophiolite.plan.closing import (
    done_cost,
    files_of_layer,
    index_cost,
    label_stats_cost,
    layer_done_cost,
    object_costs,
    part_memory_mb,
)
from ophiolite.plan.costs import (
    BASE_MEMORY_MB,
    OBJECT_BYTES_PER_VX,
    SECONDS_PER_LABEL,
    SECONDS_PER_MVX,
    START_SECONDS,
    object_voxels,
    task_memory_mb,
)
from ophiolite.plan.model import Cost, FragmentPlan, ScalePlan, VolumePlan
from ophiolite.plan.pyramid import MEMORY_PER_TASK_BYTE, decoded_voxels, shared_tasks

COMPRESSION = {
    "raw": 1.5,
    "png": 1.9,
    "jpeg": 6.0,
    "jxl": 7.0,
    "compressed_segmentation": 60.0,
    "compresso": 150.0,
    "crackle": 200.0,
}
MESH_MB_PER_MVX = 0.6
SKELETON_MB_PER_MVX = 0.02
# Bytes of what is made from finished skeletons, per byte of these.
EXPORT_SIZE = {"skeleton_graph": 0.3, "skeleton_swc": 4.5}


@dataclass(frozen=True)
class Speeds:
    """Seconds per unit of work of each rule, as earlier runs of this project measured them; empty before the first."""

    seconds_per_unit: dict[str, float] = field(default_factory=dict)

    def of(self, rule: str, default: float) -> float:
        """Seconds per unit of work of a rule."""
        return self.seconds_per_unit.get(rule, default)


def load_speeds(store: Store, datasets: Iterable[str]) -> Speeds:
    """Read the timings of earlier runs of a project; medians per rule."""
    found: dict[str, list[float]] = {}
    for text in [text for dataset in sorted(datasets) for text in store.read_all(f"{dataset}/timings")]:
        try:
            data = json.loads(text)
            if data["work"] > 0:
                found.setdefault(data["speed_key"], []).append(data["seconds"] / data["work"])
        except (ValueError, KeyError, TypeError):
            continue
    return Speeds({rule: statistics.median(values) for rule, values in sorted(found.items())})


def volume_costs(plan: VolumePlan, labels: int, jobs: Jobs, speeds: Speeds) -> tuple[tuple[Cost, ...], tuple[str, ...]]:
    """What every rule of a volume of so many labels takes, and warnings about jobs that are longer than wanted."""
    costs = [_pyramid_cost(plan, speeds)]
    if plan.kind == "segmentation":
        costs.append(label_stats_cost(plan, labels))
    costs.append(layer_done_cost(plan))
    for name, product in plan.products():
        costs += _product_costs(plan, name, product, labels, jobs, speeds)
    if plan.kind == "segmentation":
        costs += object_costs(plan, labels)
    warnings = [
        f"{cost.rule}: jobs of about {cost.seconds / 60:.0f} minutes, since jobs.max_jobs = {jobs.max_jobs} binds"
        for cost in costs
        if cost.seconds > 2 * jobs.minutes * 60 and cost.jobs * 2 > jobs.max_jobs
    ]
    return tuple(costs), tuple(warnings)


def _pyramid_cost(plan: VolumePlan, speeds: Speeds) -> Cost:
    key = f"pyramid_blocks.{plan.kind}"
    first = plan.rounds[0]
    count = sum(len(r.blocks) for r in plan.rounds)
    mvx = plan.scales[0].box.volume / 1e6
    itemsize = _itemsize(plan.data_type)
    voxels = sum(s.box.volume for s in plan.scales)
    size = sum(s.box.volume * itemsize * plan.source.channels / COMPRESSION[s.encoding.name] for s in plan.scales)
    voxel_bytes = itemsize * plan.source.channels
    # Voxels are widened to those of the layer chunk by chunk.
    read_bytes = _itemsize(plan.source.dtype) * plan.source.channels
    task_bytes = prod(low(first.task_vx, plan.scales[0].size_vx)) * read_bytes * MEMORY_PER_TASK_BYTE
    shard_bytes = max(_shard_bytes(s, voxel_bytes) for s in plan.scales)
    shared = shared_tasks(plan.source.alignment_vx, first.task_vx) != (1, 1, 1)
    block = mul(first.task_vx, first.block_tasks)
    decoded = decoded_voxels(plan.source.alignment_vx, block, plan.source.shape_vx) if shared else 0
    seconds = START_SECONDS + mvx * speeds.of(key, SECONDS_PER_MVX[key]) * voxels / plan.scales[0].box.volume / count
    return Cost(
        rule="pyramid_blocks",
        jobs=count,
        seconds=round(seconds, 1),
        memory_mb=BASE_MEMORY_MB + (plan.source.cache_bytes + max(task_bytes, shard_bytes)) // 10**6,
        output_mb=round(size / 1e6, 1),
        files=files_of_layer(plan),
        scratch_mb=round(decoded * plan.source.channels * _itemsize(plan.source.dtype) / 1e6, 1),
    )


def _shard_bytes(scale: ScalePlan, voxel_bytes: int) -> int:
    """What one shard takes while it is put together: its chunks, and the file."""
    raw = prod(scale.shard_chunks) * prod(scale.chunk_vx) * voxel_bytes
    return int(2 * raw / COMPRESSION[scale.encoding.name])


def _product_costs(
    plan: VolumePlan, name: str, product: FragmentPlan, all_labels: int, jobs: Jobs, speeds: Speeds
) -> list[Cost]:
    fragments, shards, files = f"{name}_fragments", f"{name}_shards", 1 << int(product.sharding["shard_bits"])
    mvx = plan.scales[product.mip].box.volume / 1e6
    blocks = len(product.blocks)
    size = mvx * (MESH_MB_PER_MVX if name == "mesh" else SKELETON_MB_PER_MVX)
    labels = product.expected_labels
    # Dust and attributes are looked up in the statistics of all labels.
    statistics_mb = part_memory_mb(plan, all_labels)
    return [
        Cost(
            rule=fragments,
            jobs=blocks,
            seconds=round(START_SECONDS + mvx * speeds.of(fragments, SECONDS_PER_MVX[fragments]) / blocks, 1),
            memory_mb=max(task_memory_mb(fragments, prod(product.task_vx), jobs.threads), statistics_mb),
            output_mb=round(size, 1),
            files=blocks,
        ),
        index_cost(name, product),
        *_object_costs(plan, name, product, jobs, speeds),
        Cost(
            rule=shards,
            jobs=product.merge_jobs,
            seconds=round(
                START_SECONDS + labels * speeds.of(shards, SECONDS_PER_LABEL[shards]) / product.merge_jobs, 1
            ),
            memory_mb=max(
                BASE_MEMORY_MB + max(500, jobs.memory_mb if product.options["attributes"] else 0), statistics_mb
            ),
            output_mb=round(size, 1),
            files=files,
        ),
        done_cost(f"{name}_done", files),
        *_export_costs(product, size, speeds),
    ]


def _export_costs(product: FragmentPlan, size_mb: float, speeds: Speeds) -> list[Cost]:
    """What the jobs take that read finished skeletons and write tables of branches, and files where they are wanted."""
    if not product.export_jobs:
        return []
    labels = product.expected_labels / product.export_jobs
    return [
        Cost(
            rule=rule,
            jobs=product.export_jobs,
            seconds=round(START_SECONDS + labels * speeds.of(rule, SECONDS_PER_LABEL[rule]), 1),
            memory_mb=BASE_MEMORY_MB + 500,
            output_mb=round(size_mb * EXPORT_SIZE[rule], 1),
            files=product.export_jobs if rule == "skeleton_graph" else product.expected_labels,
        )
        for rule in ("skeleton_graph", *(f"skeleton_{name}" for name in product.options["exports"]))
    ]


def _object_costs(plan: VolumePlan, name: str, product: FragmentPlan, jobs: Jobs, speeds: Speeds) -> list[Cost]:
    """What the jobs reserved for whole objects take, were there enough objects for one full box in each of them."""
    if not product.object_jobs:
        return []
    rule, voxels = f"{name}_objects", min(plan.scales[product.mip].box.volume, object_voxels(jobs.memory_mb))
    return [
        Cost(
            rule=rule,
            jobs=product.object_jobs,
            seconds=round(START_SECONDS + voxels / 1e6 * speeds.of(rule, SECONDS_PER_MVX[rule]), 1),
            memory_mb=BASE_MEMORY_MB + voxels * OBJECT_BYTES_PER_VX // 10**6,
            output_mb=0.1,
            files=product.object_jobs,
        )
    ]


def annotation_costs() -> tuple[Cost, ...]:
    """What the one rule of an annotation layer takes."""
    return (
        Cost(
            rule="annotation_layer",
            jobs=1,
            seconds=START_SECONDS,
            memory_mb=BASE_MEMORY_MB + 500,
            output_mb=1,
            files=10,
        ),
    )


def _itemsize(data_type: str) -> int:
    return int(data_type.lstrip("abcdefghijklmnopqrstuvwxyz")) // 8
