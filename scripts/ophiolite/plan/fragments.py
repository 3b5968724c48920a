"""How meshes and skeletons are cut into tasks, blocks, merge jobs and shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.config.model import Jobs
from ophiolite.config.products import Mesh, Skeleton
from ophiolite.errors import PlanError, explain
from ophiolite.geometry import Box, Grid, Vec
from ophiolite.geometry.box import ceildiv, low, prod
from ophiolite.layers.paths import FOLDERS
from ophiolite.plan.costs import SECONDS_PER_MVX
from ophiolite.plan.model import FragmentPlan, ScalePlan
from ophiolite.plan.pyramid import block_shape
from ophiolite.precomputed.sharding import ShardingSpec, hashed_sharding

LABELS_PER_JOB = 2000
# Fewer take less time to merge than a job takes to start.
LABELS_WORTH_A_JOB = 500
LABELS_PER_SHARD = 1000
EXPORT_JOBS = 256
LEAST_OBJECT_JOBS = 4
# Every merge job waits for each of them: more would make the job graph dense.
MOST_OBJECT_JOBS = 32
MERGE_JOBS_PER_OBJECT_JOB = 8
SAMPLE_BOXES = 8
SAMPLE_SIDE_VX = 128
SAMPLE_WIDE_VX = 512
SAMPLE_VX = SAMPLE_SIDE_VX**3
SEED = 1863

FRAGMENT_OPTIONS = {
    "mesh": ("extractor", "simplify", "max_error_nm", "reduction", "fill_holes", "open_edges"),
    "skeleton": (
        "engine", "scale", "const_nm", "pdrf_scale", "pdrf_exponent", "soma_detect_nm", "soma_accept_nm", "soma_scale",
        "soma_const_nm", "max_paths", "fix_branching", "fix_borders", "fix_avocados", "fill_holes",
    ),
}  # fmt: skip
SHARD_OPTIONS = {
    "mesh": ("lods", "quantization_bits", "draco_level", "max_error_nm"),
    "skeleton": ("min_cable_nm", "max_cable_nm", "tick_nm"),
}
ATTRIBUTES: dict[str, tuple[str, ...]] = {"mesh": (), "skeleton": ("cross_sectional_area",)}
EXPORTS: dict[str, tuple[str, ...]] = {"mesh": (), "skeleton": ("swc",)}


def plan_fragments(
    product: str,
    config: Mesh | Skeleton,
    scales: Sequence[ScalePlan],
    jobs: Jobs,
    labels: Callable[[], int],
    where: str,
) -> FragmentPlan:
    """Tasks, blocks, shards and merge jobs of one product; raises PlanError for a mip that does not exist."""
    scale = scales[product_mip(config.mip, scales, where)]
    task = low(config.task_vx, scale.size_vx)
    tasks = ceildiv(scale.size_vx, task)
    seconds = prod(task) / 1e6 * SECONDS_PER_MVX[f"{product}_fragments"]
    expected = labels() if config.expected_labels == "auto" else config.expected_labels
    merge_jobs = _merge_jobs(expected, jobs)
    objects = _object_jobs(config, scales[0], merge_jobs) if isinstance(config, Skeleton) else 0
    spec = _sharding(product, expected, merge_jobs)
    return FragmentPlan(
        task_vx=task,
        tasks=tasks,
        block_tasks=block_shape(tasks, seconds, jobs, (1, 1, 1)),
        mip=scale.mip,
        folder=FOLDERS[product],
        expected_labels=expected,
        sharding=spec.to_json(),
        merge_jobs=merge_jobs,
        options=_options(product, config),
        object_jobs=objects,
        export_jobs=min(merge_jobs, EXPORT_JOBS) if isinstance(config, Skeleton) else 0,
    )


def product_mip(mip: int | str, scales: Sequence[ScalePlan], where: str) -> int:
    """The mip a product is made at; `auto` is the finest whose voxels are at most twice as long as wide."""
    if isinstance(mip, int):
        if mip >= len(scales):
            raise PlanError(
                explain(
                    f"{where}.mip",
                    "does not exist",
                    expected=f"0 to {len(scales) - 1}",
                    got=mip,
                    do="Choose one of them, or add pyramid factors",
                )
            )
        return mip
    for scale in scales:
        if max(scale.resolution_nm) <= 2 * min(scale.resolution_nm):
            return scale.mip
    return len(scales) - 1


def _merge_jobs(labels: int, jobs: Jobs) -> int:
    wanted = max(labels // LABELS_PER_JOB, min(jobs.min_blocks, labels // LABELS_WORTH_A_JOB), 1)
    return 1 << min((wanted - 1).bit_length(), jobs.max_jobs.bit_length() - 1)


def _object_jobs(config: Skeleton, scale: ScalePlan, merge_jobs: int) -> int:
    """Jobs reserved for whole objects: none where the volume is too small for a soma and no label is named."""
    size_nm = [n * r for n, r in zip(scale.size_vx, scale.resolution_nm, strict=True)]
    if min(size_nm) < 2 * config.soma_accept_nm and not config.whole_labels:
        return 0
    return min(merge_jobs, MOST_OBJECT_JOBS, max(LEAST_OBJECT_JOBS, merge_jobs // MERGE_JOBS_PER_OBJECT_JOB))


def _sharding(product: str, labels: int, merge_jobs: int) -> ShardingSpec:
    return hashed_sharding(
        labels,
        min_shards=merge_jobs,
        max_labels_per_shard=LABELS_PER_SHARD,
        data_encoding="raw" if product == "mesh" else "gzip",
    )


def _options(product: str, config: Mesh | Skeleton) -> dict[str, Any]:
    data = config.model_dump()
    whole = {"objects": {"whole_labels": _labels(config.whole_labels)}} if isinstance(config, Skeleton) else {}
    return {
        "fragments": {key: data[key] for key in FRAGMENT_OPTIONS[product]},
        "shards": {key: data[key] for key in SHARD_OPTIONS[product]},
        "dust_vx": config.dust_vx,
        "labels": _labels(config.labels),
        "attributes": [name for name in ATTRIBUTES[product] if data[name]],
        "exports": [name for name in EXPORTS[product] if data[name]],
        "exclude_labels": _labels(config.exclude_labels),
        **whole,
    }


def _labels(given: Sequence[int | str]) -> list[str]:
    """Labels as text, since JSON's numbers end at 2^53, each once, ascending."""
    return sorted({str(int(v)) for v in given}, key=int)


