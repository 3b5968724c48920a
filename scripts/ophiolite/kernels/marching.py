"""Surfaces of all labels of a volume at once, by marching cubes between voxel centres; integer coordinates.

Each label is meshed as if it were alone, so its surface does not depend on the others; two labels that touch share
their wall. Cells look at eight voxels, so that a box needs one voxel of its high neighbours and none of the low ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.kernels.marching_loops import count, fill
from ophiolite.kernels.marching_tables import EDGE_START, triangle_table


def surfaces(
    volume: NDArray[Any], wanted: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.int32], NDArray[np.int32]]]:
    """The surface of every number of a volume that has one, ascending: (number, vertices, faces).

    volume : (x, y, z) integers below n, Fortran order. wanted : (n,) which to mesh.
    vertices : (k, 3) in steps of the lattice: the centre of voxel (x, y, z) lies at 256 (x, y, z). faces : (m, 3), of
        them.
    """
    if min(volume.shape) < 2:
        return
    triangles, edges = triangle_table()
    vertices, faces = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.int64)
    count(volume, wanted, triangles, vertices, faces)
    v, f = np.empty((vertices.sum(), 3), np.int32), np.empty((faces.sum(), 3), np.int32)
    at, first = np.cumsum(vertices) - vertices, np.cumsum(faces) - faces
    rows = np.zeros((2, volume.shape[0] * volume.shape[1], 3, 2), np.int32)
    start, half = np.array(EDGE_START, np.int64), STEPS_PER_VOXEL // 2
    fill(volume, wanted, triangles, edges, start, half, at, first, v, f, rows)
    del volume, rows
    for number in np.flatnonzero(faces).tolist():
        yield (
            number,
            v[at[number] - vertices[number] : at[number]],
            f[first[number] - faces[number] : first[number]],
        )
