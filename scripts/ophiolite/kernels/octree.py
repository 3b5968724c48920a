"""Levels of detail become the nodes of an octree, on integer coordinates, and these the bytes of a multilod mesh.

Faces are cut where the nodes meet and, above level 0, at the planes `2**(bits - 1)` where the client splits a node in
eight: the widest planes first, so that all faces along an edge that crosses a plane lie in one cell then and are cut
there together. A cut makes one vertex per edge, shared by all its faces, rounded within the plane. In the end vertices
that share a place are parted (`LevelGrid.part`), so that uniting all fragments of a level by place gives back the cut
mesh, closed where the level was. Format: Neuroglancer, precomputed meshes, `neuroglancer_multilod_draco`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry import morton
from ophiolite.kernels.level_grid import LevelGrid
from ophiolite.kernels.lod import MOST_LODS, Levels, Lod, LodOptions, build_lods, deepest
from ophiolite.kernels.mesh_measure import is_watertight
from ophiolite.kernels.octree_loops import crossing, gather
from ophiolite.kernels.parts import parts_of
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

    chunk_shape, grid_origin : (3,) float32 in nm; a node of level l is `chunk_shape 2**l` long. sound : as of `Levels`,
    after the cut.
    """

    chunk_shape: NDArray[np.float32]
    grid_origin: NDArray[np.float32]
    levels: tuple[tuple[Node, ...], ...]
    sound: bool


@dataclass(frozen=True)
class MeshEntry:
    """What goes into a shard for one object, and what is said of it.

    fragments, manifest : the bytes of all nodes, and where they lie. lods : levels stored. refused : levels that could
    not be made sound, and so are left out; but for level 0, which is stored in any case. sound : level 0 is.
    """

    fragments: bytes
    manifest: bytes
    lods: int
    refused: int
    sound: bool

    @property
    def stored(self) -> tuple[bytes, bytes]:
        """The prefix and the data of the object's key in a shard."""
        return self.fragments, self.manifest


def mesh_entry(
    vertices_nm: ArrayLike,
    faces: ArrayLike,
    options: LodOptions,
    draco_level: int = 7,
    base_error_nm: float = 0.0,
) -> MeshEntry:
    """The entry of one object.

    vertices_nm : (n, 3) in nm. faces : (m, 3), at least one. base_error_nm : what the mesh may err before.
    `lod_scales` are base_error_nm plus each level's measured error. Where level 0 is not sound the octree gets deeper,
    as far as it may. Raises FormatError where it cannot be written.
    """
    levels = build_lods(vertices_nm, faces, options)
    octree = cut_lods(levels)
    while not octree.sound and levels.grid.depth < deepest(levels.wanted):
        levels = build_lods(vertices_nm, faces, options, levels.grid.depth + 1)
        octree = cut_lods(levels)
    fragments = [
        [encode_fragment(n.vertices, n.faces, draco_level) if len(n.faces) else b"" for n in level]
        for level in octree.levels
    ]
    manifest = Manifest(
        chunk_shape=octree.chunk_shape,
        grid_origin=octree.grid_origin,
        lod_scales=_scales(levels, base_error_nm)[: len(octree.levels)],
        positions=tuple(np.array([n.position for n in level], np.uint32) for level in octree.levels),
        sizes=tuple(np.array([len(data) for data in level], np.uint32) for level in fragments),
    )
    data = b"".join(data for level in fragments for data in level)
    count = len(octree.levels)
    refused = levels.wanted - count + int(not octree.sound)
    return MeshEntry(data, encode_manifest(manifest), count, refused, octree.sound)


