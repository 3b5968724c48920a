"""Other people's readers on our multi-resolution meshes, sharded: CloudVolume, and trimesh for the measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.kernels.lod import LodOptions, build_lods
from ophiolite.kernels.mesh import MeshOptions, mesh_labels
from ophiolite.kernels.mesh_measure import measure, surface_distance
from ophiolite.kernels.octree import mesh_entry
from ophiolite.kernels.stitch import stitch
from ophiolite.precomputed.multilod import MeshInfo, decode_manifest
from ophiolite.precomputed.sharding import ShardingSpec, build_shard, locate, shard_name

RESOLUTION = (4.0, 4.0, 40.0)
OFFSET = (1001, -37, 55)
NAMES = np.array([0, 1, 2**53 + 1, 2**64 - 1], np.uint64)


def volume() -> NDArray[np.uint64]:
    rng = np.random.default_rng(7)
    fields = [gaussian_filter(rng.standard_normal((40, 36, 24)), 3.0) for _ in NAMES]
    labels = NAMES[np.argmax(fields, axis=0)]
    labels[0:3] = 0
    labels[1, 5, 5] = 77
    labels[1, 20:30, 8] = 78
    return np.asfortranarray(labels)


def meshes(labels: NDArray[np.uint64]) -> dict[int, tuple[NDArray[np.float64], NDArray[np.uint32]]]:
    """Every label meshed in two tasks, stitched, in nm."""
    pieces: dict[int, list[Any]] = {}
    yes, no = (True, True, True), (False, False, False)
    for start, stop, pad, low, high in (
        (0, 17, yes, no, (True, False, False)),
        (17, 40, (False, True, True), (True, False, False), no),
    ):
        block = labels[start : stop + high[0]]
        origin = (OFFSET[0] + start, OFFSET[1], OFFSET[2])
        options = MeshOptions(max_error_nm=8.0)
        for label, piece in mesh_labels(block, RESOLUTION, (stop - start, 36, 24), pad, low, high, options):
            pieces.setdefault(label, []).append((origin, piece))
    out = {}
    for label, found in pieces.items():
        vertices, faces = stitch(found)
        out[label] = (vertices * (np.array(RESOLUTION) / STEPS_PER_VOXEL), faces)
    return out


def lod_options(bits: int) -> LodOptions:
    return LodOptions(max_lods=3, faces_per_fragment=400, quantization_bits=bits)


def write_layer(
    folder: Path, objects: dict[int, tuple[NDArray[np.float64], NDArray[np.uint32]]], bits: int
) -> dict[int, bytes]:
    """A layer whose sharded meshes are `objects`; returns their manifests."""
    spec = ShardingSpec(0, "murmurhash3_x86_128", 1, 1, "gzip", "raw")
    entries = {
        label: mesh_entry(v, f, lod_options(bits), base_error_nm=8.0).stored for label, (v, f) in objects.items()
    }
    (folder / "mesh").mkdir(parents=True)
    (folder / "mesh" / "info").write_bytes(MeshInfo(bits, sharding=spec.to_json(), extra={"mip": 0}).to_json())
    labels = np.array(sorted(entries), np.uint64)
    shards = locate(spec, labels)[0]
    for shard in range(spec.shards):
        rows = [(int(key), *entries[int(key)]) for key in labels[shards == shard]]
        (folder / "mesh" / shard_name(spec, shard)).write_bytes(build_shard(spec, shard, rows))
    info = {
        "@type": "neuroglancer_multiscale_volume",
        "type": "segmentation",
        "data_type": "uint64",
        "num_channels": 1,
        "mesh": "mesh",
        "scales": [
            {
                "key": "0",
                "size": [40, 36, 24],
                "resolution": list(RESOLUTION),
                "voxel_offset": list(OFFSET),
                "chunk_sizes": [[64, 64, 64]],
                "encoding": "raw",
            }
        ],
    }
    (folder / "info").write_text(json.dumps(info))
    return {label: entry[1] for label, entry in entries.items()}


@pytest.fixture(scope="module")
def objects() -> dict[int, tuple[NDArray[np.float64], NDArray[np.uint32]]]:
    return meshes(volume())


@pytest.mark.parametrize("bits", [10, 16])
def test_cloudvolume_reads_every_level_of_every_label(tmp_path: Path, objects: Any, bits: int) -> None:
    from cloudvolume import CloudVolume

    manifests = write_layer(tmp_path, objects, bits)
    # One voxel and a row of them are lost by Igneous.
    assert set(manifests) == {1, 77, 78, 2**53 + 1, 2**64 - 1}
    reader = CloudVolume(f"file://{tmp_path}", progress=False, use_https=False)
    for label, (vertices, faces) in objects.items():
        levels = build_lods(vertices, faces, lod_options(bits))
        manifest = decode_manifest(manifests[label])
        assert len(manifest.lod_scales) == len(levels.lods)
        for level, lod in enumerate(levels.lods):
            places = levels.grid.nm(lod.lattice, level)
            mesh = reader.mesh.get(label, lod=level)[label]
            step = float(manifest.chunk_shape[0]) * 2**level / ((1 << bits) - 1)
            # Their float32 arithmetic adds a little to the rounding of the format.
            slack = 2 * np.sqrt(3) * step + 1e-6 * np.abs(vertices).max()
            assert surface_distance(mesh.vertices, places, lod.faces).max() <= slack
            assert surface_distance(places, mesh.vertices, mesh.faces).max() <= slack
            if level == 0 and len(manifest.positions[0]) == 1:
                expected = places[lod.faces].reshape(-1, 3).mean(axis=0)
                np.testing.assert_allclose(mesh.vertices[mesh.faces].reshape(-1, 3).mean(axis=0), expected, atol=slack)


def test_boxes_lie_where_the_voxels_do(objects: Any) -> None:
    labels = volume()
    for label in (77, 78):
        at = np.argwhere(labels == label)
        low, high = (at.min(axis=0) + OFFSET) * RESOLUTION, (at.max(axis=0) + 1 + OFFSET) * RESOLUTION
        vertices = objects[label][0]
        # Marching cubes touches the faces of a box, simplification may blunt its tips.
        slack = 0.25 * np.array(RESOLUTION)
        assert (vertices.min(axis=0) >= low).all()
        assert (vertices.max(axis=0) <= high).all()
        assert (vertices.min(axis=0) <= low + slack).all()
        assert (vertices.max(axis=0) >= high - slack).all()


def test_trimesh_agrees_with_our_measures(objects: Any) -> None:
    import trimesh

    for vertices, faces in objects.values():
        ours = measure(vertices, faces)
        theirs = trimesh.Trimesh(vertices, faces, process=False)
        assert ours.watertight
        assert theirs.is_volume
        assert ours.area_nm2 == pytest.approx(theirs.area, rel=1e-9)
        assert ours.volume_nm3 == pytest.approx(theirs.volume, rel=1e-6)
        np.testing.assert_allclose(ours.centroid_nm, theirs.center_mass, rtol=1e-6)


def test_volumes_are_those_of_the_voxels(objects: Any) -> None:
    # Marching cubes cuts convex edges off, which in objects of few voxels is some percent.
    labels = volume()
    for label, (vertices, faces) in objects.items():
        voxels = (labels == np.uint64(label)).sum()
        if voxels > 1000:
            assert measure(vertices, faces).volume_nm3 == pytest.approx(voxels * np.prod(RESOLUTION), rel=0.05)
