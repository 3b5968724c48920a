"""Neuroglancer annotations: kinds, typed properties and the `info` file (records: annotation_records).

Coordinates are nanometres, x, y, z, stored as float32: exact to 1 nm up to 16.7 mm from the origin.
Specification: Neuroglancer, precomputed annotation format. Types are written in upper case and properties
must be declared widest first: the one spelling and the one order that all known readers understand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.precomputed.sharding import ShardingSpec

DIMENSIONS: dict[str, tuple[float, str]] = {"x": (1e-9, "m"), "y": (1e-9, "m"), "z": (1e-9, "m")}

_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


class AnnotationType(StrEnum):
    """The shapes an annotation layer can hold; a layer holds one kind."""

    POINT = "POINT"
    LINE = "LINE"
    AXIS_ALIGNED_BOUNDING_BOX = "AXIS_ALIGNED_BOUNDING_BOX"
    ELLIPSOID = "ELLIPSOID"
    POLYLINE = "POLYLINE"

    @property
    def vectors(self) -> int:
        """Vectors of three float32 in a record; 0 for polylines, whose records count their own points."""
        return {AnnotationType.POINT: 1, AnnotationType.POLYLINE: 0}.get(self, 2)


# numpy type, components, alignment in bytes
_TYPES: dict[str, tuple[str, int, int]] = {
    "rgb": ("u1", 3, 1),
    "rgba": ("u1", 4, 1),
    "uint8": ("u1", 1, 1),
    "int8": ("i1", 1, 1),
    "uint16": ("<u2", 1, 2),
    "int16": ("<i2", 1, 2),
    "uint32": ("<u4", 1, 4),
    "int32": ("<i4", 1, 4),
    "float32": ("<f4", 1, 4),
}


@dataclass(frozen=True)
class Property:
    """One typed value that every annotation of a layer carries.

    `enum_values` and `enum_labels` name some or all values of a numeric type for the viewer.
    Raises FormatError for an id, type or enumeration the format does not allow.
    """

    id: str
    type: str
    description: str = ""
    enum_values: tuple[int | float, ...] = ()
    enum_labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"annotation property {self.id!r}"
        if not _ID.fullmatch(self.id):
            raise FormatError(
                explain(
                    where,
                    "the id is not allowed",
                    expected="a lower-case letter, then letters, digits or _",
                    do="Rename the property.",
                )
            )
        if self.type not in _TYPES:
            raise FormatError(
                explain(
                    where,
                    "the type is unknown",
                    expected="one of " + ", ".join(_TYPES),
                    got=repr(self.type),
                    do="Choose a type of the list.",
                )
            )
        if len(self.enum_values) != len(self.enum_labels) or len(set(self.enum_values)) != len(self.enum_values):
            raise FormatError(
                explain(
                    where,
                    "the enumeration is not one label for each of several different values",
                    got=f"{len(self.enum_values)} values and {len(self.enum_labels)} labels",
                    do="Give each value once, with its label.",
                )
            )
        if self.enum_values:
            if self.components > 1:
                raise FormatError(explain(where, "a colour cannot be an enumeration", do="Use a numeric type."))
            self.cast(np.asarray(self.enum_values))

    @property
    def components(self) -> int:
        """Numbers per annotation: 3 for rgb, 4 for rgba, else 1."""
        return _TYPES[self.type][1]

    @property
    def alignment_bytes(self) -> int:
        """Width of one number: properties are stored widest first."""
        return _TYPES[self.type][2]

    @property
    def field(self) -> tuple[str, str] | tuple[str, str, tuple[int]]:
        """The property as a field of a numpy record."""
        code, components, _ = _TYPES[self.type]
        return (self.id, code) if components == 1 else (self.id, code, (components,))

    def cast(self, values: ArrayLike) -> NDArray[Any]:
        """Values `(n,)`, for colours `(n, components)`, in the stored type; FormatError where one does not fit."""
        array = np.asarray(values)
        code, components, _ = _TYPES[self.type]
        where = f"annotation property {self.id!r}"
        shape = (len(array),) if components == 1 else (len(array), components)
        if array.shape != shape or array.dtype.kind not in "biuf":
            raise FormatError(
                explain(
                    where,
                    "the values are no column of numbers",
                    expected=f"shape {shape}",
                    got=f"shape {array.shape} of {array.dtype}",
                    do="Give one number (for colours 3 or 4) per annotation.",
                )
            )
        dtype = np.dtype(code)
        with np.errstate(over="ignore", invalid="ignore"):
            out = array.astype(dtype)
        if dtype.kind == "f":
            bad = np.isfinite(array) & ~np.isfinite(out)
        else:
            limits = np.iinfo(dtype)
            bad = ~((array >= limits.min) & (array <= limits.max))
            if array.dtype.kind == "f":
                bad |= array != np.floor(array)
        if bad.any():
            row = int(np.flatnonzero(bad.reshape(len(array), -1).any(axis=1))[0])
            raise FormatError(
                explain(
                    f"{where}, row {row}",
                    f"the value does not fit {self.type}",
                    got=array[row],
                    do="Choose a wider type or mend the value.",
                )
            )
        return out

    def to_json(self) -> dict[str, object]:
        """The property's entry in `info`."""
        out: dict[str, object] = {"id": self.id, "type": self.type}
        if self.description:
            out["description"] = self.description
        if self.enum_values:
            out["enum_values"] = list(self.enum_values)
            out["enum_labels"] = list(self.enum_labels)
        return out

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Property:
        """The property of an entry in `info`."""
        return cls(
            entry["id"],
            entry["type"],
            entry.get("description", ""),
            tuple(entry.get("enum_values", ())),
            tuple(entry.get("enum_labels", ())),
        )