def estimate_labels(bounds: Box, alignment: Vec, read: Callable[[Box], NDArray[Any]]) -> int:
    """Estimate how many labels a volume holds from a few seeded boxes (exact where they cover it).

    Labels seen in boxes of known volume are scaled up by the volume; big objects are counted once too often, so the
    estimate is an upper one. Boxes are flat where the source is made of large slices or tiles.
    """
    grid = Grid(bounds, _sample_shape(bounds.shape, alignment))
    cells = list(range(len(grid)))
    if len(cells) > SAMPLE_BOXES:
        cells = sorted(np.random.default_rng(SEED).choice(len(cells), SAMPLE_BOXES, replace=False).tolist())
    nx, ny, _ = grid.shape
    seen: set[int] = set()
    voxels = 0
    for cell in cells:
        box = grid.cell((cell % nx, cell // nx % ny, cell // (nx * ny)))
        found = np.unique(read(box))
        seen.update(found[found > 0].tolist())
        voxels += box.volume
    return max(1, round(len(seen) * bounds.volume / voxels))


def _sample_shape(size: Vec, alignment: Vec) -> Vec:
    """A box of about SAMPLE_VX voxels of a source that is read best in steps of `alignment`."""
    wide = [
        min(n, SAMPLE_WIDE_VX if a > SAMPLE_SIDE_VX else SAMPLE_SIDE_VX) for n, a in zip(size, alignment, strict=True)
    ]
    for axis in sorted(range(3), key=lambda d: alignment[d]):
        if wide[0] * wide[1] * wide[2] > SAMPLE_VX:
            others = wide[0] * wide[1] * wide[2] // wide[axis]
            wide[axis] = max(1, SAMPLE_VX // others)
    return (wide[0], wide[1], wide[2])
