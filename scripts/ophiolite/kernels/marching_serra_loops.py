"""The loops of `kernels.marching_serra`, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit
from ophiolite.kernels.marching_loops import corner_mask
from ophiolite.kernels.octree_loops import gather


@njit(cache=True, nogil=True)
def own_faces(shape: Any, v: Any, f: Any, step: int) -> Any:
    """The faces of f (m, 3) uint32 whose highest cell is 2 to length - 3 on each axis, with their vertices of v."""
    inside = True
    for i in range(len(v)):
        for d in range(3):
            inside &= 2 * step <= v[i, d] < (shape[d] - 2) * step
    if inside:
        return v, f
    own = np.ones(len(f), np.bool_)
    for i in range(len(f)):
        for d in range(3):
            own[i] &= 2 * step <= max(v[f[i, 0], d], v[f[i, 1], d], v[f[i, 2], d]) < (shape[d] - 2) * step
    return gather(v, f[own], np.zeros(3, np.int64), np.full(len(v), -1, np.int32))


@njit(cache=True, nogil=True)
def part_sheets(volume: Any, number: int, v: Any, f: Any, twice: Any, sheets: Any, places: Any, step: int) -> None:
    """Move vertices v (n, 3) whose cells hold several sheets of a label to the middle of their own; f (m, 3) of them.

    twice, sheets, places : as of `marching_tables.sheet_tables`.
    """
    case = np.zeros((len(v), 2), np.uint8)
    crowded = False
    for i in range(len(v)):
        x, y, z = v[i, 0] // step, v[i, 1] // step, v[i, 2] // step
        mask, joined = corner_mask(volume, x, y, z, number), 0
        side = twice[mask]
        if side >= 0:
            by = side % 2 * 2 - 1
            x, y, z = x + by * (side < 2), y + by * (side // 2 == 1), z + by * (side > 3)
            joined = int(twice[corner_mask(volume, x, y, z, number)] == (side ^ 1))
        if sheets[joined, mask] > 1:
            case[i, 0], case[i, 1] = joined, mask
            crowded = True
    if not crowded:
        return
    cell, edge = np.empty((3, 3), np.int64), np.empty(3, np.int64)
    for i in range(len(f)):
        if case[f[i, 0], 1] == 0 and case[f[i, 1], 1] == 0 and case[f[i, 2], 1] == 0:
            continue
        for j in range(3):
            for d in range(3):
                cell[j, d] = v[f[i, j], d] // step
        # The three cells lie around the grid's edge that the face crosses; it starts at the highest of them.
        axis = 0
        for d in range(3):
            edge[d] = max(cell[0, d], cell[1, d], cell[2, d])
            if cell[0, d] == cell[1, d] and cell[0, d] == cell[2, d]:
                axis = d
        for j in range(3):
            joined, mask = case[f[i, j]]
            if mask == 0:
                continue
            # Which of the cell's four edges along that axis it is.
            k, bit = 0, 0
            for d in range(3):
                if d != axis:
                    k |= (edge[d] - cell[j, d]) << bit
                    bit += 1
            for d in range(3):
                v[f[i, j], d] = cell[j, d] * step + places[joined, mask, 4 * axis + k, d]
