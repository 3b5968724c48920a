"""Run after the engines: what the skeletons of each are worth, measured alike from the finished layers.

python -m benchmarks.skeleton_quality < REQUEST prints JSON; see `measure_layers`. Progress goes to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import SKELETON_DUST_VX, SKELETON_MIN_CABLE_NM
from benchmarks.phantom import read_centrelines
from ophiolite.geometry import Box
from ophiolite.kernels.skeleton_borders import BorderMeasures, border_measures
from ophiolite.kernels.skeleton_measure import (
    Bones,
    component_measures,
    connected,
    coverage,
    distance_field,
    graph_measures,
    lengths_nm,
    place_measures,
    plane_counts,
    sample,
    voxels_of,
)
from ophiolite.kernels.skeleton_truth import truth_measures

SAY_EVERY = 100
# As in the quality report: a part has lost its skeleton if it is longer by this than the shortest cable kept.
CLEARLY = 1.2
COLUMNS = (
    "objects", "skeletons", "vertices", "cable_um", "terminals", "branch_points", "loops", "parts", "parts_long",
    "components", "parts_missed", "parts_split", "coverage", "coverage_true_radii", "outside_share", "ridge_mean_nm", "border_faces", "border_uncrossed",
    "border_broken", "border_doubled", "border_parallel", "border_spurs", "truth_branches", "truth_missed",
    "truth_false", "truth_mean_nm",
)  # fmt: skip


@dataclass
class Sums:
    """What is added up over the objects of one engine; sums of lengths are over vertices."""

    skeletons: int = 0
    vertices: int = 0
    cable_nm: float = 0.0
    terminals: int = 0
    branch_points: int = 0
    loops: int = 0
    components: int = 0
    missed: int = 0
    split: int = 0
    covered_vx: float = 0.0
    covered_truly_vx: float = 0.0
    outside: int = 0
    ridge_nm: float = 0.0
    ridge_count: int = 0
    border: BorderMeasures = field(default_factory=BorderMeasures)
    branches: int = 0
    truth_missed: int = 0
    truth_false: int = 0
    truth_nm: float = 0.0
    truth_count: int = 0


@dataclass(frozen=True)
class Found:
    """One object: its box of voxels, from `start` on; the engines share its field."""

    label: int
    mask: NDArray[np.bool_]
    start: tuple[int, int, int]
    whole: bool


def measure_layers(
    layers: Mapping[str, Path], mip: int, task_vx: tuple[int, int, int], truth: Path | None
) -> dict[str, dict[str, Any]]:
    """Measures of each engine's skeletons, by engine, of the objects of SKELETON_DUST_VX mip-0 voxels or more.

    objects, parts : how many, and their 26-connected parts above the same limit; parts_long : those of them that are
    longer than the shortest cable kept, as far as their boxes say. skeletons, components : of the engine.
    parts_missed : parts without a skeleton of those long ones; parts_split : components beyond the first in one part.
    coverage : share of all objects' voxels within the balls of the vertices; coverage_true_radii : the same with the
    distance to the surface in the whole object as the radius of each, whatever the engine wrote, and none outside.
    outside_share : of the vertices. ridge_mean_nm : distance of the vertices to the ridge of the distance field.
    border_* : faces between tasks, see `skeleton_borders`. truth_* : where centrelines are known.
    """
    from cloudvolume import CloudVolume

    opened = {
        engine: CloudVolume(f"file://{layer}", mip=mip, progress=False, fill_missing=False, bounded=True)
        for engine, layer in layers.items()
    }
    volume = next(iter(opened.values()))
    labels = np.asfortranarray(np.asarray(volume[:])[..., 0])
    voxel_nm = np.array(volume.resolution, np.float64)
    least_vx = SKELETON_DUST_VX / float(np.prod(np.array(volume.downsample_ratio)))
    planes = [list(range(t, n, t)) for t, n in zip(task_vx, labels.shape, strict=True)]
    lines = read_centrelines(truth) if truth else {}
    sums = {engine: Sums() for engine in layers}
    totals = {"objects": 0, "parts": 0, "parts_long": 0, "voxels": 0}
    for number, found in enumerate(objects_of(labels, least_vx), 1):
        totals["objects"] += 1
        for name, number_of in zip(("parts", "parts_long"), parts_of(found.mask, voxel_nm, least_vx), strict=True):
            totals[name] += number_of
        totals["voxels"] += int(np.count_nonzero(found.mask))
        depth = None if found.whole else distance_field(found.mask, voxel_nm)
        for engine, layer in opened.items():
            bones = read_bones(layer, found.label)
            _add(sums[engine], bones, found, depth, voxel_nm, planes, least_vx)
            if found.label in lines and len(bones.vertices_nm):
                _add_truth(sums[engine], bones, lines[found.label], voxel_nm)
            elif found.label in lines:
                sums[engine].branches += len(lines[found.label][0])
                sums[engine].truth_missed += len(lines[found.label][0])
        if number % SAY_EVERY == 0:
            print(f"  quality: {number} objects", file=sys.stderr, flush=True)
    return {engine: _facts(total, totals, bool(lines)) for engine, total in sums.items()}


def objects_of(labels: NDArray[np.uint64], least_vx: float) -> Iterator[Found]:
    """The objects of a volume of so many voxels or more, in ascending order, each in its box and a voxel around it."""
    import fastremap
    from scipy import ndimage

    numbers, names = fastremap.renumber(labels, preserve_zero=True, in_place=False)
    label_of = {number: label for label, number in names.items() if number}
    sizes = np.bincount(numbers.ravel(order="K"), minlength=len(label_of) + 1)
    bounds = Box((0, 0, 0), labels.shape)
    for number, slices in enumerate(ndimage.find_objects(numbers), 1):
        if slices is not None and sizes[number] >= least_vx:
            box = Box(tuple(s.start for s in slices), tuple(s.stop for s in slices)).grow((1, 1, 1), (1, 1, 1))
            box = box.intersect(bounds)
            mask = np.asfortranarray(numbers[box.slices()] == number)
            yield Found(int(label_of[number]), mask, box.start, bool(mask.all()))


def parts_of(mask: NDArray[np.bool_], voxel_nm: NDArray[np.float64], least_vx: float) -> tuple[int, int]:
    """Connected parts of a mask of so many voxels or more; those of them that are to have a skeleton by their length."""
    parts, count = connected(mask, 26)
    large = plane_counts(parts, count)[1:] >= least_vx
    long = lengths_nm(parts, voxel_nm)[1:] >= CLEARLY * SKELETON_MIN_CABLE_NM
    return int(large.sum()), int((large & long).sum())


def read_bones(layer: Any, label: int) -> Bones:
    """The skeleton of a label as CloudVolume reads it; without vertices where it has none."""
    from cloudvolume.exceptions import EmptyFileException

    try:
        found = layer.skeleton.get(label)
    except EmptyFileException:
        return Bones(np.zeros((0, 3)), np.zeros((0, 2), np.int64), np.zeros(0))
    edges = np.unique(np.sort(np.asarray(found.edges, np.int64).reshape(-1, 2), axis=1), axis=0)
    return Bones(np.asarray(found.vertices, np.float64), edges, np.asarray(found.radius, np.float64))


def _add(
    to: Sums,
    bones: Bones,
    found: Found,
    depth: NDArray[np.float32] | None,
    voxel_nm: NDArray[np.float64],
    planes: list[list[int]],
    least_vx: float,
) -> None:
    """Add one object to the sums of an engine."""
    graph = graph_measures(bones)
    least_nm = CLEARLY * SKELETON_MIN_CABLE_NM
    parts = component_measures(bones, found.mask, found.start, voxel_nm, least_vx, least_nm)
    to.missed += parts.missed
    to.split += parts.split
    to.skeletons += graph.vertices > 0
    if depth is not None:
        to.border += border_measures(bones, found.mask, depth, found.start, voxel_nm, planes)
    if graph.vertices == 0 or depth is None:
        return
    to.vertices += graph.vertices
    to.cable_nm += graph.cable_nm
    to.terminals += graph.terminals
    to.branch_points += graph.branch_points
    to.loops += graph.loops
    to.components += graph.components
    place = place_measures(bones, found.mask, depth, found.start, voxel_nm)
    voxels = int(np.count_nonzero(found.mask))
    to.covered_vx += place.coverage * voxels
    true_nm = sample(depth, voxels_of(bones.vertices_nm, found.start, voxel_nm)).astype(np.float64)
    truly = Bones(bones.vertices_nm, bones.edges, true_nm)
    to.covered_truly_vx += coverage(truly, found.mask, found.start, voxel_nm) * voxels
    to.outside += place.outside
    to.ridge_nm += float(place.ridge_nm.sum())
    to.ridge_count += len(place.ridge_nm)


def _add_truth(to: Sums, bones: Bones, known: Any, voxel_nm: NDArray[np.float64]) -> None:
    """Add the comparison with known centrelines."""
    truth = truth_measures(bones, *known, voxel_nm)
    to.branches += truth.branches
    to.truth_missed += truth.missed
    to.truth_false += truth.false
    to.truth_nm += float(truth.distance_nm.sum())
    to.truth_count += len(truth.distance_nm)


def _facts(total: Sums, totals: Mapping[str, int], known: bool) -> dict[str, Any]:
    """The columns of one engine."""
    out: dict[str, Any] = {
        "objects": totals["objects"],
        "skeletons": total.skeletons,
        "vertices": total.vertices,
        "cable_um": round(total.cable_nm / 1000, 1),
        "terminals": total.terminals,
        "branch_points": total.branch_points,
        "loops": total.loops,
        "parts": totals["parts"],
        "parts_long": totals["parts_long"],
        "components": total.components,
        "parts_missed": total.missed,
        "parts_split": total.split,
        "coverage": round(total.covered_vx / totals["voxels"], 4),
        "coverage_true_radii": round(total.covered_truly_vx / totals["voxels"], 4),
        "outside_share": round(total.outside / max(total.vertices, 1), 6),
        "ridge_mean_nm": round(total.ridge_nm / max(total.ridge_count, 1), 2),
        **{f"border_{f.name}": getattr(total.border, f.name) for f in fields(BorderMeasures)},
    }
    if known:
        out |= {"truth_branches": total.branches, "truth_missed": total.truth_missed, "truth_false": total.truth_false}
        out["truth_mean_nm"] = round(total.truth_nm / max(total.truth_count, 1), 2)
    return out


if __name__ == "__main__":
    request = json.load(sys.stdin)
    facts = measure_layers(
        {engine: Path(p) for engine, p in request["layers"].items()},
        request["mip"],
        tuple(request["task_vx"]),
        Path(request["truth"]) if request["truth"] else None,
    )
    json.dump(facts, sys.stdout)
