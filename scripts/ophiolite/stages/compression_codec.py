"""The benchmark of encodings for one layer: every pair of encoding and second stage on a box in its middle."""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box, Vec
from ophiolite.geometry.box import prod
from ophiolite.layers.volume import VolumeReader
from ophiolite.precomputed.encoding import READERS, ChunkEncoding
from ophiolite.stages.compression_codecs import Pipeline, lossy, pipelines
from ophiolite.stages.compression_measure import Fidelity, Measured, measure
from ophiolite.stages.job import Job
from ophiolite.stages.layer import volume_info
from ophiolite.stages.tables import parquet_bytes, schema_of, table_of
from ophiolite.stages.volume_input import open_planned

COLUMNS: dict[str, str] = {
    "dataset": "string", "layer": "string", "kind": "string", "data_type": "string", "channels": "int64",
    "codec": "string", "encoding": "string", "quality": "int64", "second_stage": "string", "chunk": "string",
    "voxels": "int64", "voxels_of": "string", "chunks": "int64", "bytes": "int64", "ratio": "float64",
    "encode_mvx_s": "float64", "decode_mvx_s": "float64", "decode_min_mvx_s": "float64", "decode_max_mvx_s": "float64",
    "codec_encode_mvx_s": "float64", "codec_decode_mvx_s": "float64", "cpu_share": "float64", "lossy": "bool",
    "lossless": "bool", "different": "int64", "max_error": "float64", "psnr_db": "float64", "ssim": "float64",
    **dict.fromkeys(sorted(READERS), "string"), "chunks_per_shard": "int64", "fault": "string",
}  # fmt: skip
"""Columns of the table of encodings with their Arrow types."""


def benchmark_layer(job: Job) -> None:
    """Measure every pipeline at every chunk size, and write the layer's part of the table."""
    volume, settings = job.volume, job.project.config["compression"]
    sizes: list[Vec] = [(c[0], c[1], c[2]) for c in settings["chunk_vx"]]
    box = centred_box(volume.scales[0].box, settings["max_mvx"] * 1_000_000, sizes[0])
    voxels, voxels_of = _voxels(job, box)
    job.say(f"{' x '.join(map(str, box.shape))} voxels of {volume.data_type}")
    folder = job.store.scratch(f"{job.paths.work}/compression_codec")
    folder.mkdir(parents=True, exist_ok=True)
    known: dict[str, Fidelity] = {}
    rows: list[dict[str, Any]] = []
    for chunk_vx in sizes:
        for pipeline in pipelines(volume.kind, volume.data_type, voxels.shape[3]):
            found = measure(voxels, pipeline, chunk_vx, settings["repeats"], folder / "chunks", known)
            row = {
                "dataset": job.dataset,
                "layer": job.layer,
                "kind": volume.kind,
                "data_type": volume.data_type,
                "channels": voxels.shape[3],
                "chunk": "x".join(map(str, chunk_vx)),
                "voxels": box.volume,
                "voxels_of": voxels_of,
                "chunks_per_shard": prod(volume.scales[0].shard_chunks) if volume.scales[0].sharding else 1,
                **pipeline_columns(pipeline, volume.data_type, voxels.shape[3]),
                **measured_columns(found, box.volume, voxels.nbytes),
            }
            rows.append(row)
            job.say(f"{row['chunk']} {row['codec']}, {row['second_stage']}: {found.fault or _summary(row)}")
    folder.rmdir()
    job.store.write(job.paths.quality("compression_codec", "all"), table_bytes(rows))


def _voxels(job: Job, box: Box) -> tuple[NDArray[Any], str]:
    """Voxels `(x, y, z, c)` of the `layer` at mip 0, or of its `source` where the layer itself is lossy, and of which.

    An image that went through jpeg once costs less, and loses less, the second time.
    """
    scale = job.volume.scales[0]
    if lossy(ChunkEncoding(scale.encoding.name, scale.encoding.quality, gzip=False)):
        return np.asfortranarray(open_planned(job.volume).read(box)), "source"
    return VolumeReader(job.store, job.paths.layer_folder, 0, volume_info(job.volume)).read(box), "layer"


def centred_box(box: Box, max_voxels: int, multiple_vx: Vec) -> Box:
    """The largest box in the middle of another, of at most `max_voxels`: long axes are cut to one length.

    That length is rounded down to a multiple of `multiple_vx` where it is longer.
    """
    if box.volume <= max_voxels:
        return box
    low, high = 1, max(box.shape)
    while low < high:
        side = (low + high + 1) // 2
        fits = prod(Box.of((0, 0, 0), (side, side, side)).intersect(Box.of((0, 0, 0), box.shape)).shape) <= max_voxels
        low, high = (side, high) if fits else (low, side - 1)
    lengths = [
        n if n <= low else low - (low % m if low > m else 0) for n, m in zip(box.shape, multiple_vx, strict=True)
    ]
    starts = [a + (n - k) // 2 for a, n, k in zip(box.start, box.shape, lengths, strict=True)]
    return Box.of((starts[0], starts[1], starts[2]), (lengths[0], lengths[1], lengths[2]))


def pipeline_columns(pipeline: Pipeline, data_type: str, channels: int) -> dict[str, Any]:
    """The columns that say what was measured and who can read it."""
    return {
        "codec": pipeline.codec,
        "encoding": pipeline.encoding.name,
        "quality": pipeline.encoding.quality,
        "second_stage": pipeline.second.name,
        "lossy": pipeline.lossy,
        **pipeline.readable_by(data_type, channels),
    }


def measured_columns(found: Measured, voxels: int, raw_bytes: int) -> dict[str, Any]:
    """The columns that were measured; empty where a fault kept them from it."""
    million = voxels / 1e6
    out: dict[str, Any] = {"chunks": found.chunks, "fault": found.fault}
    if found.bytes:
        out |= {
            "bytes": found.bytes,
            "ratio": raw_bytes / found.bytes,
            "encode_mvx_s": million / found.encode.seconds,
            "codec_encode_mvx_s": million / found.encode.codec_s,
        }
    if found.decode:
        seconds, passes = [p.seconds for p in found.decode], [found.encode, *found.decode]
        out |= {
            "decode_mvx_s": million / median(seconds),
            "decode_min_mvx_s": million / max(seconds),
            "decode_max_mvx_s": million / min(seconds),
            "codec_decode_mvx_s": million / median(p.codec_s for p in found.decode),
            "cpu_share": sum(p.cpu_s for p in passes) / sum(p.seconds for p in passes),
        }
    if found.fidelity:
        out |= {
            "lossless": found.fidelity.different == 0,
            "different": found.fidelity.different,
            "max_error": found.fidelity.max_error,
            "psnr_db": found.fidelity.psnr_db,
            "ssim": found.fidelity.ssim,
        }
    return out


def table_bytes(rows: list[dict[str, Any]]) -> bytes:
    """Rows as Parquet, with all `COLUMNS` in their order; what a row lacks is null."""
    return parquet_bytes(table_of(rows, schema_of(COLUMNS)))


def _summary(row: dict[str, Any]) -> str:
    speeds = f"{row['encode_mvx_s']:.0f} and {row['decode_mvx_s']:.0f} MVx/s"
    return f"{row['ratio']:.2f} times smaller, encoded and decoded at {speeds}"
