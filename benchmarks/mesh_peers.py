"""Simplifiers of the field, run as the curve of errors runs ours.

They take closed meshes one by one, and `requirements/simplifiers.txt` locks them, but for serra-mesh, which extracts
surface nets of its own and is one of the packages that the workflow needs.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Triangles = tuple[NDArray[np.float64], NDArray[np.int64]]
Meshes = dict[int, Triangles]


def serra(labels: NDArray[Any], resolution_nm: tuple[float, float, float], max_error_nm: float) -> Meshes:
    """serra-mesh's surface nets of labels (x, y, z), simplified by its own; vertices in nm from the corner."""
    import serra_mesh

    mesher = serra_mesh.Mesher(voxel_resolution=list(resolution_nm), threads=1)
    mesher.mesh(labels, close=True)
    out: Meshes = {}
    for number in sorted(int(n) for n in mesher.ids()):
        mesh = mesher.get(number, reduction_factor=100, max_error=max_error_nm)
        middle = np.array(resolution_nm) / 2
        out[number] = np.asarray(mesh.vertices, np.float64) + middle, np.asarray(mesh.faces, np.int64)
    return out


def meshoptimizer(meshes: Meshes, max_error_nm: float) -> Meshes:
    """meshoptimizer's edge collapse with an absolute error."""
    package = importlib.import_module("meshoptimizer.simplifier")
    out: Meshes = {}
    for number, (vertices, faces) in meshes.items():
        places = np.ascontiguousarray(vertices, np.float32)
        indices = np.ascontiguousarray(faces.ravel(), np.uint32)
        left = np.zeros_like(indices)
        options = package.SIMPLIFY_ERROR_ABSOLUTE
        count = package.simplify(
            left, indices, places, target_index_count=0, target_error=max_error_nm, options=options
        )
        out[number] = vertices, left[:count].reshape(-1, 3).astype(np.int64)
    return out


def pyfqmr(meshes: Meshes, ratio: int) -> Meshes:
    """pyfqmr's fast quadric simplification to 1 / ratio of the faces, the border kept."""
    package = importlib.import_module("pyfqmr")
    out: Meshes = {}
    for number, (vertices, faces) in meshes.items():
        simplifier = package.Simplify()
        simplifier.setMesh(vertices, faces)
        target = max(len(faces) // ratio, 4)
        simplifier.simplify_mesh(target_count=target, aggressiveness=7, preserve_border=True, verbose=False)
        made, corners, _ = simplifier.getMesh()
        out[number] = np.asarray(made, np.float64), np.asarray(corners, np.int64)
    return out
