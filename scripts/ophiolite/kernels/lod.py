"""Levels of detail of one mesh as they are stored: closed, complete, and each with its measured distance.

Every level has about a quarter of the faces of the one before: a surface loses a factor of four per halving of its
resolution, so the nodes of all levels of an octree hold about as many faces. A level is made from the one before by
`kernels.simplify`, which keeps a closed manifold closed and never collapses a part of it away, and is then judged on
the lattice it will be stored on, from the one before as that is stored: no part may vanish or turn inside out (one that
rounding would flatten becomes the smallest tetrahedron of the lattice), no two vertices may share a place, no node may
hold too many faces. Where that cannot be had the object ends with the level before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.kernels.lattice_loops import box_of
from ophiolite.kernels.level_grid import LevelGrid
from ophiolite.kernels.mesh_measure import Surface, is_watertight
from ophiolite.kernels.parts import part_volumes, parts_of
from ophiolite.kernels.simplify import simplify

MOST_LODS = 12
# How many levels deeper an octree may get for a finer lattice; each cuts all faces at twice as many planes.
_DEEPER = 4
# A level's faces keep to planes that they err from by no more than this share of its node, root mean square.
_NODE_SHARE = 1 / 64
_LEAST_FACES = 1024
# A level with more faces than this share of the one before shows nothing that is worth its bytes.
_WORTH = 0.75
# How often a level is made, each time of fewer faces, until none of its nodes holds too many.
_ATTEMPTS = 3
_TETRA = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.int32)
_OUTWARDS = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32)


@dataclass(frozen=True)
class LodOptions:
    """How many levels of detail an object gets.

    max_lods : at most so many; 1 keeps the mesh whole whatever its size.
    faces_per_fragment : levels are added until no node of level 0 holds more faces, before it is cut at its planes; a
        coarser level of which one does is refused.
    fragment_nm : and until nodes of level 0 are no longer than this, while the coarsest level keeps 1,024 faces.
    quantization_bits : 10 or 16, of a node's lattice.
    """

    max_lods: int = MOST_LODS
    faces_per_fragment: int = 1 << 14
    fragment_nm: float = 8192.0
    quantization_bits: int = 16


@dataclass(frozen=True)
class Lod:
    """One level of detail.

    lattice : (n, 3) int32 on the level's lattice, no two alike. faces : (m, 3) uint32.
    error_nm : distance from the surface that was given, as a sum over the levels up to this one: the largest distance
        of the vertices before from a level, and of its vertices, edge and face centres from the level before.
    """

    lattice: NDArray[np.int32]
    faces: NDArray[np.uint32]
    error_nm: float


@dataclass(frozen=True)
class Levels:
    """The levels of an object, the finest first, and how many it was to have.

    sound : level 0 is on its lattice what it was, every vertex at a place of its own, no part flat or inside out.
    """

    grid: LevelGrid
    lods: tuple[Lod, ...]
    wanted: int
    sound: bool = True


@dataclass(frozen=True)
class _Shape:
    """What every level must keep: whether edges are paired, and the sign of each part's volume."""

    closed: bool
    signs: NDArray[np.float64]

    @classmethod
    def of(cls, vertices: NDArray[np.float64], faces: NDArray[np.uint32], part: NDArray[np.int32]) -> _Shape:
        closed = is_watertight(faces)
        return cls(closed, np.sign(part_volumes(vertices, faces, part, int(part.max()) + 1)))

    def broken(
        self, lattice: NDArray[np.int32], faces: NDArray[np.uint32], part: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        """Parts that enclose nothing any more, or the outside."""
        signs = np.sign(part_volumes(lattice.astype(np.float64), faces, part, len(self.signs)))
        return np.flatnonzero((signs != self.signs) & (self.signs != 0) & self.closed)


def build_lods(vertices_nm: ArrayLike, faces: ArrayLike, options: LodOptions, least_depth: int = 1) -> Levels:
    """Levels of detail of a mesh, level 0 the mesh itself on its lattice; errors rise from level to level.

    vertices_nm : (n, 3) in nm. faces : (m, 3), at least one; every vertex is in use. least_depth : of the octree.

    Where level 0 is not sound on its lattice the octree gets deeper, and its lattice finer, by four levels
    at most. Raises ValueError without faces.
    """
    vertices = np.ascontiguousarray(vertices_nm, dtype=np.float64).reshape(-1, 3)
    corners = np.ascontiguousarray(faces, dtype=np.uint32).reshape(-1, 3)
    if len(corners) == 0:
        raise ValueError("a mesh without faces has no levels of detail")
    part = parts_of(corners, len(vertices))
    shape = _Shape.of(vertices, corners, part)
    count = lod_count(vertices, corners, options)
    for depth in range(max(count, least_depth), deepest(count) + 1):
        grid = LevelGrid.around(vertices, depth, options.quantization_bits)
        lattice = grid.snap(vertices, 0)
        sound = grid.part(lattice, 0) and not len(shape.broken(lattice, corners, part))
        if sound:
            break
    moved = np.sqrt(((grid.nm(lattice, 0) - vertices) ** 2).sum(axis=1).max())
    lods = [Lod(lattice, corners, float(moved) + _cut_error(grid, 0))]
    while len(lods) < count:
        made = _coarser(grid, lods[-1], len(lods), part, shape, options, len(corners) // 4 ** len(lods))
        if made is None:
            break
        lod, part = made
        lods.append(lod)
    return Levels(grid, tuple(lods), count, sound)


def _coarser(
    grid: LevelGrid, before: Lod, level: int, part: NDArray[np.int32], shape: _Shape, options: LodOptions, target: int
) -> tuple[Lod, NDArray[np.int32]] | None:
    """A level from the one before, and the part of each of its vertices; None where it cannot be made sound."""
    finer = grid.nm(before.lattice, level - 1)
    allowed = float(grid.side) * 2.0**level * _NODE_SHARE
    for _ in range(_ATTEMPTS):
        v, f, rows = simplify(finer, before.faces, target, max_rms=allowed)
        crowd = most_in_a_cell(grid.snap(v, level), f, grid.top, grid.cells(level))
        if crowd <= options.faces_per_fragment:
            break
        target = int(0.9 * target * options.faces_per_fragment / crowd)
    if len(f) > _WORTH * len(before.faces):
        return None
    lattice, part = grid.snap(v, level), part[rows]
    lattice, f, part = _smallest(lattice, f, part, shape.broken(lattice, f, part), shape.signs)
    sound = grid.part(lattice, level) and not len(shape.broken(lattice, f, part))
    crowd = most_in_a_cell(lattice, f, grid.top, grid.cells(level))
    if not sound or (shape.closed and not is_watertight(f)) or crowd > options.faces_per_fragment:
        return None
    far = _distance(finer, before.faces, grid.nm(lattice, level), f)
    return Lod(lattice, f, before.error_nm + far + _cut_error(grid, level)), part


def _smallest(
    lattice: NDArray[np.int32],
    faces: NDArray[np.uint32],
    part: NDArray[np.int32],
    broken: NDArray[np.int64],
    signs: NDArray[np.float64],
) -> tuple[NDArray[np.int32], NDArray[np.uint32], NDArray[np.int32]]:
    """The mesh with each broken part as the smallest tetrahedron of the lattice, at the place of its first vertex."""
    if not len(broken):
        return lattice, faces, part
    gone = np.zeros(len(signs), np.bool_)
    gone[broken] = True
    kept = np.flatnonzero(~gone[part])
    number = np.zeros(len(lattice), np.int64)
    number[kept] = np.arange(len(kept))
    first = np.full(len(signs), len(lattice), np.int64)
    np.minimum.at(first, part, np.arange(len(part)))
    first = first[broken]
    points = np.maximum(lattice[first] - 1, 0)[:, None] + _TETRA
    around = np.where((signs[broken] > 0)[:, None, None], _OUTWARDS, _OUTWARDS[:, ::-1])
    tetra = around + (len(kept) + 4 * np.arange(len(broken)))[:, None, None]
    return (
        np.concatenate([lattice[kept], points.reshape(-1, 3)]).astype(np.int32),
        np.concatenate([number[faces[~gone[part[faces[:, 0]]]]], tetra.reshape(-1, 3)]).astype(np.uint32),
        np.concatenate([part[kept], np.repeat(broken, 4)]).astype(np.int32),
    )


def deepest(wanted: int) -> int:
    """The most levels that the octree of an object of so many may have."""
    return min(wanted + _DEEPER, MOST_LODS)


def lod_count(vertices_nm: NDArray[np.float64], faces: NDArray[np.uint32], options: LodOptions) -> int:
    """Levels that bound the faces and the length of the nodes of level 0; see LodOptions."""
    low, high = box_of(vertices_nm)
    longest = max(float((high - low).max()), 1e-9)
    centres: NDArray[np.float64] | None = None
    depth = 0
    while depth + 1 < min(options.max_lods, MOST_LODS):
        side = longest / 2**depth
        long = side > options.fragment_nm and len(faces) >= _LEAST_FACES * 4 ** (depth + 1)
        crowded = False
        if not long and len(faces) > options.faces_per_fragment:
            if centres is None:
                a, b, c = (vertices_nm[faces[:, corner]] for corner in range(3))
                centres = (a + b + c) / 3 - low
            crowded = _most((centres / side).astype(np.int64)) > options.faces_per_fragment
        if not crowded and not long:
            break
        depth += 1
    return depth + 1


def most_in_a_cell(lattice: NDArray[np.int32], faces: NDArray[np.uint32], top: int, cells: int) -> int:
    """The most faces in a node of a level, each counted in that of its centre."""
    if cells == 1:
        return len(faces)
    a, b, c = (lattice[faces[:, corner]] for corner in range(3))
    return _most(np.minimum((a.astype(np.int64) + b + c) // (3 * top), cells - 1))


def _most(cells: NDArray[np.int64]) -> int:
    keys = (cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2]
    return int(np.unique(keys, return_counts=True)[1].max())


def _cut_error(grid: LevelGrid, level: int) -> float:
    """How far a vertex that cutting makes may lie from the edge that it cuts: it is rounded once more per axis cut."""
    return float(np.sqrt(3.0)) * grid.step_nm(level)


def _edges(faces: NDArray[np.uint32]) -> list[tuple[NDArray[np.uint32], NDArray[np.uint32]]]:
    """The ends of the edges of faces, each edge once in either direction where faces are closed."""
    return [(faces[:, corner], faces[:, (corner + 1) % 3]) for corner in range(3)]


def _distance(
    finer: NDArray[np.float64],
    finer_faces: NDArray[np.uint32],
    coarser: NDArray[np.float64],
    coarser_faces: NDArray[np.uint32],
) -> float:
    """Largest distance between two surfaces, both ways, over the points that `Lod` names."""
    a, b, c = (coarser[coarser_faces[:, corner]] for corner in range(3))
    middles = [(coarser[p] + coarser[q])[p < q] / 2 for p, q in _edges(coarser_faces)]
    there = Surface(coarser, coarser_faces).farthest(finer)
    return Surface(finer, finer_faces).farthest(np.concatenate([coarser, *middles, (a + b + c) / 3]), there)