def cut_lods(levels: Levels) -> Octree:
    """Cut every level; level l has nodes of twice the length of level l - 1, a last of `grid.depth` one node.

    A coarser level whose cut vertices find no places of their own is left out, with those above it; level 0 never is.
    Raises FormatError for bits other than 10 and 16, too many levels, or a level 0 without faces.
    """
    grid, lods = levels.grid, levels.lods
    if grid.bits not in (10, 16) or not 1 <= len(lods) <= grid.depth <= MOST_LODS or len(lods[0].faces) == 0:
        raise _uncut(f"10 or 16 bits, 1 to {MOST_LODS} levels, faces at level 0", (grid.bits, len(lods), grid.depth))
    out: list[tuple[Node, ...]] = []
    needed: set[tuple[int, int, int]] = set()
    sound = levels.sound
    for level, lod in enumerate(lods):
        points, faces, apart = _cut(grid, level, lod)
        if level == 0:
            sound = sound and apart
        elif not apart:
            break
        nodes = _nodes(points, faces, grid.top, grid.cells(level))
        empty = needed - {n.position for n in nodes}
        nodes += [Node(p, np.empty((0, 3), np.int32), np.empty((0, 3), np.uint32)) for p in sorted(empty)]
        nodes = [nodes[i] for i in z_order([n.position for n in nodes])]
        needed = {(n.position[0] >> 1, n.position[1] >> 1, n.position[2] >> 1) for n in nodes}
        out.append(tuple(nodes))
    return Octree(np.full(3, grid.side, np.float32), grid.origin, tuple(out), sound)


def _cut(grid: LevelGrid, level: int, lod: Lod) -> tuple[NDArray[np.int32], NDArray[np.uint32], bool]:
    """Vertices on the level's lattice, faces that cross no plane, and whether no two vertices are alike."""
    points, faces = lod.lattice, lod.faces
    cells, middle = grid.cells(level), grid.middle(level)
    # Planes at k size + half, from those that halve the root to those that halve a node.
    rounds = [(2 * half * grid.top, half * grid.top) for half in (cells >> n for n in range(1, grid.depth)) if half]
    rounds += [(grid.top, middle)] if middle else []
    for axis in range(3):
        any_plane = np.zeros(len(faces), np.bool_)
        if cells > 1:
            any_plane |= crossing(points, faces, axis, grid.top, 0)
        if middle:
            any_plane |= crossing(points, faces, axis, grid.top, middle)
        if not any_plane.any():
            continue
        whole, rest = faces[~any_plane], faces[any_plane]
        for size, half in rounds:
            points, rest = _split(points, rest, axis, size, half)
        faces = np.concatenate([whole, rest])
    if len(points) == len(lod.lattice):
        return points, faces, True
    points, faces = _welded(points, faces)
    return points, faces, grid.part(points, level, faces)


def _welded(points: NDArray[np.int32], faces: NDArray[np.uint32]) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """The mesh with edges that rounding left without length contracted, where that leaves it closed."""
    ends = [(faces[:, j], faces[:, (j + 1) % 3]) for j in range(3)]
    pairs = [np.stack([a, b], axis=1)[(points[a] == points[b]).all(axis=1)] for a, b in ends]
    short = np.concatenate(pairs)
    if not len(short):
        return points, faces
    part = parts_of(np.stack([short[:, 0], short[:, 1], short[:, 1]], axis=1), len(points))
    first = np.full(int(part.max()) + 1, len(points), np.int64)
    np.minimum.at(first, part, np.arange(len(points)))
    joined = first[part][faces]
    joined = joined[(joined[:, 0] != joined[:, 1]) & (joined[:, 1] != joined[:, 2]) & (joined[:, 2] != joined[:, 0])]
    if not is_watertight(joined):
        return points, faces
    used = np.zeros(len(points), np.bool_)
    used[joined] = True
    number = np.cumsum(used, dtype=np.int64) - 1
    return points[used], number[joined].astype(np.uint32)


