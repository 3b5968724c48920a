"""Small layers with a known answer, written by other people's software."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESOLUTION_NM = (8, 8, 20)
OFFSET_VX = (5, -3, 7)
SIZE_VX = (96, 80, 48)
HUGE = 2**53 + 11


@dataclass(frozen=True)
class Sample:
    """A results folder with one dataset `d`, and the arrays that its layers hold, (x, y, z)."""

    folder: Path
    image: NDArray[np.uint8]
    labels: NDArray[np.uint64]


def ball_labels() -> NDArray[np.uint64]:
    """Two balls that touch and a rod, labels of one, thirty-three and fifty-four bits."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in SIZE_VX), indexing="ij")
    labels = np.zeros(SIZE_VX, dtype=np.uint64, order="F")
    labels[(x - 30) ** 2 + (y - 40) ** 2 + (2.5 * (z - 24)) ** 2 < 24**2] = 1
    labels[(x - 68) ** 2 + (y - 40) ** 2 + (2.5 * (z - 24)) ** 2 < 15**2] = 2**32 + 7
    labels[(x - 50) ** 2 + (2.5 * (z - 44)) ** 2 < 5**2] = HUGE
    return labels


def write_sample(folder: Path) -> Sample:
    """Write image, labels with meshes, skeletons and properties, and annotations under `folder`."""
    labels = ball_labels()
    noise = np.random.default_rng(7).normal(0, 12, SIZE_VX)
    image = np.asfortranarray(np.clip(90 + 60 * (labels > 0) + noise, 1, 255).astype(np.uint8))
    _write_image(folder / "d/layers/em", image)
    _write_labels(folder / "d/layers/cells", labels)
    _write_points(folder / "d/layers/marks")
    return Sample(folder, image, labels)


def _write_image(layer: Path, image: NDArray[np.uint8]) -> None:
    """Two scales through TensorStore, the first sharded with gzip."""
    import tensorstore as ts

    sharding = {
        "@type": "neuroglancer_uint64_sharded_v1",
        "hash": "identity",
        "preshift_bits": 1,
        "minishard_bits": 1,
        "shard_bits": 0,
        "data_encoding": "gzip",
        "minishard_index_encoding": "gzip",
    }
    # At odd offsets the coarse voxels of TensorStore's downsampling start at floor(offset / 2).
    volume: Any = None
    for factor in (1, 2):
        source = image if factor == 1 else _halved(volume)
        scale = {
            "resolution": [r * factor for r in RESOLUTION_NM],
            "size": list(source.shape[:3]),
            "voxel_offset": [o // factor for o in OFFSET_VX],
            "chunk_size": [32, 32, 32],
            "encoding": "raw",
        } | ({"sharding": sharding} if factor == 1 else {})
        volume = ts.open(
            {
                "driver": "neuroglancer_precomputed",
                "kvstore": {"driver": "file", "path": f"{layer}/"},
                "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 1},
                "scale_metadata": scale,
            },
            create=True,
        ).result()
        volume[..., 0] = source


def _halved(volume: Any) -> NDArray[np.uint8]:
    import tensorstore as ts

    reduced = ts.downsample(volume, [2, 2, 2, 1], "mean").read().result()
    return np.asarray(reduced)[..., 0]


def _write_labels(layer: Path, labels: NDArray[np.uint64]) -> None:
    """compressed_segmentation, legacy meshes of zmesh, skeletons and properties, through CloudVolume."""
    import zmesh
    from cloudvolume import CloudVolume, Skeleton

    info = CloudVolume.create_new_info(
        num_channels=1,
        layer_type="segmentation",
        data_type="uint64",
        encoding="compressed_segmentation",
        resolution=RESOLUTION_NM,
        voxel_offset=OFFSET_VX,
        volume_size=SIZE_VX,
        chunk_size=(32, 32, 32),
        mesh="mesh",
        skeletons="skeletons",
    )
    info["segment_properties"] = "segment_properties"
    volume = CloudVolume(f"file://{layer}", info=info, compress=False, progress=False)
    volume.commit_info()
    volume[:, :, :] = labels
    mesher = zmesh.Mesher(RESOLUTION_NM)
    mesher.mesh(np.asarray(labels))
    (layer / "mesh").mkdir()
    (layer / "mesh/info").write_text('{"@type": "neuroglancer_legacy_mesh"}')
    corner_nm = np.multiply(OFFSET_VX, RESOLUTION_NM)
    ids = [int(label) for label in np.unique(labels) if label]
    for label in ids:
        mesh = mesher.get(label, reduction_factor=0, voxel_centered=True)
        mesh.vertices = (mesh.vertices + corner_nm).astype(np.float32)
        (layer / f"mesh/{label}:0:fragment").write_bytes(mesh.to_precomputed())
        (layer / f"mesh/{label}:0").write_text(json.dumps({"fragments": [f"{label}:0:fragment"]}))
    (layer / "skeletons").mkdir()
    (layer / "skeletons/info").write_text(
        json.dumps(
            {
                "@type": "neuroglancer_skeletons",
                "transform": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
                "vertex_attributes": [{"id": "radius", "data_type": "float32", "num_components": 1}],
            }
        )
    )
    attributes = [{"id": "radius", "data_type": "float32", "num_components": 1}]
    for label in ids:
        points = np.argwhere(labels == label)
        ends = (points[[0, len(points) // 2, -1]] + 0.5) * RESOLUTION_NM + corner_nm
        bones = Skeleton(
            ends.astype(np.float32),
            np.array([[0, 1], [1, 2]], dtype=np.uint32),
            radii=np.array([20, 90, 20], dtype=np.float32),
            segid=label,
            extra_attributes=attributes,
        )
        (layer / f"skeletons/{label}").write_bytes(bones.to_precomputed())
    (layer / "segment_properties").mkdir()
    sizes = [int((labels == label).sum()) for label in ids]
    properties = {
        "@type": "neuroglancer_segment_properties",
        "inline": {
            "ids": [str(label) for label in ids],
            "properties": [{"id": "voxels", "type": "number", "data_type": "uint32", "values": sizes}],
        },
    }
    (layer / "segment_properties/info").write_text(json.dumps(properties))


def _write_points(layer: Path) -> None:
    """Two points through neuroglancer's own writer."""
    from neuroglancer.coordinate_space import CoordinateSpace
    from neuroglancer.write_annotations import AnnotationWriter

    space = CoordinateSpace(names=["x", "y", "z"], scales=list(RESOLUTION_NM), units=["nm"] * 3)
    writer = AnnotationWriter(space, "point")
    writer.add_point([35, 37, 31], id=1)
    writer.add_point([73, 37, 31], id=2)
    writer.write(layer)
