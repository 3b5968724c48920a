"""Segment properties: names, descriptions, texts, tags and numbers of labels, as the viewer lists and filters them.

One JSON for all segments, loaded whole. Specification: Neuroglancer, precomputed segment properties.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.errors import FormatError, explain

NUMBER_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32")
# The client keeps a segment's tags as the characters of a string, so an index must fit 16 bits.
MAX_TAGS = 1 << 16


@dataclass(frozen=True)
class TextProperty:
    """A text per segment; `kind` is `label` (shown beside the id), `description` or `string`."""

    id: str
    values: Sequence[str]
    kind: str = "string"
    description: str = ""


@dataclass(frozen=True)
class NumberProperty:
    """A number per segment `(n,)`, finite, of a type of at most 32 bits: uint8 ... int32, float32."""

    id: str
    values: NDArray[Any]
    description: str = ""


@dataclass(frozen=True)
class TagsProperty:
    """Any number of tags per segment; `tags` lists them all, `values[i]` are indices into it."""

    id: str
    tags: Sequence[str]
    values: Sequence[Sequence[int]]
    tag_descriptions: Sequence[str] = ()


SegmentProperty = TextProperty | NumberProperty | TagsProperty


def _fail(where: str, problem: str, *, expected: object = None, got: object = None, do: str) -> FormatError:
    return FormatError(explain(f"segment properties, {where}", problem, expected=expected, got=got, do=do))


def _text(prop: TextProperty) -> dict[str, object]:
    if prop.kind not in ("label", "description", "string"):
        raise _fail(
            repr(prop.id),
            "no kind of text",
            expected="label, description or string",
            got=prop.kind,
            do="Choose one of them.",
        )
    if not all(isinstance(v, str) for v in prop.values):
        raise _fail(repr(prop.id), "a value is no text", do="Use an empty text where there is none.")
    described = {"description": prop.description} if prop.description else {}
    return {"id": prop.id, "type": prop.kind, **described, "values": list(prop.values)}


def _number(prop: NumberProperty) -> dict[str, object]:
    values = prop.values
    if values.dtype.name not in NUMBER_TYPES:
        raise _fail(
            repr(prop.id),
            "the viewer has no such number type",
            expected=" ".join(NUMBER_TYPES),
            got=values.dtype,
            do="Convert the column: float32 holds large counts to seven digits.",
        )
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise _fail(
            f"{prop.id!r}, row {row}",
            "JSON cannot hold the value",
            expected="a finite number",
            got=values[row],
            do="Replace missing values, or leave those segments out.",
        )
    # The shortest text that reads back as the same float32; the double's own text would be twice as long.
    numbers = values.astype(str).astype(np.float64).tolist() if values.dtype.kind == "f" else values.tolist()
    described = {"description": prop.description} if prop.description else {}
    return {"id": prop.id, "type": "number", **described, "data_type": values.dtype.name, "values": numbers}


def _tags(prop: TagsProperty) -> dict[str, object]:
    bad = [t for t in prop.tags if not t or "#" in t or any(c.isspace() for c in t)]
    folded = [t.casefold() for t in prop.tags]
    if bad or len(set(folded)) != len(folded) or len(prop.tags) > MAX_TAGS:
        raise _fail(
            repr(prop.id),
            "the tags are not fit for searching",
            expected="up to 65,536 tags without spaces or #, different whatever their case",
            got=repr(bad[0]) if bad else f"{len(prop.tags)} tags, {len(set(folded))} different",
            do="Rename the tags: cell_body for 'cell body'.",
        )
    if prop.tag_descriptions and len(prop.tag_descriptions) != len(prop.tags):
        raise _fail(
            repr(prop.id),
            "descriptions and tags differ in number",
            expected=len(prop.tags),
            got=len(prop.tag_descriptions),
            do="Give one per tag, or none.",
        )
    values = [sorted({int(t) for t in v}) for v in prop.values]
    if any(v and not (v[0] >= 0 and v[-1] < len(prop.tags)) for v in values):
        raise _fail(
            repr(prop.id), "an index points at no tag", expected=f"0 to {len(prop.tags) - 1}", do="List every tag used."
        )
    described = {"tag_descriptions": list(prop.tag_descriptions)} if prop.tag_descriptions else {}
    return {"id": prop.id, "type": "tags", "tags": list(prop.tags), **described, "values": values}


def encode_segment_properties(ids: ArrayLike, properties: Sequence[SegmentProperty]) -> bytes:
    """The `info` file for segments `ids (n,)` uint64 and their properties, n values each.

    Rows are written by rising id. Raises FormatError where ids repeat, where lengths or types do not fit, and where
    a number is NaN or infinite (JSON has neither, and the viewer would refuse the file).
    """
    labels = np.asarray(ids)
    if labels.ndim != 1 or (labels.dtype != np.uint64 and labels.size):
        raise _fail("ids", "not a column of uint64", got=labels.dtype, do="Convert the labels to uint64.")
    order = np.argsort(labels, kind="stable")
    labels = labels[order]
    twice = labels[1:][labels[1:] == labels[:-1]]
    if len(twice):
        raise _fail("ids", "a segment stands twice", got=int(twice[0]), do="Merge its rows.")
    names = [p.id for p in properties]
    if len(set(names)) != len(names) or "" in names:
        raise _fail("properties", "ids are empty or repeat", got=", ".join(map(repr, names)), do="Rename one.")
    encoded: list[dict[str, Any]] = []
    for prop in properties:
        if len(prop.values) != len(labels):
            raise _fail(
                repr(prop.id),
                "another number of values than of segments",
                expected=len(labels),
                got=len(prop.values),
                do="Give one value per segment.",
            )
        entry: dict[str, Any] = (
            _text(prop)
            if isinstance(prop, TextProperty)
            else _number(prop)
            if isinstance(prop, NumberProperty)
            else _tags(prop)
        )
        entry["values"] = [entry["values"][i] for i in order.tolist()]
        encoded.append(entry)
    kinds = [e["type"] for e in encoded]
    for kind in ("label", "description", "tags"):
        if kinds.count(kind) > 1:
            raise _fail("properties", f"more than one of type {kind}", do="Make the others strings or numbers.")
    info = {
        "@type": "neuroglancer_segment_properties",
        "inline": {"ids": [str(v) for v in labels.tolist()], "properties": encoded},
    }
    return json.dumps(info, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decode_segment_properties(data: bytes) -> tuple[NDArray[np.uint64], list[SegmentProperty]]:
    """Ids and properties of an `info` file with inline properties; FormatError where it is not one."""
    try:
        info = json.loads(data)
        if info["@type"] != "neuroglancer_segment_properties":
            raise ValueError(f"@type is {info['@type']}")
        ids = np.array([int(v) for v in info["inline"]["ids"]], dtype=np.uint64)
        return ids, [_decode(entry) for entry in info["inline"]["properties"]]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise _fail("info", f"not readable ({error})", do="Write the layer again.") from error


def _decode(entry: dict[str, Any]) -> SegmentProperty:
    if entry["type"] == "number":
        return NumberProperty(
            entry["id"], np.array(entry["values"], dtype=entry["data_type"]), entry.get("description", "")
        )
    if entry["type"] == "tags":
        return TagsProperty(entry["id"], entry["tags"], entry["values"], entry.get("tag_descriptions", ()))
    return TextProperty(entry["id"], entry["values"], entry["type"], entry.get("description", ""))
