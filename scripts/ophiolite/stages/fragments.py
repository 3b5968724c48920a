"""Fragments of meshes and skeletons: every task of a block, all its labels, into one fragment file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box, Vec
from ophiolite.kernels.label_numbers import labels_of
from ophiolite.layers.store import Written
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.model import FragmentPlan
from ophiolite.precomputed.fragment_file import Fragment, encode_fragment_file
from ophiolite.precomputed.pack import Pack, encode_pack
from ophiolite.precomputed.sharding import ShardingSpec, locate
from ophiolite.stages.job import Job, finished_tasks
from ophiolite.stages.layer import reduced_statistics, volume_info
from ophiolite.stages.threads import in_order

Flags = tuple[bool, bool, bool]


@dataclass(frozen=True)
class Task:
    """One task as a kernel sees it.

    read : labels (x, y, z) of `seen`, the core and the kernel's halo as far as there are neighbours. They are read when
        they are asked for, so that a kernel alone holds them, and may let them go.
    """

    read: Callable[[], NDArray[Any]]
    core: Box
    seen: Box
    resolution_nm: tuple[float, float, float]
    seams_low: Flags
    seams_high: Flags


def run_fragments(
    job: Job,
    product: str,
    block: str,
    pieces_of: Callable[[Task], Iterator[tuple[int, bytes]]],
    halo_vx: tuple[int, int],
    merge_bytes: Callable[[bytes], int] | None = None,
    tasks_at_once: int = 1,
) -> tuple[list[Written], dict[str, Any], float]:
    """Make the fragment file of a block; returns files, facts for the receipt, and the million voxels it covers.

    halo_vx : voxels that a task sees below and above its core, within the volume.
    merge_bytes : the memory that merging an object takes for one of its pieces, where that is known.
    tasks_at_once : on a thread each.
    """
    plan = job.product(product)
    volume = VolumeReader(job.store, job.paths.layer_folder, plan.mip, volume_info(job.volume))
    tasks = plan.tasks_of(block)
    cores = [plan.task_core(t, volume.box) for t in tasks]
    dust = _dust(job, plan, cores, halo_vx)
    done = finished_tasks(job, f"{product}_fragments")

    def make(number: int) -> str:
        name = _pack_name(tasks[number])
        if done.exists(name):
            return ": done by an earlier try"
        task = _task(volume, cores[number], dust, halo_vx)
        done.write(name, encode_pack([(0, label, data) for label, data in pieces_of(task)]))
        return ""

    for number, said in enumerate(in_order(tasks_at_once, make, range(len(tasks))), start=1):
        job.say(f"task {number} of {len(tasks)}{said}")
    found = [
        (label, core.start, data)
        for index, core in zip(tasks, cores, strict=True)
        for label, data in Pack(done.read(_pack_name(index)), _pack_name(index)).entries(0)
    ]
    fragments = _addressed(plan, found)
    content, ranges = encode_fragment_file(product, fragments)
    written = job.store.write(job.paths.fragments(product, block), content)
    facts: dict[str, Any] = {"ranges": [[j, *ranges[j]] for j in sorted(ranges)], "pieces": len(found)}
    if merge_bytes:
        facts["largest_object_bytes"] = _largest(fragments, merge_bytes)
    return [written], facts, sum(c.volume for c in cores) / 1e6


def _pack_name(index: Vec) -> str:
    return f"{'-'.join(map(str, index))}.pack"


def _task(volume: VolumeReader, core: Box, dust: NDArray[np.uint64], halo_vx: tuple[int, int]) -> Task:
    low = [core.start[d] > volume.box.start[d] for d in range(3)]
    high = [core.stop[d] < volume.box.stop[d] for d in range(3)]
    seen = _seen(core, halo_vx).intersect(volume.box)

    def read() -> NDArray[Any]:
        labels = volume.read(seen)[..., 0]
        if not len(dust):
            return labels
        import fastremap

        here = labels_of(labels)
        masked: NDArray[Any] = fastremap.mask(labels, here[np.isin(here, dust)].tolist(), in_place=True)
        return masked

    return Task(read, core, seen, volume.scale.resolution_nm, (low[0], low[1], low[2]), (high[0], high[1], high[2]))


def _seen(core: Box, halo_vx: tuple[int, int]) -> Box:
    below, above = halo_vx
    return core.grow((below, below, below), (above, above, above))


def _dust(job: Job, plan: FragmentPlan, cores: Sequence[Box], halo_vx: tuple[int, int]) -> NDArray[np.uint64]:
    """Labels of whole objects below the dust threshold, of those that may be seen in these cores and their halos.

    Most objects of a large segmentation are dust, and the block of a job holds few of them.
    """
    least = plan.options["dust_vx"]
    found = [np.zeros(0, dtype=np.uint64)]
    if not least:
        return found[0]
    factor = np.array(job.volume.scales[plan.mip].factor)
    boxes = [_seen(core, halo_vx) for core in cores]
    start = np.min([box.start for box in boxes], axis=0) * factor
    stop = np.max([box.stop for box in boxes], axis=0) * factor
    for stats in reduced_statistics(job):
        here = np.all((stats.start < stop) & (stats.stop > start), axis=1)
        found.append(stats.labels[here & (stats.voxels < np.uint64(least))])
    return np.sort(np.concatenate(found))


def _addressed(plan: FragmentPlan, found: list[tuple[int, Vec, bytes]]) -> list[Fragment]:
    """Fragments with the shard and merge job of their label."""
    spec = ShardingSpec.from_json(plan.sharding, "plan")
    labels = np.array([label for label, _, _ in found], dtype=np.uint64)
    shards, _ = locate(spec, labels)
    jobs = merge_job_of(plan, labels)
    return [
        Fragment(job, shard, label, origin, data)
        for (label, origin, data), shard, job in zip(found, shards.tolist(), jobs.tolist(), strict=True)
    ]


def _largest(fragments: list[Fragment], merge_bytes: Callable[[bytes], int]) -> list[list[int]]:
    """[merge job, the most that merging the pieces of one of its objects takes], of those that have any."""
    objects: dict[tuple[int, int], int] = {}
    for fragment in fragments:
        key = fragment.merge_job, fragment.label
        objects[key] = objects.get(key, 0) + merge_bytes(fragment.data)
    out: dict[int, int] = {}
    for (job, _), size in objects.items():
        out[job] = max(out.get(job, 0), size)
    return [[job, out[job]] for job in sorted(out)]


def merge_job_of(plan: FragmentPlan, labels: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The merge job of each label."""
    spec = ShardingSpec.from_json(plan.sharding, "plan")
    shards, _ = locate(spec, labels)
    return (shards * np.uint64(plan.merge_jobs)) >> np.uint64(spec.shard_bits)
