"""What engines made of the meshes of one volume, read from the bytes of their shards and held against its voxels.

python -m benchmarks.mesh_products < request prints JSON; see `compare`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import trimesh
from numpy.typing import NDArray

from ophiolite.kernels.label_surface import surface_samples
from ophiolite.kernels.mesh_measure import Surface, signed_volume
from ophiolite.kernels.mesh_topology import merge_vertices
from ophiolite.layers.objects import MeshReader
from ophiolite.layers.store import Store
from ophiolite.precomputed.multilod import decode_fragment

# Objects whose distances are measured: the largest, and evenly many of the rest; samples per triangle of their surface.
LARGEST = 40
OTHERS = 200
SAMPLES_PER_FACE = 1 / 20
LEAST_SAMPLES, MOST_SAMPLES = 64, 40_000

Triangles = tuple[NDArray[np.float64], NDArray[np.int64]]


@dataclass
class _Found:
    """What is counted of one engine's meshes."""

    present: int = 0
    levels: int = 0
    valid: dict[int, int] = field(default_factory=dict)
    having: dict[int, int] = field(default_factory=dict)
    triangles: int = 0
    most_in_fragment: int = 0
    volume_nm3: float = 0.0
    distances: list[NDArray[np.float64]] = field(default_factory=list)


def compare(request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Facts of each engine's meshes of all labels of an HDF5 volume at mip 0, by engine.

    objects : labels with voxels. present : with a mesh. is_volume_lod<n> : share of the objects that have the level for
    which it is what trimesh calls a volume, its fragments united by place, as stored. volume : of all finest levels
    over all voxels. distance_mean_nm, distance_p95_nm : between the finest level and zmesh's unsimplified
    surface, points of both, of `measured` objects. triangles : of all finest levels. most_in_fragment : triangles.
    """
    with h5py.File(request["file"], "r") as file:
        labels = np.array(file[request["labels"]]).T
    resolution = np.array(request["resolution_nm"], np.float64)
    ids, small, voxels = _numbered(labels)
    del labels
    readers = {name: _Reader(Path(folder)) for name, folder in request["folders"].items()}
    found = {name: _Found() for name in readers}
    largest = np.argsort(-voxels, kind="stable")
    chosen = set(largest[:LARGEST].tolist()) | set(largest[LARGEST :: max(1, (len(ids) - LARGEST) // OTHERS)].tolist())
    from scipy import ndimage

    boxes = ndimage.find_objects(small)
    for row, label in enumerate(ids.tolist()):
        surface = _zmesh(small, row + 1, boxes[row], resolution) if row in chosen else None
        for name, reader in readers.items():
            _count(found[name], reader, label, surface)
        if (row + 1) % 250 == 0:
            print(f"  {row + 1} of {len(ids)} objects", file=sys.stderr, flush=True)
    volume = float(voxels.sum()) * float(resolution.prod())
    return {name: _facts(found[name], len(ids), len(chosen), volume) for name in readers}


def _numbered(labels: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[Any], NDArray[np.int64]]:
    """Labels above 0 ascending, the volume with 1, 2, ... in their place, and the voxels of each."""
    import fastremap

    ids = fastremap.unique(labels)
    ids = ids[ids != 0]
    small = fastremap.remap(labels, {int(k): n + 1 for n, k in enumerate(ids.tolist())} | {0: 0}, in_place=False)
    small = np.asfortranarray(small.astype(np.int32))
    return ids.astype(np.uint64), small, np.bincount(small.ravel(order="K"), minlength=len(ids) + 1)[1:]


def _zmesh(small: NDArray[Any], number: int, box: Any, resolution: NDArray[np.float64]) -> Triangles:
    """zmesh's own unsimplified surface of one label in nm; voxel i spans [i, i + 1) voxels."""
    import zmesh

    mask = np.asfortranarray(np.pad((small[box] == number).astype(np.uint8), 1))
    mesher = zmesh.Mesher((1.0, 1.0, 1.0))
    mesher.mesh(mask)
    mesh = mesher.get(1)
    start = np.array([s.start for s in box], np.float64) - 1
    return (np.asarray(mesh.vertices, np.float64) + start + 0.5) * resolution, np.asarray(mesh.faces, np.int64)


class _Reader:
    """Meshes of one folder, each level with its vertices at a place of their own."""

    def __init__(self, folder: Path) -> None:
        self._meshes = MeshReader(Store(folder), ".")
        self._steps = (1 << int(self._meshes.info["vertex_quantization_bits"])) - 1
        self._transform = np.array(self._meshes.info["transform"], np.float64).reshape(3, 4)

    def levels(self, label: int) -> list[tuple[Triangles, list[int]]]:
        """Vertices in nm and faces of each level, and the triangles of each fragment; none where there is no mesh."""
        manifest = self._meshes.manifest(label)
        if manifest is None:
            return []
        path, reader = self._meshes.shard(label)
        at = reader.location(label)
        assert at is not None
        offset = at[0] - sum(int(np.asarray(s, np.int64).sum()) for s in manifest.sizes)
        out = []
        for level, (positions, sizes) in enumerate(zip(manifest.positions, manifest.sizes, strict=True)):
            places, faces, count, counts = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)], 0, [0]
            for position, size in zip(positions.astype(np.float64), sizes.tolist(), strict=True):
                if size:
                    v, f = decode_fragment(self._meshes.store.read_range(path, offset, size))
                    places.append(v + position * self._steps)
                    faces.append(f.astype(np.int64) + count)
                    count += len(v)
                    counts.append(len(f))
                offset += size
            whole, corners = merge_vertices(np.concatenate(places), np.concatenate(faces))
            side = np.asarray(manifest.chunk_shape, np.float64) * 2**level / self._steps
            stored = np.asarray(manifest.grid_origin, np.float64) + whole * side
            out.append(((stored @ self._transform[:, :3].T + self._transform[:, 3], corners), counts))
        return out


