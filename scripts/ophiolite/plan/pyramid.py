"""Which mips, chunks, shards, rounds and blocks a volume has: pure functions of size, offset, resolution, config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ophiolite.config.model import Jobs
from ophiolite.config.products import Pyramid
from ophiolite.errors import PlanError, explain
from ophiolite.geometry import Box, Vec, morton
from ophiolite.geometry.box import ceildiv, floordiv, high, low, mul, prod, sub
from ophiolite.plan.model import EncodingPlan, ResolutionNm, RoundPlan, ScalePlan, round_tasks, scale_box
from ophiolite.precomputed.sharding import volume_sharding
from ophiolite.precomputed.volume_info import scale_key

ISOTROPY = 2**0.5
MAX_FACTOR = 64
TASK_BYTES = 64 << 20
MEMORY_PER_TASK_BYTE = 5
BASE_MEMORY_MB = 300
SELF_COMPRESSED = ("jpeg", "png", "jxl")


@dataclass(frozen=True)
class Volume:
    """The facts that decide a pyramid; `carry_bytes` is the size of a value, or sum, that rounds hand on."""

    where: str
    box: Box
    resolution_nm: ResolutionNm
    channels: int
    source_bytes: int
    layer_bytes: int
    is_label: bool
    cache_bytes: int
    alignment_vx: Vec
    carry_bytes: int = 8


def chunk_size(pyramid: Pyramid, resolution_nm: ResolutionNm) -> Vec:
    """Chunk size in voxels: as configured, or cubes, flatter where z is much coarser than x and y."""
    if pyramid.chunk_vx != "auto":
        return pyramid.chunk_vx
    flat = resolution_nm[2] > 3 * max(resolution_nm[0], resolution_nm[1])
    return (128, 128, 16) if flat else (64, 64, 64)


def auto_factors(box: Box, resolution_nm: ResolutionNm, chunk: Vec) -> list[Vec]:
    """Halve the finest axes until voxels are near-isotropic, then all, until a mip has no more voxels than a chunk."""
    steps: list[Vec] = []
    total: Vec = (1, 1, 1)
    while True:
        size = scale_box(box, total).shape
        if prod(size) <= prod(chunk):
            return steps
        now = [r * f for r, f in zip(resolution_nm, total, strict=True)]
        finest = [r * ISOTROPY <= max(now) for r in now]
        halve = [(f or not any(finest)) and s > 1 for f, s in zip(finest, size, strict=True)]
        if not any(halve):
            halve = [s > 1 for s in size]
        step: Vec = (1 + halve[0], 1 + halve[1], 1 + halve[2])
        steps.append(step)
        total = mul(total, step)


def total_factors(volume: Volume, pyramid: Pyramid, chunk: Vec) -> list[Vec]:
    """Mip-0 voxels per voxel of every mip, mip 0 first; raises PlanError for factors that cannot work."""
    if pyramid.factors == "auto":
        steps = auto_factors(volume.box, volume.resolution_nm, chunk)
    else:
        steps = list(pyramid.factors)
    totals: list[Vec] = [(1, 1, 1)]
    for number, step in enumerate(steps, start=1):
        where = f"{volume.where}.pyramid.factors[{number - 1}]"
        if step == (1, 1, 1):
            raise PlanError(
                explain(
                    where, "changes nothing", expected="a factor over 1 on some axis", got=list(step), do="Remove it"
                )
            )
        if max(step) > MAX_FACTOR:
            raise PlanError(
                explain(
                    where,
                    "is too large for one step",
                    expected=f"at most {MAX_FACTOR} per axis",
                    got=list(step),
                    do="Spread it over several mips",
                )
            )
        totals.append(mul(totals[-1], step))
    return totals


def mip_encoding(volume: Volume, pyramid: Pyramid, mip: int) -> EncodingPlan:
    """The encoding of one mip: its override, else the pyramid's, else the default of the layer kind."""
    own = pyramid.mips.get(mip)
    name: str = (own.encoding if own else None) or pyramid.encoding
    if name == "auto":
        name = "compressed_segmentation" if volume.is_label else "raw"
    quality = (own.quality if own else None) or pyramid.quality
    return EncodingPlan(
        name=name,
        quality=quality if name in ("jpeg", "jxl") else None,
        gzip=pyramid.gzip and pyramid.sharded and name not in SELF_COMPRESSED,
    )


