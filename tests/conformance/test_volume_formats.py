"""TensorStore and CloudVolume read the volumes that the format functions make, and the other way round."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
from cloudvolume import CloudVolume
from known_defects import KNOWN_DEFECTS, assert_still_defective
from numpy.typing import NDArray
from volumes import GEOMETRIES, SHARDINGS, Geometry, sample_voxels, write_volume

from ophiolite.geometry import morton
from ophiolite.precomputed.encoding import ENCODINGS, READERS, ChunkEncoding, decode_chunk
from ophiolite.precomputed.sharding import ShardReader, locate, shard_name
from ophiolite.precomputed.volume_info import Scale, VolumeInfo, chunk_name, parse_info

KINDS = [
    (name, dtype, channels)
    for name, holds in ENCODINGS.items()
    for dtype, allowed in holds.items()
    for channels in (allowed or (1, 2, 4))
]
PLACES = [
    ("odd offset", "sharded"),
    ("negative offset", "unsharded"),
    ("one chunk", "one shard"),
    ("flat", "shard per chunk"),
]
JPEG_TOLERANCE = 6


def read_tensorstore(folder: Path) -> NDArray[Any]:
    spec = {"driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": f"{folder}/"}}
    store = tensorstore.open(spec, read=True, open=True).result()
    return np.asarray(store.read().result())


def read_cloudvolume(folder: Path) -> NDArray[Any]:
    return np.asarray(CloudVolume(f"file://{folder}", progress=False)[:])


OTHERS: dict[str, Callable[[Path], NDArray[Any]]] = {"tensorstore": read_tensorstore, "cloudvolume": read_cloudvolume}


def reads(reader: str, name: str, dtype: str, channels: int) -> bool:
    """Whether READERS promises that the reader manages such chunks."""
    allowed = READERS[reader].get(name, {}).get(dtype, ())
    return allowed is None or channels in allowed


def written_encoding(name: str) -> ChunkEncoding:
    return ChunkEncoding(name, {"jpeg": 95, "jxl": 100}.get(name))


def compare(voxels: NDArray[Any], expected: NDArray[Any], name: str) -> None:
    """Equal voxel for voxel; jpeg within its tolerance."""
    assert voxels.shape == expected.shape
    assert voxels.dtype == expected.dtype
    if name == "jpeg":
        np.testing.assert_allclose(voxels.astype(np.int64), expected.astype(np.int64), atol=JPEG_TOLERANCE)
    else:
        np.testing.assert_array_equal(voxels, expected)


def need_png_codec(reader: str, name: str) -> None:
    if reader == "cloudvolume" and name == "png" and importlib.util.find_spec("pyspng") is None:
        pytest.skip("CloudVolume reads png only with the package pyspng-seunglab, which is not installed")


@pytest.mark.parametrize("reader", list(OTHERS))
@pytest.mark.parametrize(("name", "dtype", "channels"), KINDS)
def test_others_read_every_encoding(reader: str, name: str, dtype: str, channels: int, tmp_path: Path) -> None:
    need_png_codec(reader, name)
    for i, (place, sharding) in enumerate(PLACES):
        geometry = GEOMETRIES[place]
        voxels = sample_voxels(geometry, dtype, channels)
        folder = tmp_path / str(i)
        write_volume(folder, voxels, geometry, written_encoding(name), SHARDINGS[sharding])

        def read(folder: Path = folder, voxels: NDArray[Any] = voxels) -> None:
            compare(OTHERS[reader](folder), voxels, name)

        if reads(reader, name, dtype, channels):
            read()
        else:
            condition = f"encoding {name}"
            if reader == "cloudvolume":
                condition += f", {dtype}, {channels} channels"
            assert_still_defective(reader, condition, read)


def test_every_known_defect_of_an_encoding_is_tried() -> None:
    tried = {f"encoding {n}, {d}, {c} channels" for n, d, c in KINDS} | {f"encoding {n}" for n in ENCODINGS}
    missing = [k for k in KNOWN_DEFECTS if k.condition.startswith("encoding ") and k.condition not in tried]
    assert not missing


@pytest.mark.parametrize("reader", list(OTHERS))
@pytest.mark.parametrize("sharding", list(SHARDINGS))
@pytest.mark.parametrize("place", list(GEOMETRIES))
def test_others_read_every_geometry(reader: str, sharding: str, place: str, tmp_path: Path) -> None:
    geometry = GEOMETRIES[place]
    voxels = sample_voxels(geometry, "uint16", 3)
    write_volume(tmp_path / "v", voxels, geometry, ChunkEncoding("raw"), SHARDINGS[sharding])
    compare(OTHERS[reader](tmp_path / "v"), voxels, "raw")


@pytest.mark.parametrize("reader", list(OTHERS))
@pytest.mark.parametrize("name", ["jpeg", "png"])
def test_others_read_pictures_wider_than_a_chunk(reader: str, name: str, tmp_path: Path) -> None:
    need_png_codec(reader, name)
    geometry = Geometry((4, 300, 300), (0, 0, 0), (2, 300, 300), (1, 1, 1))
    voxels = sample_voxels(geometry, "uint8", 1)
    write_volume(tmp_path / "v", voxels, geometry, written_encoding(name), None)
    compare(OTHERS[reader](tmp_path / "v"), voxels, name)


def read_ours(folder: Path) -> tuple[VolumeInfo, NDArray[Any]]:
    """The first scale of a local volume through nothing but the format functions."""
    info = parse_info((folder / "info").read_bytes(), str(folder / "info"))
    scale = info.scales[0]
    out = np.zeros((*scale.size_vx, info.num_channels), info.data_type, order="F")
    for index in scale.grid:
        box = scale.grid.cell(index)
        data = read_chunk(folder / scale.key, scale, index)
        chunk = decode_chunk(data, box.shape, info.num_channels, info.data_type, scale.encoding)
        out[box.slices(scale.voxel_offset_vx)] = chunk
    return info, out


def read_chunk(folder: Path, scale: Scale, index: tuple[int, int, int]) -> bytes:
    if scale.sharding is None:
        return (folder / chunk_name(scale.grid.cell(index))).read_bytes()
    key = morton.encode([index], scale.grid.shape)
    shard, _ = locate(scale.sharding, key)
    name = shard_name(scale.sharding, int(shard[0]))
    file = (folder / name).read_bytes()
    data = ShardReader(scale.sharding, lambda o, s: file[o : o + s], name, len(file)).get(int(key[0]))
    assert data is not None
    return data


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize(
    ("name", "dtype", "channels"),
    [
        ("raw", "float32", 2),
        ("jpeg", "uint8", 1),
        ("jpeg", "uint8", 3),
        ("png", "uint8", 3),
        ("png", "uint16", 1),
        ("compressed_segmentation", "uint32", 1),
        ("compressed_segmentation", "uint64", 3),
    ],
)
def test_we_read_what_tensorstore_writes(name: str, dtype: str, channels: int, sharded: bool, tmp_path: Path) -> None:
    geometry = GEOMETRIES["odd offset"]
    voxels = sample_voxels(geometry, dtype, channels)
    scale: dict[str, Any] = {
        "size": geometry.size_vx,
        "voxel_offset": geometry.voxel_offset_vx,
        "resolution": geometry.resolution_nm,
        "chunk_size": geometry.chunk_vx,
        "encoding": name,
    }
    if name == "compressed_segmentation":
        scale["compressed_segmentation_block_size"] = [8, 4, 2]
    if name == "jpeg":
        scale["jpeg_quality"] = 95
    if sharded:
        scale["sharding"] = {
            "@type": "neuroglancer_uint64_sharded_v1",
            "preshift_bits": 1,
            "hash": "murmurhash3_x86_128",
            "minishard_bits": 2,
            "shard_bits": 2,
            "minishard_index_encoding": "gzip",
            "data_encoding": "raw" if name in ("jpeg", "png") else "gzip",
        }
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{tmp_path}/"},
        "multiscale_metadata": {"type": "image", "data_type": dtype, "num_channels": channels},
        "scale_metadata": scale,
    }
    tensorstore.open(spec, create=True).result().write(voxels).result()
    info, ours = read_ours(tmp_path)
    compare(ours, voxels, name)
    assert info.scales[0].voxel_offset_vx == geometry.voxel_offset_vx


@pytest.mark.parametrize(
    ("name", "dtype", "channels"),
    [
        ("raw", "uint16", 2),
        ("jpeg", "uint8", 1),
        ("jxl", "uint8", 1),
        ("compressed_segmentation", "uint64", 1),
        ("compresso", "uint32", 1),
        ("crackle", "uint64", 1),
    ],
)
def test_we_read_what_cloudvolume_writes(name: str, dtype: str, channels: int, tmp_path: Path) -> None:
    geometry = GEOMETRIES["odd offset"]
    voxels = sample_voxels(geometry, dtype, channels)
    info = CloudVolume.create_new_info(
        channels,
        "segmentation" if name not in ("raw", "jpeg", "jxl") else "image",
        dtype,
        name,
        geometry.resolution_nm,
        geometry.voxel_offset_vx,
        geometry.size_vx,
        chunk_size=geometry.chunk_vx,
        encoding_level={"jpeg": 95}.get(name),
    )
    if name == "jxl":
        info["scales"][0]["jxl_quality"] = 100  # create_new_info has no parameter that reaches this field
    volume = CloudVolume(f"file://{tmp_path}", info=info, progress=False, compress=False)
    volume.commit_info()
    volume[:] = voxels
    _, ours = read_ours(tmp_path)
    compare(ours, voxels, name)
