"""Measures of the pyramid of one layer: a part of the table for each slab of it."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import PlanError, explain
from ophiolite.geometry import Box
from ophiolite.geometry.box import ceildiv, mul
from ophiolite.geometry.grid import indices
from ophiolite.layers.store import Store
from ophiolite.layers.volume import VolumeReader
from ophiolite.parquet import read_parquet, sorted_table
from ophiolite.plan.model import ScalePlan, VolumePlan
from ophiolite.precomputed.encoding import ChunkEncoding, decode_chunk, encode_chunk
from ophiolite.precomputed.volume_info import VolumeInfo
from ophiolite.stages.job import Job
from ophiolite.stages.layer import part_of
from ophiolite.stages.pyramid_walk import MipSums, Pyramid, measure

RULE = "pyramid_quality"
# Some twenty minutes on one core, as pinky40's labels take them.
SLAB_VX = 16_000_000_000
# Tasks do not lie on chunk borders wherever a volume has an offset, so neighbours share decoded chunks.
CACHE_BYTES = 96_000_000
SUMS = (
    "voxels", "wrong", "deviation_sum", "deviation_abs_sum", "deviation_max", "expected_abs_sum", "value_sum", "weight",
    "changed_vx",
)  # fmt: skip


class CachedReader(VolumeReader):
    """A reader that keeps the chunks it decoded last."""

    def __init__(self, store: Store, folder: str, mip: int, cache_bytes: int, info: VolumeInfo | None = None) -> None:
        super().__init__(store, folder, mip, info)
        x, y, z = self.scale.chunk_vx
        chunk_bytes = x * y * z * self.info.num_channels * np.dtype(self.info.data_type).itemsize
        self._room = max(8, cache_bytes // chunk_bytes)
        self._decoded: OrderedDict[int, NDArray[Any]] = OrderedDict()

    def _kept(self, code: int) -> bool:
        return code in self._decoded

    def _chunk(self, code: int, own: Box, stored: Mapping[int, bytes]) -> NDArray[Any]:
        chunk = self._decoded.pop(code) if code in self._decoded else super()._chunk(code, own, stored)
        self._decoded[code] = chunk
        if len(self._decoded) > self._room:
            self._decoded.popitem(last=False)
        return chunk


def pyramid_of(job: Job) -> Pyramid:
    """The layer of a job as its files are: every mip is read back through its encoding."""
    volume, folder = job.volume, job.paths.layer_folder
    # a mip has at most half the voxels of the one before
    readers = [CachedReader(job.store, folder, s.mip, CACHE_BYTES >> min(s.mip, 3)) for s in volume.scales]
    parts = max(volume.stats_parts, 1)
    return Pyramid(
        data_type=volume.data_type,
        method=volume.method,
        sparse=volume.sparse,
        labels=volume.kind == "segmentation",
        boxes=tuple(s.box for s in volume.scales),
        factors=tuple(s.factor for s in volume.scales),
        read=lambda mip, box: readers[mip].read(box),
        followed=lambda labels: part_of(labels.astype(np.uint64), parts) == 0,
        recode=lambda mip, voxels: None if is_lossless(volume.scales[mip]) else recoded(volume.scales[mip], voxels),
    )


def is_lossless(scale: ScalePlan) -> bool:
    """True where a mip decodes to the very voxels that were encoded."""
    encoding = scale.encoding
    return encoding.name != "jpeg" and (encoding.name != "jxl" or encoding.quality == 100)


def recoded(scale: ScalePlan, voxels: NDArray[Any]) -> NDArray[Any]:
    """Voxels (x, y, z, c) after the encoding of a mip, in pieces of its chunks' size."""
    encoding = ChunkEncoding(name=scale.encoding.name, quality=scale.encoding.quality, gzip=False)
    out = np.empty_like(voxels, order="F")
    size = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    whole = Box((0, 0, 0), size)
    for cell in indices(Box((0, 0, 0), ceildiv(size, scale.chunk_vx))):
        part = Box.of(mul(cell, scale.chunk_vx), scale.chunk_vx).intersect(whole).slices((0, 0, 0))
        piece = np.asfortranarray(voxels[part])
        data = encode_chunk(piece, encoding)
        out[part] = decode_chunk(data, piece.shape[:3], piece.shape[3], str(piece.dtype), encoding)
    return out


