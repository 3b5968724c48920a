"""Bytes of multi-resolution meshes: info, manifest, Draco fragments."""

from __future__ import annotations

import itertools
import json
import struct
from dataclasses import replace
from typing import Any

import DracoPy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import triangle_set

from ophiolite.errors import FormatError
from ophiolite.precomputed.multilod import (
    IDENTITY,
    Manifest,
    MeshInfo,
    decode_fragment,
    decode_manifest,
    encode_fragment,
    encode_manifest,
    z_order,
)


def manifest(**changes: Any) -> Manifest:
    base = Manifest(
        chunk_shape=np.full(3, 512, np.float32),
        grid_origin=np.array([-7.5, 0, 1e6], np.float32),
        lod_scales=np.array([1.5, 4], np.float32),
        positions=(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.uint32), np.array([[0, 0, 0]], np.uint32)),
        sizes=(np.array([10, 0, 7], np.uint32), np.array([99], np.uint32)),
    )
    return replace(base, **changes)


def test_info() -> None:
    sharding = {"@type": "neuroglancer_uint64_sharded_v1", "preshift_bits": 0}
    info = json.loads(MeshInfo(10, sharding=sharding, extra={"mip": 2}).to_json())
    assert info == {
        "@type": "neuroglancer_multilod_draco",
        "vertex_quantization_bits": 10,
        "transform": list(IDENTITY),
        "lod_scale_multiplier": 1.0,
        "sharding": sharding,
        "mip": 2,
    }
    assert "sharding" not in json.loads(MeshInfo().to_json())


@pytest.mark.parametrize(
    "info",
    [
        MeshInfo(12),
        MeshInfo(transform=(1.0,) * 11),
        MeshInfo(transform=(np.nan,) * 12),
        MeshInfo(lod_scale_multiplier=0),
        MeshInfo(extra={"transform": []}),
    ],
)
def test_impossible_info_is_refused(info: MeshInfo) -> None:
    with pytest.raises(FormatError, match="mesh info"):
        info.to_json()


def test_manifest_bytes_by_hand() -> None:
    expected = struct.pack("<6fI2f6f2I", 512, 512, 512, -7.5, 0, 1e6, 2, 1.5, 4, *[0] * 6, 3, 1)
    # Positions go axis by axis: all x, all y, all z.
    expected += struct.pack("<9I3I", 0, 1, 0, 0, 0, 1, 0, 0, 0, 10, 0, 7) + struct.pack("<3I1I", 0, 0, 0, 99)
    data = encode_manifest(manifest())
    assert data == expected
    back = decode_manifest(data)
    assert encode_manifest(back) == data
    assert back.positions[0].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert back.sizes[0].tolist() == [10, 0, 7]


def test_vertex_offsets_are_kept() -> None:
    offsets = np.arange(6, dtype=np.float32).reshape(2, 3)
    back = decode_manifest(encode_manifest(manifest(vertex_offsets=offsets)))
    np.testing.assert_array_equal(back.vertex_offsets, offsets)


@pytest.mark.parametrize(
    "changes",
    [
        {"lod_scales": np.array([0, 4], np.float32)},
        {"lod_scales": np.array([4, 4], np.float32)},
        {"lod_scales": np.array([1, np.inf], np.float32)},
        {"lod_scales": np.array([1], np.float32)},
        {"positions": (np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0]]), np.array([[0, 0, 0]]))},
        {"positions": (np.array([[0, 0, 0], [0, 0, 0], [0, 1, 0]]), np.array([[0, 0, 0]]))},
        {"positions": (np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]]), np.array([[0, 0, 0]]))},
        {"sizes": (np.array([10, 7]), np.array([99]))},
        {"sizes": (np.array([10, 0, 7]), np.array([], int)), "positions": (manifest().positions[0], np.empty((0, 3)))},
        {"chunk_shape": np.array([0, 1, 1], np.float32)},
        {"grid_origin": np.array([np.nan, 1, 1], np.float32)},
        {"vertex_offsets": np.zeros((1, 3), np.float32)},
    ],
)
def test_what_clients_misread_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="mesh manifest"):
        encode_manifest(manifest(**changes))


def test_cut_or_long_manifests_are_refused() -> None:
    data = encode_manifest(manifest())
    for length in range(len(data)):
        with pytest.raises(FormatError, match="mesh manifest"):
            decode_manifest(data[:length])
    with pytest.raises(FormatError, match="length"):
        decode_manifest(data + b"\0")


@given(st.lists(st.tuples(*[st.integers(0, 2**12)] * 3), min_size=1, max_size=30))
def test_z_order_compares_the_highest_differing_bit(points: list[tuple[int, int, int]]) -> None:
    def less(a: Any, b: Any) -> bool:
        diff = [int(x) ^ int(y) for x, y in zip(a, b, strict=True)]
        # The axis whose difference has the highest bit decides; of equal bits the later axis.
        axis = max(range(3), key=lambda d: (diff[d].bit_length(), d))
        return int(a[axis]) < int(b[axis])

    ordered = np.array(points)[z_order(points)]
    assert not any(less(b, a) for a, b in itertools.pairwise(ordered))


@settings(max_examples=40)
@given(st.integers(0, 2**20), st.integers(4, 60), st.sampled_from([1023, 65535]), st.integers(0, 10))
def test_fragments_come_back_exact(seed: int, n: int, top: int, level: int) -> None:
    rng = np.random.default_rng(seed)
    vertices = np.unique(rng.integers(0, top + 1, (n, 3)), axis=0)
    vertices[0] = 0
    vertices[-1] = top
    faces = np.array([rng.choice(len(vertices), 3, replace=False) for _ in range(2 * n)])
    data = encode_fragment(vertices, faces, level)
    got_vertices, got_faces = decode_fragment(data)
    assert triangle_set(got_vertices, got_faces) == triangle_set(vertices, faces)
    assert data == encode_fragment(vertices, faces, level)
    mesh = DracoPy.decode(data)
    (attribute,) = mesh.attributes
    # 5 is Draco's INT32: the client takes such positions as they are.
    assert (attribute["data_type"], attribute["num_components"]) == (5, 3)


@pytest.mark.parametrize(
    ("vertices", "faces"),
    [
        (np.zeros((3, 3), int), np.empty((0, 3), int)),
        (np.full((3, 3), -1), np.array([[0, 1, 2]])),
        (np.full((3, 3), 65536), np.array([[0, 1, 2]])),
        (np.zeros((3, 3), int), np.array([[0, 1, 3]])),
        # Every triangle degenerate: Draco's own failure, which Igneous writes as empty bytes.
        (np.zeros((3, 3), int), np.array([[0, 0, 0]])),
    ],
)
def test_what_cannot_be_encoded_is_an_error(vertices: Any, faces: Any) -> None:
    with pytest.raises(FormatError, match="mesh fragment"):
        encode_fragment(vertices, faces)


def test_other_bytes_are_no_fragment() -> None:
    quantised = DracoPy.encode(np.eye(3, dtype=np.float32) / 3, np.array([[0, 1, 2]]), quantization_bits=11)
    for data in (b"", b"DRACO", b"something else", quantised):
        with pytest.raises(FormatError, match="mesh fragment"):
            decode_fragment(data)
