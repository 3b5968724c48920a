"""The table of mesh quality: its columns, one part per merge job, and the parts of a project in one."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan, VolumePlan

RULE = "mesh_quality"
# Arrow types; those of `lod_` columns are of lists, a value per level of detail, the finest first.
COLUMNS = {
    "dataset": "string", "layer": "string", "label": "uint64", "status": "string", "gravity": "int64",
    "faults": "string",
    "voxels": "int64", "at_edge": "bool", "open_by_design": "bool", "mesh_mip_voxels": "int64", "filled_vx": "int64",
    "voxel_volume_um3": "float64",
    "volume_ratio": "float64", "raw_volume_ratio": "float64", "lewiner_volume_ratio": "float64",
    "centroid_vx": "float64", "raw_centroid_vx": "float64", "lewiner_centroid_vx": "float64",
    "is_volume": "bool", "watertight": "bool", "winding_consistent": "bool",
    "open_edges": "int64", "crowded_edges": "int64", "torn_edges": "int64",
    "flat_faces": "int64", "duplicate_faces": "int64",
    "components": "int64", "raw_components": "int64", "lewiner_components": "int64",
    "genus": "int64", "raw_genus": "int64", "lewiner_genus": "int64",
    "faces": "int64", "raw_faces": "int64", "lewiner_faces": "int64",
    "raw_is_volume": "bool", "lewiner_is_volume": "bool", "raw_open_edges": "int64", "lewiner_open_edges": "int64",
    "distance_mean_nm": "float64", "distance_p95_nm": "float64", "distance_max_nm": "float64",
    "lewiner_mean_nm": "float64", "lewiner_p95_nm": "float64", "lewiner_max_nm": "float64",
    "lod_faces": "int64", "lod_scale_nm": "float64", "lod_components": "int64", "lod_watertight": "bool",
    "lod_mean_nm": "float64", "lod_p95_nm": "float64", "lod_max_nm": "float64",
}  # fmt: skip


def table_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as Parquet with all columns; what a row lacks is null."""
    import pyarrow as pa

    schema = _schema()
    return _parquet(
        pa.Table.from_arrays([pa.array([row.get(f.name) for row in rows], f.type) for f in schema], schema=schema)
    )


def part_paths(plan: ProjectPlan, dataset: str, layer: str) -> list[str]:
    """The parts of one layer; none where it has no mesh."""
    volume = plan.datasets[dataset].layers[layer]
    if not isinstance(volume, VolumePlan) or volume.mesh is None:
        return []
    return [LayerPaths(dataset, layer).quality(RULE, job) for job in volume.mesh.job_names()]


def read_parts(store: Store, paths: Sequence[str]) -> Any:
    """Parts as one Arrow table, ascending by dataset, layer and label."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = [_schema().empty_table(), *(pq.read_table(io.BytesIO(store.read(path))) for path in paths)]
    return pa.concat_tables(found).sort_by([(name, "ascending") for name in ("dataset", "layer", "label")])


def write_table(plan: ProjectPlan, store: Store) -> int:
    """Write tables/mesh_quality.csv and .parquet of a project; lists are spelt with `;` in CSV. Returns the rows."""
    import pyarrow.csv as csv

    paths = [
        p for dataset, data in plan.datasets.items() for layer in data.layers for p in part_paths(plan, dataset, layer)
    ]
    table = read_parts(store, paths)
    store.write(f"tables/{RULE}.parquet", _parquet(table))
    text = io.BytesIO()
    csv.write_csv(_flat(table), text)
    store.write(f"tables/{RULE}.csv", text.getvalue())
    return int(table.num_rows)


def _schema() -> Any:
    import pyarrow as pa

    kinds = {name: pa.type_for_alias(kind) for name, kind in COLUMNS.items()}
    return pa.schema([(n, pa.list_(kind) if n.startswith("lod_") else kind) for n, kind in kinds.items()])


def _parquet(table: Any) -> bytes:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _flat(table: Any) -> Any:
    """The table with its lists as text, which CSV can hold."""
    import pyarrow as pa

    for name in [n for n in COLUMNS if n.startswith("lod_")]:
        texts = [
            None if v is None else ";".join("" if x is None else str(x) for x in v) for v in table[name].to_pylist()
        ]
        table = table.set_column(table.column_names.index(name), name, pa.array(texts, pa.string()))
    return table
