"""What the jobs of a project took: one row per job."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from ophiolite.layers.store import Store

COLUMNS = (
    "dataset", "layer", "rule", "item", "seconds", "cpu_s", "peak_mb", "bytes", "files", "work", "speed_key", "threads",
    "host", "python", "ophiolite", "finished",
)  # fmt: skip


def read_timings(store: Store, datasets: Sequence[str]) -> list[dict[str, Any]]:
    """One row per finished job of the datasets, in the order of dataset, rule, layer, item."""
    paths = [p for dataset in sorted(datasets) for p in store.list(f"{dataset}/timings")]
    rows = [json.loads(store.read(path)) for path in paths]
    return sorted(rows, key=lambda r: (r["dataset"], r["rule"], r["layer"], r["item"]))


def timings_tables(rows: list[dict[str, Any]]) -> tuple[bytes, bytes]:
    """The table of all jobs as CSV and as Parquet."""
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    table = pa.table({name: [row[name] for row in rows] for name in COLUMNS})
    text, binary = io.BytesIO(), io.BytesIO()
    csv.write_csv(table, text)
    pq.write_table(table, binary, compression="zstd")
    return text.getvalue(), binary.getvalue()
