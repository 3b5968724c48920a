"""The table of skeleton quality: its columns, one part per merge job, and the parts of a project in one."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan, VolumePlan

RULE = "skeleton_quality"
# Arrow types, in the order of the table.
COLUMNS = {
    "dataset": "string", "layer": "string", "label": "uint64", "status": "string", "faults": "string",
    "gravity": "int64", "voxels": "int64", "filled_vx": "int64",
    "vertices": "int64", "cable_um": "float64", "terminals": "int64", "branch_points": "int64", "components": "int64",
    "loops": "int64",
    "lee_cable_um": "float64", "lee_terminals": "int64", "lee_branch_points": "int64", "lee_components": "int64",
    "lee_loops": "int64", "cable_ratio": "float64", "centroid_lee_nm": "float64", "centroid_lee_vx": "float64",
    "centroid_object_nm": "float64",
    "object_components": "int64", "components_missed": "int64", "components_short": "int64",
    "components_split": "int64",
    "outside_label": "int64", "outside_label_share": "float64",
    "mesh_tested": "int64", "outside_mesh": "int64", "outside_mesh_share": "float64",
    "outside_mesh_max_nm": "float64",
    "ridge_mean_nm": "float64", "ridge_p95_nm": "float64",
    "radius_error_mean_nm": "float64", "radius_error_p95_nm": "float64", "radius_error_share": "float64",
    "coverage": "float64",
    "border_faces": "int64", "border_uncrossed": "int64", "border_broken": "int64", "border_doubled": "int64",
    "border_parallel": "int64", "border_spurs": "int64",
    "truth_mean_nm": "float64", "truth_p95_nm": "float64", "truth_branches": "int64", "truth_missed": "int64",
    "truth_false": "int64",
}  # fmt: skip


def table_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as Parquet with all columns; what a row lacks is null."""
    import pyarrow as pa

    schema = _schema()
    columns = [pa.array([row.get(f.name) for row in rows], f.type) for f in schema]
    return _parquet(pa.Table.from_arrays(columns, schema=schema))


def part_paths(plan: ProjectPlan, dataset: str, layer: str) -> list[str]:
    """The parts of one layer; none where it has no skeletons."""
    volume = plan.datasets[dataset].layers[layer]
    if not isinstance(volume, VolumePlan) or volume.skeleton is None:
        return []
    return [LayerPaths(dataset, layer).quality(RULE, job) for job in volume.skeleton.job_names()]


def read_parts(store: Store, paths: Sequence[str]) -> Any:
    """Parts as one Arrow table, ascending by dataset, layer and label."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = [_schema().empty_table(), *(pq.read_table(io.BytesIO(store.read(path))) for path in paths)]
    return pa.concat_tables(found).sort_by([(name, "ascending") for name in ("dataset", "layer", "label")])


def write_table(plan: ProjectPlan, store: Store) -> int:
    """Write tables/skeleton_quality.csv and .parquet of a project; returns the rows."""
    import pyarrow.csv as csv

    paths = [
        p for dataset, data in plan.datasets.items() for layer in data.layers for p in part_paths(plan, dataset, layer)
    ]
    table = read_parts(store, paths)
    store.write(f"tables/{RULE}.parquet", _parquet(table))
    text = io.BytesIO()
    csv.write_csv(table, text)
    store.write(f"tables/{RULE}.csv", text.getvalue())
    return int(table.num_rows)


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()])


def _parquet(table: Any) -> bytes:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
