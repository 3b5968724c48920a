"""The bytes of Precomputed skeletons and their info."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from osteoid import Skeleton as Osteoid

from ophiolite.errors import FormatError
from ophiolite.precomputed.skeleton import (
    CROSS_SECTIONAL_AREA,
    RADIUS,
    SkeletonInfo,
    VertexAttribute,
    decode_skeleton,
    encode_skeleton,
)

FLOATS = st.floats(-1e9, 1e9, width=32)


@st.composite
def skeletons(draw: st.DrawFn, components: tuple[int, ...] = (1, 1, 3)):
    n = draw(st.integers(0, 20))
    m = draw(st.integers(0, 30)) if n else 0
    vertices = draw(hnp.arrays(np.float32, (n, 3), elements=FLOATS))
    edges = draw(hnp.arrays(np.uint32, (m, 2), elements=st.integers(0, max(n - 1, 0))))
    values = [draw(hnp.arrays(np.float32, (n,) if c == 1 else (n, c), elements=FLOATS)) for c in components]
    return vertices, edges, values


@given(skeletons())
def test_decoding_gives_back_what_was_encoded(skeleton) -> None:
    vertices, edges, values = skeleton
    data = encode_skeleton(vertices, edges, values)
    assert len(data) == 8 + len(vertices) * (12 + 4 * 5) + 8 * len(edges)
    decoded = decode_skeleton(data, (RADIUS, CROSS_SECTIONAL_AREA, VertexAttribute("normal", 3)))
    np.testing.assert_array_equal(decoded.vertices_nm, vertices)
    np.testing.assert_array_equal(decoded.edges, edges)
    assert decoded.vertices_nm.dtype == np.float32
    assert decoded.edges.dtype == np.uint32
    for got, want in zip(decoded.attributes, values, strict=True):
        np.testing.assert_array_equal(got, want)
        assert got.shape == want.shape


@given(skeletons(components=(1,)))
def test_osteoid_reads_and_writes_the_same_bytes(skeleton) -> None:
    vertices, edges, values = skeleton
    attributes = json.loads(SkeletonInfo().to_json())["vertex_attributes"]
    data = encode_skeleton(vertices, edges, values)
    read = Osteoid.from_precomputed(data, segid=1, vertex_attributes=attributes)
    np.testing.assert_array_equal(read.vertices, vertices)
    np.testing.assert_array_equal(read.edges, edges)
    np.testing.assert_array_equal(read.radius, values[0])
    assert read.to_precomputed() == data


@given(skeletons(components=(1,)), st.integers(1, 40), st.booleans())
def test_a_wrong_length_is_refused(skeleton, change: int, longer: bool) -> None:
    data = encode_skeleton(*skeleton)
    damaged = data + b"\0" * change if longer else data[:-change]
    with pytest.raises(FormatError, match="Expected"):
        decode_skeleton(damaged)


def test_the_wrong_attributes_are_refused() -> None:
    data = encode_skeleton(np.zeros((2, 3), np.float32), np.array([[0, 1]], np.uint32), [np.ones(2, np.float32)])
    with pytest.raises(FormatError, match="attribute values"):
        decode_skeleton(data, (RADIUS, CROSS_SECTIONAL_AREA))


def test_an_edge_to_nowhere_is_refused_both_ways() -> None:
    vertices, edges = np.zeros((2, 3), np.float32), np.array([[0, 2]], np.uint32)
    with pytest.raises(FormatError, match="not there"):
        encode_skeleton(vertices, edges, [])
    data = bytearray(encode_skeleton(vertices, np.array([[0, 1]], np.uint32), []))
    data[-4] = 2
    with pytest.raises(FormatError, match="not there"):
        decode_skeleton(bytes(data), ())


@pytest.mark.parametrize(
    ("vertices", "edges", "values"),
    [
        (np.zeros((2, 3)), np.zeros((0, 2), np.uint32), []),
        (np.zeros((2, 2), np.float32), np.zeros((0, 2), np.uint32), []),
        (np.zeros((2, 3), np.float32), np.zeros((0, 2), np.int64), []),
        (np.zeros((2, 3), np.float32), np.zeros((1, 3), np.uint32), []),
        (np.zeros((2, 3), np.float32), np.zeros((0, 2), np.uint32), [np.zeros(3, np.float32)]),
        (np.zeros((2, 3), np.float32), np.zeros((0, 2), np.uint32), [np.zeros(2, np.uint8)]),
        (np.full((2, 3), np.nan, np.float32), np.zeros((0, 2), np.uint32), []),
        (np.zeros((1, 3), np.float32), np.zeros((0, 2), np.uint32), [np.full(1, np.inf, np.float32)]),
    ],
)
def test_arrays_that_do_not_fit_the_format_are_refused(vertices, edges, values) -> None:
    with pytest.raises(FormatError):
        encode_skeleton(vertices, edges, values)


def test_info_says_what_readers_need() -> None:
    sharding = {"@type": "neuroglancer_uint64_sharded_v1", "preshift_bits": 0}
    info = json.loads(SkeletonInfo((RADIUS, CROSS_SECTIONAL_AREA), sharding, mip=2).to_json())
    assert info == {
        "@type": "neuroglancer_skeletons",
        "transform": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
        "vertex_attributes": [
            {"id": "radius", "data_type": "float32", "num_components": 1},
            {"id": "cross_sectional_area", "data_type": "float32", "num_components": 1},
        ],
        "mip": 2,
        "sharding": sharding,
    }
    assert "sharding" not in json.loads(SkeletonInfo().to_json())


def test_info_refuses_two_attributes_of_one_name() -> None:
    with pytest.raises(FormatError, match="repeat"):
        SkeletonInfo((RADIUS, RADIUS)).to_json()
