"""What is known about a phantom: frozen records of its objects, centrelines and synapses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.box import Box, Vec
from ophiolite.sample.shapes import components

KINDS = ("neurite", "soma", "sheet", "enclosed", "voxel", "pair", "diagonal", "process")


@dataclass(frozen=True)
class Branch:
    """One unbranched centreline of a drawn neurite, clipped to the volume.

    points_nm : (n, 3) float64, mip-0 physical nanometres, x, y, z; a child branch begins at its junction.
    radius_nm : (n,) float64, the drawn radius at each point.
    """

    points_nm: NDArray[np.float64]
    radius_nm: NDArray[np.float64]


@dataclass(frozen=True)
class ObjectTruth:
    """One label: its size, place and kind, and for drawn objects the geometry they were drawn from.

    box : absolute mip-0 voxels; components_6, components_26 : connected pieces by faces and by faces, edges, corners;
    faces : the faces of the volume where the object is cut, of "x-", "x+", "y-", "y+", "z-", "z+";
    branches : centrelines (neurites and the soma); junctions_nm : (n, 3) float64, one row per child branch;
    tips_nm : (n, 3) float64, ends of branches inside the volume.
    """

    label: int
    kind: str
    voxels: int
    volume_nm3: float
    box: Box
    components_6: int
    components_26: int
    faces: tuple[str, ...]
    branches: tuple[Branch, ...]
    junctions_nm: NDArray[np.float64]
    tips_nm: NDArray[np.float64]


@dataclass(frozen=True)
class Synapse:
    """One presynaptic site and one of its partners; sites lie at voxel centres, in mip-0 physical nanometres, x, y, z.

    A presynaptic site with several partners appears in several synapses, always with the same `pre_id`.
    """

    pre_id: int
    post_id: int
    pre_nm: tuple[float, float, float]
    post_nm: tuple[float, float, float]
    pre_label: int
    post_label: int


@dataclass(frozen=True)
class Phantom:
    """The volumes and everything that is known about them.

    raw : (x, y, z) uint8, labels : (x, y, z) uint64, both Fortran-ordered; objects : sorted by label.
    """

    raw: NDArray[np.uint8]
    labels: NDArray[np.uint64]
    resolution_nm: Vec
    voxel_offset_vx: Vec
    seed: int
    objects: tuple[ObjectTruth, ...]
    synapses: tuple[Synapse, ...]

    @property
    def box(self) -> Box:
        """The volume in absolute mip-0 voxels."""
        x, y, z = self.labels.shape
        return Box.of(self.voxel_offset_vx, (x, y, z))


@dataclass(frozen=True)
class Drawn:
    """The geometry and kind of one object before it has voxels; coordinates relative to the volume's corner."""

    label: int
    kind: str
    branches: tuple[Branch, ...] = ()
    junctions_nm: tuple[tuple[float, float, float], ...] = ()
    tips_nm: tuple[tuple[float, float, float], ...] = ()


def measure(
    ids: NDArray[np.int32], drawn: Mapping[int, Drawn], resolution_nm: Vec, voxel_offset_vx: Vec
) -> tuple[ObjectTruth, ...]:
    """Measure every object of a volume of ids.

    ids : (x, y, z) int32, 0 is background; drawn : what each id is. Returns one record per id present, sorted by label.
    """
    from scipy import ndimage

    counts = np.bincount(ids.ravel(), minlength=1)
    pieces = np.bincount(components(ids)[1], minlength=len(counts))
    origin_nm = np.array(voxel_offset_vx, np.float64) * resolution_nm
    voxel_nm3 = float(np.prod(resolution_nm))
    full = np.ones((3, 3, 3), np.bool_)
    out = []
    for i, found in enumerate(ndimage.find_objects(ids), start=1):
        if found is None:
            continue
        what = drawn[i]
        mask = ids[found] == i
        faces = []
        for name, window, size in zip("xyz", found, ids.shape, strict=True):
            faces += [f"{name}-"] * (window.start == 0) + [f"{name}+"] * (window.stop == size)
        start = tuple(int(w.start) + o for w, o in zip(found, voxel_offset_vx, strict=True))
        out.append(
            ObjectTruth(
                label=what.label,
                kind=what.kind,
                voxels=int(counts[i]),
                volume_nm3=float(counts[i]) * voxel_nm3,
                box=Box.of((start[0], start[1], start[2]), (mask.shape[0], mask.shape[1], mask.shape[2])),
                components_6=int(pieces[i]),
                components_26=1 if pieces[i] == 1 else int(ndimage.label(mask, structure=full)[1]),
                faces=tuple(faces),
                branches=tuple(Branch(b.points_nm + origin_nm, b.radius_nm) for b in what.branches),
                junctions_nm=np.array(what.junctions_nm, np.float64).reshape(-1, 3) + origin_nm,
                tips_nm=np.array(what.tips_nm, np.float64).reshape(-1, 3) + origin_nm,
            )
        )
    return tuple(sorted(out, key=lambda o: o.label))


def kinds(objects: tuple[ObjectTruth, ...]) -> dict[str, int]:
    """How many objects there are of each kind, in the order of `KINDS`."""
    count = Counter(o.kind for o in objects)
    return {kind: count[kind] for kind in KINDS if count[kind]}
