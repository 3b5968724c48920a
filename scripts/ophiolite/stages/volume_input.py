"""What a round of a pyramid reads: the raw source, or the carries of the round before."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry import Box
from ophiolite.geometry.box import ceildiv, floordiv, sub
from ophiolite.geometry.grid import indices
from ophiolite.plan.model import SourcePlan, VolumePlan, block_box
from ophiolite.sources import open_source
from ophiolite.sources.padded import PaddedSource
from ophiolite.sources.relabel import relabelled
from ophiolite.sources.slide_layers import FORMATS, open_slide_layer
from ophiolite.sources.source import Source
from ophiolite.stages.cascade import Level
from ophiolite.stages.job import Job


def open_planned(volume: VolumePlan, table: Path | None = None) -> PaddedSource:
    """The source of a layer, at its place; raises SourceError where it changed since the plan was made.

    table : on this machine, the table of connected objects, for the layer `objects` of a slide.
    """
    plan = volume.source
    source = _open_slide(plan, table) if plan.format in FORMATS else _open_volume(volume)
    if source.fingerprint() != plan.fingerprint:
        raise SourceError(
            explain(source.path, "has changed since the plan was made", do="Run `snakemake plan` again, then go on")
        )
    return PaddedSource(source, plan.pad_vx)


def _open_slide(plan: SourcePlan, table: Path | None) -> Source:
    assert plan.format is not None
    reading = {key: value for key, value in plan.reading.items() if key != "min_object_px"}
    return open_slide_layer(Path(plan.text), plan.format, reading, table)


def _open_volume(volume: VolumePlan) -> Source:
    plan = volume.source
    source = open_source(
        plan.text,
        kind=volume.kind,
        format=plan.format,
        base=Path(),
        resolution_nm=volume.scales[0].resolution_nm,
        voxel_offset_vx=plan.voxel_offset_vx,
        verify=False,
    )
    return relabelled(source, plan.relabel, Path()) if plan.relabel else source


def table_of_objects(job: Job, folder: Path) -> Path | None:
    """On this machine, the table that the layer `objects` of a slide is read by; None for every other layer.

    folder : for a copy, where the store is a bucket.
    """
    if job.volume.source.format != "mask_objects":
        return None
    job.require(job.paths.mask_objects, "mask_objects")
    return job.store.local_copy(job.paths.mask_objects, folder)


class SourceInput:
    """Mip 0 of a layer, from its source.

    scratch : a folder for decoded parts that several tasks share. table : as in `open_planned`.
    """

    def __init__(self, volume: VolumePlan, scratch: Path | None = None, table: Path | None = None) -> None:
        self._source = open_planned(volume, table)
        if scratch is not None:
            self._source.source.overflow_to(scratch)

    @property
    def source(self) -> Source:
        """The source itself, without padding."""
        return self._source.source

    def read(self, box: Box) -> Level:
        """The voxels of a box of mip 0."""
        return Level(box, self._source.read(box))


class CarryInput:
    """The last mip of the round before, from the carries its blocks left."""

    def __init__(self, job: Job, number: int) -> None:
        volume = job.volume
        self._job, self._volume = job, volume
        self._before, self._step = volume.rounds[number - 1], volume.rounds[number].before_block_vx
        self._scale = volume.scales[self._before.mips[-1]]
        self._copies = job.store.scratch(f"{job.paths.work}/carry_copies") / f"{job.rule}.{job.item}"
        shutil.rmtree(self._copies, ignore_errors=True)
        job.scratch.append(self._copies)

    def read(self, box: Box) -> Level:
        """Sums (and counts) or values of a box of the input mip."""
        before, volume, scale = self._before, self._volume, self._scale
        first = floordiv(sub(box.start, scale.voxel_offset_vx), self._step)
        stop = ceildiv(sub(box.stop, scale.voxel_offset_vx), self._step)
        out: list[NDArray[Any]] = []
        for index in indices(Box(first, stop)):
            name = before.blocks.name(index)
            own = block_box(volume, before, scale, name)
            shared = own.intersect(box)
            if shared.empty:
                continue
            parts = self._arrays(name)
            if not out:
                out = [np.zeros((*box.shape, p.shape[3]), dtype=p.dtype, order="F") for p in parts]
            for whole, part in zip(out, parts, strict=True):
                whole[shared.slices(box.start)] = part[shared.slices(own.start)]
        return Level(box, out[0], out[1] if len(out) > 1 else None)

    def _arrays(self, block: str) -> list[NDArray[Any]]:
        """Values, and counts for a sparse mean, of a block: mapped, not read."""
        number, volume = self._before.number, self._volume
        counted = volume.method == "mean" and volume.sparse and self._scale.mip > 0
        paths = [self._job.paths.carry(number, block, part) for part in range(1 + counted)]
        for path in paths:
            self._job.require(path, "pyramid_blocks", f"r{number}.{block}")
        return [np.load(self._job.store.local_copy(path, self._copies), mmap_mode="r") for path in paths]
