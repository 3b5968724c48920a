"""Geometry of plans: one writer for every chunk and shard, whatever size, offset and factors."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ophiolite.config.model import Jobs
from ophiolite.config.products import Mesh, Pyramid
from ophiolite.errors import PlanError
from ophiolite.geometry import Box, Vec, morton
from ophiolite.geometry.box import ceildiv, floordiv, mul, prod
from ophiolite.geometry.grid import indices
from ophiolite.geometry.pyramid import coarse_box
from ophiolite.plan.costs import task_memory_mb
from ophiolite.plan.fragments import estimate_labels, plan_fragments, product_mip
from ophiolite.plan.model import RoundPlan, ScalePlan, task_box, task_input
from ophiolite.plan.pyramid import Volume, auto_factors, block_shape, plan_pyramid
from ophiolite.precomputed.sharding import ShardingSpec, locate
from ophiolite.stages.shards import shards_of_job
from smk_functions import smk_function

Planned = tuple[Box, list[ScalePlan], list[RoundPlan]]

sizes = st.tuples(*[st.integers(1, 150)] * 3)
offsets = st.tuples(*[st.one_of(st.integers(-99, 99), st.sampled_from([-1_000_001, 2**31 + 7]))] * 3)
steps = st.tuples(*[st.integers(1, 3)] * 3).filter(lambda f: max(f) > 1)
chunks = st.sampled_from([(8, 8, 8), (16, 16, 4), (5, 7, 9), (32, 32, 32)])
pyramids = st.builds(
    lambda factors, chunk, task, shard: Pyramid(factors=factors, chunk_vx=chunk, task_vx=task, shard_mb=shard),
    st.one_of(st.just("auto"), st.lists(steps, max_size=3)),
    chunks,
    st.one_of(st.just("auto"), st.sampled_from([(16, 16, 16), (40, 24, 8)])),
    st.sampled_from([1, 512]),
)
jobs_of_users = st.builds(
    lambda least, most, memory: Jobs(min_blocks=least, max_jobs=most, memory_mb=memory),
    st.integers(1, 20),
    st.sampled_from([1, 3, 1000]),
    st.sampled_from([500, 2000]),
)


def plan_of(size: Vec, offset: Vec, resolution: tuple[float, float, float], pyramid: Pyramid, jobs: Jobs) -> Planned:
    box = Box.of(offset, size)
    volume = Volume("v", box, resolution, 1, 1, 8, True, 0, (1, 1, 1))
    scales, rounds = plan_pyramid(volume, pyramid, jobs, 0.1)
    return box, scales, rounds


@settings(max_examples=150)
@given(sizes, offsets, st.sampled_from([(8, 8, 8), (4, 4, 40), (9, 3, 1)]), pyramids, jobs_of_users)
def test_every_chunk_and_shard_has_one_writer(
    size: Vec, offset: Vec, resolution: tuple[float, float, float], pyramid: Pyramid, jobs: Jobs
) -> None:
    try:
        box, scales, rounds = plan_of(size, offset, resolution, pyramid, jobs)
    except PlanError as error:
        assume("does not fit the memory" not in str(error))
        raise
    assert [s.mip for s in scales] == [m for r in rounds for m in r.mips]
    assert len({s.key for s in scales}) == len(scales)
    assert [r.carry for r in rounds] == [True] * (len(rounds) - 1) + [False]
    for scale in scales:
        assert scale.box == coarse_box(box, scale.factor)
    for r in rounds:
        assert len(r.blocks) <= max(jobs.max_jobs, 1)
        assert sorted(t for b in r.block_names() for t in r.tasks_of(b)) == sorted(indices(Box((0, 0, 0), r.tasks)))
        source = scales[r.input_mip]
        for scale in (scales[m] for m in r.mips):
            _one_writer(r, source, scale)
        for task in indices(Box((0, 0, 0), r.tasks)):
            _reads_what_it_needs(r, source, scales, task)


def _one_writer(r: RoundPlan, source: ScalePlan, scale: ScalePlan) -> None:
    """Every chunk of a mip is whole in one task, every shard in one block."""
    writers: Counter[int] = Counter()
    block_of_shard: dict[int, str] = {}
    for block in r.block_names():
        for task in r.tasks_of(block):
            own = task_box(scale, source, r.task_vx, task)
            cells = [c for c in indices(scale.chunks.touching(own)) if not own.empty]
            assert all(own.contains(scale.chunks.cell(c)) for c in cells)
            if not cells:
                continue
            codes = morton.encode(cells, scale.chunks.shape)
            writers.update(codes.tolist())
            if scale.sharding:
                shards, _ = locate(ShardingSpec.from_json(scale.sharding, "plan"), codes)
                for shard in shards.tolist():
                    assert block_of_shard.setdefault(shard, block) == block
    assert len(writers) == len(scale.chunks)
    assert set(writers.values()) <= {1}


def _reads_what_it_needs(r: RoundPlan, source: ScalePlan, scales: list[ScalePlan], task: Vec) -> None:
    """A task reads every input voxel under what it owns at any mip, and none outside the volume."""
    made = [scales[m] for m in r.mips]
    reads = task_input(made, source, r.task_vx, task)
    assert source.box.contains(reads)
    for scale in made:
        own = task_box(scale, source, r.task_vx, task)
        relative = floordiv(scale.factor, source.factor)
        under = Box(mul(own.start, relative), mul(own.stop, relative)).intersect(source.box)
        assert own.empty or reads.contains(under)


def carries_read(rounds: list[RoundPlan], number: int, block: str) -> list[str]:
    """The names of the blocks whose receipts the workflow makes a block wait for."""
    layer = {"rounds": [json.loads(r.model_dump_json()) for r in rounds]}
    read = smk_function(
        "carries_read",
        "block_name",
        layer_plan=lambda _: layer,
        receipt=lambda *_: "",
        expand_layer=lambda _, __, before, name: name,
    )
    names: list[str] = read(SimpleNamespace(round=str(number), block=block))
    return names


@settings(max_examples=60)
@given(
    size=sizes,
    offset=offsets,
    resolution=st.sampled_from([(8, 8, 8), (4, 4, 40)]),
    pyramid=pyramids,
    jobs=jobs_of_users,
)
def test_blocks_wait_for_the_carries_they_read(
    size: Vec, offset: Vec, resolution: tuple[float, float, float], pyramid: Pyramid, jobs: Jobs
) -> None:
    try:
        _, scales, rounds = plan_of(size, offset, resolution, pyramid, jobs)
    except PlanError:
        assume(False)
    for before, here in pairwise(rounds):
        last = scales[before.mips[-1]]
        writer = {task: block for block in before.block_names() for task in before.tasks_of(block)}
        for block in here.block_names():
            made = [scales[m] for m in here.mips]
            reads = [task_input(made, last, here.task_vx, task) for task in here.tasks_of(block)]
            needed = {
                name
                for task, name in writer.items()
                for box in reads
                if not task_box(last, scales[before.input_mip], before.task_vx, task).intersect(box).empty
            }
            waits = carries_read(rounds, here.number, block)
            assert needed <= set(waits) <= set(before.block_names())
            assert len(waits) == len(set(waits))
            assert here.blocks_read(before, block) == waits


@given(
    st.tuples(*[st.integers(1, 60)] * 3),
    st.floats(0.001, 5000),
    st.integers(1, 50),
    st.integers(1, 5000),
    st.floats(0.1, 60),
)
def test_blocks_are_few_enough_and_no_longer_than_they_must(
    tasks: Vec, seconds: float, least: int, most: int, minutes: float
) -> None:
    block = block_shape(tasks, seconds, Jobs(min_blocks=least, max_jobs=most, minutes=minutes), (1, 1, 1))
    count = prod(ceildiv(tasks, block))
    assert count <= most
    if prod(tasks) <= most:
        assert count >= min(least, prod(tasks))
        assert block == (1, 1, 1) or prod(block) * seconds <= minutes * 60


@given(sizes, offsets, st.tuples(*[st.sampled_from([4.0, 8.0, 33.0, 40.0])] * 3), chunks)
def test_auto_factors_halve_the_finest_axes_first(
    size: Vec, offset: Vec, resolution: tuple[float, float, float], chunk: Vec
) -> None:
    box = Box.of(offset, size)
    total: Vec = (1, 1, 1)
    for step in auto_factors(box, resolution, chunk):
        now = [r * f for r, f in zip(resolution, total, strict=True)]
        here = coarse_box(box, total).shape
        assert prod(here) > prod(chunk)
        for axis in range(3):
            coarsest = now[axis] * 2**0.5 > max(now)
            assert step[axis] == 2 or here[axis] == 1 or (coarsest and max(step) == 2)
        total = mul(total, step)
    assert prod(coarse_box(box, total).shape) <= prod(chunk)


@pytest.mark.parametrize(
    ("resolutions", "expected"),
    [
        ([(8, 8, 8), (16, 16, 16)], 0),
        ([(4, 4, 40), (8, 8, 40), (16, 16, 40), (32, 32, 40)], 3),
        ([(12, 12, 24)], 0),
        ([(1, 1, 100), (2, 2, 100)], 1),
    ],
)
def test_products_are_made_where_voxels_are_nearly_cubes(resolutions: list[Any], expected: int) -> None:
    scales: Any = [SimpleNamespace(mip=mip, resolution_nm=r) for mip, r in enumerate(resolutions)]
    assert product_mip("auto", scales, "v") == expected
    assert product_mip(0, scales, "v") == 0
    with pytest.raises(PlanError, match=f"Expected 0 to {len(resolutions) - 1}. Got {len(resolutions)}"):
        product_mip(len(resolutions), scales, "v")


@given(st.integers(1, 10**9), st.integers(1, 64), st.sampled_from([1, 7, 5000]), sizes, offsets)
def test_fragment_tasks_cover_the_volume_and_merge_jobs_all_shards(
    labels: int, least: int, most: int, size: Vec, offset: Vec
) -> None:
    scale: Any = SimpleNamespace(mip=0, size_vx=size, resolution_nm=(8, 8, 8), box=Box.of(offset, size))
    config = Mesh(task_vx=(32, 16, 64), expected_labels=labels)
    plan = plan_fragments("mesh", config, [scale], Jobs(min_blocks=least, max_jobs=most), lambda: 0, "v")
    cores = [plan.task_core(task, scale.box) for block in plan.block_names() for task in plan.tasks_of(block)]
    assert sum(core.volume for core in cores) == scale.box.volume
    assert all(scale.box.contains(core) for core in cores)
    assert len(set(cores)) == len(cores)
    assert plan.merge_jobs <= most
    shards = 1 << plan.sharding["shard_bits"]
    ranges = [shards_of_job(plan, job) for job in range(plan.merge_jobs)]
    assert [shard for r in ranges for shard in r] == list(range(shards))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1
    assert plan.job_names() == sorted(plan.job_names())
    for job, r in enumerate(ranges):
        # What `stages.fragments` addresses a fragment to.
        assert all((shard * plan.merge_jobs) >> plan.sharding["shard_bits"] == job for shard in (r[0], r[-1]))


def test_labels_are_counted_exactly_where_boxes_cover_the_volume() -> None:
    rng = np.random.default_rng(2)
    labels = rng.choice(np.array([0, 3, 2**60, 2**64 - 1], np.uint64), (40, 30, 20))
    box = Box.of((-7, 5, 3), (40, 30, 20))
    read = lambda b: labels[b.slices(box.start)]  # noqa: E731
    assert estimate_labels(box, (1, 1, 1), read) == 3
    assert estimate_labels(box, (64, 64, 64), lambda b: np.zeros(b.shape, np.uint64)) == 1


def test_a_sample_of_labels_is_the_same_each_time_and_no_box_is_read_whole() -> None:
    box = Box.of((0, 0, 0), (2000, 2000, 2000))
    seen: list[list[Box]] = []
    for _ in range(2):
        boxes: list[Box] = []

        def read(at: Box, boxes: list[Box] = boxes) -> Any:
            boxes.append(at)
            return np.full(at.shape, sum(at.start) + 1, np.uint64)

        assert estimate_labels(box, (64, 64, 64), read) > 8
        seen.append(boxes)
    assert seen[0] == seen[1]
    assert 1 < len(seen[0]) <= 16
    assert all(b.volume < 10**8 for b in seen[0])


def test_threads_share_a_task_of_meshes_and_have_one_each_of_skeletons() -> None:
    assert [task_memory_mb("mesh_fragments", 10**6, threads) for threads in (1, 2, 11)] == [360, 366, 420]
    assert [task_memory_mb("skeleton_fragments", 10**6, threads) for threads in (1, 2, 11)] == [360, 420, 960]
