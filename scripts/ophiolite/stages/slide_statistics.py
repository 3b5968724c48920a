"""Statistics of a dataset of slides, counted from the facts of its items: sizes, occurrences, objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ophiolite.errors import SourceError
from ophiolite.layers.store import Store
from ophiolite.plan.slide_model import SlidesPlan
from ophiolite.stages.slide_tables import (
    FOLDER,
    ITEMS,
    LISTS,
    STRUCTURES,
    Row,
    read_parts,
    read_slide_table,
    write_slide_table,
)

EVERY_GROUP = "all groups"
# A row per kind of item and group, and one over all groups. Least, median and largest are sizes of items that exist:
# ordered by pixels, the lower of two middle ones.
SIZES = {
    "kind": "string", "group": "string", "items": "int64", "cases": "int64", "labelled": "int64", "formats": "string",
    "min_width_px": "int64", "min_height_px": "int64", "median_width_px": "int64", "median_height_px": "int64",
    "max_width_px": "int64", "max_height_px": "int64",
    "min_mpp_um": "float64", "median_mpp_um": "float64", "max_mpp_um": "float64", "without_mpp": "int64",
    "pixels": "int64", "image_bytes": "int64", "mask_bytes": "int64", "tissue_median": "float64",
}  # fmt: skip
# A row per kind, group and structure; ratios are over items with a mask.
OCCURRENCES = {
    "kind": "string", "group": "string", "structure": "string", "labelled": "int64", "items_with": "int64",
    "occurrence_ratio": "float64", "objects": "int64", "pixels": "int64", "area_mm2": "float64",
    "fraction_median": "float64",
}  # fmt: skip
OBJECTS = {
    "kind": "string", "group": "string", "structure": "string", "objects": "int64", "edge_objects": "int64",
    "per_item_min": "int64", "per_item_median": "int64", "per_item_max": "int64", "objects_per_mm2": "float64",
    "area_px_min": "int64", "area_px_median": "int64", "area_px_max": "int64", "area_um2_min": "float64",
    "area_um2_p25": "float64", "area_um2_median": "float64", "area_um2_mean": "float64", "area_um2_p75": "float64",
    "area_um2_max": "float64",
}  # fmt: skip


def write_statistics(slides: SlidesPlan, store: Store) -> None:
    """Join the facts of all batches and write the tables of items, structures, sizes, occurrences and objects."""
    items = read_parts(store, slides, "items", list(ITEMS))
    structures = read_parts(store, slides, "structures")
    write_slide_table(store, "items", items, ITEMS)
    write_slide_table(store, "structures", structures, STRUCTURES, LISTS)
    write_slide_table(store, "sizes", size_rows(items), SIZES)
    write_slide_table(store, "occurrences", occurrence_rows(items, structures), OCCURRENCES)
    write_slide_table(store, "objects", object_rows(items, structures), OBJECTS)


def check_readable(store: Store) -> None:
    """Write slides/readable.json; SourceError names every item that could not be read, where there is any."""
    items = read_slide_table(store, "items")
    errors = [item["error"] for item in items if item["error"] is not None]
    if errors:
        told = "\n  ".join(errors)
        raise SourceError(f"{len(errors)} of {len(items)} slides and patches cannot be read:\n  {told}")
    store.write(f"{FOLDER}/readable.json", (json.dumps({"items": len(items)}) + "\n").encode())


def lower_median(values: Iterable[Any]) -> Any:
    """The middle value, the lower of two, so that it is one of them; None where there are none."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def size_rows(items: Sequence[Row]) -> list[Row]:
    """Rows of `SIZES`."""
    return [_sizes(kind, group, own) for kind, group, own in _scopes(_readable(items))]


def _sizes(kind: str, group: str, items: Sequence[Row]) -> Row:
    sizes = [(i["width_px"] * i["height_px"], i["width_px"], i["height_px"]) for i in items]
    scales = [i["mpp_x_um"] for i in items if i["mpp_x_um"] is not None]
    row: Row = {
        "kind": kind,
        "group": group,
        "items": len(items),
        "cases": len({i["case_id"] for i in items}),
        "labelled": sum(i["mask"] is not None for i in items),
        "formats": " ".join(sorted({i["format"] for i in items})),
        "without_mpp": len(items) - len(scales),
        "pixels": sum(size[0] for size in sizes),
        "image_bytes": sum(i["file_bytes"] for i in items),
        "mask_bytes": sum(i["mask_bytes"] or 0 for i in items),
        "tissue_median": lower_median(i["tissue_fraction"] for i in items),
    }
    for name, choose in (("min", min), ("median", lower_median), ("max", max)):
        _, row[f"{name}_width_px"], row[f"{name}_height_px"] = choose(sizes)
        row[f"{name}_mpp_um"] = choose(scales) if scales else None
    return row


