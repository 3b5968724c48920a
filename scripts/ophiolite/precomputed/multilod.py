"""Multi-resolution Draco meshes: `info`, manifest and fragment bytes.

Specification: Neuroglancer, precomputed meshes, `neuroglancer_multilod_draco`. In shards a key's prefix is its
fragments, one after the other, and its data the manifest. A vertex of a node at level l is, in stored-model units,
`grid_origin + vertex_offset[l] + chunk_shape 2**l (node + x / (2**bits - 1))`; the client splits nodes of l > 0 at
`x = 2**(bits - 1)`. The stored model of this project is nanometres, with the identity as transform.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry import morton

TYPE = "neuroglancer_multilod_draco"
IDENTITY = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_MAX_LODS = 32


@dataclass(frozen=True)
class MeshInfo:
    """The `info` of a folder of multi-resolution meshes.

    vertex_quantization_bits : 10 or 16.
    transform : 3 x 4, row by row, from stored model to nanometres.
    lod_scale_multiplier : factor on every `lod_scales`.
    sharding : the sharding specification as JSON, None for two files per label.
    extra : further keys (`mip`, `segment_properties`, ...), which clients ignore.
    """

    vertex_quantization_bits: int = 16
    transform: tuple[float, ...] = IDENTITY
    lod_scale_multiplier: float = 1.0
    sharding: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The bytes of `info`; raises FormatError for values the format does not have."""
        if self.vertex_quantization_bits not in (10, 16):
            raise FormatError(_info("vertex_quantization_bits", "10 or 16", self.vertex_quantization_bits))
        if len(self.transform) != 12 or not np.isfinite(self.transform).all():
            raise FormatError(_info("transform", "12 finite numbers", list(self.transform)))
        if not self.lod_scale_multiplier > 0 or not np.isfinite(self.lod_scale_multiplier):
            raise FormatError(_info("lod_scale_multiplier", "a number above 0", self.lod_scale_multiplier))
        data: dict[str, Any] = {
            "@type": TYPE,
            "vertex_quantization_bits": self.vertex_quantization_bits,
            "transform": [float(v) for v in self.transform],
            "lod_scale_multiplier": float(self.lod_scale_multiplier),
        }
        if self.sharding is not None:
            data["sharding"] = dict(self.sharding)
        taken = sorted(set(data) & set(self.extra))
        if taken:
            raise FormatError(_info("extra", "keys of no other meaning", taken))
        return json.dumps({**data, **self.extra}, indent=1, sort_keys=True).encode() + b"\n"


