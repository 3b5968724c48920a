"""One block of one round of a pyramid: its tasks to encoded chunks, the chunks to shards, its sums to a carry."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError
from ophiolite.geometry import Box, Vec, morton
from ophiolite.geometry.grid import indices
from ophiolite.kernels.label_stats import LabelStats, label_stats, merge_stats
from ophiolite.layers.shard_files import write_shard
from ophiolite.layers.statistics import read_stats_bytes, stats_bytes
from ophiolite.layers.store import Store, Written
from ophiolite.plan.model import RoundPlan, ScalePlan, VolumePlan, block_box, task_box, task_input
from ophiolite.plan.pyramid import shared_tasks
from ophiolite.precomputed.compression import gzip_bytes
from ophiolite.precomputed.encoding import ChunkEncoding, encode_chunk
from ophiolite.precomputed.pack import Pack, encode_pack
from ophiolite.precomputed.sharding import ShardingSpec, build_shard, locate, shard_name
from ophiolite.precomputed.volume_info import chunk_name
from ophiolite.stages.cascade import cascade
from ophiolite.stages.job import Job, finished_tasks
from ophiolite.stages.tile_copies import TileCopies, copy_facts, tile_copies
from ophiolite.stages.volume_input import CarryInput, SourceInput, table_of_objects

CARRY_GROUP, STATS_GROUP, COPIES_GROUP = 1 << 32, 1 << 33, 1 << 34


@dataclass(frozen=True)
class RoundGeometry:
    """A round of a volume's pyramid, with the boxes its tasks own and read."""

    volume: VolumePlan
    round: RoundPlan

    @property
    def scales(self) -> list[ScalePlan]:
        """The scales this round writes."""
        return [self.volume.scales[m] for m in self.round.mips]

    @property
    def input_scale(self) -> ScalePlan:
        """The scale this round reads."""
        return self.volume.scales[self.round.input_mip]

    def own(self, scale: ScalePlan, task: Vec) -> Box:
        """The voxels of `scale` that a task owns."""
        return task_box(scale, self.input_scale, self.round.task_vx, task)

    def reads(self, task: Vec) -> Box:
        """The voxels of the input mip that a task reads."""
        return task_input(self.scales, self.input_scale, self.round.task_vx, task)

    def block_box(self, scale: ScalePlan, block: str) -> Box:
        """The voxels of `scale` that a block owns."""
        return block_box(self.volume, self.round, scale, block)


def run_pyramid_block(job: Job, round_number: int, block: str) -> tuple[list[Written], float, dict[str, int]]:
    """Make every shard of a block; returns what was written, the million voxels read, and facts for the receipt."""
    volume = job.volume
    geometry = RoundGeometry(volume, volume.rounds[round_number])
    tasks = geometry.round.tasks_of(block)
    mvx = sum(geometry.reads(t).volume for t in tasks) / 1e6
    spool = finished_tasks(job, "pyramid_blocks")
    try:
        _run_tasks(job, geometry, tasks, spool, _open_input(job, geometry, spool))
    finally:
        shutil.rmtree(spool.local("decoded"), ignore_errors=True)
    packs = [(t, _open_pack(spool.local(f"{'-'.join(map(str, t))}.pack"))) for t in tasks]
    written = list(_write_block(job, geometry, block, packs))
    return written, mvx, copy_facts(data for _, pack in packs for _, data in pack.entries(COPIES_GROUP))


def _run_tasks(
    job: Job, geometry: RoundGeometry, tasks: Sequence[Vec], spool: Store, reader: SourceInput | CarryInput
) -> None:
    """Make the pack of every task that no earlier try finished."""
    for number, task in enumerate(tasks, start=1):
        name = f"{'-'.join(map(str, task))}.pack"
        if spool.exists(name):
            job.say(f"task {number} of {len(tasks)}: done by an earlier try")
            continue
        spool.write(name, encode_pack(_task_entries(geometry, reader, task)))
        job.say(f"task {number} of {len(tasks)}")


def _open_input(job: Job, geometry: RoundGeometry, spool: Store) -> SourceInput | CarryInput:
    """What the tasks of a block read; decoded parts of the source that several of them share are kept on disk."""
    if geometry.round.number > 0:
        return CarryInput(job, geometry.round.number)
    table = table_of_objects(job, spool.local("decoded"))
    if shared_tasks(geometry.volume.source.alignment_vx, geometry.round.task_vx) == (1, 1, 1):
        return SourceInput(geometry.volume, table=table)
    shutil.rmtree(spool.local("decoded"), ignore_errors=True)  # of a killed try: nobody knows how far it came
    spool.make_folder("decoded")
    return SourceInput(geometry.volume, spool.local("decoded"), table)


@dataclass(frozen=True)
class _PackFile:
    """The bytes of a file, read when asked for: a block holds more than fits memory, in more files than may be open.

    Mapped pages would count as this job's memory.
    """

    path: Path

    def __len__(self) -> int:
        return self.path.stat().st_size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(len(self))
        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read(stop - start)


def _open_pack(path: Path) -> Pack:
    """The pack of a finished task."""
    return Pack(_PackFile(path), str(path))


