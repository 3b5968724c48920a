"""Label volumes and helpers for the tests of mesh kernels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ophiolite.geometry.box import Box, Vec
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, MeshPiece
from ophiolite.kernels.extractor import Extractor
from ophiolite.kernels.mesh import MARCHING, MeshOptions, mesh_labels

Resolution = tuple[float, float, float]


def blobs(seed: int, shape: Vec, labels: int = 3, sigma: float = 1.5) -> NDArray[np.uint64]:
    """Smooth neighbouring blobs, background among them, that touch every face of the volume."""
    rng = np.random.default_rng(seed)
    fields = [gaussian_filter(rng.standard_normal(shape), sigma) for _ in range(labels + 1)]
    names = np.array([0, 7, 2**53 + 1, 2**64 - 1, 12, 13], np.uint64)
    return np.asfortranarray(names[np.argmax(fields, axis=0)])


def ball(radius: float, shape: Vec = (40, 40, 40), label: int = 1) -> NDArray[np.uint64]:
    """A ball in the middle of a volume."""
    at = np.indices(shape).astype(float) - (np.array(shape).reshape(3, 1, 1, 1) - 1) / 2
    return np.asfortranarray(np.where((at**2).sum(axis=0) < radius**2, label, 0).astype(np.uint64))


def whole(
    labels: NDArray[Any],
    resolution: Resolution = (1.0, 1.0, 1.0),
    extractor: Extractor = MARCHING,
    **options: Any,
) -> dict[int, MeshPiece]:
    """The pieces of a volume that is one task."""
    core = (labels.shape[0], labels.shape[1], labels.shape[2])
    yes, no = (True, True, True), (False, False, False)
    return dict(mesh_labels(labels, resolution, core, yes, no, no, MeshOptions(**options), extractor))


def tasks(labels: NDArray[Any], cuts: tuple[list[int], list[int], list[int]]) -> Iterator[Box]:
    """Boxes of the tasks that inner planes `cuts` make of a volume."""
    bounds = [[0, *cuts[d], labels.shape[d]] for d in range(3)]
    for index in itertools.product(*(range(len(b) - 1) for b in bounds)):
        start = tuple(bounds[d][index[d]] for d in range(3))
        stop = tuple(bounds[d][index[d] + 1] for d in range(3))
        yield Box(start, stop)  # type: ignore[arg-type]


def in_tasks(
    labels: NDArray[Any],
    cuts: tuple[list[int], list[int], list[int]],
    resolution: Resolution,
    extractor: Extractor = MARCHING,
    **options: Any,
) -> dict[int, list[tuple[Vec, MeshPiece]]]:
    """Pieces of every label, task by task, each with its task's start."""
    out: dict[int, list[tuple[Vec, MeshPiece]]] = {}
    for box in tasks(labels, cuts):
        high = tuple(box.stop[d] < labels.shape[d] for d in range(3))
        low = tuple(box.start[d] > 0 for d in range(3))
        below, above = extractor.halo_vx
        seen = box.grow((below,) * 3, (above,) * 3).intersect(Box((0, 0, 0), labels.shape))  # type: ignore[arg-type]
        halo = extractor.whole_halo(labels[seen.slices()], box, seen, (low, high), bool(options.get("open_edges")))
        pad = tuple(not s for s in low)
        found = mesh_labels(halo, resolution, box.shape, pad, low, high, MeshOptions(**options), extractor)  # type: ignore[arg-type]
        for label, piece in found:
            out.setdefault(label, []).append((box.start, piece))
    return out


def triangle_set(vertices: NDArray[Any], faces: NDArray[Any]) -> list[tuple[tuple[int, ...], ...]]:
    """Triangles as sorted positions, each turned so that its lowest corner comes first."""
    out = []
    for a, b, c in np.asarray(vertices)[np.asarray(faces, np.int64)].tolist():
        turns = [(tuple(a), tuple(b), tuple(c)), (tuple(b), tuple(c), tuple(a)), (tuple(c), tuple(a), tuple(b))]
        out.append(min(turns))
    return sorted(out)


def nm(vertices: NDArray[Any], resolution: Resolution) -> NDArray[np.float64]:
    """Lattice points in nm."""
    out: NDArray[np.float64] = np.asarray(vertices, np.float64) * np.array(resolution) / STEPS_PER_VOXEL
    return out


def unpaired_edges(faces: Any) -> NDArray[np.int64]:
    """Directed edges (k, 2) without their opposite, sorted; one row for each time they are missing."""
    f = np.ascontiguousarray(faces, dtype=np.int64).reshape(-1, 3)
    if len(f) == 0:
        return np.empty((0, 2), np.int64)
    a, b, n = f.reshape(-1), np.roll(f, -1, axis=1).reshape(-1), int(f.max()) + 1
    keys = np.sort(2 * (np.minimum(a, b) * n + np.maximum(a, b)) + (a > b))
    undirected, start = np.unique(keys >> 1, return_index=True)
    net = np.add.reduceat(1 - 2 * (keys & 1), start)
    lone = np.flatnonzero(net)
    edges = np.repeat(undirected[lone], np.abs(net[lone]))
    backward = np.repeat(net[lone] < 0, np.abs(net[lone]))
    low, high = edges // n, edges % n
    out = np.stack([np.where(backward, high, low), np.where(backward, low, high)], axis=1)
    result: NDArray[np.int64] = out[np.lexsort((out[:, 1], out[:, 0]))]
    return result
