"""Topology of triangle meshes: closed or not, which way faces look, parts, handles, faces that should not be there.

A mesh counts as watertight where every edge belongs to two faces, and as a volume where these also run along it in
opposite directions and enclose more than nothing: the senses of trimesh's `is_watertight` and `is_volume`. The genus
is that of the surface which parts at vertices that several fans of faces share (Euler's formula over its parts).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.kernels.mesh_measure import signed_volume

# A face is flat where its height is below this share of its longest side.
_FLAT = 1e-9


@dataclass(frozen=True)
class Topology:
    """What is counted of one mesh; faces with a corner twice count as flat and nowhere else.

    faces : all of them. edges, vertices : that faces use; a vertex counts once per fan of faces around it.
    open_edges : edges of one face. crowded_edges : of more than two. torn_edges : of two faces that run along them in
        the same direction. flat_faces : without area. duplicate_faces : on the three corners of an earlier one.
    components : parts connected over edges. genus : handles of all parts; None unless every edge is sound.
    volume_nm3 : enclosed, positive where faces look outwards.
    """

    faces: int
    vertices: int
    edges: int
    open_edges: int
    crowded_edges: int
    torn_edges: int
    flat_faces: int
    duplicate_faces: int
    components: int
    genus: int | None
    volume_nm3: float

    @property
    def watertight(self) -> bool:
        """Every edge belongs to exactly two faces, and there are some."""
        return self.edges > 0 and self.open_edges == 0 and self.crowded_edges == 0

    @property
    def winding_consistent(self) -> bool:
        """No two faces that share an edge run along it in the same direction."""
        return self.torn_edges == 0

    @property
    def is_volume(self) -> bool:
        """Watertight, of one orientation, and its faces look outwards."""
        return self.watertight and self.winding_consistent and self.volume_nm3 > 0


def merge_vertices(vertices: ArrayLike, faces: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The mesh with vertices (n, 3) at the same place made one, and those that no face uses left out; faces (m, 3).

    Nodes of an octree repeat the vertices that they share, equal to the bit.
    """
    v = np.asarray(vertices, np.float64).reshape(-1, 3)
    f = np.asarray(faces, np.int64).reshape(-1, 3)
    if len(f) == 0:
        return np.zeros((0, 3)), f
    # Zeros of both signs are one place.
    used, inner = np.unique(f.reshape(-1), return_inverse=True)
    places, number = np.unique(v[used] + 0.0, axis=0, return_inverse=True)
    return places, number.reshape(-1)[inner].reshape(-1, 3).astype(np.int64)


def topology(vertices_nm: ArrayLike, faces: ArrayLike) -> Topology:
    """Count everything of a mesh whose vertices (n, 3) in nm are each at a place of their own; faces (m, 3)."""
    v = np.asarray(vertices_nm, np.float64).reshape(-1, 3)
    f = np.asarray(faces, np.int64).reshape(-1, 3)
    whole = f[(f[:, 0] != f[:, 1]) & (f[:, 1] != f[:, 2]) & (f[:, 2] != f[:, 0])]
    flat = len(f) - len(whole) + int(_flat(v, whole).sum())
    if len(whole) == 0:
        return Topology(len(f), 0, 0, 0, 0, 0, flat, 0, 0, None, 0.0)
    edges = _Edges.of(whole)
    fans = _fans(whole, edges)
    components = _parts(len(whole), edges.first // 3, edges.second // 3)
    sound = bool((edges.count == 2).all()) and edges.torn == 0
    euler = fans - len(edges.count) + len(whole)
    return Topology(
        faces=len(f),
        vertices=fans,
        edges=len(edges.count),
        open_edges=int((edges.count == 1).sum()),
        crowded_edges=int((edges.count > 2).sum()),
        torn_edges=edges.torn,
        flat_faces=flat,
        duplicate_faces=_duplicates(whole),
        components=components,
        genus=components - euler // 2 if sound else None,
        volume_nm3=signed_volume(v, f),
    )


@dataclass(frozen=True)
class _Edges:
    """Faces per edge, and all pairs of half-edges that follow each other at an edge; half-edge 3 i + j is face i's jth.

    same : of each pair, whether both run in the same direction. torn : edges of two faces for which that is so.
    """

    count: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    same: NDArray[np.bool_]
    torn: int

    @classmethod
    def of(cls, faces: NDArray[np.int64]) -> _Edges:
        start, end = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
        keys = np.minimum(start, end) * (int(faces.max()) + 1) + np.maximum(start, end)
        order = np.argsort(keys, kind="stable")
        ahead = (start < end)[order]
        new = np.concatenate([[True], np.diff(keys[order]) != 0])
        count = np.diff(np.append(np.flatnonzero(new), len(keys)))
        follows = np.flatnonzero(~new)
        same = ahead[follows] == ahead[follows - 1]
        of_two = np.repeat(count, count)[follows] == 2
        return cls(count, order[follows - 1], order[follows], same, int((same & of_two).sum()))


def _fans(faces: NDArray[np.int64], edges: _Edges) -> int:
    """Vertices, each as often as there are fans of faces around it: corners joined over the edges they share."""
    near = np.where(edges.same, edges.second, _next(edges.second))
    far = np.where(edges.same, _next(edges.second), edges.second)
    a = np.concatenate([edges.first, _next(edges.first)])
    return _parts(3 * len(faces), a, np.concatenate([near, far]))


def _next(half: NDArray[np.int64]) -> NDArray[np.int64]:
    return half - half % 3 + (half + 1) % 3


def _parts(nodes: int, a: NDArray[np.int64], b: NDArray[np.int64]) -> int:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(nodes, nodes))
    return int(connected_components(graph, directed=False, return_labels=False))


def _flat(v: NDArray[np.float64], f: NDArray[np.int64]) -> NDArray[np.bool_]:
    a, b, c = v[f[:, 0]], v[f[:, 1]], v[f[:, 2]]
    twice = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    longest2 = np.max([((p - q) ** 2).sum(axis=1) for p, q in ((a, b), (b, c), (c, a))], axis=0)
    flat: NDArray[np.bool_] = twice <= _FLAT * longest2
    return flat


def _duplicates(faces: NDArray[np.int64]) -> int:
    ordered = np.sort(faces, axis=1)
    order = np.lexsort(ordered.T)
    return int((np.diff(ordered[order], axis=0) == 0).all(axis=1).sum())
