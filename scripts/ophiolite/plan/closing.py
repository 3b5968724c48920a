"""What the jobs take that reduce, join, list and close: they grow with labels and files, not with voxels.

Measured on synthetic tables of 2 10^5 and 10^6 labels, with 8 measures of meshes and 10 of skeletons each, and on
folders of 10^5 and 4 10^5 files. A folder on a shared file system answers more slowly; run times asked of a cluster are
three times these.
"""

from __future__ import annotations

from ophiolite.geometry.box import ceildiv, prod
from ophiolite.plan.costs import BASE_MEMORY_MB, START_SECONDS
from ophiolite.plan.model import Cost, FragmentPlan, VolumePlan

# Blocks that a label lies in, on average.
BLOCKS_PER_LABEL = 2
# Of a row of statistics that is read, and of one that is kept: 88 bytes, copied as columns, sorted and merged.
ROW_READ_S, ROW_KEPT_S, ROW_READ_BYTES, ROW_KEPT_BYTES = 0.15e-6, 0.5e-6, 200, 250
RANGE_S, RANGE_BYTES = 3e-6, 100
MEASURE_READ_S, MEASURE_BYTES, JOINED_S, JOINED_BYTES = 0.15e-6, 400, 3.5e-6, 800
LISTED_S, SHOWN_S, LISTED_BYTES, SHOWN_BYTES, SHOWN_FILE_BYTES = 1.5e-6, 18e-6, 500, 1600, 105
FILE_S, FILE_BYTES = 40e-6, 45
OBJECT_FILE_BYTES = 140


def labels_of_part(plan: VolumePlan, labels: int) -> int:
    """Labels of one part of the object tables."""
    return -(-labels // max(plan.stats_parts, 1))


def part_memory_mb(plan: VolumePlan, labels: int) -> int:
    """Memory of a job that reads the statistics of all labels, part by part."""
    return BASE_MEMORY_MB + labels_of_part(plan, labels) * ROW_READ_BYTES // 10**6


def label_stats_cost(plan: VolumePlan, labels: int) -> Cost:
    """Every part reads the rows of all blocks and keeps its share."""
    rows = labels * BLOCKS_PER_LABEL
    kept, of_block = labels_of_part(plan, rows), rows // len(plan.rounds[0].blocks)
    return _cost(
        "label_stats",
        plan.stats_parts,
        rows * ROW_READ_S + kept * ROW_KEPT_S,
        kept * ROW_KEPT_BYTES + of_block * ROW_READ_BYTES,
        labels * 88 / 1e6,
    )


def index_cost(name: str, product: FragmentPlan) -> Cost:
    """The index holds a range for every block and merge job that have something in common."""
    ranges = len(product.blocks) * product.merge_jobs
    return _cost(f"{name}_index", 1, ranges * RANGE_S, ranges * RANGE_BYTES, ranges * 24 / 1e6)


def done_cost(rule: str, files: int) -> Cost:
    """Every file is named by a receipt and looked up in a listing."""
    return _cost(rule, 1, files * FILE_S, files * FILE_BYTES, 0, files=0)


def layer_done_cost(plan: VolumePlan) -> Cost:
    """All shards, or chunks, of all mips."""
    return done_cost("layer_done", files_of_layer(plan))


def files_of_layer(plan: VolumePlan) -> int:
    """Shards of all mips, or chunks where a mip has none."""
    return sum(prod(ceildiv(s.chunks.shape, s.shard_chunks)) if s.sharding else len(s.chunks) for s in plan.scales)


def object_costs(plan: VolumePlan, labels: int) -> list[Cost]:
    """The table of objects, of which every part reads the measures of all merge jobs, and what the viewer lists."""
    part, products = labels_of_part(plan, labels), [product for _, product in plan.products()]
    of_job = max((labels // p.merge_jobs for p in products), default=0)
    table = _cost(
        "object_table",
        plan.stats_parts,
        len(products) * labels * MEASURE_READ_S + part * JOINED_S,
        part * JOINED_BYTES + of_job * MEASURE_BYTES,
        labels * OBJECT_FILE_BYTES / 1e6,
    )
    shown = min(labels, plan.max_inline_labels)
    listed = _cost(
        "segment_properties",
        1,
        labels * LISTED_S + shown * SHOWN_S,
        part * LISTED_BYTES + shown * SHOWN_BYTES,
        shown * SHOWN_FILE_BYTES / 1e6,
    )
    return [table, listed] if plan.properties else [table]


def _cost(
    rule: str, jobs: int, seconds: float, memory_bytes: float, output_mb: float, files: int | None = None
) -> Cost:
    """A cost; of as many files as jobs where it is not said."""
    return Cost(
        rule=rule,
        jobs=jobs,
        seconds=round(START_SECONDS + seconds, 1),
        memory_mb=BASE_MEMORY_MB + int(memory_bytes) // 10**6,
        output_mb=round(output_mb, 1),
        files=jobs if files is None else files,
    )
