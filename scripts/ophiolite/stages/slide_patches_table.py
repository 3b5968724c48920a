"""The table of all patches of a project, from those of its slides, and how many of each slide are kept."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan
from ophiolite.plan.slide_model import SlidesPlan
from ophiolite.stages.slide_patches import FOLDER, patch_columns
from ophiolite.stages.slide_project import structures_of
from ophiolite.stages.slide_tables import Row, table_path, write_slide_table
from ophiolite.stages.tables import csv_bytes, schema_of

RULE = "patches_table"
# A row per slide: patches of its grid, and what became of them.
COUNTS = {
    "slide_id": "string", "case_id": "string", "group": "string", "patches": "int64", "kept": "int64",
    "too_little_tissue": "int64", "too_little_label": "int64", "with_label": "int64", "mpp_x_um": "float64",
    "mpp_y_um": "float64",
}  # fmt: skip


def write_patches_table(plan: ProjectPlan, slides: SlidesPlan, store: Store) -> None:
    """Write slides/tables/patches and patch_counts (.csv, .parquet); remove files of patches that no slide has now.

    One slide's rows are in memory at a time.
    """
    import pyarrow.parquet as pq

    counts: list[Row] = []
    named: set[str] = set()
    binary = io.BytesIO()
    schema = schema_of(patch_columns(structures_of(plan)))

    def lines() -> Iterator[bytes]:
        with pq.ParquetWriter(binary, schema, compression="zstd") as writer:
            yield csv_bytes(schema.empty_table())
            for table in _tables(slides, store, schema):
                counts.append(_counted(table))
                for column in ("image", "mask"):
                    named.update(table[column].drop_null().to_pylist())
                writer.write_table(table)
                yield csv_bytes(table).split(b"\n", 1)[1]

    store.write(table_path("patches", "csv"), lines())
    store.write(table_path("patches"), binary.getvalue())
    write_slide_table(store, "patch_counts", counts, COUNTS)
    for path in list(store.list(FOLDER)):
        if path not in named:
            store.delete(path)


def _tables(slides: SlidesPlan, store: Store, schema: Any) -> Iterator[Any]:
    """The tables of all slides, in the order of the sheet."""
    import pyarrow.parquet as pq

    for row in slides.planned():
        if row.dataset:
            yield pq.read_table(io.BytesIO(store.read(LayerPaths(row.dataset, "slide").patches)), schema=schema)


def _counted(table: Any) -> Row:
    """The row of `COUNTS` of one slide."""
    first: Row = table.slice(0, 1).to_pylist()[0]
    reasons, labels = table["reason"].to_pylist(), table["label_fraction"].to_pylist()
    return {
        **{name: first[name] for name in ("slide_id", "case_id", "group", "mpp_x_um", "mpp_y_um")},
        "patches": table.num_rows,
        "kept": reasons.count(""),
        "too_little_tissue": sum("tissue" in reason for reason in reasons),
        "too_little_label": sum("label" in reason for reason in reasons),
        "with_label": sum(bool(label) for label, reason in zip(labels, reasons, strict=True) if not reason),
    }
