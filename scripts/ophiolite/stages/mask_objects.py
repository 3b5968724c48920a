"""The connected objects of a slide's mask: one pass over the mask, a table of runs, the measures of every object."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import PlanError
from ophiolite.kernels.mask_runs import RunLabeller, measure_runs
from ophiolite.layers.store import Written
from ophiolite.sources.mask import MaskSource
from ophiolite.sources.mask_objects import MaskObjectsSource
from ophiolite.stages.job import Job
from ophiolite.stages.slide_measures import measures_bytes, measures_path, runs_of
from ophiolite.stages.volume_input import open_planned

RUNS_AT_ONCE = 1 << 20


def write_mask_objects(job: Job) -> tuple[list[Written], dict[str, Any]]:
    """Label the mask of a slide; returns the files, and what was counted: objects, pixels that binarising changed.

    Raises SourceError where binarising leaves nothing of the mask, or a value stands for no structure.
    """
    mask = _mask_of(job)
    mask.check_binarised()
    folder = job.store.scratch(f"{job.paths.work}/mask_objects")
    folder.mkdir(parents=True, exist_ok=True)
    labeller, nonbinary, raw = RunLabeller(), 0, folder / "runs"
    with raw.open("wb") as stream:
        for box in mask.strips():
            stream.write(labeller.add(mask.read(box)[:, :, 0, 0], box.start[1] - mask.voxel_offset_vx[1]).tobytes())
            nonbinary += mask.nonbinary(box)
    labels, values = labeller.objects(job.volume.source.reading["min_object_px"])
    written = _write_runs(job, raw, labels)
    runs = runs_of(job)
    measures = measure_runs(runs, len(values))
    job.say(f"{len(values)} objects, {len(runs)} runs")
    facts = {"objects": len(values), "nonbinary_px": nonbinary}
    return [written, job.store.write(measures_path(job), measures_bytes(measures, values))], facts


def _mask_of(job: Job) -> MaskSource:
    """The mask that the layer `objects` of a slide is made from."""
    source = open_planned(job.volume).source
    if not isinstance(source, MaskObjectsSource):
        raise PlanError(f"{job.dataset}/{job.layer}: is not made of the objects of a mask.")
    return source.mask


def _write_runs(job: Job, raw: Path, labels: NDArray[np.uint32]) -> Written:
    kept = sum(len(part) for part in _labelled(raw, labels))

    def fill(table: NDArray[Any]) -> None:
        at = 0
        for part in _labelled(raw, labels):
            table[at : at + len(part)] = part
            at += len(part)

    return job.store.write_array(job.paths.mask_objects, (kept, 4), np.uint32, fill)


def _labelled(raw: Path, labels: NDArray[np.uint32]) -> Iterator[NDArray[np.uint32]]:
    """The runs of all objects that are kept, in raster order, some at a time."""
    with raw.open("rb") as stream:
        while data := stream.read(RUNS_AT_ONCE * 16):
            runs = np.frombuffer(data, np.uint32).reshape(-1, 4).copy()
            runs[:, 3] = labels[runs[:, 3]]
            yield runs[runs[:, 3] > 0]
