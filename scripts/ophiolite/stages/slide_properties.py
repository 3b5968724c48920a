"""What the viewer lists of the structures of a slide's mask, and of their connected objects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.precomputed.segment_properties import NumberProperty, SegmentProperty, TagsProperty, TextProperty
from ophiolite.stages.job import Job
from ophiolite.stages.slide_measures import read_slide_table, structure_names

SHOWN = {
    "area_um2": "area in µm²",
    "perimeter_um": "perimeter in µm (Crofton)",
    "eccentricity": "eccentricity of the ellipse of equal second moments",
    "mean_red": "mean red of the slide, 0 to 255",
    "mean_green": "mean green of the slide, 0 to 255",
    "mean_blue": "mean blue of the slide, 0 to 255",
}


def structure_properties(job: Job, table: Mapping[str, NDArray[Any]]) -> list[SegmentProperty]:
    """The structures of a mask by name, with their pixels."""
    names = structure_names(job)
    return [TextProperty("label", [names[label] for label in table["label"].tolist()], "label"), _pixels(table)]


def object_properties(job: Job, table: Mapping[str, NDArray[Any]]) -> list[SegmentProperty]:
    """The measures of the objects of a mask; their structures are tags."""
    measured = read_slide_table(job)
    rows = np.searchsorted(measured["label"], table["label"])
    columns = {name: values[rows] for name, values in measured.items()}
    numbers: list[SegmentProperty] = [
        NumberProperty(name, np.nan_to_num(columns[name]).astype(np.float32), text) for name, text in SHOWN.items()
    ]
    texts = [f"{s}, {a:.0f} µm²" for s, a in zip(columns["structure"], columns["area_um2"].tolist(), strict=True)]
    tags = structure_tags(structure_names(job))
    index = {name: i for i, name in enumerate(tags)}
    values = [[index[name]] for name in columns["structure"]]
    return [
        TextProperty("label", texts, "label"),
        _pixels(table),
        *numbers,
        TagsProperty("tags", list(tags.values()), values, list(tags)),
    ]


def structure_tags(names: Mapping[int, str]) -> dict[str, str]:
    """Name of a structure -> its tag, without spaces and #; where two would be alike, all tell their value."""
    plain = {name: re.sub(r"[\s#]+", "_", name) or "_" for name in names.values()}
    if len({tag.casefold() for tag in plain.values()}) == len(plain):
        return plain
    return {name: f"{plain[name]}_{value}" for value, name in names.items()}


def _pixels(table: Mapping[str, NDArray[Any]]) -> NumberProperty:
    return NumberProperty("voxels", table["voxels"].astype(np.float32), "pixels of the mask")
