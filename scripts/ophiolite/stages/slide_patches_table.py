"""The table of all patches of a project, from those of its slides, and how many of each slide are kept."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from ophiolite.errors import SourceError
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Store
from ophiolite.parquet import read_parquet
from ophiolite.plan.model import ProjectPlan
from ophiolite.plan.slide_model import SlideRowPlan, SlidesPlan
from ophiolite.stages.slide_patches import FOLDER, patch_columns
from ophiolite.stages.slide_project import structures_of
from ophiolite.stages.slide_tables import FOLDER as SLIDES_FOLDER
from ophiolite.stages.slide_tables import Row, read_slide_table, table_path, write_slide_table
from ophiolite.stages.tables import csv_bytes, schema_of

RULE = "patches_table"
# A row per slide: patches of its grid, and what became of them. none_kept : what its job says where none was kept.
# error : why the slide cannot be read, and has no patches at all.
COUNTS = {
    "slide_id": "string", "case_id": "string", "group": "string", "patches": "int64", "kept": "int64",
    "too_little_tissue": "int64", "too_little_label": "int64", "with_label": "int64", "mpp_x_um": "float64",
    "mpp_y_um": "float64", "none_kept": "string", "error": "string",
}  # fmt: skip


def write_patches_table(plan: ProjectPlan, slides: SlidesPlan, store: Store) -> None:
    """Write slides/tables/patches and patch_counts (.csv, .parquet); remove files of patches that no slide has now.

    A slide that cannot be read, as the table of items says, or of which no patch is kept (E144) has its row of
    patch_counts, which says why. One slide's rows are in memory at a time.
    """
    import pyarrow.parquet as pq

    rows = [row for row in slides.planned() if row.dataset]
    errors = {item["slide_id"]: item["error"] for item in read_slide_table(store, "items") if item["kind"] == "slide"}
    counts: list[Row] = []
    named: set[str] = set()
    binary = io.BytesIO()
    schema = schema_of(patch_columns(structures_of(plan)))

    def lines() -> Iterator[bytes]:
        with pq.ParquetWriter(binary, schema, compression="zstd") as writer:
            yield csv_bytes(schema.empty_table())
            for row in rows:
                counts.append({"slide_id": row.slide_id, "case_id": row.case_id, "group": row.group})
                if errors[row.slide_id] is not None:
                    counts[-1]["error"] = errors[row.slide_id]
                    # Cut when the slide could be read, and to be listed again when it can.
                    if store.exists(_paths(row).patches):
                        named.update(_files_of(read_parquet(store.read(_paths(row).patches))))
                    continue
                table = read_parquet(store.read(_paths(row).patches))
                counts[-1] |= {**_counted(table), "none_kept": _none_kept(row, store)}
                named.update(_files_of(table))
                writer.write_table(table)
                yield csv_bytes(table).split(b"\n", 1)[1]

    store.write(table_path("patches", "csv"), lines())
    store.write(table_path("patches"), binary.getvalue())
    write_slide_table(store, "patch_counts", counts, COUNTS)
    store.keep_only(FOLDER, named)


def _files_of(table: Any) -> list[str]:
    """The files of a slide's patches."""
    return [name for column in ("image", "mask") for name in table[column].drop_null().to_pylist()]


def check_patches_kept(store: Store) -> None:
    """Write slides/patched.json; SourceError names every slide without a patch, and why it has none, if any."""
    counts = read_slide_table(store, "patch_counts")
    errors = (f"slide {row['slide_id']}: {row['error']}" if row["error"] else row["none_kept"] for row in counts)
    faults = [error for error in errors if error]
    if faults:
        told = "\n  ".join(faults)
        raise SourceError(f"{len(faults)} of {len(counts)} slides have no patches:\n  {told}")
    kept = {"slides": len(counts), "kept": sum(row["kept"] for row in counts)}
    store.write(f"{SLIDES_FOLDER}/patched.json", (json.dumps(kept) + "\n").encode())


def _paths(row: SlideRowPlan) -> LayerPaths:
    return LayerPaths(str(row.dataset), "slide")


def _none_kept(row: SlideRowPlan, store: Store) -> str | None:
    """Why no patch of a slide was kept; None where some were."""
    found: str | None = read_receipt(store, _paths(row).receipt("slide_patches", "")).facts.get("none_kept")
    return found


def _counted(table: Any) -> Row:
    """What became of the patches of one slide, as `COUNTS`; a slide smaller than a patch has no grid."""
    first: Row = next(iter(table.slice(0, 1).to_pylist()), {"mpp_x_um": None, "mpp_y_um": None})
    reasons, labels = table["reason"].to_pylist(), table["label_fraction"].to_pylist()
    return {
        **{name: first[name] for name in ("mpp_x_um", "mpp_y_um")},
        "patches": table.num_rows,
        "kept": reasons.count(""),
        "too_little_tissue": sum("tissue" in reason for reason in reasons),
        "too_little_label": sum("label" in reason for reason in reasons),
        "with_label": sum(bool(label) for label, reason in zip(labels, reasons, strict=True) if not reason),
    }
