"""The whole-number lattices that the levels of one octree are stored on, and distinct places for distinct vertices.

A level of detail is closed *as it is stored* if its faces are closed by their corners' numbers and no two vertices
share a place: whoever unites vertices by place then gets back the very same faces. Rounding alone does not do that, so
vertices that it brings together are parted again, by a step or two of the lattice, within the cell that the client
cuts out and along the planes that they lie on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.compiled import inner, njit
from ophiolite.kernels.lattice_loops import box_of

# How far a vertex may go for a place of its own, in steps: within a cube, and farther along an axis, since vertices
# where two planes meet have a line only.
_REACH = 3
_FAR = 32


def _steps() -> NDArray[np.int64]:
    near = range(-_REACH, _REACH + 1)
    places = [(x, y, z) for x in near for y in near for z in near]
    for away in range(_REACH + 1, _FAR + 1):
        for step in (-away, away):
            places += [(step, 0, 0), (0, step, 0), (0, 0, step)]
    return np.array(sorted(places, key=lambda s: (s[0] ** 2 + s[1] ** 2 + s[2] ** 2, s))[1:], np.int64)


_STEPS = _steps()


@dataclass(frozen=True)
class LevelGrid:
    """Nodes of an octree and the lattice of each level.

    origin : (3,) float32 in nm. side : length in nm of a node of level 0, a float32. depth : levels the octree has room
    for; its root is `side 2**(depth - 1)` long. bits : a node is `2**bits - 1` steps long.
    """

    origin: NDArray[np.float32]
    side: np.float32
    depth: int
    bits: int

    @classmethod
    def around(cls, vertices_nm: NDArray[np.float64], depth: int, bits: int) -> LevelGrid:
        """The grid whose root holds every vertex (n, 3); origin and side are exact in float32."""
        low, high = box_of(vertices_nm)
        origin = low.astype(np.float32)
        origin = np.where(origin.astype(np.float64) > low, np.nextafter(origin, np.float32(-np.inf)), origin)
        length = max(float((high - origin.astype(np.float64)).max()), 1e-3) / 2 ** (depth - 1)
        side = np.float32(length)
        if float(side) < length:
            side = np.nextafter(side, np.float32(np.inf))
        return cls(origin.astype(np.float32), side, depth, bits)

    @property
    def top(self) -> int:
        """Steps along a node."""
        return (1 << self.bits) - 1

    def cells(self, level: int) -> int:
        """Nodes of a level along the root."""
        return 1 << (self.depth - 1 - level)

    def middle(self, level: int) -> int:
        """Where the client splits the nodes of a level in eight, in steps; 0 where it does not."""
        return 1 << (self.bits - 1) if level else 0

    def step_nm(self, level: int) -> float:
        """A step of a level's lattice."""
        return float(self.side) * 2.0**level / self.top

    def snap(self, vertices_nm: NDArray[np.float64], level: int) -> NDArray[np.int32]:
        """Vertices (n, 3) in nm on the lattice of a level, rounded half up and kept within the root."""
        steps = np.floor((vertices_nm - self.origin.astype(np.float64)) / self.step_nm(level) + 0.5)
        return np.clip(steps, 0, self.cells(level) * self.top).astype(np.int32)

    def nm(self, lattice: NDArray[np.int32], level: int) -> NDArray[np.float64]:
        """Vertices (n, 3) of a level's lattice in nm."""
        out: NDArray[np.float64] = self.origin.astype(np.float64) + lattice * self.step_nm(level)
        return out

    def part(self, lattice: NDArray[np.int32], level: int, cut: NDArray[np.uint32] | None = None) -> bool:
        """Give vertices (n, 3) that share a place one each, in place; False where there is no room.

        cut : faces (m, 3) that lie each within a cell of the octree, or a half of one where the client splits it, and
            that vertices must not leave.
        """
        faces = np.empty((0, 3), np.uint32) if cut is None else cut
        return bool(_part(lattice, faces, _STEPS, self.top, self.middle(level), self.cells(level) * self.top))


