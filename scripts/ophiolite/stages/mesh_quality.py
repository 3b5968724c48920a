"""What a job measures of the meshes of one merge job: as they stand in the shards, against the voxels of their labels.

An object is compared with the surface of its own mask by the same extractor, which closes beyond the outermost voxel
centres also at the dataset's faces, as its mesh does; with `open_edges` both end at those centres, and volumes
mean nothing there. With `fill_holes` the mask is filled first: cavities that cross tasks are left open in the mesh.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError, StoreError, explain
from ophiolite.geometry import Box, morton
from ophiolite.geometry.pyramid import coarse_box
from ophiolite.kernels.label_surface import Triangles
from ophiolite.kernels.mesh_compare import compare_with_voxels, crossings, fill_cavities
from ophiolite.kernels.mesh_topology import merge_vertices
from ophiolite.layers.label_masks import LabelMasks
from ophiolite.layers.objects import MeshReader
from ophiolite.layers.volume import VolumeReader
from ophiolite.precomputed.multilod import Manifest
from ophiolite.stages.job import Job
from ophiolite.stages.layer import volume_info
from ophiolite.stages.mesh_faults import Limits, faults_of
from ophiolite.stages.mesh_pieces import extractor_of
from ophiolite.stages.mesh_quality_table import TABLE
from ophiolite.stages.owned import left_out, owned_rows
from ophiolite.stages.shards import shards_of_job

SAY_EVERY = 100
# Of a job's memory, what decoded chunks may take, what a process takes before it has read anything, and bytes per pair
# of voxels that an object's surface divides: the surface has a vertex there, two triangles, and a tree over these.
_CACHE_SHARE = 8
_BASE_BYTES = 350_000_000
_BYTES_PER_CROSSING = 850
_ONE = (1, 1, 1)


@dataclass(frozen=True)
class _Own:
    """A label of this merge job: its mip-0 voxels and box."""

    label: int
    voxels: int
    box: Box


def run_mesh_quality(job: Job) -> int:
    """Measure every label whose mesh belongs to one merge job, write its part of the table; returns how many."""
    measure = _Measure(job)
    owned = list(_owned(job))
    owned.sort(key=lambda own: measure.place(own))
    rows = []
    for number, own in enumerate(owned, 1):
        rows.append(measure.row(own))
        if "problem" in rows[-1]:
            job.say(f"label {own.label}: {rows[-1]['problem']}")
        if number % SAY_EVERY == 0:
            job.say(f"{number} of {len(owned)} labels")
    known = {own.label for own in owned}
    rows += [{"label": k, "status": "without voxels"} for k in measure.stored if k not in known]
    for row in rows:
        gravity, faults = faults_of(row, measure.limits)
        row |= {"dataset": job.dataset, "layer": job.layer, "gravity": gravity, "faults": "; ".join(faults)}
    job.store.write(job.paths.quality(job.rule, job.item), TABLE.part(sorted(rows, key=lambda row: int(row["label"]))))
    return len(rows)


def _owned(job: Job) -> Iterator[_Own]:
    """The labels with voxels whose mesh belongs in the shards of this merge job, part by part of the statistics."""
    for stats, rows in owned_rows(job, "mesh"):
        for row in rows.tolist():
            box = Box(tuple(stats.start[row].tolist()), tuple(stats.stop[row].tolist()))
            yield _Own(int(stats.labels[row]), int(stats.voxels[row]), box)


class _Measure:
    """What measuring the labels of one merge job shares."""

    def __init__(self, job: Job) -> None:
        self._plan = job.product("mesh")
        self._scale = job.volume.scales[self._plan.mip]
        self._bounds0 = job.volume.scales[0].box
        self._resolution = np.array(self._scale.resolution_nm)
        folder = job.paths.layer_folder
        self._meshes = MeshReader(job.store, f"{folder}/{self._plan.folder}")
        memory = job.project.jobs.memory_mb * 10**6
        reader = VolumeReader(job.store, folder, self._plan.mip, volume_info(job.volume))
        self._masks = LabelMasks(reader, memory // _CACHE_SHARE)
        settings = job.project.config["quality"]
        self._samples = int(settings["samples"])
        self._most_vx = int(settings["max_box_mvx"]) * 10**6
        self._most_bytes = memory - memory // _CACHE_SHARE - _BASE_BYTES
        options = self._plan.options
        self._extractor = extractor_of(job)
        self._open_edges = bool(options["fragments"]["open_edges"])
        self._fill_holes = bool(options["fragments"]["fill_holes"])
        simplified = options["fragments"]["simplify"]
        self.limits = Limits(
            error_nm=float(options["fragments"]["max_error_nm"]) if simplified else 0.0,
            voxel_nm=float(self._resolution.max()),
            alone=self._extractor.alone,
        )
        shards = shards_of_job(self._plan, int(job.item))
        self.stored = self._meshes.keys(shards).tolist()
        self._has_mesh = set(self.stored)

    def place(self, own: _Own) -> tuple[int, int]:
        """A sorting key that keeps neighbours together: Morton order of the chunks in the middle of boxes."""
        box = coarse_box(own.box, self._scale.factor)
        middle = [(a + b) // 2 - o for a, b, o in zip(box.start, box.stop, self._scale.voxel_offset_vx, strict=True)]
        cell = [m // c for m, c in zip(middle, self._scale.chunk_vx, strict=True)]
        return int(morton.encode([tuple(cell)], self._scale.chunks.shape)[0]), own.label

    def row(self, own: _Own) -> dict[str, Any]:
        """All measures of one label."""
        bounds = zip(own.box.start, own.box.stop, self._bounds0.start, self._bounds0.stop, strict=True)
        row: dict[str, Any] = {
            "label": own.label,
            "voxels": own.voxels,
            "at_edge": any(a <= low or b >= high for a, b, low, high in bounds),
        }
        box = coarse_box(own.box, self._scale.factor).grow(_ONE, _ONE)
        if self._open_edges:
            box = box.intersect(self._scale.box)
        row["open_by_design"] = self._open_edges and row["at_edge"]
        try:
            if own.label not in self._has_mesh:
                return row | {"status": self._reason(own, box)}
            return row | self._against_voxels(own, box, not row["open_by_design"])
        except FormatError as error:
            return row | {"status": "cannot be read", "problem": str(error)}

    def _against_voxels(self, own: _Own, box: Box, closed: bool) -> dict[str, Any]:
        """Status and measures of a label that has a mesh; raises FormatError where mesh or voxels are damaged."""
        if box.volume > self._most_vx:
            return {"status": "box too large"}
        # Filling cavities holds the mask four times.
        held = box.volume * (4 if self._fill_holes else 1)
        if held > self._most_bytes:
            return {"status": "surface too large"}
        mask = self._masks.read(own.label, box)
        if not mask.any():
            return {"status": "without voxels at the mesh mip"}
        if held + crossings(mask) * _BYTES_PER_CROSSING > self._most_bytes:
            return {"status": "surface too large"}
        return {"status": "measured"} | self._measures(own, mask, box, closed)

    def _reason(self, own: _Own, box: Box) -> str:
        """Why a label has no mesh."""
        reason = left_out(self._plan, own.label, own.voxels)
        if reason:
            return reason
        if box.volume <= self._most_vx and not self._masks.read(own.label, box).any():
            return "no voxel at the mesh mip"
        return "lost"

    def _measures(self, own: _Own, mask: NDArray[np.uint8], box: Box, closed: bool) -> dict[str, Any]:
        out: dict[str, Any] = {"mesh_mip_voxels": int(np.count_nonzero(mask)), "filled_vx": 0}
        if self._fill_holes:
            mask = fill_cavities(mask)
            out["filled_vx"] = int(np.count_nonzero(mask)) - out["mesh_mip_voxels"]
        manifest = self._manifest(own.label)
        levels = (self._level(own.label, lod) for lod in range(len(manifest.lod_scales)))
        compared = compare_with_voxels(
            levels, mask, box.start, self._resolution, self._samples, closed, self._extractor
        )
        return out | compared | {"lod_scale_nm": manifest.lod_scales.astype(np.float64).tolist()}

    def _manifest(self, label: int) -> Manifest:
        try:
            manifest = self._meshes.manifest(label)
        except StoreError as error:
            raise _unreadable(f"manifest of object {label}", error) from error
        assert manifest is not None
        return manifest

    def _level(self, label: int, lod: int) -> Triangles:
        """A level of a mesh, vertices at a place of their own; raises FormatError for whatever damage it shows."""
        try:
            found = self._meshes.read(label, lod)
        # Sizes in a damaged manifest point beyond the shard; Draco takes some damaged meshes for points without faces.
        except (FormatError, StoreError, TypeError) as error:
            raise _unreadable(f"mesh of object {label}, level {lod}", error) from error
        assert found is not None
        vertices, faces = found
        if len(faces) and int(faces.max()) >= len(vertices):
            raise _unreadable(f"mesh of object {label}, level {lod}", f"a corner beyond its {len(vertices)} vertices")
        return merge_vertices(vertices, faces)


def _unreadable(where: str, what: object) -> FormatError:
    return FormatError(explain(where, "cannot be decoded", got=what, do="Remake the mesh shards of this layer"))