def _count(found: _Found, reader: _Reader, label: int, surface: Triangles | None) -> None:
    levels = reader.levels(label)
    if not levels:
        return
    found.present += 1
    found.levels += len(levels)
    for level, ((vertices, faces), counts) in enumerate(levels):
        whole = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
        with np.errstate(invalid="ignore", divide="ignore"):  # of what encloses nothing
            is_volume = len(whole) > 0 and bool(trimesh.Trimesh(vertices, whole, process=False).is_volume)
        found.having[level] = found.having.get(level, 0) + 1
        found.valid[level] = found.valid.get(level, 0) + int(is_volume)
        found.most_in_fragment = max(found.most_in_fragment, *counts)
        if level == 0:
            found.triangles += len(faces)
            found.volume_nm3 += signed_volume(vertices, whole)
    if surface is not None and len(levels[0][0][1]):
        found.distances.append(_distances(levels[0][0], surface))


def _distances(mesh: Triangles, surface: Triangles) -> NDArray[np.float64]:
    count = int(np.clip(len(surface[1]) * SAMPLES_PER_FACE, LEAST_SAMPLES, MOST_SAMPLES))
    there = Surface(*mesh).distance(surface_samples(*surface, count))
    back = Surface(*surface).distance(surface_samples(*mesh, count))
    return np.concatenate([there, back])


def _facts(found: _Found, objects: int, measured: int, voxels_nm3: float) -> dict[str, Any]:
    distances = np.concatenate(found.distances) if found.distances else np.full(1, np.nan)
    valid = {f"is_volume_lod{n}": round(found.valid[n] / found.having[n], 4) for n in sorted(found.having)}
    return {
        "objects": objects,
        "present": found.present,
        "levels": found.levels,
        **valid,
        "volume": round(found.volume_nm3 / voxels_nm3, 4),
        "measured": measured,
        "distance_mean_nm": round(float(distances.mean()), 3),
        "distance_p95_nm": round(float(np.percentile(distances, 95)), 3),
        "distance_max_nm": round(float(distances.max()), 1),
        "triangles": found.triangles,
        "most_in_fragment": found.most_in_fragment,
    }


if __name__ == "__main__":
    json.dump(compare(json.load(sys.stdin)), sys.stdout)