@inner
def _slot(table: Any, lattice: Any, x: Any, y: Any, z: Any) -> Any:
    """Where a place stands in the table, or the free slot where it belongs."""
    mask = len(table) - 1
    at = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791)
    at = (at ^ (at >> 15) ^ (at >> 31)) & mask
    while table[at] >= 0:
        row = table[at]
        if lattice[row, 0] == x and lattice[row, 1] == y and lattice[row, 2] == z:
            break
        at = (at + 1) & mask
    return at


@njit(cache=True, nogil=True)
def _settle(table: Any, lattice: Any, steps: Any, bounds: Any, row: Any) -> Any:
    """Move a vertex to the nearest free place within its bounds; False where there is none."""
    for s in range(len(steps)):
        x = np.int64(lattice[row, 0] + steps[s, 0])
        y = np.int64(lattice[row, 1] + steps[s, 1])
        z = np.int64(lattice[row, 2] + steps[s, 2])
        if x < bounds[0] or x > bounds[1] or y < bounds[2] or y > bounds[3] or z < bounds[4] or z > bounds[5]:
            continue
        at = _slot(table, lattice, x, y, z)
        if table[at] < 0:
            lattice[row, 0], lattice[row, 1], lattice[row, 2] = x, y, z
            table[at] = row
            return True
    return False


@njit(cache=True, nogil=True)
def _bounds(lattice: Any, faces: Any, number: Any, count: int, top: int, middle: int, end: int) -> Any:
    """Per numbered vertex the lowest and highest x, y and z (count, 6) that leave its faces in their cells."""
    out = np.empty((count, 6), np.int64)
    for k in range(count):
        for d in range(3):
            out[k, 2 * d], out[k, 2 * d + 1] = 0, end
    for i in range(len(faces)):
        a, b, c = number[faces[i, 0]], number[faces[i, 1]], number[faces[i, 2]]
        if a < 0 and b < 0 and c < 0:
            continue
        for d in range(3):
            x, y, z = lattice[faces[i, 0], d], lattice[faces[i, 1], d], lattice[faces[i, 2], d]
            low, high = np.int64(min(x, y, z)), np.int64(max(x, y, z))
            first, last = low // top * top, -(-high // top) * top
            if middle > 0:
                first = max(first, (low - middle) // top * top + middle)
                last = min(last, -((middle - high) // top) * top + middle)
            for k in (a, b, c):
                if k >= 0:
                    out[k, 2 * d] = max(out[k, 2 * d], first)
                    out[k, 2 * d + 1] = min(out[k, 2 * d + 1], last)
    return out


@njit(cache=True, nogil=True)
def _part(lattice: Any, faces: Any, steps: Any, top: int, middle: int, end: int) -> Any:
    size = 16
    while size < 2 * len(lattice):
        size *= 2
    table = np.full(size, -1, np.int32)
    number = np.full(len(lattice), -1, np.int32)
    double = np.zeros(len(lattice), np.bool_)
    count = 0
    for row in range(len(lattice)):
        at = _slot(table, lattice, np.int64(lattice[row, 0]), np.int64(lattice[row, 1]), np.int64(lattice[row, 2]))
        if table[at] < 0:
            table[at] = row
            continue
        double[row] = True
        for either in (row, np.int64(table[at])):
            if number[either] < 0:
                number[either] = count
                count += 1
    if count == 0:
        return True
    bounds = _bounds(lattice, faces, number, count, top, middle, end)
    for row in range(len(lattice)):
        if double[row] and not _settle(table, lattice, steps, bounds[number[row]], row):
            x, y, z = np.int64(lattice[row, 0]), np.int64(lattice[row, 1]), np.int64(lattice[row, 2])
            at = _slot(table, lattice, x, y, z)
            # Whoever has the place may have more room than this vertex.
            other = np.int64(table[at])
            if other == row or number[other] < 0 or not _settle(table, lattice, steps, bounds[number[other]], other):
                return False
            table[at] = row
    return True
