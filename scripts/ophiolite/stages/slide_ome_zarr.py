"""A finished slide as OME-Zarr: OME-NGFF 0.5, Zarr version 3, a sharded array per mip."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ophiolite.geometry import Box
from ophiolite.layers.store import Written
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.model import ScalePlan
from ophiolite.stages.job import Job

# A shard is at most so many pixels long and wide: with its three channels 50 MB before compression.
SHARD_PX = 4096
LEVEL = 5
COLOURS = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))


def write_ome_zarr(job: Job) -> tuple[list[Written], dict[str, Any]]:
    """Write every mip of a layer as an array (t, c, z, y, x) of one multiscale image; shard by shard.

    TensorStore encodes each shard in memory; the store writes it, wherever that is.
    """
    import tensorstore as ts

    folder = f"{job.paths.exports}/{job.dataset}.ome.zarr"
    context = ts.Context({"data_copy_concurrency": {"limit": 1}})
    memory = ts.KvStore.open({"driver": "memory"}, context=context).result()

    def flushed(level: int) -> Iterator[Written]:
        """Move what TensorStore has encoded to the store."""
        for key in sorted(memory.list().result()):
            data = memory.read(key).result().value
            yield job.store.write(f"{folder}/{level}/{key.decode()}", data)
        memory.delete_range(ts.KvStore.KeyRange()).result()

    written = [job.store.write(f"{folder}/zarr.json", _group(job))]
    for level, scale in enumerate(job.volume.scales):
        reader = VolumeReader(job.store, job.paths.layer_folder, scale.mip)
        array = ts.open(_spec(scale), context=context, create=True, delete_existing=True).result()
        written += flushed(level)
        for box in _shards(scale):
            region = tuple(slice(a, b) for a, b in zip(box.start, box.stop, strict=True))
            pixels = reader.read(box.shift(scale.voxel_offset_vx))
            x, y, z = region
            array[0, :, z, y, x].write(np.ascontiguousarray(pixels.transpose(3, 2, 1, 0))).result()
            written += flushed(level)
        job.say(f"level {scale.size_vx[0]} x {scale.size_vx[1]}")
    return written, {"levels": len(job.volume.scales)}


def _shards(scale: ScalePlan) -> Iterator[Box]:
    """The pixels of every shard, counted from the first pixel of the mip, row by row."""
    width, height, depth = scale.size_vx
    side = _shard_px(scale)
    for y in range(0, height, side):
        for x in range(0, width, side):
            yield Box((x, y, 0), (min(width, x + side), min(height, y + side), depth))


def _shard_px(scale: ScalePlan) -> int:
    chunk = scale.chunk_vx[0]
    return max(1, SHARD_PX // chunk) * chunk


def _spec(scale: ScalePlan) -> dict[str, Any]:
    """What TensorStore makes of one mip: chunks as those of the layer, a channel each, in shards."""
    width, height, depth = scale.size_vx
    chunk, shard = scale.chunk_vx[0], _shard_px(scale)
    blosc = {"cname": "zstd", "clevel": LEVEL, "shuffle": "noshuffle", "typesize": 1, "blocksize": 0}
    sharding = {
        "chunk_shape": [1, 1, 1, chunk, chunk],
        "codecs": [{"name": "bytes"}, {"name": "blosc", "configuration": blosc}],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
    }
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "memory"},
        "metadata": {
            "shape": [1, 3, depth, height, width],
            "data_type": "uint8",
            "fill_value": 0,
            "dimension_names": ["t", "c", "z", "y", "x"],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 3, 1, shard, shard]}},
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        },
        "store_data_equal_to_fill_value": True,
    }


def _group(job: Job) -> bytes:
    """The group's zarr.json: OME-NGFF 0.5, multiscales and omero."""
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    channels = [
        {
            "label": name,
            "color": colour,
            "active": True,
            "coefficient": 1,
            "family": "linear",
            "inverted": False,
            "window": {"min": 0, "max": 255, "start": 0, "end": 255},
        }
        for name, colour in COLOURS
    ]
    ome = {
        "version": "0.5",
        "multiscales": [
            {
                "name": job.dataset,
                "axes": axes,
                "datasets": [
                    {"path": str(level), "coordinateTransformations": _placed(scale)}
                    for level, scale in enumerate(job.volume.scales)
                ],
                "type": "mean",
            }
        ],
        "omero": {"name": job.dataset, "channels": channels, "rdefs": {"defaultZ": 0, "defaultT": 0, "model": "color"}},
    }
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
    return (json.dumps(group, indent=1, sort_keys=True) + "\n").encode()


def _placed(scale: ScalePlan) -> list[dict[str, Any]]:
    """Size of a pixel and place of the first one's centre, (t, c, z, y, x) in micrometres.

    NGFF counts from the centre of the first pixel of the full resolution, so pixels that are means of several begin
    half of what they are larger behind it.
    """
    size = [nm / 1000 for nm in scale.resolution_nm]
    finest = [nm / 1000 / factor for nm, factor in zip(scale.resolution_nm, scale.factor, strict=True)]
    at = [o * s + (s - f) / 2 for o, s, f in zip(scale.voxel_offset_vx, size, finest, strict=True)]
    return [
        {"type": "scale", "scale": [1.0, 1.0, *reversed(size)]},
        {"type": "translation", "translation": [0.0, 0.0, *reversed(at)]},
    ]
