"""What a job measures of the skeletons of one merge job: as they stand in the shards, against their objects.

With `fill_holes` an object's mask is filled first, task by task as skeletonizing does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry import Box, morton
from ophiolite.geometry.pyramid import coarse_box
from ophiolite.kernels.cavities import cavities
from ophiolite.kernels.inside_mesh import inside_mesh
from ophiolite.kernels.label_stats import centroids_vx
from ophiolite.kernels.mesh_measure import Surface
from ophiolite.kernels.skeleton_borders import border_measures
from ophiolite.kernels.skeleton_measure import (
    Bones,
    GraphMeasures,
    component_measures,
    distance_field,
    graph_measures,
    longest_part_nm,
    place_measures,
)
from ophiolite.kernels.skeleton_truth import Centreline, truth_measures
from ophiolite.kernels.thinning import thinning_measures
from ophiolite.layers.label_masks import LabelMasks
from ophiolite.layers.objects import MeshReader, SkeletonReader
from ophiolite.layers.volume import VolumeReader
from ophiolite.report.skeleton_faults import faults_of, gravity_of
from ophiolite.sample.files import TRUTH_VERSION, truth_path
from ophiolite.stages.job import Job
from ophiolite.stages.layer import volume_info
from ophiolite.stages.owned import left_out, owned_rows
from ophiolite.stages.shards import labels_in_nuclei, shards_of_job
from ophiolite.stages.skeleton_quality_table import TABLE

SAY_EVERY = 100
# Of a job's memory, what decoded chunks may take; and bytes per voxel of a box at the peak: its mask and distance
# field, or what thinning or the numbering of components takes beside the mask; and where cavities are filled.
_CACHE_SHARE = 4
_BYTES_PER_VX = 6
_BYTES_PER_VX_FILLED = 9
# An object is held to have lost its skeleton where the longest side of the box of a part is this much longer than the
# shortest cable kept: a centreline runs from end to end, but may stop short of the surface. And diagonals of voxels,
# for where all cables are kept: a few voxels may have no centreline.
_CLEARLY = 1.2
_LEAST_VOXELS = 4
_ONE = (1, 1, 1)


@dataclass(frozen=True)
class _Own:
    """A label of this merge job: its mip-0 voxels, box and centroid."""

    label: int
    voxels: int
    box: Box
    centroid_nm: NDArray[np.float64]


@dataclass(frozen=True)
class _Truth:
    """What is known of one object of a phantom."""

    lines: tuple[Centreline, ...]
    junctions_nm: NDArray[np.float64]


def run_skeleton_quality(job: Job) -> int:
    """Measure every label whose skeleton belongs to one merge job, write its part of the table; returns how many."""
    measure = _Measure(job)
    owned = sorted(_owned(job), key=measure.place)
    known = {own.label for own in owned}
    lost = [{"label": label, "status": "without voxels"} for label in sorted(measure.stored - known)]
    found, slowest = lost, (0.0, 0)
    for number, own in enumerate(owned, 1):
        started = time.process_time()
        found.append(measure.row(own))
        slowest = max(slowest, (time.process_time() - started, own.label))
        if number % SAY_EVERY == 0:
            job.say(f"{number} of {len(owned)} labels")
    rows = [
        {"dataset": job.dataset, "layer": job.layer, "faults": "; ".join(faults_of(row)), "gravity": gravity_of(row)}
        | row
        for row in found
    ]
    if owned:
        job.say(f"the slowest label was {slowest[1]}: {slowest[0]:.1f} s")
    job.store.write(job.paths.quality(job.rule, job.item), TABLE.part(sorted(rows, key=lambda row: int(row["label"]))))
    return len(rows)


def _owned(job: Job) -> Iterator[_Own]:
    """The labels with voxels whose skeleton belongs in the shards of this merge job, part by part of the statistics."""
    resolution = np.array(job.volume.scales[0].resolution_nm)
    for stats, rows in owned_rows(job, "skeleton"):
        centroids = centroids_vx(stats) * resolution
        for row in rows.tolist():
            (x, y, z), (u, v, w) = stats.start[row].tolist(), stats.stop[row].tolist()
            yield _Own(int(stats.labels[row]), int(stats.voxels[row]), Box((x, y, z), (u, v, w)), centroids[row])


def read_truth(source: str) -> dict[int, _Truth]:
    """What is known of the objects of a sample, by label; empty where nothing lies beside the source.

    Raises FormatError where the file is of another version.
    """
    path = truth_path(Path(source.partition(":/")[0]))
    if not path.is_file():
        return {}
    data = json.loads(path.read_bytes())
    if data.get("version") != TRUTH_VERSION:
        raise FormatError(
            explain(
                str(path),
                "is of another version",
                expected=TRUTH_VERSION,
                got=data.get("version"),
                do="Make the sample again: `make sample`",
            )
        )
    found = {}
    for item in data["objects"]:
        lines = [
            Centreline(np.array(b["points_nm"], np.float64), np.array(b["radius_nm"], np.float64))
            for b in item.get("branches", ())
        ]
        if lines:
            junctions = np.array(item["junctions_nm"], np.float64).reshape(-1, 3)
            found[int(item["label"])] = _Truth(tuple(lines), junctions)
    return found


class _Measure:
    """What measuring the labels of one merge job shares."""

    def __init__(self, job: Job) -> None:
        self._plan = job.product("skeleton")
        self._scale = job.volume.scales[self._plan.mip]
        self._voxel_nm = np.array(self._scale.resolution_nm)
        folder, memory = job.paths.layer_folder, job.project.jobs.memory_mb * 10**6
        self._skeletons = SkeletonReader(job.store, f"{folder}/{self._plan.folder}")
        mesh = job.volume.mesh
        self._meshes = MeshReader(job.store, f"{folder}/{mesh.folder}") if mesh else None
        reader = VolumeReader(job.store, folder, self._plan.mip, volume_info(job.volume))
        self._masks = LabelMasks(reader, memory // _CACHE_SHARE)
        settings = job.project.config["quality"]
        self._samples = int(settings["samples"])
        self._min_vx = int(settings["min_skeleton_vx"])
        options = self._plan.options
        self._fill_holes = bool(options["fragments"]["fill_holes"])
        self._avocados = bool(options["fragments"]["fix_avocados"])
        self._nuclei = labels_in_nuclei(job, "skeleton") if self._avocados else set()
        self._least_nm = max(
            _CLEARLY * float(options["shards"]["min_cable_nm"]), _LEAST_VOXELS * float(np.linalg.norm(self._voxel_nm))
        )
        per_vx = max(_BYTES_PER_VX, _BYTES_PER_VX_FILLED if self._fill_holes else 0)
        self._most_vx = min(int(settings["max_box_mvx"]) * 10**6, memory // 2 // per_vx)
        self._truth = read_truth(job.volume.source.text)
        self.stored = set(self._skeletons.keys(shards_of_job(self._plan, int(job.item))).tolist())
        start, step, tasks = self._scale.box.start, self._plan.task_vx, self._plan.tasks
        self._planes = [[start[d] + i * step[d] for i in range(1, tasks[d])] for d in range(3)]

    def place(self, own: _Own) -> tuple[int, int]:
        """A sorting key that keeps neighbours together: Morton order of the chunks in the middle of boxes."""
        box = coarse_box(own.box, self._scale.factor)
        middle = [(a + b) // 2 - o for a, b, o in zip(box.start, box.stop, self._scale.voxel_offset_vx, strict=True)]
        cell = [m // c for m, c in zip(middle, self._scale.chunk_vx, strict=True)]
        return int(morton.encode([tuple(cell)], self._scale.chunks.shape)[0]), own.label

    def row(self, own: _Own) -> dict[str, Any]:
        """All measures of one label."""
        box = coarse_box(own.box, self._scale.factor).grow(_ONE, _ONE).intersect(self._scale.box)
        if own.label not in self.stored:
            return {"label": own.label, "voxels": own.voxels, "status": self._reason(own, box)}
        read = self._skeletons.read(own.label)
        assert read is not None
        bones = Bones(
            read.vertices_nm.astype(np.float64), read.edges.astype(np.int64), read.attributes[0].astype(np.float64)
        )
        graph = graph_measures(bones)
        out: dict[str, Any] = {
            "label": own.label,
            "voxels": own.voxels,
            "vertices": graph.vertices,
            "cable_um": graph.cable_nm / 1000,
            "terminals": graph.terminals,
            "branch_points": graph.branch_points,
            "components": graph.components,
            "loops": graph.loops,
            "centroid_object_nm": _apart(graph.centroid_nm, own.centroid_nm),
        }
        out |= self._against_mesh(own.label, bones) | self._against_truth(own.label, bones)
        if box.volume > self._most_vx:
            return out | {"status": "too large"}
        mask = self._masks.read(own.label, box).view(np.bool_)
        out["filled_vx"] = self._fill(mask, box) if self._fill_holes else 0
        if mask.all():
            return out | {"status": "fills the volume"}
        return out | {"status": "measured"} | self._against_voxels(own, bones, graph, mask, box)

    def _reason(self, own: _Own, box: Box) -> str:
        """Why a label has no skeleton."""
        reason = left_out(self._plan, own.label, own.voxels)
        if reason:
            return reason
        if own.label in self._nuclei:
            return "nucleus"
        if box.volume > self._most_vx:
            return "without skeleton, too large to judge"
        mask = self._masks.read(own.label, box).view(np.bool_)
        if not mask.any():
            return "no voxel at the skeleton mip"
        return "short" if longest_part_nm(mask, self._voxel_nm) < self._least_nm else "without skeleton"

    def _fill(self, mask: NDArray[np.bool_], box: Box) -> int:
        """Fill in place the cavities that lie within one task, each with the plane it shares; returns the voxels."""
        before = int(np.count_nonzero(mask))
        for i, j, k in np.ndindex(*self._plan.tasks):
            part = self._plan.task_core((i, j, k), self._scale.box).grow((0, 0, 0), _ONE).intersect(box)
            if all(n > 0 for n in part.shape):
                view = mask[part.slices(box.start)]
                view |= cavities(view)
        return int(np.count_nonzero(mask)) - before

    def _against_voxels(
        self, own: _Own, bones: Bones, graph: GraphMeasures, mask: NDArray[np.bool_], box: Box
    ) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if own.voxels >= self._min_vx:
            out |= _against_thinning(graph, thinning_measures(mask, box.start, self._voxel_nm), self._voxel_nm)
        least = max(self._min_vx, int(self._plan.options["dust_vx"])) / float(np.prod(self._scale.factor))
        parts = component_measures(bones, mask, box.start, self._voxel_nm, least, self._least_nm)
        field = distance_field(mask, self._voxel_nm)
        place = place_measures(bones, mask, field, box.start, self._voxel_nm)
        border = border_measures(bones, mask, field, box.start, self._voxel_nm, self._planes)
        error = np.abs(place.radius_error_nm)
        return out | {
            "object_components": parts.objects,
            "components_missed": parts.missed,
            "components_short": parts.short,
            "components_split": parts.split,
            # Nuclei merged into their somata are of other labels, and the skeleton may run through them.
            "outside_label": None if self._avocados else place.outside,
            "outside_label_share": None if self._avocados else place.outside / graph.vertices,
            "ridge_mean_nm": _mean(place.ridge_nm),
            "ridge_p95_nm": _percentile(place.ridge_nm),
            "radius_error_mean_nm": _mean(error),
            "radius_error_p95_nm": _percentile(error),
            "radius_error_share": _mean(np.abs(place.radius_share)),
            "coverage": place.coverage,
            "border_faces": border.faces,
            "border_uncrossed": border.uncrossed,
            "border_broken": border.broken,
            "border_doubled": border.doubled,
            "border_parallel": border.parallel,
            "border_spurs": border.spurs,
        }

    def _against_mesh(self, label: int, bones: Bones) -> dict[str, Any]:
        """Vertices outside the finest mesh; of at most `quality.samples` vertices, chosen by the label."""
        found = self._meshes.read(label) if self._meshes else None
        if found is None:
            return {}
        points = bones.vertices_nm
        if len(points) > self._samples:
            points = np.random.default_rng(label).choice(points, self._samples, replace=False)
        outside = points[~inside_mesh(points, *found)]
        return {
            "mesh_tested": len(points),
            "outside_mesh": len(outside),
            "outside_mesh_share": len(outside) / len(points),
            "outside_mesh_max_nm": float(Surface(*found).distance(outside).max()) if len(outside) else 0.0,
        }

    def _against_truth(self, label: int, bones: Bones) -> dict[str, Any]:
        truth = self._truth.get(label)
        if truth is None:
            return {}
        found = truth_measures(bones, truth.lines, truth.junctions_nm, self._voxel_nm)
        return {
            "truth_mean_nm": _mean(found.distance_nm),
            "truth_p95_nm": _percentile(found.distance_nm),
            "truth_branches": found.branches,
            "truth_missed": found.missed,
            "truth_false": found.false,
        }


def _against_thinning(graph: GraphMeasures, lee: GraphMeasures, voxel_nm: NDArray[np.float64]) -> dict[str, Any]:
    out = {
        "lee_cable_um": lee.cable_nm / 1000,
        "lee_terminals": lee.terminals,
        "lee_branch_points": lee.branch_points,
        "lee_components": lee.components,
        "lee_loops": lee.loops,
        "centroid_lee_nm": _apart(graph.centroid_nm, lee.centroid_nm),
        "centroid_lee_vx": _apart(graph.centroid_nm / voxel_nm, lee.centroid_nm / voxel_nm),
    }
    return out | ({"cable_ratio": graph.cable_nm / lee.cable_nm} if lee.cable_nm > 0 else {})


def _apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(a - b))


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _percentile(values: NDArray[np.float64]) -> float | None:
    return float(np.percentile(values, 95)) if len(values) else None
