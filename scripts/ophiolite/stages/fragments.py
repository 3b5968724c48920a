"""Fragments of meshes and skeletons: blocks to fragment files, receipts to the index, the index to a merge job."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import LayerError, explain
from ophiolite.geometry import Box, Vec
from ophiolite.geometry.box import add
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Written
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.model import FragmentPlan
from ophiolite.precomputed.fragment_file import Fragment, decode_section, encode_fragment_file
from ophiolite.precomputed.pack import Pack, encode_pack
from ophiolite.precomputed.sharding import ShardingSpec, locate
from ophiolite.stages.job import Job, finished_tasks, require
from ophiolite.stages.layer import reduced_statistics, volume_info

FAR_OFF = 4
Flags = tuple[bool, bool, bool]


@dataclass(frozen=True)
class Task:
    """One task as a kernel sees it.

    labels : (x, y, z), the core and one voxel more on the high side where a neighbour is.
    """

    labels: NDArray[Any]
    core: Box
    resolution_nm: tuple[float, float, float]
    seams_low: Flags
    seams_high: Flags


def run_fragments(
    job: Job, product: str, block: str, pieces_of: Callable[[Task], Iterator[tuple[int, bytes]]]
) -> tuple[list[Written], dict[str, Any], float]:
    """Make the fragment file of a block; returns files, facts for the receipt, and the million voxels it covers."""
    plan = job.product(product)
    volume = VolumeReader(job.store, job.paths.layer_folder, plan.mip, volume_info(job.volume))
    tasks = plan.tasks_of(block)
    cores = [plan.task_core(t, volume.box) for t in tasks]
    dust = _dust(job, plan)
    with finished_tasks(job, f"{product}_fragments") as done:
        for number, (index, core) in enumerate(zip(tasks, cores, strict=True), start=1):
            name = _pack_name(index)
            if done.exists(name):
                job.say(f"task {number} of {len(tasks)}: done by an earlier try")
                continue
            task = _read_task(volume, core, dust)
            done.write(name, encode_pack([(0, label, data) for label, data in pieces_of(task)]))
            job.say(f"task {number} of {len(tasks)}")
        found = [
            (label, core.start, data)
            for index, core in zip(tasks, cores, strict=True)
            for label, data in Pack(done.read(_pack_name(index)), _pack_name(index)).entries(0)
        ]
        content, ranges = encode_fragment_file(product, _addressed(plan, found))
        written = job.store.write(job.paths.fragments(product, block), content)
    facts = {"ranges": [[j, *ranges[j]] for j in sorted(ranges)], "pieces": len(found)}
    return [written], facts, sum(c.volume for c in cores) / 1e6


def _pack_name(index: Vec) -> str:
    return f"{'-'.join(map(str, index))}.pack"


def _read_task(volume: VolumeReader, core: Box, dust: NDArray[np.uint64]) -> Task:
    low = [core.start[d] > volume.box.start[d] for d in range(3)]
    high = [core.stop[d] < volume.box.stop[d] for d in range(3)]
    box = Box(core.start, add(core.stop, (int(high[0]), int(high[1]), int(high[2]))))
    labels = volume.read(box)[..., 0]
    if len(dust):
        import fastremap

        labels = fastremap.mask(labels, dust.tolist(), in_place=True)
    return Task(labels, core, volume.scale.resolution_nm, (low[0], low[1], low[2]), (high[0], high[1], high[2]))


def _dust(job: Job, plan: FragmentPlan) -> NDArray[np.uint64]:
    """Labels of whole objects below the dust threshold."""
    least = plan.options["dust_vx"]
    if not least:
        return np.zeros(0, dtype=np.uint64)
    return np.sort(np.concatenate([s.labels[s.voxels < np.uint64(least)] for s in reduced_statistics(job)]))


def _addressed(plan: FragmentPlan, found: list[tuple[int, Vec, bytes]]) -> list[Fragment]:
    """Fragments with the shard and merge job of their label."""
    spec = ShardingSpec.from_json(plan.sharding, "plan")
    shards, _ = locate(spec, np.array([label for label, _, _ in found], dtype=np.uint64))
    jobs = (shards * np.uint64(plan.merge_jobs)) >> np.uint64(spec.shard_bits)
    return [
        Fragment(job, shard, label, origin, data)
        for (label, origin, data), shard, job in zip(found, shards.tolist(), jobs.tolist(), strict=True)
    ]


INDEX = np.dtype([("block", "<u4"), ("merge_job", "<u4"), ("offset", "<u8"), ("size", "<u8")])


def index_path(job: Job, product: str) -> str:
    """Where the fragment index of a product lies."""
    return f"{job.paths.work}/{product}_index.npy"


def write_index(job: Job, product: str) -> tuple[list[Written], dict[str, Any]]:
    """Make the fragment index from the receipts of all blocks, and say where the estimate of labels was far off."""
    plan = job.product(product)
    rows: list[tuple[int, int, int, int]] = []
    for number, block in enumerate(plan.block_names()):
        facts = read_receipt(job.store, job.paths.receipt(f"{product}_fragments", block)).facts
        rows += [(number, *entry) for entry in facts["ranges"]]
    table = np.array(rows, dtype=INDEX)
    table.sort(order=("merge_job", "block"))
    buffer = io.BytesIO()
    np.save(buffer, table)
    labels = sum(len(s.labels) for s in reduced_statistics(job))
    if not labels / FAR_OFF <= plan.expected_labels <= labels * FAR_OFF:
        job.say(
            f"warning: {labels} labels, but the shards are planned for {plan.expected_labels}; "
            f"set {product}.expected_labels: {labels} to balance them"
        )
    largest = max((int(table["size"][table["merge_job"] == j].sum()) for j in np.unique(table["merge_job"])), default=0)
    return [job.store.write(index_path(job, product), buffer.getvalue())], {
        "labels": labels,
        "largest_job_bytes": largest,
    }


def read_merge_job(job: Job, product: str, merge_job: int) -> Iterator[tuple[int, int, list[tuple[Vec, bytes]]]]:
    """(shard, label, [(origin_vx, data)]) of all that one merge job has to merge, by shard and label."""
    plan = job.product(product)
    if not 0 <= merge_job < plan.merge_jobs:
        raise LayerError(
            explain("--job", "does not exist", expected=f"0 to {plan.merge_jobs - 1}", got=merge_job, do="See the plan")
        )
    table = np.load(io.BytesIO(job.store.read(index_path(job, product))))
    names = plan.block_names()
    fragments: list[Fragment] = []
    for row in table[table["merge_job"] == merge_job]:
        path = job.paths.fragments(product, names[int(row["block"])])
        require(
            job.store,
            path,
            f"delete {job.paths.receipt(f'{product}_fragments', names[int(row['block'])])} and run again",
        )
        data = job.store.read_range(path, int(row["offset"]), int(row["size"]))
        fragments += decode_section(merge_job, data, path)
    fragments.sort(key=lambda f: (f.shard, f.label, f.origin_vx))
    for (shard, label), group in itertools.groupby(fragments, key=lambda f: (f.shard, f.label)):
        yield shard, label, [(f.origin_vx, f.data) for f in group]


def shards_of_job(plan: FragmentPlan, merge_job: int) -> range:
    """The shards that one merge job writes: an equal range, empty ones too."""
    shards = 1 << int(plan.sharding["shard_bits"])
    return range(-(-merge_job * shards // plan.merge_jobs), -(-(merge_job + 1) * shards // plan.merge_jobs))
