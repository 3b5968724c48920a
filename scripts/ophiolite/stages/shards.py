"""A merge job: every label of its shards merged, encoded and packed; measures of each object beside it."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

from ophiolite.geometry import Vec
from ophiolite.layers.store import Written
from ophiolite.precomputed.sharding import ShardingSpec, build_shard, shard_name
from ophiolite.stages.fragments import read_merge_job, shards_of_job
from ophiolite.stages.job import Job

Pieces = list[tuple[Vec, bytes]]
Entry = tuple[bytes, bytes]
SAY_EVERY = 200


def measures_path(job: Job, product: str, merge_job: str) -> str:
    """Where the measures of the objects of one merge job lie."""
    return f"{job.paths.work}/{product}_measures/{merge_job}.parquet"


def run_shards(
    job: Job,
    product: str,
    merge: Callable[[int, Pieces], tuple[Entry | None, dict[str, Any]]],
    columns: dict[str, str],
) -> tuple[list[Written], int]:
    """Merge every label of a job with `merge(label, pieces)` into (prefix, data) of its shard entry and its measures.

    `merge` returns no entry for a label that ends up empty. `columns` names the measures and their Arrow types.
    Returns files written and labels merged.
    """
    plan = job.product(product)
    spec = ShardingSpec.from_json(plan.sharding, "plan")
    number = int(job.item)
    folder = f"{job.paths.layer_folder}/{plan.folder}"
    written: list[Written] = []
    rows: list[dict[str, Any]] = []
    groups = itertools.groupby(read_merge_job(job, product, number), key=lambda entry: entry[0])
    shard_of_group, group = next(groups, (None, iter(())))
    for shard in shards_of_job(plan, number):
        entries: list[tuple[int, bytes, bytes]] = []
        if shard_of_group == shard:
            for _, label, pieces in group:
                entry, measures = merge(label, pieces)
                if entry is not None:
                    entries.append((label, *entry))
                rows.append({"label": label, **measures})
                if len(rows) % SAY_EVERY == 0:
                    job.say(f"{len(rows)} labels")
            shard_of_group, group = next(groups, (None, iter(())))
        written.append(job.store.write(f"{folder}/{shard_name(spec, shard)}", build_shard(spec, shard, entries)))
    written.append(job.store.write(measures_path(job, product, job.item), _table(rows, columns)))
    return written, len(rows)


def _table(rows: list[dict[str, Any]], columns: dict[str, str]) -> bytes:
    """Measures as Parquet, ascending by label."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("label", pa.uint64()), *((name, pa.type_for_alias(kind)) for name, kind in columns.items())])
    table = pa.Table.from_pylist(sorted(rows, key=lambda r: int(r["label"])), schema=schema)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
