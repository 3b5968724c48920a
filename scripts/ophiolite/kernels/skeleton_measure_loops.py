"""The compiled loops of kernels.skeleton_measure: ways along chains, the ridge of a field, balls, short ways."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit
from ophiolite.kernels.skeleton_graph_loops import incidence

_jit: Any = njit(cache=True, nogil=True)


@_jit
def walk(start, rows, edges, v, row, steps):  # type: ignore[no-untyped-def]
    """The vertex up to `steps` edges from v, first along edge `row`, then along its chain; it stops where that ends."""
    here = edges[row, 0] + edges[row, 1] - v
    for _ in range(steps - 1):
        if start[here + 1] - start[here] != 2:
            break
        following = rows[start[here]]
        if following == row:
            following = rows[start[here] + 1]
        row = following
        here = edges[row, 0] + edges[row, 1] - here
        if here == v:
            break
    return here


@_jit
def tangents(points, edges, steps):  # type: ignore[no-untyped-def]
    """(n, 3) unit directions of the chains of points (n, 3) at each vertex, zero at branch points and lone vertices."""
    out = np.zeros((len(points), 3))
    start, rows = incidence(len(points), edges)
    for v in range(len(points)):
        degree = start[v + 1] - start[v]
        if degree != 1 and degree != 2:
            continue
        a = walk(start, rows, edges, v, rows[start[v]], steps)
        b = v
        if degree == 2:
            b = walk(start, rows, edges, v, rows[start[v] + 1], steps)
        x, y, z = points[a, 0] - points[b, 0], points[a, 1] - points[b, 1], points[a, 2] - points[b, 2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 0:
            out[v, 0], out[v, 1], out[v, 2] = x / length, y / length, z / length
    return out


@_jit
def climb(field, voxels, tangent, voxel_nm):  # type: ignore[no-untyped-def]
    """(n,) nm from each voxel (n, 3) to the top of the field reached uphill in its normal plane, NaN without tangent.

    Steps go to the highest of the 26 neighbours that lie within half a voxel of the plane, while that is higher.
    """
    out = np.full(len(voxels), np.nan)
    for i in range(len(voxels)):
        tx, ty, tz = tangent[i, 0], tangent[i, 1], tangent[i, 2]
        if tx == 0 and ty == 0 and tz == 0:
            continue
        half = (abs(tx) * voxel_nm[0] + abs(ty) * voxel_nm[1] + abs(tz) * voxel_nm[2]) / 2 * (1 + 1e-9)
        x, y, z = voxels[i, 0], voxels[i, 1], voxels[i, 2]
        while True:
            best, bx, by, bz = field[x, y, z], x, y, z
            for dz in range(-1, 2):
                for dy in range(-1, 2):
                    for dx in range(-1, 2):
                        px, py, pz = x + dx, y + dy, z + dz
                        if px < 0 or py < 0 or pz < 0:
                            continue
                        if px >= field.shape[0] or py >= field.shape[1] or pz >= field.shape[2]:
                            continue
                        along = (
                            (px - voxels[i, 0]) * voxel_nm[0] * tx
                            + (py - voxels[i, 1]) * voxel_nm[1] * ty
                            + (pz - voxels[i, 2]) * voxel_nm[2] * tz
                        )
                        if abs(along) <= half and field[px, py, pz] > best:
                            best, bx, by, bz = field[px, py, pz], px, py, pz
            if bx == x and by == y and bz == z:
                break
            x, y, z = bx, by, bz
        ex = (x - voxels[i, 0]) * voxel_nm[0]
        ey = (y - voxels[i, 1]) * voxel_nm[1]
        ez = (z - voxels[i, 2]) * voxel_nm[2]
        out[i] = np.sqrt(ex * ex + ey * ey + ez * ez)
    return out


@_jit
def covered(mask, centres, radius, voxel_nm):  # type: ignore[no-untyped-def]
    """Voxels of a mask (x, y, z) in the union of balls: centres (n, 3) in nm from voxel 0's centre, ascending in z.

    Plane by plane; a ball adds one at the first voxel of each of its rows and takes it away past the last.
    """
    nx, ny, nz = mask.shape
    rise = np.zeros((nx + 1, ny), np.int32)
    found = 0
    largest = 0.0
    for r in radius:
        largest = max(largest, r)
    for z in range(nz):
        at = z * voxel_nm[2]
        first = np.searchsorted(centres[:, 2], at - largest)
        last = np.searchsorted(centres[:, 2], at + largest, side="right")
        if first == last:
            continue
        rise[:] = 0
        for i in range(first, last):
            rz = radius[i] ** 2 - (centres[i, 2] - at) ** 2
            if rz < 0:
                continue
            reach = np.sqrt(rz)
            low = max(0, int(np.ceil((centres[i, 1] - reach) / voxel_nm[1])))
            high = min(ny - 1, int(np.floor((centres[i, 1] + reach) / voxel_nm[1])))
            for y in range(low, high + 1):
                ry = max(rz - (centres[i, 1] - y * voxel_nm[1]) ** 2, 0.0)
                along = np.sqrt(ry)
                start = max(0, int(np.ceil((centres[i, 0] - along) / voxel_nm[0])))
                stop = min(nx - 1, int(np.floor((centres[i, 0] + along) / voxel_nm[0]))) + 1
                if start < stop:
                    rise[start, y] += 1
                    rise[stop, y] -= 1
        for y in range(ny):
            depth = 0
            for x in range(nx):
                depth += rise[x, y]
                if depth > 0 and mask[x, y, z]:
                    found += 1
    return found


@_jit
def short_ways(n, edges, rank):  # type: ignore[no-untyped-def]
    """(m,) bool: edges (m, 2) that are not the highest in `rank` of any triangle of edges."""
    start, rows = incidence(n, edges)
    keep = np.ones(len(edges), np.bool_)
    for k in range(len(edges)):
        a, b = edges[k, 0], edges[k, 1]
        for i in range(start[a], start[a + 1]):
            one = rows[i]
            if rank[one] >= rank[k]:
                continue
            c = edges[one, 0] + edges[one, 1] - a
            for j in range(start[c], start[c + 1]):
                other = rows[j]
                if rank[other] < rank[k] and edges[other, 0] + edges[other, 1] - c == b:
                    keep[k] = False
    return keep
