"""A merge job: every label of its shards merged, encoded and packed; measures of each object beside it."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ophiolite.errors import LayerError, explain
from ophiolite.geometry import Vec
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.shard_files import write_shard
from ophiolite.layers.store import Written
from ophiolite.plan.model import FragmentPlan
from ophiolite.precomputed.fragment_file import Fragment, decode_section
from ophiolite.precomputed.sharding import ShardingSpec, build_shard, shard_name
from ophiolite.stages.job import Job

Pieces = list[tuple[Vec, bytes]]
Entry = tuple[bytes, bytes]
SAY_EVERY = 200


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
        data = build_shard(spec, shard, entries)
        written.append(write_shard(job.store, f"{folder}/{shard_name(spec, shard)}", spec, data))
    written.append(job.store.write(job.paths.measures(product, job.item), _table(rows, columns)))
    return written, len(rows)


def read_merge_job(job: Job, product: str, merge_job: int) -> Iterator[tuple[int, int, list[tuple[Vec, bytes]]]]:
    """(shard, label, [(origin_vx, data)]) of all that one merge job has to merge, by shard and label."""
    plan = job.product(product)
    if not 0 <= merge_job < plan.merge_jobs:
        raise LayerError(
            explain("--job", "does not exist", expected=f"0 to {plan.merge_jobs - 1}", got=merge_job, do="See the plan")
        )
    fragments = _with_whole_objects(job, product, merge_job, list(block_fragments(job, product, merge_job)))
    fragments.sort(key=lambda f: (f.shard, f.label, f.origin_vx))
    for (shard, label), group in itertools.groupby(fragments, key=lambda f: (f.shard, f.label)):
        yield shard, label, [(f.origin_vx, f.data) for f in group]


def block_fragments(job: Job, product: str, merge_job: int) -> Iterator[Fragment]:
    """What the fragment files of all blocks hold for one merge job."""
    plan = job.product(product)
    index = job.read_work(job.paths.fragment_index(product), f"{product}_fragments")
    table = np.load(io.BytesIO(index))
    names = plan.block_names()
    rows = table[table["merge_job"] == merge_job]
    blocks = [names[number] for number in rows["block"].tolist()]
    paths = [job.paths.fragments(product, block) for block in blocks]
    spans = list(zip(paths, rows["offset"].tolist(), rows["size"].tolist(), strict=True))
    for path, data in zip(paths, job.read_blocks(spans, f"{product}_fragments", blocks), strict=True):
        yield from decode_section(merge_job, data, path)


def _with_whole_objects(job: Job, product: str, merge_job: int, fragments: list[Fragment]) -> list[Fragment]:
    """The fragments of one merge job, with those of whole objects in place of the blocks' for the same labels.

    Those of labels that lie in the nucleus of another object are left out, whatever became of them as objects.
    """
    said = _facts_of_objects(job, product)
    nuclei = _in_nuclei(said)
    whole: list[Fragment] = []
    for name, facts in said.items():
        for number, offset, size in facts["ranges"]:
            if number == merge_job:
                path = job.paths.object_fragments(product, name)
                job.require(path, f"{product}_objects", name)
                whole += decode_section(merge_job, job.store.read_range(path, offset, size), path)
    whole = [fragment for fragment in whole if fragment.label not in nuclei]
    replaced = nuclei | {fragment.label for fragment in whole}
    return [fragment for fragment in fragments if fragment.label not in replaced] + whole


def labels_in_nuclei(job: Job, product: str) -> set[int]:
    """The labels that jobs of whole objects united with the somata around them."""
    return _in_nuclei(_facts_of_objects(job, product))


def _facts_of_objects(job: Job, product: str) -> dict[str, dict[str, Any]]:
    """What each job of whole objects says in its receipt."""
    names = job.product(product).object_job_names()
    return {name: read_receipt(job.store, job.paths.receipt(f"{product}_objects", name)).facts for name in names}


def _in_nuclei(said: dict[str, dict[str, Any]]) -> set[int]:
    return {int(label) for facts in said.values() for label in facts["nuclei"]}


def shards_of_job(plan: FragmentPlan, merge_job: int) -> range:
    """The shards that one merge job writes: an equal range, empty ones too."""
    return _share(plan, merge_job, plan.merge_jobs)


def shards_of_export(plan: FragmentPlan, export_job: int) -> range:
    """The finished shards that one export job reads."""
    return _share(plan, export_job, plan.export_jobs)


def _share(plan: FragmentPlan, job: int, jobs: int) -> range:
    shards = 1 << int(plan.sharding["shard_bits"])
    return range(-(-job * shards // jobs), -(-(job + 1) * shards // jobs))


def _table(rows: list[dict[str, Any]], columns: dict[str, str]) -> bytes:
    """Measures as Parquet, ascending by label."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ordered = sorted(rows, key=lambda r: int(r["label"]))
    schema = pa.schema([("label", pa.uint64()), *((name, pa.type_for_alias(kind)) for name, kind in columns.items())])
    table = pa.Table.from_arrays([_column([r[f.name] for r in ordered], f.type) for f in schema], schema=schema)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _column(values: list[Any], kind: Any) -> Any:
    """Values as an Arrow array over numpy's memory: converting lists imports pandas, a quarter second of every job."""
    import pyarrow as pa

    array = np.array(values, dtype=kind.to_pandas_dtype())
    raw = np.packbits(array, bitorder="little") if array.dtype == np.bool_ else array
    return pa.Array.from_buffers(kind, len(array), [None, pa.py_buffer(raw)])
