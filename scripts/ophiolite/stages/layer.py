"""What is done once per layer: its info, the reduction of its label statistics, the receipt consumers wait for."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ophiolite import __version__
from ophiolite.kernels.label_stats import LabelStats, merge_stats
from ophiolite.layers.paths import FOLDERS, PROPERTIES_FOLDER
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.statistics import read_stats_bytes, stats_bytes
from ophiolite.layers.store import Store, Written
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
    job.store.write(f"{folder}/provenance", _provenance(job))
    return written


def _provenance(job: Job) -> bytes:
    """The layer's history in CloudVolume's form."""
    data = {
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
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


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


def close_folder(job: Job, folder: str, receipts: list[str], keep: tuple[str, ...] = ()) -> tuple[int, str]:
    """Remove files below `folder` that no receipt names; returns how many are named, and a digest of all receipts.

    Raises StoreError where a file that a receipt names is missing or has another size.
    `keep` names files and folders (relative to `folder`) that others own.
    """
    named: dict[str, Written] = {}
    digest = hashlib.sha256()
    for path in receipts:
        receipt = read_receipt(job.store, path)
        named |= {file.path: file for file in receipt.files}
        digest.update(receipt.to_bytes())
    listed = dict(job.store.sizes(folder))
    _check_all(job.store, named.values(), listed)
    own = tuple(f"{folder}/{k}" for k in keep)
    for path in sorted(listed):
        if path not in named and not path.startswith(own):
            job.store.delete(path)
            job.say(f"removed {path}, which no receipt names")
    job.store.sweep(folder, own)
    job.store.remove_empty(folder)
    return len([n for n in named if n.startswith(folder)]), digest.hexdigest()


def _check_all(store: Store, files: Iterable[Written], listed: Mapping[str, int]) -> None:
    """Raise StoreError unless every file is there with its size; `listed` holds those of one folder.

    Listings spare a request for each of a million objects; they may be stale, so what they lack is asked for by name.
    """
    elsewhere: dict[str, list[Written]] = {}
    for file in files:
        if listed.get(file.path) != file.size_bytes:
            elsewhere.setdefault(file.path.rsplit("/", 1)[0], []).append(file)
    for folder, members in elsewhere.items():
        found = dict(store.sizes(folder)) if len(members) > 1 else {}
        for file in members:
            if found.get(file.path) != file.size_bytes:
                store.check(file)


def sweep_rules(job: Job, *rules: str) -> None:
    """Remove what jobs of these rules, all of them done now, left: partial files, folders of finished tasks."""
    for rule in rules:
        job.store.sweep(f"{job.paths.work}/{rule}")
        job.store.sweep(f"{job.paths.receipts}/{rule}")
        for tasks in job.store.scratch(f"{job.paths.work}/{rule}").glob("tasks-*"):
            shutil.rmtree(tasks, ignore_errors=True)


def close_product(job: Job, product: str) -> dict[str, object]:
    """Close the folder of a mesh or skeleton product; returns the facts of its receipt."""
    plan, paths = job.product(product), job.paths
    receipts = [
        paths.receipt(f"{product}_index", ""),
        *(paths.receipt(f"{product}_shards", j) for j in plan.job_names()),
    ]
    files, digest = close_folder(job, f"{paths.layer_folder}/{plan.folder}", receipts)
    if product == "skeleton" and "swc" not in plan.options["exports"]:
        job.store.delete_folder(paths.swc_folder)
    sweep_rules(job, *(f"{product}_{rule}" for rule in ("fragments", "objects", "shards", "measures")))
    return {"files": files, "receipts": digest}
