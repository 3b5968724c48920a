"""The loops of `kernels.marching`, compiled."""

from __future__ import annotations

from typing import Any

from ophiolite.kernels.compiled import inner, njit


@njit(cache=True, nogil=True)
def count(volume: Any, wanted: Any, triangles: Any, vertices: Any, faces: Any) -> None:
    """Add the vertices and faces that each number (n,) will have; `triangles` holds those of each mask of corners."""
    nx, ny, nz = volume.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                a = volume[x, y, z]
                for axis in range(3):
                    i, j, k = x + (axis == 0), y + (axis == 1), z + (axis == 2)
                    if i < nx and j < ny and k < nz and volume[i, j, k] != a:
                        vertices[a] += wanted[a]
                        vertices[volume[i, j, k]] += wanted[volume[i, j, k]]
    for z in range(nz - 1):
        for y in range(ny - 1):
            for x in range(nx - 1):
                if not _mixed(volume, x, y, z):
                    continue
                done = 0
                for i in range(8):
                    if not done >> i & 1:
                        number = volume[x + (i & 1), y + (i >> 1 & 1), z + (i >> 2)]
                        mask = corner_mask(volume, x, y, z, number)
                        done |= mask
                        if wanted[number]:
                            faces[number] += triangles[mask]


@inner
def _mixed(volume: Any, x: int, y: int, z: int) -> Any:
    """Whether the corners of a cell differ."""
    a = volume[x, y, z]
    if volume[x + 1, y, z] != a or volume[x, y + 1, z] != a or volume[x + 1, y + 1, z] != a:
        return True
    if volume[x, y, z + 1] != a or volume[x + 1, y, z + 1] != a:
        return True
    return volume[x, y + 1, z + 1] != a or volume[x + 1, y + 1, z + 1] != a


@inner
def corner_mask(volume: Any, x: int, y: int, z: int, number: int) -> Any:
    """The corners of a cell that hold a number."""
    out = 0
    for i in range(8):
        if volume[x + (i & 1), y + (i >> 1 & 1), z + (i >> 2)] == number:
            out |= 1 << i
    return out


@njit(cache=True, nogil=True)
def fill(
    volume: Any,
    wanted: Any,
    triangles: Any,
    edges: Any,
    start: Any,
    half: int,
    at: Any,
    first: Any,
    v: Any,
    f: Any,
    rows: Any,
) -> None:
    """Write vertices v (n, 3), and faces f (m, 3) of rows within each number's vertices.

    half : the steps of v in half a voxel. at, first : where each number's vertices and faces begin; raised to where
    they end. rows : (2, x y, 3, 2) workspace, the vertices of the last two planes by voxel, axis of the edge, and end
    of it that holds the number.
    """
    nx, ny, nz = volume.shape
    base = at.copy()
    for z in range(nz):
        plane = rows[z & 1]
        for y in range(ny):
            for x in range(nx):
                a = volume[x, y, z]
                for axis in range(3):
                    i, j, k = x + (axis == 0), y + (axis == 1), z + (axis == 2)
                    if i < nx and j < ny and k < nz and volume[i, j, k] != a:
                        for end in range(2):
                            number = volume[i, j, k] if end else a
                            if wanted[number]:
                                row = at[number]
                                at[number] = row + 1
                                v[row, 0], v[row, 1], v[row, 2] = half * (x + i), half * (y + j), half * (z + k)
                                plane[x + nx * y, axis, end] = row - base[number]
        if z == 0:
            continue
        for y in range(ny - 1):
            for x in range(nx - 1):
                if not _mixed(volume, x, y, z - 1):
                    continue
                done = 0
                for i in range(8):
                    if done >> i & 1:
                        continue
                    number = volume[x + (i & 1), y + (i >> 1 & 1), z - 1 + (i >> 2)]
                    mask = corner_mask(volume, x, y, z - 1, number)
                    done |= mask
                    if not wanted[number]:
                        continue
                    row = first[number]
                    for k in range(3 * triangles[mask]):
                        e = edges[mask, k]
                        c = start[e]
                        voxel = x + (c & 1) + nx * (y + (c >> 1 & 1))
                        f[row + k // 3, k % 3] = rows[(z - 1 + (c >> 2)) & 1, voxel, e // 4, 1 - (mask >> c & 1)]
                    first[number] = row + triangles[mask]
