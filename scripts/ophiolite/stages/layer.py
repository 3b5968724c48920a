"""What is done once per layer: its info, and the reduction of its label statistics."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from ophiolite import __version__
from ophiolite.errors import StoreError
from ophiolite.kernels.label_stats import LabelStats, merge_stats
from ophiolite.layers.paths import FOLDERS, PROPERTIES_FOLDER
from ophiolite.layers.statistics import read_stats_bytes, stats_bytes
from ophiolite.layers.store import Written
from ophiolite.plan.model import ScalePlan, VolumePlan
from ophiolite.precomputed.encoding import ChunkEncoding
from ophiolite.precomputed.sharding import ShardingSpec, murmur_low64
from ophiolite.precomputed.volume_info import Scale, VolumeInfo
from ophiolite.stages.job import Job


def volume_info(volume: VolumePlan) -> VolumeInfo:
    """The `info` of a layer, from the plan alone."""
    products = {name for name, _ in volume.products()}
    return VolumeInfo(
        type=volume.kind,
        data_type=volume.data_type,
        num_channels=volume.source.channels,
        scales=tuple(_scale(s) for s in volume.scales),
        mesh=FOLDERS["mesh"] if "mesh" in products else None,
        skeletons=FOLDERS["skeleton"] if "skeleton" in products else None,
        segment_properties=PROPERTIES_FOLDER if volume.properties else None,
    )


def _scale(scale: ScalePlan) -> Scale:
    return Scale(
        key=scale.key,
        size_vx=scale.size_vx,
        voxel_offset_vx=scale.voxel_offset_vx,
        resolution_nm=scale.resolution_nm,
        chunk_vx=scale.chunk_vx,
        encoding=ChunkEncoding(name=scale.encoding.name, quality=scale.encoding.quality, gzip=scale.encoding.gzip),
        sharding=ShardingSpec.from_json(scale.sharding, f"plan, mip {scale.mip}") if scale.sharding else None,
    )


def write_layer_info(job: Job) -> list[Written]:
    """Write `info` (and `provenance`, which no receipt names since it is dated); drop folders of products gone."""
    folder = job.paths.layer_folder
    kept = {product.folder for _, product in job.volume.products()} | (
        {PROPERTIES_FOLDER} if job.volume.properties else set()
    )
    for gone in {*FOLDERS.values(), PROPERTIES_FOLDER} - kept:
        job.store.delete_folder(f"{folder}/{gone}")
    if job.volume.skeleton is None:
        job.store.delete_folder(job.paths.branch_folder)
        job.store.delete_folder(job.paths.swc_folder)
    written = [job.store.write(f"{folder}/info", volume_info(job.volume).to_json())]
    history = _provenance(job)
    # Done again, as by `heal`, it keeps the date of its first writing.
    if _undated(history) != _undated(_read_provenance(job)):
        job.store.write(f"{folder}/provenance", (json.dumps(history, indent=1, sort_keys=True) + "\n").encode())
    return written


def _read_provenance(job: Job) -> Any:
    """What stands in the layer's history; None where there is none, or none that can be read."""
    try:
        return json.loads(job.store.read(f"{job.paths.layer_folder}/provenance"))
    except (StoreError, ValueError):
        return None


def _undated(history: Any) -> Any:
    """A history without its dates; itself where it is none."""
    try:
        return {**history, "processing": [{**step, "date": ""} for step in history["processing"]]}
    except (KeyError, TypeError):
        return history


def _provenance(job: Job) -> dict[str, Any]:
    """The layer's history in CloudVolume's form."""
    return {
        "description": f"{job.project.project}: {job.dataset}/{job.layer}",
        "owners": [],
        "processing": [
            {
                "method": {"task": "ophiolite", "version": __version__, "config": job.project.config},
                "by": "ophiolite",
                "date": time.strftime("%Y-%m-%d %H:%M %Z", time.gmtime()),
            }
        ],
        "sources": [job.volume.source.text],
    }


def part_of(
    labels: np.ndarray[tuple[int, ...], np.dtype[np.uint64]], parts: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Which of the object tables' parts each label belongs to: equal shares by hash, whatever the label values."""
    return (murmur_low64(labels) % np.uint64(parts)).astype(np.int64)


def reduce_statistics(job: Job, part: int) -> list[Written]:
    """Merge the blocks' label statistics of one part; whole objects from here on."""
    volume = job.volume
    pieces: list[LabelStats] = []
    for block in volume.rounds[0].block_names():
        stats = read_stats_bytes(job.read_work(job.paths.statistics(block), "pyramid_blocks", f"r0.{block}"))
        pieces.append(_select(stats, part_of(stats.labels, volume.stats_parts) == part))
    merged = merge_stats(pieces)
    return [job.store.write(reduced_path(job, part), stats_bytes(merged))]


def _select(stats: LabelStats, mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> LabelStats:
    return LabelStats(
        labels=stats.labels[mask],
        voxels=stats.voxels[mask],
        start=stats.start[mask],
        stop=stats.stop[mask],
        coordinate_sum=stats.coordinate_sum[mask],
    )


def reduced_path(job: Job, part: int) -> str:
    """Where the reduced label statistics of one part lie."""
    return f"{job.paths.work}/label_stats/{part}.npy"


def reduced_statistics(job: Job) -> Iterator[LabelStats]:
    """The reduced label statistics of every part."""
    for part in range(job.volume.stats_parts):
        yield read_stats_bytes(job.store.read(reduced_path(job, part)))
