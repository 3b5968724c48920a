"""Tables of all slides of a project, under slides/tables, and their parts: names, columns, reading and writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ophiolite.layers.store import Store
from ophiolite.parquet import read_parquet
from ophiolite.plan.slide_model import SlidesPlan
from ophiolite.stages.tables import csv_bytes, parquet_bytes, schema_of, table_of

Row = dict[str, Any]
FOLDER = "slides"
# Arrow types. A row per slide or patch that could be read, or that could not: then `error` says why.
ITEMS = {
    "slide_id": "string", "case_id": "string", "group": "string", "kind": "string",
    "split": "string", "image": "string", "mask": "string", "format": "string", "reader": "string",
    "file_bytes": "int64", "file_sha256": "string", "pixel_hash": "string", "perceptual_hash": "string",
    "width_px": "int64", "height_px": "int64", "mpp_x_um": "float64", "mpp_y_um": "float64", "mpp_origin": "string",
    "tissue_fraction": "float64", "mask_bytes": "int64", "mask_sha256": "string", "mask_ratio": "int64",
    "nonbinary_px": "int64", "objects": "int64", "error": "string",
}  # fmt: skip
# A row per item with a mask and structure of the config. Areas count pixels of the image.
STRUCTURES = {
    "slide_id": "string", "case_id": "string", "group": "string", "kind": "string", "value": "int64",
    "structure": "string", "pixels": "int64", "area_um2": "float64", "fraction": "float64", "objects": "int64",
    "edge_objects": "int64", "object_areas_px": "int64",
}  # fmt: skip
LISTS = "object_areas"
SPLITS = {"case_id": "string", "group": "string", "split": "string", "origin": "string", "items": "int64"}


def batch_names(slides: SlidesPlan) -> list[str]:
    """The names of the batches of rows."""
    return [batch.name for batch in slides.batches]


def part_path(batch: str, table: str) -> str:
    """The part of a table that one batch of rows gives."""
    return f"{FOLDER}/facts/{batch}.{table}.parquet"


def items_schema(*, thumbnails: bool) -> Any:
    """The schema of items; parts hold a grey thumbnail of each too."""
    import pyarrow as pa

    schema = schema_of(ITEMS)
    return schema.append(pa.field("thumbnail", pa.binary())) if thumbnails else schema


def write_parts(store: Store, batch: str, items: Sequence[Row], structures: Sequence[Row]) -> None:
    """Write what was found in one batch of rows."""
    store.write(part_path(batch, "items"), parquet_bytes(table_of(items, items_schema(thumbnails=True))))
    store.write(part_path(batch, "structures"), parquet_bytes(table_of(structures, schema_of(STRUCTURES, LISTS))))


def read_parts(store: Store, slides: SlidesPlan, table: str, columns: Sequence[str] | None = None) -> list[Row]:
    """The rows of all batches, in the order of the sheet."""
    found: list[Row] = []
    for batch in batch_names(slides):
        found += read_rows(store, part_path(batch, table), columns)
    return found


def read_rows(store: Store, path: str, columns: Sequence[str] | None = None) -> list[Row]:
    """The rows of a Parquet file."""
    rows: list[Row] = read_parquet(store.read(path), columns).to_pylist()
    return rows


def table_path(name: str, ending: str = "parquet") -> str:
    """A table of all slides."""
    return f"{FOLDER}/tables/{name}.{ending}"


def write_slide_table(
    store: Store, name: str, rows: Sequence[Row], columns: Mapping[str, str], lists: str = ""
) -> None:
    """Write slides/tables/<name>.csv and .parquet."""
    table = table_of(rows, schema_of(columns, lists))
    store.write(table_path(name, "csv"), csv_bytes(table))
    store.write(table_path(name), parquet_bytes(table))


def read_slide_table(store: Store, name: str) -> list[Row]:
    """The rows of slides/tables/<name>.parquet."""
    return read_rows(store, table_path(name))
