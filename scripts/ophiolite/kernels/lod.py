"""Levels of detail of one mesh: how many, and each with its measured distance from the finest.

Every level has about a quarter of the faces of the one before: a surface loses a factor of four per halving of its
resolution, so the nodes of all levels of an octree hold about as many faces. Levels are simplified one from the other
by `kernels.simplify`. Against zmesh's `simplify_fqmr`, the other simplifier at hand, its error at a quarter to a
sixteenth of the faces is as small or smaller and the result stays watertight, where fqmr puts edges between four
faces, loses whole parts and sums its quadrics in single precision; fqmr takes a third of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.kernels.mesh_measure import Surface
from ophiolite.kernels.simplify import simplify

MOST_LODS = 12
_SAMPLES = 4096
# A level never errs by more than this share of its node: nothing more is visible where the level is drawn.
_NODE_SHARE = 1 / 64
_LEAST_FACES = 1024


@dataclass(frozen=True)
class LodOptions:
    """How many levels of detail an object gets.

    max_lods : at most so many; 1 keeps the mesh whole whatever its size.
    faces_per_fragment : levels are added until no node of level 0 holds more faces (before it is cut at its planes).
    fragment_nm : and until nodes of level 0 are no longer than this, while the coarsest level keeps 1,024 faces.
    """

    max_lods: int = MOST_LODS
    faces_per_fragment: int = 1 << 14
    fragment_nm: float = 8192.0


@dataclass(frozen=True)
class Lod:
    """One level of detail.

    vertices : (n, 3) float64 in nm. faces : (m, 3) uint32.
    error_nm : largest distance between this level and level 0, both ways, over up to 4,096 points each; of connected
        parts that the level leaves out, their size.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.uint32]
    error_nm: float


def build_lods(vertices_nm: ArrayLike, faces: ArrayLike, options: LodOptions) -> list[Lod]:
    """Levels of detail of a mesh, level 0 the mesh itself; errors never fall from level to level.

    vertices_nm : (n, 3) in nm. faces : (m, 3), at least one.

    A level that cannot be made coarser without erring by more than 1/64 of its node repeats the one before. Connected
    parts shorter than that on every axis are left out of the level, never the part of most faces. Raises ValueError
    without faces.
    """
    vertices = np.ascontiguousarray(vertices_nm, dtype=np.float64).reshape(-1, 3)
    corners = np.ascontiguousarray(faces, dtype=np.uint32).reshape(-1, 3)
    if len(corners) == 0:
        raise ValueError("a mesh without faces has no levels of detail")
    levels = [Lod(vertices, corners, 0.0)]
    count = lod_count(vertices, corners, options)
    if count == 1:
        return levels
    finest = Surface(vertices, corners)
    longest = _longest(vertices)
    part, sizes = _parts(vertices, corners)
    v, f, part_now = vertices, corners, part
    for level in range(1, count):
        allowed = longest / 2 ** (count - 1 - level) * _NODE_SHARE
        keep = sizes >= allowed
        f = f[keep[part_now[f[:, 0]]]]
        v, f, rows = simplify(v, f, len(corners) // 4**level, max_rms=allowed)
        part_now = part_now[rows]
        there = Surface(v, f).distance(_spread(vertices[keep[part]])).max()
        back = finest.distance(_points(v, f)).max()
        # A part left out errs by its own size: how far it lies from the others is not seen.
        error = max(float(there), float(back), float(sizes[~keep].max(initial=0.0)), levels[-1].error_nm)
        levels.append(Lod(v, f, error))
    return levels


def lod_count(vertices_nm: NDArray[np.float64], faces: NDArray[np.uint32], options: LodOptions) -> int:
    """Levels that bound the faces and the length of the nodes of level 0; see LodOptions."""
    longest = _longest(vertices_nm)
    corners = vertices_nm[faces]
    low = np.array([corners[:, :, axis].min() for axis in range(3)])
    centres = (corners[:, 0] + corners[:, 1] + corners[:, 2]) / 3 - low
    depth = 0
    while depth + 1 < min(options.max_lods, MOST_LODS):
        side = longest / 2**depth
        crowded = _most_in_a_cell(centres, side) > options.faces_per_fragment
        long = side > options.fragment_nm and len(faces) >= _LEAST_FACES * 4 ** (depth + 1)
        if not crowded and not long:
            break
        depth += 1
    return depth + 1


def _most_in_a_cell(points: NDArray[np.float64], side: float) -> int:
    cells = (points / side).astype(np.int64)
    keys = (cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2]
    return int(np.unique(keys, return_counts=True)[1].max())


def _longest(vertices: NDArray[np.float64]) -> float:
    return max(float((vertices.max(axis=0) - vertices.min(axis=0)).max()), 1e-9)


def _parts(vertices: NDArray[np.float64], faces: NDArray[np.uint32]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The connected part (n,) of each vertex, and the longest side of each part's box, infinite for the main part."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = faces[:, :2].reshape(-1), faces[:, 1:].reshape(-1)
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(len(vertices), len(vertices)))
    count, part = connected_components(graph, directed=False)
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, part, vertices)
    np.maximum.at(high, part, vertices)
    sizes = (high - low).max(axis=1)
    sizes[np.bincount(part[faces[:, 0]], minlength=count).argmax()] = np.inf
    return part, sizes


def _spread(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most `_SAMPLES` of the points, evenly along the list."""
    return points[:: -(-len(points) // _SAMPLES)]


def _points(vertices: NDArray[np.float64], faces: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Samples of a level: vertices in use and the middles of faces."""
    return np.concatenate([_spread(vertices[np.unique(faces)]), _spread(vertices[faces].mean(axis=1))])
