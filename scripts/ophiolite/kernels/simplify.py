"""Edge collapse by quadric error in double precision, which keeps the topology of what it simplifies.

Garland & Heckbert 1997, "Surface simplification using quadric error metrics", planes weighted by area; the link
condition of Dey et al. 1999, "Topology preserving edge contraction", so that a watertight mesh stays watertight and no
part of it vanishes; collapses that turn a face over or make a sliver are refused. Vertices on edges without exactly two
opposite faces never move. What costs next to nothing (the many flat triangles of marching cubes) is collapsed first, in
sweeps from vertex to vertex without any order of prices; of what is left, edges wait in buckets by price instead of in
a heap: nearly the same order, and no sifting.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.kernels.simplify_loops import collapse


def simplify(
    vertices: ArrayLike,
    faces: ArrayLike,
    target_faces: int,
    max_rms: float = np.inf,
    locked: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.uint32], NDArray[np.int64]]:
    """Collapse edges, cheapest first, until `target_faces` are left or no collapse is allowed.

    vertices : (n, 3) in nm. faces : (m, 3), no face with a corner twice.
    max_rms : refuse collapses whose root mean square distance from the planes they stand for is larger, in nm.
    locked : (n,) vertices that must stay where they are, besides those of open edges.
    Returns vertices, faces and, for each vertex, the row of `vertices` that it was.
    """
    v = np.array(vertices, np.float64).reshape(-1, 3)
    f = np.array(faces, np.int32).reshape(-1, 3)
    if len(f) <= target_faces or len(f) == 0:
        return v, f.astype(np.uint32), np.arange(len(v))
    centre = (v.min(axis=0) + v.max(axis=0)) / 2
    v -= centre
    still = np.zeros(len(v), np.bool_) if locked is None else locked.copy()
    alive = collapse(v, f, still, target_faces, float(max_rms) ** 2)
    f = f[alive]
    used = np.zeros(len(v), np.bool_)
    used[f] = True
    number = np.cumsum(used) - 1
    return v[used] + centre, number[f].astype(np.uint32), np.flatnonzero(used)
