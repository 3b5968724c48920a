"""Run after both engines: what each made, read by CloudVolume, so that no speed is bought by leaving work out.

python -m benchmarks.products NAME IMAGE LABELS ... prints JSON; see `compare`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def compare(labels: dict[str, Path], images: dict[str, Path], mip: int | None) -> dict[str, dict[str, Any]]:
    """Facts of each engine's products, by engine; `mip` is that of meshes and skeletons, None where there are none.

    mip0_same, mips_same : share of label voxels equal to those of the first engine, at mip 0 and at the coarsest mip.
    image_bias : mean of the coarsest image mip minus mean of mip 0, in grey levels.
    labels : labels at the products' mip. meshes, skeletons : how many have one.
    watertight : share of meshes where every edge has two faces. volume : volume of all meshes over that of all voxels.
    faces, levels : of all meshes, at level 0; levels of detail over all meshes. cable_um, vertices : of all skeletons.
    """
    out: dict[str, dict[str, Any]] = {}
    first = next(iter(labels.values()))
    for engine, layer in labels.items():
        out[engine] = {
            **_voxels(layer, first),
            **(_image(images[engine]) if engine in images else {}),
            **({} if mip is None else _meshes(layer, mip) | _skeletons(layer, mip)),
        }
    return out


def _open(layer: Path, mip: int = 0) -> Any:
    from cloudvolume import CloudVolume

    return CloudVolume(f"file://{layer}", mip=mip, progress=False, fill_missing=False, bounded=True)


def _read(layer: Path, mip: int) -> NDArray[Any]:
    array: NDArray[Any] = np.asarray(_open(layer, mip)[:])[..., 0]
    return array


def _voxels(layer: Path, reference: Path) -> dict[str, Any]:
    top = len(_open(layer).scales) - 1
    return {
        "mips": top + 1,
        "mip0_same": _share_equal(_read(layer, 0), _read(reference, 0)),
        "mips_same": _share_equal(_read(layer, top), _read(reference, top)),
    }


def _share_equal(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float((a == b).mean()) if a.shape == b.shape else 0.0


def _image(layer: Path) -> dict[str, Any]:
    top = len(_open(layer).scales) - 1
    return {"image_bias": round(float(_read(layer, top).mean() - _read(layer, 0).mean()), 3)}


def _meshes(layer: Path, mip: int) -> dict[str, Any]:
    volume = _open(layer, mip)
    ids, voxels = np.unique(_read(layer, mip), return_counts=True)
    voxels, ids = voxels[ids > 0], ids[ids > 0]
    step = float(np.min(volume.resolution)) / 256
    found = watertight = faces = levels = 0
    enclosed = 0.0
    for label in ids.tolist():
        try:
            mesh = volume.mesh.get(label)
            mesh = mesh[label] if isinstance(mesh, dict) else mesh
        except Exception:
            continue
        if mesh is None or not len(mesh.faces):
            continue
        vertices, corners = _joined(np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64), step)
        found += 1
        faces += len(corners)
        watertight += _closed(corners)
        enclosed += _volume(vertices, corners)
        levels += int(volume.mesh.get_manifest(label).num_lods)
    truth = float(voxels.sum()) * float(np.prod(volume.resolution))
    return {
        "labels": len(ids),
        "meshes": found,
        "watertight": round(watertight / max(found, 1), 4),
        "volume": round(enclosed / truth, 4),
        "faces": faces,
        "levels": levels,
    }


def _joined(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], step: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices of a place made one (`step` nm is far below a voxel), faces without area by that dropped."""
    _, first, number = np.unique(
        np.rint(vertices / step).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    faces = number.reshape(-1)[faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return vertices[first], faces[whole]


def _closed(faces: NDArray[np.int64]) -> bool:
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, counts = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    return bool((counts == 2).all())


def _volume(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> float:
    a, b, c = (vertices[faces[:, i]] - vertices.mean(axis=0) for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def _skeletons(layer: Path, mip: int) -> dict[str, Any]:
    volume = _open(layer, mip)
    ids = np.unique(_read(layer, mip))
    found = vertices = 0
    cable = 0.0
    for label in ids[ids > 0].tolist():
        try:
            skeleton = volume.skeleton.get(label)
        except Exception:
            continue
        if len(skeleton.vertices):
            found += 1
            vertices += len(skeleton.vertices)
            cable += float(skeleton.cable_length())
    return {"skeletons": found, "cable_um": round(cable / 1000, 1), "vertices": vertices}


if __name__ == "__main__":
    request = json.load(sys.stdin)
    paths = {kind: {engine: Path(p) for engine, p in request[kind].items()} for kind in ("labels", "images")}
    json.dump(compare(paths["labels"], paths["images"], request["mip"]), sys.stdout)