@dataclass(frozen=True)
class Manifest:
    """Where the nodes of one object's octree lie.

    chunk_shape : (3,) float32, a node of level 0 in stored-model units.
    grid_origin : (3,) float32.
    lod_scales : (levels,) float32, above 0 and rising; the client draws a level where a pixel is larger.
    positions : per level (k, 3) uint32, nodes in Z-curve order.
    sizes : per level (k,) uint32, bytes of each node's fragment, 0 for an empty node.
    vertex_offsets : (levels, 3) float32; None is zeros.
    """

    chunk_shape: NDArray[np.float32]
    grid_origin: NDArray[np.float32]
    lod_scales: NDArray[np.float32]
    positions: tuple[NDArray[np.uint32], ...]
    sizes: tuple[NDArray[np.uint32], ...]
    vertex_offsets: NDArray[np.float32] | None = None


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest; raises FormatError for one that clients misread: order, scales, missing parents."""
    _check_manifest(manifest)
    levels = len(manifest.lod_scales)
    offsets = manifest.vertex_offsets if manifest.vertex_offsets is not None else np.zeros((levels, 3))
    parts = [
        np.asarray(manifest.chunk_shape, "<f4").tobytes(),
        np.asarray(manifest.grid_origin, "<f4").tobytes(),
        struct.pack("<I", levels),
        np.asarray(manifest.lod_scales, "<f4").tobytes(),
        np.ascontiguousarray(offsets, "<f4").tobytes(),
        np.array([len(p) for p in manifest.positions], "<u4").tobytes(),
    ]
    for positions, sizes in zip(manifest.positions, manifest.sizes, strict=True):
        parts.append(np.asarray(positions, "<u4").reshape(-1, 3).tobytes(order="F"))
        parts.append(np.asarray(sizes, "<u4").tobytes())
    return b"".join(parts)


def decode_manifest(data: bytes) -> Manifest:
    """The manifest in `data`; raises FormatError where the length does not fit the counts or a rule is broken."""
    if len(data) < 28:
        raise FormatError(_manifest("is cut short", "28 bytes or more", len(data)))
    (levels,) = struct.unpack_from("<I", data, 24)
    at = 28 + 20 * levels
    if not 1 <= levels <= _MAX_LODS or len(data) < at:
        raise FormatError(_manifest("the number of levels does not fit the length", f"1 to {_MAX_LODS}", levels))
    head = np.frombuffer(data, "<f4", 6)
    scales = np.frombuffer(data, "<f4", levels, 28)
    offsets = np.frombuffer(data, "<f4", 3 * levels, 28 + 4 * levels).reshape(levels, 3)
    counts = np.frombuffer(data, "<u4", levels, 28 + 16 * levels).astype(np.int64)
    if len(data) != at + 16 * int(counts.sum()):
        raise FormatError(_manifest("the length does not fit the counts", at + 16 * int(counts.sum()), len(data)))
    positions, sizes = [], []
    for count in counts.tolist():
        block = np.frombuffer(data, "<u4", 4 * count, at).astype(np.uint32).reshape(4, count)
        positions.append(np.ascontiguousarray(block[:3].T))
        sizes.append(block[3].copy())
        at += 16 * count
    manifest = Manifest(head[:3].copy(), head[3:].copy(), scales.copy(), tuple(positions), tuple(sizes), offsets.copy())
    _check_manifest(manifest)
    return manifest


def z_order(positions: ArrayLike) -> NDArray[np.int64]:
    """Rows that bring node positions (k, 3) into Z-curve order, x lowest."""
    p = np.asarray(positions, np.int64).reshape(-1, 3)
    x, y, z = (int(v) + 1 for v in p.max(axis=0)) if len(p) else (1, 1, 1)
    return np.argsort(morton.encode(p, (x, y, z)), kind="stable").astype(np.int64)


def encode_fragment(vertices_q: ArrayLike, faces: ArrayLike, level: int = 7) -> bytes:
    """Draco bytes of one node: vertices (n, 3) integers within [0, 2**16), faces (m, 3), no face with a corner twice.

    Positions are stored as 32-bit integers without any quantisation of Draco's own; vertices may be reordered.
    `level` is Draco's compression level, 0 to 10. Raises FormatError where Draco fails: never empty bytes.
    """
    import DracoPy

    v = np.ascontiguousarray(vertices_q, dtype=np.int32)
    f = np.ascontiguousarray(faces, dtype=np.uint32)
    if len(f) == 0 or v.min() < 0 or v.max() >= 1 << 16 or int(f.max()) >= len(v):
        raise FormatError(_fragment("vertices or faces out of range", f"{len(v)} vertices, {len(f)} faces"))
    try:
        data = DracoPy.encode(v, f, compression_level=level, create_metadata=False, preserve_order=False)
    except (DracoPy.EncodingFailedException, ValueError, RuntimeError) as error:
        raise FormatError(_fragment("Draco cannot encode it", error)) from error
    if not data:
        raise FormatError(_fragment("Draco gave no bytes", f"{len(v)} vertices, {len(f)} faces"))
    return bytes(data)


def decode_fragment(data: bytes) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """Vertices (n, 3) and faces (m, 3) of one node; raises FormatError where `data` is no mesh of integer positions."""
    import DracoPy

    try:
        mesh = DracoPy.decode(data)
        points, faces = np.asarray(mesh.points), np.asarray(mesh.faces)
    except (DracoPy.FileTypeException, AttributeError, ValueError, RuntimeError) as error:
        raise FormatError(_fragment("Draco cannot decode it", error)) from error
    vertices = points.astype(np.int32).reshape(-1, 3)
    if not np.array_equal(vertices, points.reshape(-1, 3)):
        raise FormatError(_fragment("positions are no integers", points.dtype))
    return vertices, faces.astype(np.uint32).reshape(-1, 3)


def _check_manifest(m: Manifest) -> None:
    levels = len(m.lod_scales)
    if not 1 <= levels <= _MAX_LODS or len(m.positions) != levels or len(m.sizes) != levels:
        raise FormatError(_manifest("level counts differ", f"1 to {_MAX_LODS}, alike", (levels, len(m.positions))))
    if m.vertex_offsets is not None and np.shape(m.vertex_offsets) != (levels, 3):
        raise FormatError(_manifest("vertex_offsets", f"shape ({levels}, 3)", np.shape(m.vertex_offsets)))
    scales = np.asarray(m.lod_scales, np.float32)
    # The client takes a scale of 0 for the end of the list.
    if not (scales > 0).all() or not (np.diff(scales) > 0).all() or not np.isfinite(scales).all():
        raise FormatError(_manifest("lod_scales", "above 0 and rising", scales.tolist()))
    if not (np.asarray(m.chunk_shape) > 0).all() or not np.isfinite(m.grid_origin).all():
        raise FormatError(_manifest("chunk_shape, grid_origin", "finite, above 0", (m.chunk_shape, m.grid_origin)))
    parents: set[tuple[int, ...]] = set()
    for level, (positions, sizes) in enumerate(zip(m.positions, m.sizes, strict=True)):
        nodes = np.asarray(positions, np.int64).reshape(-1, 3)
        if len(nodes) != len(sizes) or len(nodes) == 0:
            raise FormatError(_manifest(f"level {level}", "as many sizes as nodes, at least one", len(sizes)))
        here = set(map(tuple, nodes.tolist()))
        if len(here) != len(nodes) or not np.array_equal(z_order(nodes), np.arange(len(nodes))):
            raise FormatError(_manifest(f"nodes of level {level}", "each once, in Z-curve order", nodes[:4].tolist()))
        if not parents <= here:
            raise FormatError(_manifest(f"level {level}", "every parent of a node", sorted(parents - here)[:4]))
        parents = set(map(tuple, (nodes >> 1).tolist()))


def _info(name: str, expected: object, got: object) -> str:
    return explain(f"mesh info, {name}", "is not possible", expected=expected, got=got, do="Correct the mesh settings")


def _manifest(problem: str, expected: object, got: object) -> str:
    return explain("mesh manifest", problem, expected=expected, got=got, do="Remake the mesh shards of this layer")


def _fragment(problem: str, got: object) -> str:
    return explain("mesh fragment", problem, got=got, do="Remake the mesh shards; report it where that does not help")
