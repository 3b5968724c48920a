"""Edge collapse by quadric error in double precision, which keeps the topology of what it simplifies.

Garland & Heckbert 1997, "Surface simplification using quadric error metrics", planes weighted by area; the link
condition of Dey et al. 1999, "Topology preserving edge contraction", so that a watertight mesh stays watertight and no
part of it vanishes; collapses that turn a face over or make a sliver are refused. Vertices on edges without exactly two
opposite faces never move. What costs next to nothing (the many flat triangles of marching cubes) is collapsed first, in
sweeps from vertex to vertex without any order of prices; of what is left, edges wait in buckets by price instead of in
a heap: nearly the same order, and no sifting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.kernels.cluster_loops import cluster
from ophiolite.kernels.quadrics import adjacency, lock_odd_edges, quadrics
from ophiolite.kernels.simplify_loops import collapse

# Rounds of clusters, and the share of the largest mean squared distance that they may spend.
_ROUNDS = 2
_CLUSTER_SHARE = 1 / 2


@dataclass(frozen=True)
class Simplified:
    """What is left of a mesh.

    vertices : (k, 3) float64. faces : (l, 3) uint32. rows : (k,) one of the vertices that each stands for, itself if it
    was locked. into : (n,) the row of `vertices` that stands for each vertex there was.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.uint32]
    rows: NDArray[np.int64]
    into: NDArray[np.int64]


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
    done = simplify_mapped(vertices, faces, target_faces, max_rms, locked)
    return done.vertices, done.faces, done.rows


def simplify_mapped(
    vertices: ArrayLike,
    faces: ArrayLike,
    target_faces: int,
    max_rms: float = np.inf,
    locked: NDArray[np.bool_] | None = None,
) -> Simplified:
    """`simplify`, which also says what became of each vertex."""
    v = np.array(vertices, np.float64).reshape(-1, 3)
    f = np.array(faces, np.int32).reshape(-1, 3)
    into = rows = np.arange(len(v))
    if len(f) <= target_faces or len(f) == 0:
        return Simplified(v, f.astype(np.uint32), rows, into)
    centre = (v.min(axis=0) + v.max(axis=0)) / 2
    v -= centre
    still = np.zeros(len(v), np.bool_) if locked is None else locked.copy()
    lock_odd_edges(f, *adjacency(f, len(v)), still)
    q, normals = quadrics(v, f)
    for _ in range(_ROUNDS if np.isfinite(max_rms) else 0):
        merged = cluster(v, f, q, normals, still, _CLUSTER_SHARE * max_rms**2)
        # Without order, clusters must not be what stops at the target.
        if len(merged[1]) < 2 * target_faces:
            break
        v, f, q, normals, still, number = merged
        into, members = number[into], rows
        rows = np.empty(len(v), np.int64)
        rows[number[::-1]] = members[::-1]
    further = np.arange(len(v), dtype=np.int32)
    f = f[collapse(v, f, q, still, further, target_faces, float(max_rms) ** 2)]
    used = np.zeros(len(v), np.bool_)
    used[f] = True
    number = np.cumsum(used) - 1
    into = number[further[into]]
    return Simplified(v[used] + centre, number[f].astype(np.uint32), rows[used], into)
