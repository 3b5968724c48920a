"""What the jobs of a project took: one row per job, and the stage table of the report."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ophiolite.layers.store import Store

COLUMNS = (
    "dataset", "layer", "rule", "item", "seconds", "cpu_s", "peak_mb", "bytes", "files", "work", "speed_key", "threads",
    "host", "python", "ophiolite", "finished",
)  # fmt: skip


@dataclass(frozen=True)
class StageRow:
    """One line of the stage table: all jobs of one rule."""

    stage: str
    jobs: int
    core_hours: float
    wall_hours: float
    peak_mb: float
    bytes: int
    files: int


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


def stage_rows(rows: list[dict[str, Any]]) -> list[StageRow]:
    """The stage table: jobs of one rule together, in the order in which the first of them finished."""
    stages: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda r: str(r["finished"])):
        stages.setdefault(row["rule"], []).append(row)
    return [
        StageRow(
            stage=rule,
            jobs=len(found),
            core_hours=sum(r["cpu_s"] for r in found) / 3600,
            wall_hours=sum(r["seconds"] for r in found) / 3600,
            peak_mb=max(r["peak_mb"] for r in found),
            bytes=sum(r["bytes"] for r in found),
            files=sum(r["files"] for r in found),
        )
        for rule, found in stages.items()
    ]