def sort_properties(properties: Sequence[Property]) -> tuple[Property, ...]:
    """The properties widest first, otherwise in the order given: declared so, every reader finds them."""
    return tuple(sorted(properties, key=lambda p: -p.alignment_bytes))


def check_properties(properties: Sequence[Property]) -> None:
    """Raise FormatError where ids repeat or wider properties follow narrower ones."""
    ids = [p.id for p in properties]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise FormatError(
            explain("annotation properties", f"the ids {', '.join(twice)} stand twice", do="Rename one of each.")
        )
    if tuple(properties) != sort_properties(properties):
        raise FormatError(
            explain(
                "annotation properties",
                "the order is not widest first",
                got=", ".join(f"{p.id}: {p.type}" for p in properties),
                do="Order them with sort_properties.",
            )
        )


@dataclass(frozen=True)
class KeyedIndex:
    """Where annotations are found by a 64-bit key (by their id, or by a related label), in shards under `key`/."""

    key: str
    sharding: ShardingSpec

    def to_json(self) -> dict[str, object]:
        """The entry in `info`."""
        return {"key": self.key, "sharding": self.sharding.to_json()}


@dataclass(frozen=True)
class SpatialLevel:
    """One level of the spatial index: cells of `chunk_size` nm, at most `limit` annotations in one."""

    index: KeyedIndex
    grid_shape: tuple[int, int, int]
    chunk_size: tuple[float, float, float]
    limit: int

    def to_json(self) -> dict[str, object]:
        """The entry in `info`."""
        return {
            **self.index.to_json(),
            "grid_shape": list(self.grid_shape),
            "chunk_size": list(self.chunk_size),
            "limit": self.limit,
        }


@dataclass(frozen=True)
class AnnotationInfo:
    """Everything `info` says of an annotation layer; `spatial` runs from coarse to fine, bounds are nm.

    Raises FormatError where properties are not widest first, names repeat, or a level's cells do not fill the bounds.
    """

    kind: AnnotationType
    lower_bound: tuple[float, float, float]
    upper_bound: tuple[float, float, float]
    properties: tuple[Property, ...]
    relationships: tuple[tuple[str, KeyedIndex], ...]
    by_id: KeyedIndex
    spatial: tuple[SpatialLevel, ...]

    def __post_init__(self) -> None:
        check_properties(self.properties)
        names = [name for name, _ in self.relationships]
        keys = [self.by_id.key, *(i.key for _, i in self.relationships), *(level.index.key for level in self.spatial)]
        if len(set(names)) != len(names) or len(set(keys)) != len(keys):
            raise FormatError(
                explain(
                    "annotation info",
                    "a relationship or a folder stands twice",
                    got=", ".join([*names, *keys]),
                    do="Rename one of the relationships.",
                )
            )
        extent = np.subtract(self.upper_bound, self.lower_bound)
        for number, level in enumerate(self.spatial):
            # The client keeps cell sizes and cell counts as float32.
            chunk = np.asarray(level.chunk_size, dtype=np.float32)
            if not np.array_equal(chunk * np.asarray(level.grid_shape, dtype=np.float32), extent):
                raise FormatError(
                    explain(
                        f"annotation info, spatial level {number}",
                        "grid_shape times chunk_size is not upper_bound - lower_bound",
                        expected=extent.tolist(),
                        got=f"{level.grid_shape} times {level.chunk_size}",
                        do="Plan the levels with kernels.annotation_index.",
                    )
                )

    def to_json(self) -> dict[str, object]:
        """The content of `info`."""
        return {
            "@type": "neuroglancer_annotations_v1",
            "dimensions": {name: list(unit) for name, unit in DIMENSIONS.items()},
            "lower_bound": list(self.lower_bound),
            "upper_bound": list(self.upper_bound),
            "annotation_type": self.kind.value,
            "properties": [p.to_json() for p in self.properties],
            "relationships": [{"id": name, **index.to_json()} for name, index in self.relationships],
            "by_id": self.by_id.to_json(),
            "spatial": [level.to_json() for level in self.spatial],
        }

    def encode(self) -> bytes:
        """The bytes of `info`."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False).encode()
