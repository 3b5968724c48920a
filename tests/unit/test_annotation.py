"""Annotation properties, records and info: byte for byte as the specification lays them out, and back."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.errors import FormatError
from ophiolite.precomputed.annotation import (
    AnnotationInfo,
    AnnotationType,
    KeyedIndex,
    Property,
    SpatialLevel,
    sort_properties,
)
from ophiolite.precomputed.annotation_records import (
    decode_list,
    decode_single,
    encode_list,
    encode_records,
    encode_singles,
)
from ophiolite.precomputed.sharding import hashed_sharding

TYPES = ("rgb", "rgba", "uint8", "int8", "uint16", "int16", "uint32", "int32", "float32")
PACK = {"uint8": "B", "int8": "b", "uint16": "H", "int16": "h", "uint32": "I", "int32": "i", "float32": "f"}
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def values_of(kind: str) -> st.SearchStrategy[Any]:
    if kind.startswith("rgb"):
        return st.lists(st.integers(0, 255), min_size=len(kind), max_size=len(kind))
    if kind == "float32":
        return FLOATS
    limits = np.iinfo(kind)
    return st.integers(int(limits.min), int(limits.max))


@st.composite
def layers(
    draw: st.DrawFn,
) -> tuple[AnnotationType, tuple[Property, ...], list[list[list[float]]], dict[str, list[Any]]]:
    kind = draw(st.sampled_from(AnnotationType))
    types = draw(st.lists(st.sampled_from(TYPES), max_size=6))
    properties = sort_properties([Property(f"f{i}", t) for i, t in enumerate(types)])
    points = (kind.vectors, kind.vectors) if kind.vectors else (2, 5)
    vector = st.lists(FLOATS, min_size=3, max_size=3)
    rows = draw(st.lists(st.lists(vector, min_size=points[0], max_size=points[1]), max_size=5))
    columns = {p.id: draw(st.lists(values_of(p.type), min_size=len(rows), max_size=len(rows))) for p in properties}
    return kind, properties, rows, columns


def slow_record(
    kind: AnnotationType, properties: tuple[Property, ...], row: list[list[float]], values: dict[str, Any]
) -> bytes:
    """One record written field by field, as the specification says it."""
    out = struct.pack("<I", len(row)) if kind is AnnotationType.POLYLINE else b""
    out += b"".join(struct.pack("<f", c) for vector in row for c in vector)
    for width in (4, 2, 1):
        for prop in properties:
            if prop.alignment_bytes == width:
                value = values[prop.id]
                out += bytes(value) if isinstance(value, list) else struct.pack("<" + PACK[prop.type], value)
    return out + bytes(-len(out) % 4)


def as_arrays(properties: tuple[Property, ...], columns: dict[str, Any], count: int) -> dict[str, np.ndarray]:
    return {
        p.id: np.array(columns[p.id], float).reshape((count, p.components) if p.components > 1 else (count,))
        for p in properties
    }


def offsets_and_labels(lists: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.cumsum([0, *map(len, lists)]), np.array([v for row in lists for v in row], np.uint64)


@given(layers())
def test_records_are_the_specification_s(layer: Any) -> None:
    kind, properties, rows, columns = layer
    points = np.cumsum([0, *map(len, rows)])
    flat = np.array([v for row in rows for v in row], np.float32).reshape(-1, 3)
    shaped = flat if kind is AnnotationType.POLYLINE else flat.reshape(-1, kind.vectors, 3)
    arrays = as_arrays(properties, columns, len(rows))
    records = encode_records(kind, shaped, properties, arrays, points if kind is AnnotationType.POLYLINE else None)
    slow = [slow_record(kind, properties, row, {k: v[i] for k, v in columns.items()}) for i, row in enumerate(rows)]
    assert [records[i] for i in range(len(records))] == slow

    ids = np.arange(len(rows), dtype=np.uint64) * np.uint64(2**60 + 1)
    turn = np.arange(len(rows))[::-1]
    data = encode_list(records, turn, ids)
    assert data == struct.pack("<Q", len(rows)) + b"".join(slow[::-1]) + ids[::-1].tobytes()

    back = decode_list(data, kind, properties)
    assert back.ids.tolist() == ids[::-1].tolist()
    assert back.geometry.reshape(-1, 3).tolist() == [[np.float32(c) for c in v] for row in rows[::-1] for v in row]
    if back.points is not None:
        assert np.diff(back.points).tolist() == [len(row) for row in rows[::-1]]
    for prop in properties:
        assert back.columns[prop.id].tolist() == prop.cast(arrays[prop.id])[::-1].tolist()

    first = [[1, 2**64 - 1][: i % 3] for i in range(len(rows))]
    second = [[i + 7] for i in range(len(rows))]
    singles = encode_singles(records, [offsets_and_labels(first), offsets_and_labels(second)])
    for i in range(len(rows)):
        tail = b"".join(struct.pack(f"<I{len(r)}Q", len(r), *r) for r in (first[i], second[i]))
        assert singles[i] == slow[i] + tail
        one, related = decode_single(singles[i], kind, properties, 2)
        assert related == [first[i], second[i]]
        assert one.geometry.reshape(-1, 3).tolist() == [[np.float32(c) for c in v] for v in rows[i]]


@given(layers().filter(lambda layer: bool(layer[2])), st.integers(1, 7))
def test_cut_bytes_are_refused(layer: Any, cut: int) -> None:
    kind, properties, rows, columns = layer
    flat = np.array([v for row in rows for v in row], np.float32).reshape(-1, 3)
    shaped = flat if kind is AnnotationType.POLYLINE else flat.reshape(-1, kind.vectors, 3)
    points = np.cumsum([0, *map(len, rows)]) if kind is AnnotationType.POLYLINE else None
    arrays = as_arrays(properties, columns, len(rows))
    records = encode_records(kind, shaped, properties, arrays, points)
    data = encode_list(records, np.arange(len(rows)), np.arange(len(rows), dtype=np.uint64))
    with pytest.raises(FormatError):
        decode_list(data[:-cut], kind, properties)
    with pytest.raises(FormatError):
        decode_list(data + b"\0" * cut, kind, properties)
    with pytest.raises(FormatError):
        decode_single(encode_singles(records, [offsets_and_labels([[7]] * len(rows))])[0][:-cut], kind, properties, 1)


def test_a_record_by_hand() -> None:
    properties = sort_properties([Property("b", "uint8"), Property("c", "rgb"), Property("w", "float32")])
    assert [p.id for p in properties] == ["w", "b", "c"]
    columns = {"w": np.array([0.5]), "b": np.array([7]), "c": np.array([[1, 2, 3]])}
    records = encode_records(AnnotationType.POINT, np.array([[[1, 2, 3]]], np.float32), properties, columns)
    assert records[0] == struct.pack("<3f", 1, 2, 3) + struct.pack("<f", 0.5) + bytes([7, 1, 2, 3])


def test_properties_must_be_declared_widest_first() -> None:
    with pytest.raises(FormatError, match="widest first"):
        encode_records(
            AnnotationType.POINT,
            np.zeros((1, 1, 3), np.float32),
            (Property("a", "uint8"), Property("b", "uint16")),
            {"a": [0], "b": [0]},
        )


@pytest.mark.parametrize(
    "arguments",
    [
        {"id": "Upper", "type": "uint8"},
        {"id": "1a", "type": "uint8"},
        {"id": "a-b", "type": "uint8"},
        {"id": "", "type": "uint8"},
        {"id": "a\n", "type": "uint8"},
        {"id": "a", "type": "uint64"},
        {"id": "a", "type": "uint8", "enum_values": (1, 2), "enum_labels": ("one",)},
        {"id": "a", "type": "uint8", "enum_values": (1, 1), "enum_labels": ("one", "uno")},
        {"id": "a", "type": "uint8", "enum_values": (256,), "enum_labels": ("big",)},
        {"id": "a", "type": "rgb", "enum_values": (1,), "enum_labels": ("one",)},
    ],
)
def test_properties_the_format_does_not_know_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="annotation property"):
        Property(**arguments)


@pytest.mark.parametrize(
    ("kind", "values", "row"),
    [
        ("uint8", [0, 256], 1),
        ("uint8", [-1, 0], 0),
        ("int8", [0, 0, 128], 2),
        ("uint16", [0.0, 1.5], 1),
        ("uint32", [np.nan], 0),
        ("float32", [0.0, 1e300], 1),
        ("rgb", [[0, 0, 0], [0, 0, 256]], 1),
        ("uint32", np.array([1, 2**63], np.uint64), 1),
    ],
)
def test_values_that_do_not_fit_are_refused_by_row(kind: str, values: Any, row: int) -> None:
    with pytest.raises(FormatError, match=f"row {row}"):
        Property("a", kind).cast(values)


def test_floats_keep_nan_and_infinity() -> None:
    np.testing.assert_array_equal(Property("a", "float32").cast([np.nan, np.inf]), np.float32([np.nan, np.inf]))


def index(key: str) -> KeyedIndex:
    return KeyedIndex(key, hashed_sharding(10))


def info(**changes: Any) -> AnnotationInfo:
    fields: dict[str, Any] = {
        "kind": AnnotationType.LINE,
        "lower_bound": (0.0, -8.0, 0.0),
        "upper_bound": (16.0, 8.0, 16.0),
        "properties": (Property("kind", "uint8", "what", (0, 1), ("a", "b")),),
        "relationships": (("pre", index("rel_pre")),),
        "by_id": index("by_id"),
        "spatial": (SpatialLevel(index("spatial0"), (1, 1, 1), (16.0, 16.0, 16.0), 5),),
    }
    return AnnotationInfo(**{**fields, **changes})


def test_info_has_every_field_the_client_reads() -> None:
    got = json.loads(info().encode())
    sharding = got["by_id"]["sharding"]
    assert sharding["@type"] == "neuroglancer_uint64_sharded_v1"
    assert got == {
        "@type": "neuroglancer_annotations_v1",
        "dimensions": {"x": [1e-9, "m"], "y": [1e-9, "m"], "z": [1e-9, "m"]},
        "lower_bound": [0, -8, 0],
        "upper_bound": [16, 8, 16],
        "annotation_type": "LINE",
        "properties": [
            {"id": "kind", "type": "uint8", "description": "what", "enum_values": [0, 1], "enum_labels": ["a", "b"]}
        ],
        "relationships": [{"id": "pre", "key": "rel_pre", "sharding": sharding}],
        "by_id": {"key": "by_id", "sharding": sharding},
        "spatial": [
            {
                "key": "spatial0",
                "sharding": sharding,
                "grid_shape": [1, 1, 1],
                "chunk_size": [16, 16, 16],
                "limit": 5,
            }
        ],
    }
    assert Property.from_json(got["properties"][0]) == info().properties[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"properties": (Property("a", "uint8"), Property("b", "float32"))},
        {"properties": (Property("a", "uint8"), Property("a", "uint8"))},
        {"relationships": (("pre", index("a")), ("pre", index("b")))},
        {"relationships": (("pre", index("by_id")),)},
        {"spatial": (SpatialLevel(index("s"), (1, 1, 1), (16.0, 16.0, 8.0), 5),)},
        {
            "upper_bound": (0.1, 8.0, 16.0),
            "spatial": (SpatialLevel(index("s"), (1, 1, 1), (0.1, 16.0, 16.0), 5),),
        },
    ],
)
def test_info_that_readers_would_misread_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="annotation"):
        info(**changes)
