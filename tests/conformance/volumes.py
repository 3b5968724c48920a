"""Small volumes assembled from the format functions alone, for other people's readers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import morton
from ophiolite.geometry.box import Vec
from ophiolite.precomputed.compression import gzip_bytes
from ophiolite.precomputed.encoding import ChunkEncoding, encode_chunk
from ophiolite.precomputed.sharding import build_shard, locate, shard_name, volume_sharding
from ophiolite.precomputed.volume_info import Nm, Scale, VolumeInfo, chunk_name, scale_key


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a test volume lie."""

    size_vx: Vec
    voxel_offset_vx: Vec
    chunk_vx: Vec
    resolution_nm: Nm


GEOMETRIES = {
    "odd offset": Geometry((33, 20, 17), (3, 7, 11), (8, 8, 8), (8, 8, 40)),
    "negative offset": Geometry((70, 9, 3), (-5, -1001, 4), (16, 4, 1), (3.5, 3.5, 30)),
    "one chunk": Geometry((5, 6, 7), (0, 0, -2), (64, 64, 64), (1, 1, 1)),
    "flat": Geometry((40, 50, 1), (100, 0, 0), (8, 16, 1), (499.2, 499.2, 1000)),
}

SHARDINGS = {"unsharded": None, "sharded": 3, "one shard": 64, "shard per chunk": 0}


def write_volume(
    folder: Path, voxels: NDArray[Any], geometry: Geometry, encoding: ChunkEncoding, shard_chunk_bits: int | None
) -> Scale:
    """Write `(x, y, z, c)` voxels as a volume of one scale; sharded where bits are given."""
    grid_vx = tuple(-(-n // c) for n, c in zip(geometry.size_vx, geometry.chunk_vx, strict=True))
    sharding = None
    if shard_chunk_bits is not None:
        data_encoding = "gzip" if encoding.gzip else "raw"
        sharding = volume_sharding(grid_vx, shard_chunk_bits, 4, data_encoding)  # type: ignore[arg-type]
    scale = Scale(
        scale_key(geometry.resolution_nm),
        geometry.size_vx,
        geometry.voxel_offset_vx,
        geometry.resolution_nm,
        geometry.chunk_vx,
        encoding,
        sharding,
    )
    kind = "segmentation" if encoding.name in ("compressed_segmentation", "compresso", "crackle") else "image"
    info = VolumeInfo(kind, voxels.dtype.name, voxels.shape[3], (scale,))  # type: ignore[arg-type]
    (folder / scale.key).mkdir(parents=True)
    (folder / "info").write_bytes(info.to_json())
    shards: dict[int, list[tuple[int, bytes, bytes]]] = {}
    for index in scale.grid:
        box = scale.grid.cell(index)
        data = encode_chunk(voxels[box.slices(geometry.voxel_offset_vx)], encoding)
        if sharding is None:
            (folder / scale.key / chunk_name(box)).write_bytes(data)
            continue
        key = morton.encode([index], scale.grid.shape)
        shard, _ = locate(sharding, key)
        shards.setdefault(int(shard[0]), []).append((int(key[0]), b"", gzip_bytes(data) if encoding.gzip else data))
    for number, entries in shards.items():
        assert sharding is not None
        path = folder / scale.key / shard_name(sharding, number)
        path.write_bytes(build_shard(sharding, number, entries, compressed=True))
    return scale


def sample_voxels(geometry: Geometry, dtype: str, channels: int) -> NDArray[Any]:
    """Smooth images whose channels differ, or labels in blocks that use the whole type."""
    x, y, z, c = np.meshgrid(*map(np.arange, (*geometry.size_vx, channels)), indexing="ij")
    if dtype == "float32":
        return np.asfortranarray(np.sin(x / 5 + y / 7 + z / 3 + c).astype(np.float32))
    if dtype == "uint8":
        wave = 110 + 50 * np.sin(x / 9) + 30 * np.cos(y / 7 + z / 11) + 20 * c
        return np.asfortranarray(wave.astype(np.uint8))
    blocks = ((x // 5) * 7919 + (y // 4) * 104729 + (z // 3) * 1299709 + c * 15485863).astype(np.uint64)
    return np.asfortranarray((blocks * np.uint64(0x9E3779B97F4A7C15)).astype(dtype))
