"""How far the skeletons of one volume depend on how it is cut into tasks: `python -m benchmarks.skeleton_blocks`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import RESULTS, SKELETON_DUST_VX, volumes
from benchmarks.report import machine
from benchmarks.skeleton_quality import objects_of
from ophiolite.geometry.box import Box, Vec, sub
from ophiolite.geometry.grid import Grid
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, SkeletonPiece
from ophiolite.kernels.skeleton_borders import BorderMeasures, border_measures
from ophiolite.kernels.skeleton_measure import Bones, distance_field
from ophiolite.kernels.skeleton_merge import CleanOptions, clean_skeleton, stitch_skeletons
from ophiolite.kernels.skeletonize import HALO_LOW_VX, SkeletonOptions, skeletonize_labels

TABLE = RESULTS / "skeleton_blocks.csv"
TASKS_VX = (64, 128)
STEP_NM = 5.0
COLUMNS = (
    "dataset", "task_vx", "within_radius", "gap_p50_nm", "gap_p95_nm", "cable_ratio", "components", "whole",
    "border_faces", "border_broken", "border_doubled", "border_parallel", "whole_broken", "whole_parallel",
    "date", "commit",
)  # fmt: skip
OPTIONS = SkeletonOptions()
CLEAN = CleanOptions(min_cable_nm=1000.0, scale=OPTIONS.scale, const_nm=OPTIONS.const_nm)

Floats = NDArray[np.float64]
Flags = tuple[bool, bool, bool]
Lines = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Agreement:
    """Two sets of skeletons of the same labels.

    within_radius : share of the vertices of each that lie no farther from the other than their own radius.
    gap_p50_nm, gap_p95_nm : how far they lie. cable_ratio, components : of the first to the second; of both.
    """

    within_radius: float
    gap_p50_nm: float
    gap_p95_nm: float
    cable_ratio: float
    components: tuple[int, int]


def main() -> None:
    """Write the table of FIB-25, traced in tasks of several sizes and in one piece."""
    import h5py

    dataset = next(d for d in volumes() if d.name == "fib25")
    with h5py.File(dataset.file) as file:
        labels = np.asarray(file[dataset.labels]).T
    x, y, z = map(float, dataset.resolution_nm)
    whole = skeletons(labels, max(labels.shape), (x, y, z))
    facts = machine()
    with open(TABLE, "w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for task in TASKS_VX:
            blocks = skeletons(labels, task, (x, y, z))
            found = agreement(blocks, whole)
            row = [found.within_radius, found.gap_p50_nm, found.gap_p95_nm, found.cable_ratio]
            cut, uncut = (at_faces(labels, lines, task, (x, y, z)) for lines in (blocks, whole))
            faces = [cut.faces, cut.broken, cut.doubled, cut.parallel, uncut.broken, uncut.parallel]
            told = [dataset.name, task, *(f"{v:.4g}" for v in row), *found.components, *faces]
            writer.writerow([*told, facts["date"], facts["commit"]])


def at_faces(
    labels: NDArray[Any], lines: dict[int, Lines], task_vx: int, voxel_nm: tuple[float, float, float]
) -> BorderMeasures:
    """What happens to skeletons at the planes between cubes of `task_vx` voxels, whether or not they were traced so."""
    planes = [range(task_vx, n, task_vx) for n in labels.shape]
    nm, none = np.array(voxel_nm), (np.zeros((0, 3)), np.zeros((0, 2)), np.zeros(0))
    total = BorderMeasures()
    for found in objects_of(labels, SKELETON_DUST_VX):
        if not found.whole:
            vertices, edges, radius = lines.get(found.label, none)
            bones = Bones(vertices.astype(np.float64), edges.astype(np.int64), radius.astype(np.float64))
            field = distance_field(found.mask, nm)
            total += border_measures(bones, found.mask, field, found.start, nm, planes)
    return total


def skeletons(labels: NDArray[Any], task_vx: int, voxel_nm: tuple[float, float, float]) -> dict[int, Lines]:
    """Finished skeletons by label, traced in cubes of `task_vx` voxels; labels without any are left out."""
    pieces: dict[int, list[tuple[Any, SkeletonPiece]]] = {}
    for task in tasks_of(labels, (task_vx, task_vx, task_vx)):
        core, low, high, window, below, above = task
        found = skeletonize_labels(window, voxel_nm, core.shape, low, high, None, OPTIONS, below, above)
        for label, piece in found:
            pieces.setdefault(label, []).append((core.start, piece))
    lines = {label: _finished(parts, voxel_nm) for label, parts in pieces.items()}
    return {label: line for label, line in lines.items() if len(line[1])}


def tasks_of(
    labels: NDArray[Any], task_vx: Vec, halo_vx: int = HALO_LOW_VX
) -> Iterator[tuple[Box, Flags, Flags, NDArray[Any], Vec, Vec]]:
    """Every task of a volume: core, planes shared below and above, what it sees, context below and above."""
    nx, ny, nz = labels.shape
    grid = Grid(Box.of((0, 0, 0), (nx, ny, nz)), task_vx)
    for index in grid:
        core = grid.cell(index)
        seen = core.grow((halo_vx,) * 3, (halo_vx + 1,) * 3).intersect(grid.box)
        low = (index[0] > 0, index[1] > 0, index[2] > 0)
        x, y, z = (i + 1 < n for i, n in zip(index, grid.shape, strict=True))
        above = sub(sub(seen.stop, core.stop), (int(x), int(y), int(z)))
        yield core, low, (x, y, z), np.asfortranarray(labels[seen.slices()]), sub(core.start, seen.start), above


def _finished(parts: list[tuple[Any, SkeletonPiece]], voxel_nm: tuple[float, float, float]) -> Lines:
    whole = stitch_skeletons(parts)
    vertices_nm = whole.vertices / STEPS_PER_VOXEL * np.array(voxel_nm)
    return clean_skeleton(vertices_nm, whole.edges, whole.radius_nm, CLEAN, whole.seam)


def agreement(first: dict[int, Lines], second: dict[int, Lines]) -> Agreement:
    """How alike two sets of skeletons are, over the labels that both have."""
    from scipy.spatial import cKDTree

    gaps, radii = [], []
    for label in sorted(set(first) & set(second)):
        for one, other in ((first[label], second[label]), (second[label], first[label])):
            gaps.append(cKDTree(_dense(other)).query(one[0])[0])
            radii.append(one[2])
    gap, radius = np.concatenate(gaps), np.concatenate(radii)
    cable = [sum(float(_lengths(line).sum()) for line in lines.values()) for lines in (first, second)]
    components = [sum(len(line[0]) - len(line[1]) for line in lines.values()) for lines in (first, second)]
    return Agreement(
        within_radius=float((gap <= radius).mean()),
        gap_p50_nm=float(np.percentile(gap, 50)),
        gap_p95_nm=float(np.percentile(gap, 95)),
        cable_ratio=cable[0] / cable[1],
        components=(components[0], components[1]),
    )


def _lengths(line: Lines) -> Floats:
    return np.asarray(np.linalg.norm(line[0][line[1][:, 0]] - line[0][line[1][:, 1]], axis=1))


def _dense(line: Lines) -> Floats:
    """Points along all edges, no farther than STEP_NM from each other."""
    a, b = line[0][line[1][:, 0]], line[0][line[1][:, 1]]
    share = np.linspace(0, 1, 1 + int(np.ceil(_lengths(line).max() / STEP_NM)))[:, None, None]
    return np.asarray((a + (b - a) * share).reshape(-1, 3))


if __name__ == "__main__":
    main()
