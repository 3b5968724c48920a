"""What is promised of simplified pieces, measured against the unsimplified ones by code that the kernels do not use."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import trimesh
from mesh_shapes import Resolution, in_tasks, nm, unpaired_edges
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ophiolite.geometry.box import Vec
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, MeshPiece
from ophiolite.kernels.extractor import Extractor
from ophiolite.kernels.mesh import MARCHING
from ophiolite.kernels.mesh_measure import signed_volume
from ophiolite.kernels.stitch import stitch

Pieces = dict[int, list[tuple[Vec, MeshPiece]]]
Cuts = tuple[list[int], list[int], list[int]]
_SLACK = 1 + 1e-9


def broken_promises(
    labels: NDArray[Any],
    cuts: Cuts,
    resolution: Resolution,
    bound: float,
    made: Pieces,
    extractor: Extractor = MARCHING,
) -> set[str]:
    """The promises that pieces `made` of a volume in tasks do not keep; `bound` is their `max_error_nm`.

    lost : a label without a mesh. border : open edges of a piece are not, to the bit, where they were. open, crowded,
    torn, flat, doubled : of the joined mesh. parts : other components or handles. turned : a face looks away from all
    of the surface near to it. inverted : a part, perhaps a cavity, encloses the other side. far : a vertex that was, or
    one that is, or the centre or an edge's middle of a face that is, is farther from the other surface than the bound.
    volume : off by more than 3 % of the voxels.
    """
    plain = in_tasks(labels, cuts, resolution, extractor, simplify=False)
    out = {"lost"} if set(plain) != set(made) else set()
    for label in sorted(set(plain) & set(made)):
        if _borders(plain[label]) != _borders(made[label]):
            out.add("border")
        out |= broken_surface(_joined(plain[label], resolution), _joined(made[label], resolution), bound)
        voxels = float((labels == np.uint64(label)).sum() * np.prod(resolution))
        volumes = [signed_volume(*_joined(pieces[label], resolution)) for pieces in (plain, made)]
        if abs(volumes[0] - volumes[1]) > 0.03 * voxels:
            out.add("volume")
    return out


def _joined(pieces: list[tuple[Vec, MeshPiece]], resolution: Resolution) -> tuple[NDArray[np.float64], NDArray[Any]]:
    vertices, faces = stitch(pieces)
    return nm(vertices, resolution), faces.astype(np.int64)


def _borders(pieces: list[tuple[Vec, MeshPiece]]) -> list[tuple[Vec, list[Any]]]:
    """The places of the ends of the open edges of each piece."""
    out = []
    for origin, piece in pieces:
        places = piece.vertices + STEPS_PER_VOXEL * np.array(origin)
        out.append((origin, sorted(map(str, places[unpaired_edges(piece.faces)].tolist()))))
    return sorted(out)


def broken_surface(before: Any, after: Any, bound: float) -> set[str]:
    """As `broken_promises`, of one closed surface (vertices in nm, faces) before and after."""
    if not len(after[1]):
        return {"lost"}

    old, new = (trimesh.Trimesh(v, f, process=False) for v, f in (before, after))
    faces = np.asarray(after[1])
    uses = Counter(tuple(sorted(e)) for f in faces.tolist() for e in ((f[0], f[1]), (f[1], f[2]), (f[2], f[0])))
    directed = Counter(e for f in faces.tolist() for e in ((f[0], f[1]), (f[1], f[2]), (f[2], f[0])))
    checks = {
        "open": min(uses.values(), default=0) < 2,
        "crowded": max(uses.values(), default=0) > 2,
        "torn": max(directed.values(), default=0) > 1,
        "flat": bool((new.area_faces <= 0).any()),
        "doubled": len(np.unique(np.sort(faces, axis=1), axis=0)) < len(faces),
        "parts": (old.euler_number, old.body_count) != (new.euler_number, new.body_count),
        "turned": _turned(old, new, bound),
        "inverted": _sides(old) != _sides(new),
        "far": max(_farthest(before[0], new), _farthest(samples_of(*after), old)) > bound * _SLACK,
    }
    return {name for name, failed in checks.items() if failed}


def samples_of(vertices: NDArray[np.float64], faces: NDArray[Any]) -> NDArray[np.float64]:
    """Vertices, centres of faces, and middles of edges, each of these twice."""
    corners = vertices[faces]
    return np.concatenate([vertices, corners.mean(axis=1), ((corners + corners[:, [1, 2, 0]]) / 2).reshape(-1, 3)])


def _farthest(points: NDArray[np.float64], mesh: Any) -> float:
    """The largest distance of points to any face, sought first among the faces whose centres are nearest."""
    near = cKDTree(mesh.triangles_center).query(points, k=min(24, len(mesh.faces)))[1].reshape(len(points), -1)
    most = np.full(len(points), np.inf)
    for column in near.T:
        closest = trimesh.triangles.closest_point(mesh.triangles[column], points)
        most = np.minimum(most, np.linalg.norm(closest - points, axis=1))
    farthest = 0.0
    for row in np.argsort(-most):
        if most[row] <= farthest:
            break
        closest = trimesh.triangles.closest_point(mesh.triangles, np.tile(points[row], (len(mesh.faces), 1)))
        farthest = max(farthest, float(np.linalg.norm(closest - points[row], axis=1).min()))
    return farthest


def _sides(mesh: Any) -> list[float]:
    """The signs of the volumes of connected parts, sorted."""
    part = trimesh.graph.connected_component_labels(mesh.face_adjacency, node_count=len(mesh.faces))
    a, b, c = np.moveaxis(mesh.triangles - mesh.triangles.mean(axis=(0, 1)), 1, 0)
    return sorted(np.sign(np.bincount(part, np.einsum("ij,ij->i", a, np.cross(b, c)))).tolist())


def _turned(old: Any, new: Any, bound: float) -> bool:
    """Whether a face looks away from every face of the old surface whose centre is near to its own."""
    tree = cKDTree(old.triangles_center)
    for centre, normal in zip(new.triangles_center, new.face_normals, strict=True):
        near = tree.query_ball_point(centre, 2 * bound)
        if near and normal.any() and (old.face_normals[near] @ normal).max() < -0.1:
            return True
    return False