def plan_pyramid(
    volume: Volume, pyramid: Pyramid, jobs: Jobs, seconds_per_mvx: float
) -> tuple[list[ScalePlan], list[RoundPlan]]:
    """Scales and rounds of a volume; raises PlanError where config and source cannot meet."""
    chunk = chunk_size(pyramid, volume.resolution_nm)
    totals = total_factors(volume, pyramid, chunk)
    unknown = sorted(set(pyramid.mips) - set(range(len(totals))))
    if unknown:
        raise PlanError(
            explain(
                f"{volume.where}.pyramid.mips",
                f"names mip {unknown[0]}",
                expected=f"0 to {len(totals) - 1}",
                got=unknown[0],
                do="Remove it or add factors",
            )
        )
    bare = [_scale(volume, pyramid, mip, total, chunk) for mip, total in enumerate(totals)]
    rounds = _rounds(volume, pyramid, jobs, bare, chunk, seconds_per_mvx)
    scales = [_shard(scale, rounds, bare, volume, pyramid) for scale in bare]
    return scales, rounds


def _scale(volume: Volume, pyramid: Pyramid, mip: int, total: Vec, chunk: Vec) -> ScalePlan:
    box = scale_box(volume.box, total)
    x, y, z = volume.resolution_nm
    resolution = (x * total[0], y * total[1], z * total[2])
    return ScalePlan(
        mip=mip,
        key=scale_key(resolution),
        factor=total,
        voxel_offset_vx=box.start,
        size_vx=box.shape,
        resolution_nm=resolution,
        chunk_vx=chunk,
        encoding=mip_encoding(volume, pyramid, mip),
        sharding=None,
        shard_chunks=(1, 1, 1),
    )


def _rounds(
    volume: Volume, pyramid: Pyramid, jobs: Jobs, scales: list[ScalePlan], chunk: Vec, seconds_per_mvx: float
) -> list[RoundPlan]:
    """Cut the mips into passes so that one task of each fits memory."""
    room = (jobs.memory_mb - BASE_MEMORY_MB) * 10**6 - volume.cache_bytes
    budget = max(room, 0) // MEMORY_PER_TASK_BYTE
    rounds: list[RoundPlan] = []
    first = 0
    while first < len(scales):
        source = scales[0] if not rounds else scales[first - 1]
        item = volume.source_bytes if not rounds else volume.carry_bytes
        last = first
        while last + 1 < len(scales) and _fits(
            pyramid, source, scales[last + 1], chunk, budget // (item * volume.channels)
        ):
            last += 1
        mips = scales[first : last + 1]
        least = mul(chunk, floordiv(scales[last].factor, source.factor))
        task = _task_size(pyramid, source, least, item * volume.channels, budget, volume.alignment_vx)
        if prod(low(task, source.size_vx)) * item * volume.channels > budget:
            raise PlanError(
                explain(
                    f"{volume.where}.pyramid",
                    f"one task of {task} voxels does not fit the memory of a job",
                    expected=f"at most {budget // 10**6} MB",
                    got=f"{prod(low(task, source.size_vx)) * item * volume.channels // 10**6} MB",
                    do="Use smaller factors, chunks or task_vx, or raise jobs.memory_mb, of which the reader takes"
                    f" {volume.cache_bytes // 10**6} MB for decoded parts of the source",
                )
            )
        tasks = round_tasks(mips, source, task)
        seconds = prod(low(task, source.size_vx)) / 1e6 * seconds_per_mvx
        shared = shared_tasks(volume.alignment_vx, task) if not rounds else (1, 1, 1)
        rounds.append(
            RoundPlan(
                task_vx=task,
                tasks=tasks,
                block_tasks=block_shape(tasks, seconds, jobs, shared),
                number=len(rounds),
                input_mip=source.mip,
                mips=tuple(s.mip for s in mips),
                carry=last + 1 < len(scales),
                halo_vx=sub(floordiv(scales[last].factor, source.factor), (1, 1, 1)),
                before_block_vx=_block_at_last_mip(rounds, scales) if rounds else (1, 1, 1),
            )
        )
        first = last + 1
    return rounds


def _block_at_last_mip(rounds: Sequence[RoundPlan], scales: Sequence[ScalePlan]) -> Vec:
    """What a block of the latest round owns, in voxels of the last mip it makes."""
    before = rounds[-1]
    relative = floordiv(scales[before.mips[-1]].factor, scales[before.input_mip].factor)
    return floordiv(mul(before.task_vx, before.block_tasks), relative)


def _fits(pyramid: Pyramid, source: ScalePlan, last: ScalePlan, chunk: Vec, voxels: int) -> bool:
    """True where the smallest task that makes whole chunks down to mip `last` keeps within memory and `task_vx`."""
    least = mul(chunk, floordiv(last.factor, source.factor))
    if pyramid.task_vx != "auto":
        bound = high(pyramid.task_vx, chunk)
        if any(n > b and b < s for n, b, s in zip(least, bound, source.size_vx, strict=True)):
            return False
    return prod(low(least, source.size_vx)) <= voxels


