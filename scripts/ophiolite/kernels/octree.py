"""Levels of detail become the nodes of an octree, on integer coordinates, and these the bytes of a multilod mesh.

Vertices are rounded to the format's own grid first, half up, and triangles then cut at whole numbers: at the faces of
the nodes and, above level 0, at the planes `2**(bits - 1)` where the client splits a node in eight. A cut vertex is a
function of the two ends of its edge alone, so triangles on both sides of an edge, and nodes on both sides of a face,
meet to the bit. Triangles that rounding has robbed of a corner are dropped; their other two edges coincide, so no hole
opens. Format: Neuroglancer, precomputed meshes, `neuroglancer_multilod_draco`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry import morton
from ophiolite.kernels.lod import MOST_LODS, Lod, LodOptions, build_lods
from ophiolite.precomputed.multilod import Manifest, encode_fragment, encode_manifest, z_order

# Scales must rise; where two levels err alike the coarser is called this much worse.
_RISE = 1.001


@dataclass(frozen=True)
class Node:
    """The triangles of one cell of the octree.

    position : (3,) cell of its level. vertices : (n, 3) int32, 0 to 2**bits - 1 across the cell. faces : (m, 3) uint32.
    """

    position: tuple[int, int, int]
    vertices: NDArray[np.int32]
    faces: NDArray[np.uint32]


@dataclass(frozen=True)
class Octree:
    """The nodes of all levels, each level in Z-curve order, empty parents included.

    chunk_shape, grid_origin : (3,) float32 in nm; a node of level l is `chunk_shape 2**l` long.
    """

    chunk_shape: NDArray[np.float32]
    grid_origin: NDArray[np.float32]
    levels: tuple[tuple[Node, ...], ...]


def mesh_entry(
    vertices_nm: ArrayLike,
    faces: ArrayLike,
    lod_options: LodOptions,
    quantization_bits: int = 16,
    draco_level: int = 7,
    base_error_nm: float = 0.0,
) -> tuple[bytes, bytes]:
    """What goes into a shard for one object: (fragments, manifest), the prefix and the data of its key.

    vertices_nm : (n, 3) in nm. faces : (m, 3), at least one. base_error_nm : what level 0 may err itself.
    `lod_scales` are base_error_nm, or the rounding step of level 0 if larger, plus each level's measured error.
    Raises FormatError where an object cannot be written.
    """
    lods = build_lods(vertices_nm, faces, lod_options)
    octree = cut_lods(lods, quantization_bits)
    fragments = [
        [encode_fragment(n.vertices, n.faces, draco_level) if len(n.faces) else b"" for n in level]
        for level in octree.levels
    ]
    manifest = Manifest(
        chunk_shape=octree.chunk_shape,
        grid_origin=octree.grid_origin,
        lod_scales=_scales(lods, octree, quantization_bits, base_error_nm),
        positions=tuple(np.array([n.position for n in level], np.uint32) for level in octree.levels),
        sizes=tuple(np.array([len(data) for data in level], np.uint32) for level in fragments),
    )
    return b"".join(data for level in fragments for data in level), encode_manifest(manifest)


def cut_lods(lods: Sequence[Lod], quantization_bits: int) -> Octree:
    """Round and cut every level; level l has nodes of twice the length of level l - 1, the last level is one node.

    Raises FormatError for bits other than 10 and 16, too many levels, or a level 0 without faces.
    """
    if quantization_bits not in (10, 16) or not 1 <= len(lods) <= MOST_LODS or len(lods[0].faces) == 0:
        raise FormatError(
            explain(
                "mesh",
                "cannot be cut into an octree",
                expected=f"10 or 16 bits, 1 to {MOST_LODS} levels, faces at level 0",
                got=(quantization_bits, len(lods), [len(lod.faces) for lod in lods]),
                do="Change the mesh settings",
            )
        )
    origin, side = _grid(lods)
    top = (1 << quantization_bits) - 1
    levels: list[tuple[Node, ...]] = []
    needed: set[tuple[int, int, int]] = set()
    for level, lod in enumerate(lods):
        step = float(side) * 2**level / top
        cells = 1 << (len(lods) - 1 - level)
        lattice = np.floor((lod.vertices - origin.astype(np.float64)) / step + 0.5).astype(np.int32)
        middle = 1 << (quantization_bits - 1) if level else 0
        triangles = lattice[lod.faces]
        for axis in range(3):
            triangles = _cut(triangles, axis, top, middle)
        nodes = _nodes(_whole(triangles), top, cells)
        empty = needed - {n.position for n in nodes}
        nodes += [Node(p, np.empty((0, 3), np.int32), np.empty((0, 3), np.uint32)) for p in sorted(empty)]
        nodes = [nodes[i] for i in z_order([n.position for n in nodes])]
        needed = {(n.position[0] >> 1, n.position[1] >> 1, n.position[2] >> 1) for n in nodes}
        levels.append(tuple(nodes))
    return Octree(np.full(3, side, np.float32), origin, tuple(levels))


def _grid(lods: Sequence[Lod]) -> tuple[NDArray[np.float32], np.float32]:
    """Origin and side of cubic nodes of level 0, both exact in float32, whose root holds every vertex in use."""
    used = [lod.vertices[lod.faces.reshape(-1)] for lod in lods if len(lod.faces)]
    low = np.array([min(v[:, axis].min() for v in used) for axis in range(3)])
    high = np.array([max(v[:, axis].max() for v in used) for axis in range(3)])
    origin = low.astype(np.float32)
    origin = np.where(origin.astype(np.float64) > low, np.nextafter(origin, np.float32(-np.inf)), origin)
    length = max(float((high - origin.astype(np.float64)).max()), 1e-3) / 2 ** (len(lods) - 1)
    side = np.float32(length)
    if float(side) < length:
        side = np.nextafter(side, np.float32(np.inf))
    return origin.astype(np.float32), side


def _cut(triangles: NDArray[np.int32], axis: int, spacing: int, middle: int) -> NDArray[np.int32]:
    """Cut triangles (m, 3, 3) at the planes `k spacing`, and `k spacing + middle` where middle is not 0, of one axis.

    Each round cuts at the lowest plane inside a triangle, so every edge is cut from its lower end upwards,
    whichever triangle it belongs to.
    """
    done: list[NDArray[np.int32]] = []
    while len(triangles):
        # numpy reduces an axis of three at a tenth of the speed of whole columns.
        a, b, c = (triangles[:, corner, axis] for corner in range(3))
        low = np.minimum(np.minimum(a, b), c)
        cell = low // spacing
        plane = (cell + 1) * spacing
        if middle:
            plane = np.where(low - cell * spacing < middle, cell * spacing + middle, plane)
        crossing = plane < np.maximum(np.maximum(a, b), c)
        done.append(triangles[~crossing])
        triangles = _split(triangles[crossing], plane[crossing], axis)
    return np.concatenate(done) if done else triangles


def _split(triangles: NDArray[np.int32], plane: NDArray[np.int32], axis: int) -> NDArray[np.int32]:
    """Cut each triangle at its own plane, which has corners strictly on both sides."""
    side = np.sign(triangles[:, :, axis] - plane[:, None])
    touching = (side[:, 0] == 0) | (side[:, 1] == 0) | (side[:, 2] == 0)
    # First comes the corner on the plane, or else the one that is alone on its side.
    alone = np.where((side[:, 0] + side[:, 1] + side[:, 2])[:, None] > 0, side < 0, side > 0)
    first = np.where(touching[:, None], side == 0, alone).argmax(axis=1)
    turn = (first[:, None] + np.arange(3)) % 3
    a, b, c = np.moveaxis(np.take_along_axis(triangles, turn[:, :, None], axis=1), 1, 0)
    t = touching
    x = _between(b[t], c[t], plane[t], axis)
    pieces = [np.stack([a[t], b[t], x], axis=1), np.stack([a[t], x, c[t]], axis=1)]
    t = ~touching
    a, b, c = a[t], b[t], c[t]
    x, y = _between(a, b, plane[t], axis), _between(a, c, plane[t], axis)
    pieces += [np.stack([a, x, y], axis=1), np.stack([x, b, c], axis=1), np.stack([x, c, y], axis=1)]
    return np.concatenate(pieces)


def _between(p: NDArray[np.int32], q: NDArray[np.int32], plane: NDArray[np.int32], axis: int) -> NDArray[np.int32]:
    """Where edges p q meet their planes, rounded half up; the same for p q as for q p."""
    swap = (p[:, axis] > q[:, axis])[:, None]
    low, high = np.where(swap, q, p).astype(np.float64), np.where(swap, p, q).astype(np.float64)
    share = (plane - low[:, axis]) / (high[:, axis] - low[:, axis])
    out = np.floor(low + (high - low) * share[:, None] + 0.5).astype(np.int32)
    out[:, axis] = plane
    return out


def _whole(triangles: NDArray[np.int32]) -> NDArray[np.int32]:
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    return triangles[_differ(a, b) & _differ(b, c) & _differ(c, a)]


def _differ(a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.bool_]:
    out: NDArray[np.bool_] = (a[:, 0] != b[:, 0]) | (a[:, 1] != b[:, 1]) | (a[:, 2] != b[:, 2])
    return out


def _nodes(triangles: NDArray[np.int32], top: int, cells: int) -> list[Node]:
    if len(triangles) == 0:
        return []
    # A triangle within a plane between two nodes goes to the upper one.
    low = np.minimum(np.minimum(triangles[:, 0], triangles[:, 1]), triangles[:, 2])
    cell = np.minimum(low // top, cells - 1)
    code = morton.encode(cell, (cells, cells, cells))
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(code[order]) != 0]))
    out = []
    for start, stop in zip(starts, np.append(starts[1:], len(order)), strict=True):
        rows = order[start:stop]
        here = cell[rows[0]].astype(np.int64)
        local = triangles[rows].reshape(-1, 3) - here * top
        keys = (local[:, 0] << 34) | (local[:, 1] << 17) | local[:, 2]
        unique, number = np.unique(keys, return_inverse=True)
        mask = (1 << 17) - 1
        vertices = np.stack([unique >> 34, (unique >> 17) & mask, unique & mask], axis=1).astype(np.int32)
        x, y, z = here.tolist()
        out.append(Node((x, y, z), vertices, number.reshape(-1, 3).astype(np.uint32)))
    return out


def _scales(lods: Sequence[Lod], octree: Octree, bits: int, base_error_nm: float) -> NDArray[np.float32]:
    base = max(base_error_nm, float(octree.chunk_shape[0]) / ((1 << bits) - 1))
    scales: list[float] = []
    for lod in lods:
        scales.append(max(base + lod.error_nm, scales[-1] * _RISE if scales else 0.0))
    return np.array(scales, np.float32)
