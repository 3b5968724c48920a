"""The triangles of marching cubes for each of the 256 ways in which one label can hold the corners of a cell.

Lorensen & Cline 1987, "Marching cubes"; the cases follow from one rule instead of a table: on each face of the cell
the surface keeps corners of the label apart where only a diagonal joins them. Neighbouring cells see the same face, so
their pieces meet, and each vertex has one disc of triangles around it: the surface of every label field is a closed
2-manifold. No inner edge of a cell's polygons joins two vertices of one cell face, where the neighbour could have the
same edge a second time.

Corner c of a cell lies at (c & 1, c >> 1 & 1, c >> 2 & 1); edge 4 d + k runs along axis d from `EDGE_START[4 d + k]`.
"""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.lattice import STEPS_PER_VOXEL

Loop = tuple[int, ...]
Triangle = tuple[int, int, int]

EDGE_START = tuple(c for d in range(3) for c in range(8) if not c >> d & 1)
_EDGE_OF = {(c, c | 1 << e // 4): e for e, c in enumerate(EDGE_START)}
# Corners of each face of the cell, counter-clockwise seen from outside.
_FACES = ((0, 4, 6, 2), (1, 3, 7, 5), (0, 1, 5, 4), (2, 6, 7, 3), (0, 2, 3, 1), (4, 5, 7, 6))
_MIDDLES = [[(c >> d & 1) + (0.5 if d == e // 4 else 0.0) for d in range(3)] for e, c in enumerate(EDGE_START)]


@cache
def triangle_table() -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """For each mask of corners the count (256,) of triangles and their edges (256, 3 n), faces looking outwards."""
    cases = [[t for loop in _loops(mask) for t in _triangles(loop)] for mask in range(256)]
    counts = np.array([len(case) for case in cases], np.int64)
    edges = np.full((256, 3 * int(counts.max())), -1, np.int8)
    for mask, case in enumerate(cases):
        edges[mask, : 3 * len(case)] = np.array(case, np.int8).reshape(-1)
    return counts, edges


@cache
def sheet_tables() -> tuple[NDArray[np.int8], NDArray[np.uint8], NDArray[np.int32]]:
    """The sheets of surface in a cell for each mask of corners, for nets that have a vertex for each.

    twice (256,) : the side of the cell (0 to 5: low x, high x, low y, ...) that one sheet crosses twice, -1 none. Where
    the cell beyond has such a sheet too, four faces would share an edge: both cells then join on that side what
    lies diagonally instead of keeping it apart, and the sheet becomes two.
    sheets (2, 256) : how many, of cells as they are, and joined at that side.
    places (2, 256, 12, 3) : for each edge the place of the sheet that crosses it, the mean of the middles of its edges,
    in steps of the lattice from the first corner.
    """
    twice = np.full(256, -1, np.int8)
    sheets, places = np.zeros((2, 256), np.uint8), np.zeros((2, 256, 12, 3), np.int32)
    for mask in range(256):
        loops = _loops(mask)
        for side, corners in enumerate(_FACES):
            edges = {_edge(corners[i - 1], corners[i]) for i in range(4)}
            if any(edges <= set(loop) for loop in loops):
                twice[mask] = side
        for joined, own in enumerate((loops, _loops(mask, int(twice[mask])))):
            sheets[joined, mask] = len(own)
            for loop in own:
                middle = np.mean([_MIDDLES[e] for e in loop], axis=0)
                places[joined, mask, list(loop)] = np.rint(STEPS_PER_VOXEL * middle)
    return twice, sheets, places


def _edge(a: int, b: int) -> int:
    return _EDGE_OF[min(a, b), max(a, b)]


def _loops(mask: int, joined: int = -1) -> list[Loop]:
    """Closed polygons over the edges that the surface cuts, counter-clockwise seen from outside the label.

    joined : the side on which corners of the label are joined where only a diagonal does that.
    """
    follows: dict[int, int] = {}
    for side, corners in enumerate(_FACES):
        inside = [bool(mask >> c & 1) for c in corners]
        for i in range(4):
            if side == joined and inside[i]:
                follows[_edge(corners[i - 1], corners[i])] = _edge(corners[i - 2], corners[i - 1])
            elif inside[i] and not inside[i - 1]:
                j = i
                while inside[(j + 1) % 4]:
                    j += 1
                enters = _edge(corners[i - 1], corners[i])
                leaves = _edge(corners[j % 4], corners[(j + 1) % 4])
                follows[enters] = leaves
    loops = []
    while follows:
        start = min(follows)
        loop = [start]
        while (following := follows.pop(loop[-1])) != start:
            loop.append(following)
        loops.append(tuple(loop))
    return loops


def _same_face(a: int, b: int) -> bool:
    ends = [{EDGE_START[e], EDGE_START[e] | 1 << e // 4} for e in (a, b)]
    return any((ends[0] | ends[1]) <= set(corners) for corners in _FACES)


def _triangles(loop: Loop) -> list[Triangle]:
    """The smallest triangulation of a polygon whose inner edges stay off the cell's faces."""
    neighbours = {frozenset((loop[i - 1], loop[i])) for i in range(len(loop))}

    def sound(triangles: list[Triangle]) -> bool:
        sides = (pair for t in triangles for pair in itertools.combinations(t, 2))
        return all(frozenset(pair) in neighbours or not _same_face(*pair) for pair in sides)

    return min((t for t in _triangulations(loop) if sound(t)), key=lambda t: (round(_area(t), 9), t))


def _triangulations(loop: Loop) -> list[list[Triangle]]:
    if len(loop) < 3:
        return [[]]
    out = []
    for i in range(1, len(loop) - 1):
        halves = itertools.product(_triangulations(loop[: i + 1]), _triangulations(loop[i:]))
        out += [[(loop[0], loop[i], loop[-1]), *left, *right] for left, right in halves]
    return out


def _area(triangles: list[Triangle]) -> float:
    """Twice the area, in plain Python: numpy takes longer for three numbers."""
    total = 0.0
    for a, b, c in triangles:
        p, q, r = _MIDDLES[a], _MIDDLES[b], _MIDDLES[c]
        ux, uy, uz = q[0] - p[0], q[1] - p[1], q[2] - p[2]
        wx, wy, wz = r[0] - p[0], r[1] - p[1], r[2] - p[2]
        total += math.hypot(uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx)
    return total
