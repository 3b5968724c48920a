"""Which objects are looked at whole, and which job looks at which: from the plan and the label statistics alone."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box, Vec
from ophiolite.geometry.pyramid import coarse_box
from ophiolite.kernels.label_stats import LabelStats
from ophiolite.plan.costs import BASE_MEMORY_MB, MEMORY_BYTES_PER_VX, object_voxels
from ophiolite.plan.model import VolumePlan
from ophiolite.stages.job import Job
from ophiolite.stages.layer import reduced_statistics

_ONE = (1, 1, 1)
# A soma is looked for where its least radius is this many voxels: half a voxel is 1.6 % of it then.
_VOXELS_PER_RADIUS = 32
# A nucleus that is a label of its own may take the rest of the soma around it.
_SHARE_BESIDE_NUCLEUS = 0.5


@dataclass(frozen=True)
class Candidate:
    """An object to look at whole: its box in mip-0 voxels; `retrace` where all of its skeleton is to be replaced.

    mip : where its somata are looked for, or it is traced: the finest at which a job's memory holds its box, or a
    coarser one where that shows somata as well; None where not even the coarsest fits.
    """

    label: int
    box: Box
    retrace: bool
    mip: int | None
    weight: int


def dealt_objects(job: Job) -> tuple[list[Candidate], dict[str, str]]:
    """What this job looks at, ascending by label; and, of the named labels, those that no job can, each with why."""
    plan = job.product("skeleton")
    found = sorted(_candidates(job), key=lambda c: c.label)
    to = deal([c.weight for c in found], plan.object_jobs)
    mine = [c for c, number in zip(found, to, strict=True) if number == int(job.item)]
    known = {str(c.label) for c in found}
    named = plan.options["objects"]["whole_labels"]
    return mine, {
        label: "is not skeletonized: no voxels, dust or not asked for" for label in named if label not in known
    }


def deal(weights: Sequence[int], jobs: int) -> list[int]:
    """The job of each weight: heaviest first, to the job with least so far (Graham 1969, doi:10.1137/0117039)."""
    loads = [(0, number) for number in range(jobs)]
    out = [0] * len(weights)
    for i in sorted(range(len(weights)), key=lambda i: (-weights[i], i)):
        load, number = heapq.heappop(loads)
        out[i] = number
        heapq.heappush(loads, (load + weights[i], number))
    return out


def can_hold_ball(
    stats: LabelStats, volume: Box, voxel_nm: tuple[float, float, float], radius_nm: float, share: float = 1.0
) -> NDArray[np.bool_]:
    """Which objects may hold the middle of a ball of this radius, by voxels and sides of their boxes, in nm.

    An object cut by a face of the volume may hold half a ball there; a volume thinner than a ball holds none.
    share : of the ball that are the object's own voxels.
    """
    sizes = np.array(volume.shape) * voxel_nm
    cut = (stats.start <= np.array(volume.start)) | (stats.stop >= np.array(volume.stop))
    sides = (stats.stop - stats.start) * np.array(voxel_nm)
    wide = (sides >= np.where(cut, radius_nm, 2 * radius_nm)).all(axis=1)
    ball = 4 / 3 * np.pi * radius_nm**3 * 0.5 ** cut.sum(axis=1)
    large = stats.voxels.astype(np.float64) * np.prod(voxel_nm) >= ball * share
    found: NDArray[np.bool_] = wide & large & bool((sizes >= 2 * radius_nm).all())
    return found


def finest_mip(volume: VolumePlan, from_mip: int, box: Box, most_vx: int) -> int | None:
    """The finest mip, from one on, at which a mip-0 box has at most so many voxels; None where none has."""
    for scale in volume.scales[from_mip:]:
        if coarse_box(box, scale.factor).grow(_ONE, _ONE).volume <= most_vx:
            return scale.mip
    return None


def most_voxels(job: Job, retrace: bool) -> int:
    """Voxels of a box that this job's memory holds, for looking for somata or for tracing."""
    memory = job.project.jobs.memory_mb
    if retrace:
        # The compiled loops number voxels in 32 bits, their margin included.
        return min((memory - BASE_MEMORY_MB) * 10**6 // MEMORY_BYTES_PER_VX["skeleton_fragments"], 2**30)
    return object_voxels(memory)


def _candidates(job: Job) -> list[Candidate]:
    plan, volume = job.product("skeleton"), job.volume
    options = plan.options
    named = np.array([int(v) for v in options["objects"]["whole_labels"]], np.uint64)
    asked = np.array([int(v) for v in options["labels"]], np.uint64)
    left_out = np.array([int(v) for v in options["exclude_labels"]], np.uint64)
    bounds, voxel_nm = volume.scales[0].box, volume.scales[0].resolution_nm
    traced = options["fragments"]
    share = _SHARE_BESIDE_NUCLEUS if traced["fix_avocados"] else 1.0
    found = []
    for stats in reduced_statistics(job):
        retrace = np.isin(stats.labels, named)
        wanted = retrace | can_hold_ball(stats, bounds, voxel_nm, traced["soma_accept_nm"], share)
        wanted &= (stats.voxels >= np.uint64(options["dust_vx"])) & ~np.isin(stats.labels, left_out)
        if len(asked):
            wanted &= np.isin(stats.labels, asked)
        for row in np.flatnonzero(wanted).tolist():
            box = Box(_vec(stats.start[row]), _vec(stats.stop[row]))
            found.append(_candidate(job, int(stats.labels[row]), box, bool(retrace[row]), plan.mip))
    return found


def lie_within(job: Job, boxes: Mapping[int, Box]) -> list[int]:
    """Of labels with a mip-0 box each, those whose voxels all lie in it, ascending."""
    found = []
    for stats in reduced_statistics(job) if boxes else ():
        for row in np.flatnonzero(np.isin(stats.labels, np.array(list(boxes), np.uint64))).tolist():
            label, box = int(stats.labels[row]), Box(_vec(stats.start[row]), _vec(stats.stop[row]))
            if box.intersect(boxes[label]) == box:
                found.append(label)
    return sorted(found)


def _candidate(job: Job, label: int, box: Box, retrace: bool, mip: int) -> Candidate:
    """A candidate with the voxels it is read in as its weight."""
    fits = finest_mip(job.volume, mip, box, most_voxels(job, retrace))
    weight = 0 if fits is None else coarse_box(box, job.volume.scales[fits].factor).volume
    if fits is not None and not retrace:
        fits = coarse_enough(job.volume, fits, job.product("skeleton").options["fragments"]["soma_accept_nm"])
    return Candidate(label, box, retrace, fits, weight)


def coarse_enough(volume: VolumePlan, mip: int, radius_nm: float) -> int:
    """The coarsest mip, from one on, whose voxels are still small beside a ball of this radius."""
    small = [s.mip for s in volume.scales[mip:] if max(s.resolution_nm) * _VOXELS_PER_RADIUS <= radius_nm]
    return max(small, default=mip)


def _vec(row: NDArray[np.int64]) -> Vec:
    x, y, z = row.tolist()
    return (x, y, z)
