"""The sections of objects across their skeletons, in the voxels of the whole object."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box
from ophiolite.geometry.pyramid import coarse_box
from ophiolite.kernels.cross_section import section_areas
from ophiolite.layers.label_masks import LabelMasks
from ophiolite.layers.volume import VolumeReader
from ophiolite.stages.job import Job
from ophiolite.stages.layer import volume_info
from ophiolite.stages.owned import owned_rows

# Of a job's memory, what decoded chunks may take; and bytes per voxel of an object's box: its mask, and room.
_CACHE_SHARE = 4
_BYTES_PER_VX = 6


class Areas:
    """Measures the skeletons of the labels of one merge job."""

    def __init__(self, job: Job) -> None:
        plan = job.product("skeleton")
        self._say = job.say
        self._scale = job.volume.scales[plan.mip]
        memory = job.project.jobs.memory_mb * 10**6
        reader = VolumeReader(job.store, job.paths.layer_folder, plan.mip, volume_info(job.volume))
        self._masks = LabelMasks(reader, memory // _CACHE_SHARE)
        self._most_vx = memory // 2 // _BYTES_PER_VX
        self._boxes = dict(_boxes(job))

    def of(self, label: int, vertices_nm: NDArray[np.floating], edges: NDArray[np.uint32]) -> NDArray[np.float32]:
        """(n,) nm^2 as `section_areas` gives them; 0, and said, where the object's box is too large for the job."""
        bounds = self._scale.box
        box = coarse_box(self._boxes[label], self._scale.factor).grow((1, 1, 1), (1, 1, 1)).intersect(bounds)
        if box.volume > self._most_vx:
            self._say(f"label {label} fills {box.volume / 1e6:.3g} million voxels: too many to measure its sections")
            return np.zeros(len(vertices_nm), np.float32)
        mask = self._masks.read(label, box).view(np.bool_)
        low = [a == b for a, b in zip(box.start, bounds.start, strict=True)]
        high = [a == b for a, b in zip(box.stop, bounds.stop, strict=True)]
        ends = (low[0], high[0], low[1], high[1], low[2], high[2])
        return section_areas(vertices_nm, edges, mask, box.start, np.array(self._scale.resolution_nm), ends)


def _boxes(job: Job) -> Iterator[tuple[int, Box]]:
    """The mip-0 box of each label of a merge job."""
    for stats, rows in owned_rows(job, "skeleton"):
        for row in rows.tolist():
            (x, y, z), (u, v, w) = stats.start[row].tolist(), stats.stop[row].tolist()
            yield int(stats.labels[row]), Box((x, y, z), (u, v, w))