def _task_entries(
    geometry: RoundGeometry, reader: SourceInput | CarryInput, task: Vec
) -> Iterator[tuple[int, int, bytes]]:
    """Encoded chunks of every mip, carry and label statistics of one task, as entries of a pack."""
    box = geometry.reads(task)
    if box.empty:
        return
    level = reader.read(box)
    if geometry.round.number == 0 and geometry.volume.kind == "segmentation":
        own = geometry.own(geometry.input_scale, task)
        if not own.empty:
            labels = level.values[own.slices(box.start)][..., 0]
            yield STATS_GROUP, 0, stats_bytes(label_stats(np.asfortranarray(labels), own.start))
    copies = tile_copies(reader.source, geometry.input_scale) if isinstance(reader, SourceInput) else None
    for scale, pixels, level_now in cascade(geometry.volume, geometry.input_scale, geometry.scales, level):
        own = geometry.own(scale, task)
        if own.empty:
            continue
        tiles = copies if scale.mip == 0 else None
        yield from _chunks(scale, pixels[own.slices(level_now.box.start)], own, geometry.volume.data_type, tiles)
        if tiles is not None:
            tiles.count_filled(own)
            yield COPIES_GROUP, 0, tiles.to_bytes()
        if geometry.round.carry and scale is geometry.scales[-1]:
            yield CARRY_GROUP, 0, _array_bytes(level_now.values[own.slices(level_now.box.start)])
            if level_now.counts is not None:
                yield CARRY_GROUP, 1, _array_bytes(level_now.counts[own.slices(level_now.box.start)])


def _chunks(
    scale: ScalePlan, pixels: NDArray[Any], own: Box, data_type: str, copies: TileCopies | None
) -> Iterator[tuple[int, int, bytes]]:
    """(mip, chunk id, bytes) of every chunk of one mip of a task; gzipped here, where the work is."""
    grid = scale.chunks
    encoding = ChunkEncoding(name=scale.encoding.name, quality=scale.encoding.quality, gzip=scale.encoding.gzip)
    touched = grid.touching(own)
    cells = list(indices(touched))
    codes = morton.encode(cells, grid.shape).tolist()
    for cell, code in zip(cells, codes, strict=True):
        box = grid.cell(cell)
        if not own.contains(box):
            raise FormatError(f"mip {scale.mip}, chunk {cell}: is not whole in its task; the plan's grids do not nest.")
        voxels = pixels[box.slices(own.start)].astype(data_type, copy=False)
        copied = copies.chunk(box, voxels) if copies is not None else None
        data = copied if copied is not None else encode_chunk(voxels, encoding)
        yield scale.mip, code, gzip_bytes(data) if encoding.gzip else data


def _write_block(job: Job, geometry: RoundGeometry, block: str, packs: list[tuple[Vec, Pack]]) -> Iterator[Written]:
    """Assemble shards (or chunk files), carry and statistics from the finished tasks."""
    for scale in geometry.scales:
        yield from _write_scale(job, scale, packs)
    if geometry.round.carry:
        yield from _write_carry(job, geometry, block, packs)
    if geometry.round.number == 0 and geometry.volume.kind == "segmentation":
        parts = [read_stats_bytes(data) for _, pack in packs for _, data in pack.entries(STATS_GROUP)]
        merged: LabelStats = merge_stats(parts)
        yield job.store.write(job.paths.statistics(block), stats_bytes(merged))


def _write_scale(job: Job, scale: ScalePlan, packs: list[tuple[Vec, Pack]]) -> Iterator[Written]:
    """Write the shards (or chunk files) of one mip of a block, one after the other."""
    folder = f"{job.paths.layer_folder}/{scale.key}"
    holder = {key: pack for _, pack in packs for key in pack.keys(scale.mip)}
    keys = sorted(holder)
    if scale.sharding is None:
        grid = scale.chunks
        for key, (x, y, z) in zip(keys, morton.decode(keys, grid.shape).tolist(), strict=True):
            yield job.store.write(f"{folder}/{chunk_name(grid.cell((x, y, z)))}", holder[key].get(scale.mip, key))
        return
    spec = ShardingSpec.from_json(scale.sharding, f"plan, mip {scale.mip}")
    ids = np.array(keys, dtype=np.uint64)
    shards, _ = locate(spec, ids)
    for shard in np.unique(shards).tolist():
        entries = ((key, b"", holder[key].get(scale.mip, key)) for key in ids[shards == shard].tolist())
        data = build_shard(spec, shard, entries, compressed=True)
        yield write_shard(job.store, f"{folder}/{shard_name(spec, shard)}", spec, data)


def _write_carry(job: Job, geometry: RoundGeometry, block: str, packs: list[tuple[Vec, Pack]]) -> Iterator[Written]:
    """Write what the block hands to the next round: values, and counts where there are any, a file each."""
    scale = geometry.scales[-1]
    box = geometry.block_box(scale, block)
    owned = [(geometry.own(scale, task), pack) for task, pack in packs]
    owned = [(own, pack) for own, pack in owned if not own.empty]
    for key in owned[0][1].keys(CARRY_GROUP) if owned else []:
        first = _read_array(owned[0][1].get(CARRY_GROUP, key))

        def fill(array: NDArray[Any], key: int = key) -> None:
            for own, pack in owned:
                array[own.slices(box.start)] = _read_array(pack.get(CARRY_GROUP, key))

        path = job.paths.carry(geometry.round.number, block, key)
        yield job.store.write_array(path, (*box.shape, first.shape[3]), first.dtype, fill)


def _array_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asfortranarray(array))
    return buffer.getvalue()


def _read_array(data: bytes) -> NDArray[Any]:
    array: NDArray[Any] = np.load(io.BytesIO(data))
    return array
