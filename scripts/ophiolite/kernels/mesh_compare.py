"""A mesh against the voxels it stands for and against other surfaces of them: volume, centroid, topology, distance."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.geometry import Vec
from ophiolite.kernels.cavities import cavities
from ophiolite.kernels.extractor import Extractor
from ophiolite.kernels.label_surface import Triangles, lewiner_surface, plain_surface, surface_samples
from ophiolite.kernels.mesh import MARCHING
from ophiolite.kernels.mesh_measure import Surface, centroid
from ophiolite.kernels.mesh_topology import Topology, topology

LEAST_SAMPLES = 64


@dataclass(frozen=True)
class Gap:
    """Distances in nm from either surface to the other, all samples of both together."""

    mean_nm: float
    p95_nm: float
    max_nm: float


class Reference:
    """A surface that others are compared with; takes a sample per triangle, `LEAST_SAMPLES` to `most_samples`."""

    def __init__(self, triangles: Triangles, most_samples: int) -> None:
        self._count = int(np.clip(len(triangles[1]), min(LEAST_SAMPLES, most_samples), most_samples))
        self._surface = Surface(*triangles)
        self._points = surface_samples(*triangles, self._count)

    def gap(self, other: Triangles) -> Gap | None:
        """The distances between another surface and this one; None where one of them has no area."""
        points = surface_samples(*other, self._count)
        if not len(points) or not len(self._points):
            return None
        there = self._surface.distance(points)
        back: NDArray[np.float64] = Surface(*other).distance(self._points)
        both = np.concatenate([there, back])
        return Gap(float(both.mean()), float(np.percentile(both, 95)), float(both.max()))


@dataclass(frozen=True)
class _Voxels:
    """Volume and centroid of a mask in absolute coordinates."""

    volume_nm3: float
    centroid_nm: NDArray[np.float64]
    voxel_nm: NDArray[np.float64]

    @classmethod
    def of(cls, mask: NDArray[np.uint8], start_vx: Vec, voxel_nm: NDArray[np.float64]) -> _Voxels:
        middle = np.zeros(3)
        for axis in range(3):
            planes = mask.sum(axis=tuple({0, 1, 2} - {axis}), dtype=np.int64)
            middle[axis] = (planes @ np.arange(len(planes))) / max(planes.sum(), 1) + start_vx[axis] + 0.5
        return cls(float(np.count_nonzero(mask) * voxel_nm.prod()), middle * voxel_nm, voxel_nm)

    def against(self, triangles: Triangles, counted: Topology, prefix: str) -> dict[str, Any]:
        """Volume over the voxels' and distance of the centroids, in voxels."""
        away = (centroid(*triangles) - self.centroid_nm) / self.voxel_nm
        return {
            f"{prefix}volume_ratio": counted.volume_nm3 / self.volume_nm3,
            f"{prefix}centroid_vx": float(np.linalg.norm(away)) if np.isfinite(away).all() else None,
        }


def compare_with_voxels(
    levels: Iterable[Triangles],
    mask: NDArray[np.uint8],
    start_vx: Vec,
    resolution_nm: ArrayLike,
    most_samples: int,
    closed: bool = True,
    extractor: Extractor = MARCHING,
) -> dict[str, Any]:
    """Everything that is measured of one object, as a row of the table of mesh quality.

    levels : meshes of the object, vertices (n, 3) in nm each at a place of its own, the finest first; read one by one.
    mask : (x, y, z) 1 where the object is, with a layer of background where surfaces shall close; at `start_vx`.
    closed : False where surfaces end open at the dataset's faces, so that volumes and centroids mean nothing.
    extractor : of the meshes.

    `raw_` is its unsimplified surface of the mask, `lewiner_` that of scikit-image. Distances are from the finest level
    to either, `lod_` those of every level to the unsimplified surface.
    """
    voxel_nm = np.asarray(resolution_nm, np.float64)
    voxels = _Voxels.of(mask, start_vx, voxel_nm)
    rest = iter(levels)
    finest = next(rest)
    row: dict[str, Any] = {"voxel_volume_um3": voxels.volume_nm3 / 1e9}
    # One surface of the mask after the other: each with its tree is what takes memory.
    surface = lewiner_surface(mask, start_vx, voxel_nm)
    row |= _surface_row(surface, voxels, closed, "lewiner_")
    row |= _gap_row(Reference(surface, most_samples).gap(finest), "lewiner_")
    surface = plain_surface(mask, start_vx, voxel_nm, extractor)
    row |= _surface_row(surface, voxels, closed, "raw_")
    reference = Reference(surface, most_samples)
    of_lods: dict[str, list[Any]] = {name: [] for name in LOD_COLUMNS}
    for level, triangles in enumerate(itertools.chain([finest], rest)):
        gap, counted = reference.gap(triangles), topology(*triangles)
        if level == 0:
            row |= _topology_row(counted) | _gap_row(gap, "distance_")
            row |= voxels.against(triangles, counted, "") if closed else {}
        of_level = {f"lod_{name}": getattr(counted, name) for name in ("faces", "components", "watertight")}
        for name, value in (of_level | _gap_row(gap, "lod_")).items():
            of_lods[name].append(value)
    return row | of_lods


LOD_COLUMNS = ("lod_faces", "lod_components", "lod_watertight", "lod_mean_nm", "lod_p95_nm", "lod_max_nm")


def _surface_row(surface: Triangles, voxels: _Voxels, closed: bool, prefix: str) -> dict[str, Any]:
    counted = topology(*surface)
    names = ("faces", "is_volume", "components", "genus", "open_edges")
    row = {f"{prefix}{name}": getattr(counted, name) for name in names}
    return row | (voxels.against(surface, counted, prefix) if closed else {})


def _topology_row(counted: Topology) -> dict[str, Any]:
    names = ("is_volume", "watertight", "winding_consistent", "components", "genus", "faces")
    counts = ("open_edges", "crowded_edges", "torn_edges", "flat_faces", "duplicate_faces")
    return {name: getattr(counted, name) for name in (*names, *counts)}


def _gap_row(gap: Gap | None, prefix: str) -> dict[str, float | None]:
    names = ("mean_nm", "p95_nm", "max_nm")
    return {f"{prefix}{name}": getattr(gap, name) if gap else None for name in names}


def crossings(mask: NDArray[np.uint8]) -> int:
    """Pairs of neighbouring voxels of which one is in the mask: the vertices of its marching-cubes surface."""
    return sum(int(np.count_nonzero(np.diff(mask, axis=axis))) for axis in range(3))


def fill_cavities(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mask (x, y, z) with the cavities that it encloses."""
    filled: NDArray[np.uint8] = mask | cavities(mask)
    return filled
