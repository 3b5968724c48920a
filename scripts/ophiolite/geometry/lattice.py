"""Pieces of meshes and skeletons on the 1/256-voxel lattice, where seams are equal to the bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS_PER_VOXEL = 256


@dataclass(frozen=True)
class MeshPiece:
    """Triangles of one label in one task.

    vertices : (n, 3) int32, in 1/256 voxel of the mesh mip, relative to an origin that the holder knows;
        voxel i of an axis spans [256 i, 256 (i + 1)), its centre is at 256 i + 128.
    faces : (m, 3) uint32, counter-clockwise seen from outside.
    seam : (n,) bool, true for vertices on a plane shared with a neighbouring task.
    """

    vertices: NDArray[np.int32]
    faces: NDArray[np.uint32]
    seam: NDArray[np.bool_]


@dataclass(frozen=True)
class SkeletonPiece:
    """Centrelines of one label in one task.

    vertices : (n, 3) int32, in 1/256 voxel of the skeleton mip, relative to an origin that the holder knows.
    edges : (m, 2) uint32.
    radius_nm : (n,) float32.
    seam : (n,) bool, true for vertices on a plane shared with a neighbouring task.
    """

    vertices: NDArray[np.int32]
    edges: NDArray[np.uint32]
    radius_nm: NDArray[np.float32]
    seam: NDArray[np.bool_]
