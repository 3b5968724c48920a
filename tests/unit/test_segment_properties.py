"""Segment properties: what is written reads back equal, and what the viewer would misread is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ophiolite.errors import FormatError
from ophiolite.precomputed.segment_properties import (
    NUMBER_TYPES,
    NumberProperty,
    TagsProperty,
    TextProperty,
    decode_segment_properties,
    encode_segment_properties,
)

TEXT = st.text(max_size=8)
LABELS = st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=12)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[int], list[str], dict[str, np.ndarray], list[list[int]]]:
    ids = draw(LABELS)
    n = len(ids)
    texts = draw(st.lists(TEXT, min_size=n, max_size=n))
    floats = st.floats(allow_nan=False, allow_infinity=False, width=32)
    numbers = {
        t: draw(arrays(t, n, elements=floats if t == "float32" else None, fill=st.nothing())) for t in NUMBER_TYPES
    }
    tags = draw(st.lists(st.lists(st.integers(0, 2)), min_size=n, max_size=n))
    return ids, texts, numbers, tags


@given(tables())
def test_reads_back_equal(table: tuple[list[int], list[str], dict[str, np.ndarray], list[list[int]]]) -> None:
    ids, texts, numbers, tags = table
    properties = [
        TextProperty("name", texts, "label"),
        TextProperty("about", texts, "description", "of the segment"),
        TextProperty("note", texts),
        TagsProperty("kinds", ["axon", "glia", "soma"], tags, ["a", "b", "c"]),
        *(NumberProperty(t, v, f"as {t}") for t, v in numbers.items()),
    ]
    data = encode_segment_properties(np.array(ids, np.uint64), properties)
    got, back = decode_segment_properties(data)
    order = np.argsort(np.array(ids, np.uint64))
    assert got.tolist() == sorted(ids)
    for wrote, read in zip(properties, back, strict=True):
        assert type(wrote) is type(read)
        if isinstance(wrote, NumberProperty):
            assert read.values.dtype == wrote.values.dtype
            np.testing.assert_array_equal(read.values, wrote.values[order])
        elif isinstance(wrote, TagsProperty):
            assert read.values == [sorted(set(tags[i])) for i in order]
            assert (read.tags, read.tag_descriptions) == (wrote.tags, wrote.tag_descriptions)
        else:
            assert read.values == [texts[i] for i in order]
            assert (read.kind, read.description) == (wrote.kind, wrote.description)


def test_ids_are_decimal_strings_and_numbers_short() -> None:
    data = encode_segment_properties(
        np.array([2**53 + 1, 7], np.uint64), [NumberProperty("r", np.array([0.1, 3e7], np.float32))]
    )
    inline = json.loads(data)["inline"]
    assert inline["ids"] == ["7", "9007199254740993"]
    assert inline["properties"][0] == {"id": "r", "type": "number", "data_type": "float32", "values": [3e7, 0.1]}
    assert b"0.1]" in data


def test_same_rows_in_another_order_are_the_same_bytes() -> None:
    ids, values = np.array([3, 1, 2], np.uint64), np.array([30, 10, 20], np.uint16)
    one = encode_segment_properties(ids, [NumberProperty("v", values)])
    other = encode_segment_properties(ids[::-1], [NumberProperty("v", values[::-1])])
    assert one == other


IDS = np.array([1, 2], np.uint64)


@pytest.mark.parametrize(
    ("ids", "properties", "words"),
    [
        (np.array([5, 5], np.uint64), [], "twice"),
        (np.array([-1, 5]), [], "uint64"),
        (IDS, [NumberProperty("v", np.array([1.0, np.nan], np.float32))], "row 1"),
        (IDS, [NumberProperty("v", np.array([np.inf, 1], np.float32))], "row 0"),
        (IDS, [NumberProperty("v", np.array([1, 2], np.uint64))], "number type"),
        (IDS, [NumberProperty("v", np.array([1.0, 2.0]))], "number type"),
        (IDS, [NumberProperty("v", np.array([1], np.uint8))], "number of values"),
        (IDS, [TextProperty("v", ["a", "b"]), TextProperty("v", ["a", "b"])], "repeat"),
        (IDS, [TextProperty("a", ["a", "b"], "label"), TextProperty("b", ["a", "b"], "label")], "more than one"),
        (IDS, [TextProperty("a", ["a", "b"], "title")], "kind of text"),
        (IDS, [TextProperty("a", ["a", None])], "no text"),  # type: ignore[list-item]
        (IDS, [TagsProperty("t", ["cell body"], [[0], []])], "cell body"),
        (IDS, [TagsProperty("t", ["#axon"], [[0], []])], "#axon"),
        (IDS, [TagsProperty("t", ["Axon", "axon"], [[0], []])], "1 different"),
        (IDS, [TagsProperty("t", ["axon"], [[1], []])], "no tag"),
        (IDS, [TagsProperty("t", ["axon"], [[-1], []])], "no tag"),
        (IDS, [TagsProperty("t", ["axon"], [[0], []], ["a", "b"])], "descriptions"),
    ],
)
def test_refuses(ids: np.ndarray, properties: list[object], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        encode_segment_properties(ids, properties)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"", b"{}", b'{"@type": "neuroglancer_skeletons"}', b"[1]"])
def test_decode_refuses_other_files(data: bytes) -> None:
    with pytest.raises(FormatError, match="not readable"):
        decode_segment_properties(data)