def occurrence_rows(items: Sequence[Row], structures: Sequence[Row]) -> list[Row]:
    """Rows of `OCCURRENCES`."""
    readable = {i["slide_id"] for i in _readable(items)}
    found = []
    for kind, group, own in _scopes([s for s in structures if s["slide_id"] in readable]):
        for name in _structures(own):
            of_name = [s for s in own if s["structure"] == name]
            present = sum(s["pixels"] > 0 for s in of_name)
            areas = [s["area_um2"] for s in of_name]
            found.append(
                {
                    "kind": kind,
                    "group": group,
                    "structure": name,
                    "labelled": len(of_name),
                    "items_with": present,
                    "occurrence_ratio": present / len(of_name),
                    "objects": sum(s["objects"] for s in of_name),
                    "pixels": sum(s["pixels"] for s in of_name),
                    "area_mm2": None if None in areas else sum(areas) / 1e6,
                    "fraction_median": lower_median(s["fraction"] for s in of_name),
                }
            )
    return found


def object_rows(items: Sequence[Row], structures: Sequence[Row]) -> list[Row]:
    """Rows of `OBJECTS`; areas in square microns are those of items whose scale is known."""
    readable = {i["slide_id"]: i for i in _readable(items)}
    found = []
    for kind, group, own in _scopes([s for s in structures if s["slide_id"] in readable]):
        for name in _structures(own):
            of_name = [s for s in own if s["structure"] == name]
            found.append({"kind": kind, "group": group, "structure": name, **_objects(of_name, readable)})
    return found


def _objects(structures: Sequence[Row], items: dict[str, Row]) -> Row:
    per_item = [s["objects"] for s in structures]
    areas_px = [area for s in structures for area in s["object_areas_px"]]
    areas_um2: list[float] = []
    counted, tissue_um2 = 0, 0.0
    for s in structures:
        item = items[s["slide_id"]]
        if item["mpp_x_um"] is not None:
            pixel_um2 = item["mpp_x_um"] * item["mpp_y_um"]
            areas_um2 += [area * pixel_um2 for area in s["object_areas_px"]]
            tissue_um2 += item["tissue_fraction"] * item["width_px"] * item["height_px"] * pixel_um2
            counted += s["objects"]
    row: Row = {
        "objects": sum(per_item),
        "edge_objects": sum(s["edge_objects"] for s in structures),
        "objects_per_mm2": counted / tissue_um2 * 1e6 if tissue_um2 else None,
    }
    for name, choose in (("min", min), ("median", lower_median), ("max", max)):
        row[f"per_item_{name}"] = choose(per_item)
        row[f"area_px_{name}"] = choose(areas_px) if areas_px else None
    if areas_um2:
        quarters = np.percentile(areas_um2, [0, 25, 50, 75, 100])
        for name, value in zip(("min", "p25", "median", "p75", "max"), quarters, strict=True):
            row[f"area_um2_{name}"] = float(value)
        row["area_um2_mean"] = float(np.mean(areas_um2))
    return row


def _readable(items: Sequence[Row]) -> list[Row]:
    return [item for item in items if item["error"] is None]


def _structures(rows: Sequence[Row]) -> list[str]:
    """Names of structures by their value in the masks."""
    return [name for _, name in sorted({(row["value"], row["structure"]) for row in rows})]


def _scopes(rows: Sequence[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    """(kind, group, its rows), slides before patches; where a kind has several groups, all of them first."""
    for kind in ("slide", "patch"):
        of_kind = [row for row in rows if row["kind"] == kind]
        groups = sorted({row["group"] for row in of_kind})
        if len(groups) > 1:
            yield kind, EVERY_GROUP, of_kind
        for group in groups:
            yield kind, group, [row for row in of_kind if row["group"] == group]