def _task_size(pyramid: Pyramid, source: ScalePlan, least: Vec, voxel_bytes: int, budget: int, alignment: Vec) -> Vec:
    """The task in voxels of the input mip: whole multiples of `least`, near TASK_BYTES.

    It grows first along axes where the source decodes in larger steps (slices, tiles), there as far as memory allows,
    so that little is decoded twice.
    """
    if pyramid.task_vx != "auto":
        return mul(least, ceildiv(pyramid.task_vx, least))
    task = list(least)
    grain = alignment if source.mip == 0 else (1, 1, 1)
    while True:
        open_axes = [d for d in range(3) if task[d] < source.size_vx[d]]
        if not open_axes:
            break
        short = [d for d in open_axes if task[d] < grain[d]]
        axis = min(short or open_axes, key=lambda d: (task[d], d))
        grown = [t * 2 if d == axis else t for d, t in enumerate(task)]
        most = budget if short else min(TASK_BYTES, budget)
        if prod(low((grown[0], grown[1], grown[2]), source.size_vx)) * voxel_bytes > most:
            break
        task = grown
    return (task[0], task[1], task[2])


def shared_tasks(alignment: Vec, task: Vec) -> Vec:
    """How many tasks along x, y, z read of one decoded part (slice, tile, chunk) of a source."""
    return ceildiv(alignment, task)


def times_decoded(alignment: Vec, block: Vec, size: Vec) -> float:
    """How many jobs decode the same part of a source, on average; `alignment`, `block`, `size` in mip-0 voxels."""
    count = 1.0
    for part, step, length in zip(alignment, block, size, strict=True):
        start = np.arange(0, length, part)
        last = np.minimum(start + part, length) - 1
        count *= float(np.mean(last // step - start // step + 1))
    return count


def decoded_voxels(alignment: Vec, block: Vec, size: Vec) -> int:
    """Voxels of all decoded parts of a source that one block touches, at most."""
    count = 1
    for part, step, length in zip(alignment, block, size, strict=True):
        whole = min(part, length)
        count *= min(whole * (-(-step // whole) + bool(step % whole)), whole * -(-length // whole))
    return count


def block_shape(tasks: Vec, seconds_per_task: float, jobs: Jobs, shared: Vec) -> Vec:
    """Tasks along x, y, z that one job runs: doubled until a job is long enough or jobs are few enough.

    Tasks that share decoded parts of the source (`shared_tasks`) come into one job first, whatever the number of jobs.
    """
    block = [1, 1, 1]
    while True:
        count = prod(ceildiv(tasks, (block[0], block[1], block[2])))
        open_axes = [d for d in range(3) if block[d] < tasks[d]]
        if not open_axes:
            break
        short = [d for d in open_axes if block[d] < shared[d]]
        axis = min(short or open_axes, key=lambda d: (block[d], d))
        grown = [b * 2 if d == axis else b for d, b in enumerate(block)]
        fewer = prod(ceildiv(tasks, (grown[0], grown[1], grown[2])))
        long_enough = prod((grown[0], grown[1], grown[2])) * seconds_per_task > jobs.minutes * 60
        if count <= jobs.max_jobs and (long_enough or (fewer < jobs.min_blocks and not short)):
            break
        block = grown
    return (block[0], block[1], block[2])


def _shard(
    scale: ScalePlan, rounds: Sequence[RoundPlan], scales: Sequence[ScalePlan], volume: Volume, pyramid: Pyramid
) -> ScalePlan:
    """The scale with its sharding: the largest Morton box that nests in every block of its round."""
    grid = scale.chunks.shape
    bits_needed = len(morton.order(grid))
    if not pyramid.sharded:
        return scale
    home = next(r for r in rounds if scale.mip in r.mips)
    relative = floordiv(scale.factor, scales[home.input_mip].factor)
    per_block = floordiv(floordiv(mul(home.task_vx, home.block_tasks), relative), scale.chunk_vx)
    chunk_bytes = prod(scale.chunk_vx) * volume.channels * volume.layer_bytes
    bits = 0
    for wanted in range(bits_needed + 1):
        box = morton.box_of_low_bits(grid, wanted)
        if chunk_bytes << wanted > pyramid.shard_mb * 10**6 and wanted > 0:
            break
        if _nests(box, per_block, grid):
            bits = wanted
    spec = volume_sharding(grid, bits, data_encoding="gzip" if scale.encoding.gzip else "raw")
    return scale.model_copy(
        update={"sharding": spec.to_json(), "shard_chunks": low(morton.box_of_low_bits(grid, bits), grid)}
    )


def _nests(shard: Vec, block: Vec, grid: Vec) -> bool:
    """True where blocks of `block` chunks are made of whole shards of `shard` chunks on every axis."""
    return all(b % s == 0 or b >= g for s, b, g in zip(shard, block, grid, strict=True))
