"""How thick an object is along its skeleton: the area of its section across the skeleton at each vertex."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.cross_section_loops import areas, cuts

TANGENT_STEPS = 4


def section_areas(
    vertices_nm: NDArray[np.floating[Any]],
    edges: NDArray[np.integer[Any]],
    mask: NDArray[np.bool_],
    start_vx: tuple[int, int, int],
    voxel_nm: NDArray[np.float64],
    ends: tuple[bool, bool, bool, bool, bool, bool],
) -> NDArray[np.float32]:
    """(n,) float32 nm^2: the exact area of the plane across the skeleton, in the part of the object about the vertex.

    vertices_nm (n, 3), edges (m, 2); mask (x, y, z) bool, Fortran order, from absolute voxel `start_vx` on. The plane
    is normal to the chain, over TANGENT_STEPS vertices on either side; at a branch point it is the smallest section
    across the ways that leave it. Negative where it leaves through an end of the volume, which `ends` (low and high of
    x, y, z) says of the sides of the box: there is at least so much. 0 where the vertex is outside the mask or alone.
    """
    points = vertices_nm.astype(np.float64) - np.array(start_vx) * voxel_nm
    normal, owner = cuts(points, np.ascontiguousarray(edges, np.int64), TANGENT_STEPS)
    flat = mask.reshape(-1, order="F")
    seen = np.zeros(len(flat), np.int32)
    found = areas(flat, np.array(mask.shape), seen, points[owner], normal, voxel_nm, np.array(ends))
    order = np.lexsort((np.abs(found), owner))
    first = np.ones(len(order), np.bool_)
    first[1:] = np.diff(owner[order]) != 0
    out = np.zeros(len(points), np.float32)
    out[owner[order[first]]] = found[order[first]]
    return out