def _split(
    points: NDArray[np.int32], faces: NDArray[np.uint32], axis: int, size: int, half: int
) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """Cut faces that cross one of the planes `k size + half`, none of which crosses two."""
    cut = crossing(points, faces, axis, size, half)
    if not cut.any():
        return points, faces
    here = faces[cut].astype(np.int64)
    at = points[here, axis].astype(np.int64)
    plane = (at.min(axis=1) - half) // size * size + half + size
    # A corner on the plane below is no crossing: the plane is the one strictly inside.
    side = np.sign(at - plane[:, None])
    touching = (side == 0).any(axis=1)
    # First comes the corner on the plane, or else the one that is alone on its side.
    alone = np.where(side.sum(axis=1)[:, None] > 0, side < 0, side > 0)
    first = np.where(touching[:, None], side == 0, alone).argmax(axis=1)
    turned = np.take_along_axis(here, (first[:, None] + np.arange(3)) % 3, axis=1)
    a, b, c = turned.T
    t = touching
    starts = np.concatenate([b[t], a[~t], a[~t]])
    stops = np.concatenate([c[t], b[~t], c[~t]])
    planes = np.concatenate([plane[t], plane[~t], plane[~t]])
    low, high = np.minimum(starts, stops), np.maximum(starts, stops)
    _, index, number = np.unique(low * len(points) + high, return_index=True, return_inverse=True)
    new = _between(points[low[index]], points[high[index]], planes[index], axis)
    made = number.reshape(-1) + len(points)
    on_bc, on_ab, on_ac = np.split(made, [int(t.sum()), int(t.sum()) + int((~t).sum())])
    pieces = [np.stack([a[t], b[t], on_bc], axis=1), np.stack([a[t], on_bc, c[t]], axis=1)]
    t = ~t
    pieces += [np.stack([a[t], on_ab, on_ac], axis=1), np.stack([on_ab, b[t], c[t]], axis=1)]
    pieces += [np.stack([on_ab, c[t], on_ac], axis=1)]
    return np.concatenate([points, new]), np.concatenate([faces[~cut], *(p.astype(np.uint32) for p in pieces)])


def _between(p: NDArray[np.int32], q: NDArray[np.int32], plane: NDArray[np.int64], axis: int) -> NDArray[np.int32]:
    """Where edges p q meet their planes, rounded half up."""
    low, high = p.astype(np.float64), q.astype(np.float64)
    share = (plane - low[:, axis]) / (high[:, axis] - low[:, axis])
    out = np.floor(low + (high - low) * share[:, None] + 0.5).astype(np.int32)
    out[:, axis] = plane
    return out


def _nodes(points: NDArray[np.int32], faces: NDArray[np.uint32], top: int, cells: int) -> list[Node]:
    number = np.full(len(points), -1, np.int32)
    if cells == 1:
        return [Node((0, 0, 0), *gather(points, faces, np.zeros(3, np.int64), number))]
    # A face within a plane between two nodes goes to the upper one.
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    cell = np.minimum(np.minimum(np.minimum(a, b), c) // top, cells - 1)
    code = morton.encode(cell, (cells, cells, cells))
    # numpy sorts 16-bit numbers by radix.
    small = code.astype(np.uint16) if cells**3 <= 1 << 16 else code
    order = np.argsort(small, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(code[order]) != 0]))
    out = []
    for start, stop in zip(starts, np.append(starts[1:], len(order)), strict=True):
        rows = order[start:stop]
        here = cell[rows[0]].astype(np.int64)
        x, y, z = here.tolist()
        out.append(Node((x, y, z), *gather(points, faces[rows], here * top, number)))
    return out


def _scales(levels: Levels, base_error_nm: float) -> NDArray[np.float32]:
    scales: list[float] = []
    for lod in levels.lods:
        scales.append(max(base_error_nm + lod.error_nm, scales[-1] * _RISE if scales else 0.0))
    return np.array(scales, np.float32)


def _uncut(expected: object, got: object) -> FormatError:
    do = "Change the mesh settings, for example quantization_bits"
    return FormatError(explain("mesh", "cannot be cut into an octree", expected=expected, got=got, do=do))
