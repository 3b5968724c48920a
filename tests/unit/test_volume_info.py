"""The info file of a volume: what is written, what is understood, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.errors import FormatError
from ophiolite.geometry import Box
from ophiolite.precomputed.encoding import ENCODINGS, ChunkEncoding
from ophiolite.precomputed.sharding import ShardingSpec
from ophiolite.precomputed.volume_info import Scale, VolumeInfo, chunk_name, parse_info, scale_key

SIZES = st.tuples(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
OFFSETS = st.tuples(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
LENGTH = st.floats(0.001, 1e6) | st.integers(1, 10**6)
RESOLUTIONS = st.tuples(LENGTH, LENGTH, LENGTH)


@st.composite
def infos(draw: st.DrawFn) -> VolumeInfo:
    name = draw(st.sampled_from(sorted(ENCODINGS)))
    data_type = draw(st.sampled_from(sorted(ENCODINGS[name])))
    channels = draw(st.sampled_from(ENCODINGS[name][data_type] or (1, 2, 9)))
    scales = []
    for _ in range(draw(st.integers(1, 3))):
        sharded = draw(st.booleans())
        encoding = ChunkEncoding(name, gzip=sharded and ChunkEncoding(name).gzip)
        resolution = draw(RESOLUTIONS)
        sharding = (
            ShardingSpec(2, "identity", 1, 3, data_encoding="gzip" if encoding.gzip else "raw") if sharded else None
        )
        scales.append(
            Scale(scale_key(resolution), draw(SIZES), draw(OFFSETS), resolution, draw(SIZES), encoding, sharding)
        )
    folder = st.none() | st.sampled_from(["mesh", "a/b"])
    return VolumeInfo(
        draw(st.sampled_from(["image", "segmentation"])),
        data_type,
        channels,
        tuple(scales),
        draw(folder),
        draw(folder),
        draw(folder),
    )


@given(infos())
def test_there_and_back(info: VolumeInfo) -> None:
    data = info.to_json()
    assert parse_info(data, "info") == info
    assert parse_info(data, "info").to_json() == data


INFO = VolumeInfo(
    "segmentation",
    "uint64",
    1,
    (
        Scale(
            "8_8_40",
            (100, 90, 80),
            (-3, 0, 7),
            (8.0, 8, 40),
            (64, 64, 32),
            ChunkEncoding("compressed_segmentation"),
            ShardingSpec(3, "identity", 1, 2),
        ),
    ),
    mesh="mesh",
)


def test_the_bytes() -> None:
    assert json.loads(INFO.to_json()) == {
        "@type": "neuroglancer_multiscale_volume",
        "type": "segmentation",
        "data_type": "uint64",
        "num_channels": 1,
        "scales": [
            {
                "key": "8_8_40",
                "size": [100, 90, 80],
                "voxel_offset": [-3, 0, 7],
                "resolution": [8, 8, 40],
                "chunk_sizes": [[64, 64, 32]],
                "encoding": "compressed_segmentation",
                "compressed_segmentation_block_size": [8, 8, 8],
                "sharding": {
                    "@type": "neuroglancer_uint64_sharded_v1",
                    "preshift_bits": 3,
                    "hash": "identity",
                    "minishard_bits": 1,
                    "shard_bits": 2,
                    "minishard_index_encoding": "gzip",
                    "data_encoding": "gzip",
                },
            }
        ],
        "mesh": "mesh",
    }
    assert INFO.to_json().startswith(b'{\n  "@type"')
    assert INFO.to_json().endswith(b"}\n")


@pytest.mark.parametrize(
    ("encoding", "field", "value"),
    [("jpeg", "jpeg_quality", 85), ("png", "png_level", 1), ("jxl", "jxl_quality", 85)],
)
def test_quality_is_always_written(encoding: str, field: str, value: int) -> None:
    scale = Scale("1_1_1", (1, 1, 1), (0, 0, 0), (1, 1, 1), (8, 8, 8), ChunkEncoding(encoding), None)
    written = json.loads(VolumeInfo("image", "uint8", 1, (scale,)).to_json())["scales"][0]
    assert written[field] == value
    assert "compressed_segmentation_block_size" not in written
    assert "sharding" not in written


def test_an_info_of_cloudvolume() -> None:
    # As CloudVolume.create_new_info and Igneous write it.
    data = json.dumps(
        {
            "data_type": "uint8",
            "mesh": "mesh_mip_3_err_40",
            "num_channels": 1,
            "scales": [
                {
                    "chunk_sizes": [[64, 64, 64], [128, 128, 16]],
                    "encoding": "raw",
                    "key": "6_6_30",
                    "resolution": [6, 6, 30],
                    "size": [2048.0, 2048, 512],
                    "voxel_offset": [0, 0, 0],
                    "locked": True,
                },
                {
                    "chunk_sizes": [[64, 64, 64]],
                    "encoding": "jpeg",
                    "key": "12_12_30",
                    "resolution": [12, 12, 30],
                    "size": [1024, 1024, 512],
                    "voxel_offset": [0, 0, 0],
                    "sharding": {
                        "@type": "neuroglancer_uint64_sharded_v1",
                        "preshift_bits": 9,
                        "hash": "identity",
                        "minishard_bits": 6,
                        "shard_bits": 15,
                        "minishard_index_encoding": "gzip",
                        "data_encoding": "gzip",
                    },
                },
            ],
            "type": "image",
        }
    ).encode()
    info = parse_info(data, "info")
    assert info.mesh == "mesh_mip_3_err_40"
    assert info.scales[0].chunk_vx == (64, 64, 64)
    assert info.scales[0].size_vx == (2048, 2048, 512)
    assert info.scales[0].encoding == ChunkEncoding("raw", gzip=False)
    assert info.scales[1].encoding == ChunkEncoding("jpeg", gzip=True)


def test_an_info_of_tensorstore() -> None:
    data = json.dumps(
        {
            "@type": "neuroglancer_multiscale_volume",
            "data_type": "uint64",
            "num_channels": 1,
            "scales": [
                {
                    "chunk_sizes": [[8, 8, 8]],
                    "compressed_segmentation_block_size": [8, 8, 8],
                    "encoding": "compressed_segmentation",
                    "key": "1_1_1",
                    "resolution": [1.0, 1.0, 1.0],
                    "sharding": None,
                    "size": [16, 16, 16],
                    "voxel_offset": [0, 0, 0],
                }
            ],
            "type": "segmentation",
        }
    ).encode()
    info = parse_info(data, "info")
    assert info.scales[0].sharding is None
    assert info.scales[0].resolution_nm == (1, 1, 1)


def test_optional_fields_may_be_left_out() -> None:
    value = json.loads(INFO.to_json())
    del value["@type"], value["scales"][0]["voxel_offset"], value["scales"][0]["sharding"], value["mesh"]
    scale = parse_info(json.dumps(value).encode(), "info").scales[0]
    assert scale.voxel_offset_vx == (0, 0, 0)
    assert scale.sharding is None


REMOVED = object()


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (["@type"], "neuroglancer_skeletons", "@type"),
        (["type"], "labels", "type"),
        (["data_type"], "float64", "data_type"),
        (["data_type"], REMOVED, "data_type"),
        (["num_channels"], 0, "num_channels"),
        (["num_channels"], True, "num_channels"),
        (["scales"], [], "scales"),
        (["scales", 0], 7, r"scales\[0\]"),
        (["scales", 0, "key"], REMOVED, r"scales\[0\].key"),
        (["scales", 0, "size"], [1, 2], r"scales\[0\].size"),
        (["scales", 0, "size", 1], 0, r"scales\[0\].size\[1\]"),
        (["scales", 0, "size", 1], 2.5, r"scales\[0\].size\[1\]"),
        (["scales", 0, "voxel_offset", 2], "7", r"scales\[0\].voxel_offset\[2\]"),
        (["scales", 0, "resolution", 0], 0, r"scales\[0\].resolution\[0\]"),
        (["scales", 0, "resolution"], REMOVED, r"scales\[0\].resolution"),
        (["scales", 0, "chunk_sizes"], [], r"scales\[0\].chunk_sizes"),
        (["scales", 0, "chunk_sizes"], [[8, 8, 8], [16, 16, 16]], r"scales\[0\].chunk_sizes"),
        (["scales", 0, "chunk_sizes", 0, 0], -8, r"scales\[0\].chunk_sizes\[0\]\[0\]"),
        (["scales", 0, "encoding"], "fpzip", r"scales\[0\].encoding"),
        (["scales", 0, "encoding"], "jpeg", r"scales\[0\].encoding"),
        (["scales", 0, "compressed_segmentation_block_size"], REMOVED, "compressed_segmentation_block_size"),
        (["scales", 0, "sharding", "hash"], "md5", "sharding.hash"),
        (["scales", 0, "sharding", "shard_bits"], REMOVED, "sharding.shard_bits"),
        (["mesh"], 5, "mesh"),
        (["skeletons"], "", "skeletons"),
    ],
)
def test_fields_that_cannot_be_used_are_named(path: list[Any], value: object, named: str) -> None:
    info = json.loads(INFO.to_json())
    at = info
    for step in path[:-1]:
        at = at[step]
    if value is REMOVED:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    with pytest.raises(FormatError, match=f"data/info: .*{named}"):
        parse_info(json.dumps(info).encode(), "data/info")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"text"'])
def test_what_is_no_info_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="data/info"):
        parse_info(data, "data/info")


@pytest.mark.parametrize(
    ("resolution", "key"),
    [
        ((8, 8, 40), "8_8_40"),
        ((8.0, 8.0, 40.0), "8_8_40"),
        ((3.5, 3.5, 30), "3.5_3.5_30"),
        ((0.1, 4, 1e6), "0.1_4_1000000"),
    ],
)
def test_scale_keys(resolution: tuple[float, float, float], key: str) -> None:
    assert scale_key(resolution) == key


def test_chunk_names_are_absolute_and_clipped() -> None:
    grid = INFO.scales[0].grid
    assert chunk_name(grid.cell((0, 0, 0))) == "-3-61_0-64_7-39"
    assert chunk_name(grid.cell((1, 1, 2))) == "61-97_64-90_71-87"
    assert chunk_name(Box((0, 0, 960), (64, 64, 1000))) == "0-64_0-64_960-1000"