def slab_items(volume: VolumePlan) -> list[str]:
    """Names of a layer's jobs, "1-4" for the second of four slabs; the rules of the workflow count them as here."""
    slabs = min(-(-volume.scales[0].box.volume // SLAB_VX), max(volume.scales[-1].size_vx))
    return [f"{slab}-{slabs}" for slab in range(slabs)]


def slab_of(volume: VolumePlan, item: str) -> Box:
    """The voxels of the coarsest mip that a job measures, across its longest axis.

    Raises PlanError where there is no such slab.
    """
    items = slab_items(volume)
    if item not in items:
        expected = f"one of {len(items)}, {items[0]} to {items[-1]}"
        raise PlanError(explain("--slab", "does not exist", expected=expected, got=item, do="See the plan"))
    number, slabs = map(int, item.split("-"))
    box = volume.scales[-1].box
    axis = max(range(3), key=lambda d: (box.shape[d], d))
    start, stop = list(box.start), list(box.stop)
    start[axis] = box.start[axis] + box.shape[axis] * number // slabs
    stop[axis] = box.start[axis] + box.shape[axis] * (number + 1) // slabs
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def measure_slab(job: Job) -> None:
    """Measure a slab of a layer and write its part: a row of sums per mip, and one per mip and followed label."""
    slab = slab_of(job.volume, job.item)
    job.say(f"{slab.volume} voxels of mip {len(job.volume.scales) - 1}, and all that lies under them")
    sums = measure(pyramid_of(job), slab)
    job.store.write(job.paths.quality(RULE, job.item), part_bytes(sums))
    for mip, of_mip in enumerate(sums):
        job.say(f"mip {mip}: {of_mip.voxels} voxels, {of_mip.wrong} are not the rounded reduction of mip 0")


def part_bytes(sums: list[MipSums]) -> bytes:
    """A part as Parquet: `mip`, `label` (null in the row of a mip's sums), `volume_vx`, and the sums."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for mip, of_mip in enumerate(sums):
        labels, volumes = of_mip.volume_vx()
        none = pa.nulls(len(labels))
        columns: dict[str, Any] = {
            "mip": pa.array(np.full(1 + len(labels), mip, np.int32)),
            "label": pa.concat_arrays([pa.nulls(1, pa.uint64()), pa.array(labels.astype(np.uint64))]),
            "volume_vx": pa.concat_arrays([pa.nulls(1, pa.int64()), pa.array(volumes)]),
        }
        for name in SUMS:
            own = pa.array([getattr(of_mip, name)])
            columns[name] = pa.concat_arrays([own, none.cast(own.type)])
        tables.append(pa.table(columns))
    out = io.BytesIO()
    pq.write_table(pa.concat_tables(tables), out, compression="zstd")
    return out.getvalue()


def read_part(data: bytes) -> list[MipSums]:
    """What `part_bytes` wrote."""
    import pyarrow.compute as pc

    table = read_parquet(data)
    found = []
    for row in sorted_table(table.filter(pc.is_null(table["label"])), "mip").to_pylist():
        rows = table.filter(pc.and_(pc.equal(table["mip"], row["mip"]), pc.is_valid(table["label"])))
        labels, volumes = rows["label"].to_numpy(), rows["volume_vx"].to_numpy()
        found.append(MipSums(**{name: row[name] for name in SUMS}, found=[(labels, volumes)]))
    return found


def added(parts: list[list[MipSums]]) -> list[MipSums]:
    """The sums of a whole layer, from those of its slabs."""
    total = [MipSums() for _ in parts[0]]
    for part in parts:
        for mine, its in zip(total, part, strict=True):
            for name in SUMS:
                both = getattr(mine, name), getattr(its, name)
                setattr(mine, name, max(both) if name == "deviation_max" else sum(both))
            mine.found += its.found
    return total
