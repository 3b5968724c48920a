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
from ophiolite.plan.model import VolumePlan, block_box
from ophiolite.sources import open_source
from ophiolite.sources.padded import PaddedSource
from ophiolite.sources.relabel import relabelled
from ophiolite.stages.cascade import Level
from ophiolite.stages.job import Job


def open_planned(volume: VolumePlan) -> PaddedSource:
    """The source of a layer, at its place; raises SourceError where it changed since the plan was made."""
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
    if plan.relabel:
        source = relabelled(source, plan.relabel, Path())
    if source.fingerprint() != plan.fingerprint:
        raise SourceError(
            explain(source.path, "has changed since the plan was made", do="Run `snakemake plan` again, then go on")
        )
    return PaddedSource(source, plan.pad_vx)


class SourceInput:
    """Mip 0 of a layer, from its source; `scratch` is a folder for decoded parts that several tasks share."""

    def __init__(self, volume: VolumePlan, scratch: Path | None = None) -> None:
        self._source = open_planned(volume)
        if scratch is not None:
            self._source.source.overflow_to(scratch)

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
