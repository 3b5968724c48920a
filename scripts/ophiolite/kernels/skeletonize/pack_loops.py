"""Compiled loops that gather the voxels of the parts of a volume."""

from __future__ import annotations

from ophiolite.kernels.compiled import njit
from ophiolite.kernels.skeletonize.search_loops import FREE, Array


@njit(cache=True, nogil=True)
def measure_parts(parts: Array, depth: Array, sizes: Array, deepest: Array, first: Array) -> None:
    """Voxels, greatest depth and flat index (x fastest) of the first voxel of each number of a volume (x, y, z)."""
    for z in range(parts.shape[2]):
        for y in range(parts.shape[1]):
            for x in range(parts.shape[0]):
                part = parts[x, y, z]
                if sizes[part] == 0:
                    first[part] = x + parts.shape[0] * (y + parts.shape[1] * z)
                sizes[part] += 1
                deepest[part] = max(deepest[part], depth[x, y, z])


@njit(cache=True, nogil=True)
def pack(parts: Array, depth: Array, ends: Array, clearance: float, where: Array, depths: Array, free: Array) -> None:
    """Write the flat indices of the voxels of parts whose start is in `ends` (-1: left out), which becomes their end.

    Also the padded flat depths, and FREE where all neighbours are of the same part: those are within the volume, and
    `clearance` is less than the depth.
    """
    nx, ny, nz = parts.shape
    for z in range(nz):
        for y in range(ny):
            flat = 1 + (nx + 2) * (y + 1 + (ny + 2) * (z + 1))
            inner = 0 < z < nz - 1 and 0 < y < ny - 1
            for x in range(nx):
                part = parts[x, y, z]
                place = ends[part]
                if place >= 0:
                    ends[part] = place + 1
                    where[place] = flat + x
                    depths[flat + x] = depth[x, y, z]
                    if inner and 0 < x < nx - 1 and depth[x, y, z] > clearance:
                        free[flat + x] = FREE
