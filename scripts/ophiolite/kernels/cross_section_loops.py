"""The compiled loops of kernels.cross_section: directions across which to cut, the area of a cut through voxels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit
from ophiolite.kernels.skeleton_graph_loops import incidence
from ophiolite.kernels.skeleton_measure_loops import tangents, walk

_jit: Any = njit(cache=True, nogil=True)
# Of a unit normal: below it, a plane is taken to run along the axis.
_LEAST = 1e-5
_INSIDE = 1 - 1e-9


@_jit
def cuts(points, edges, steps):  # type: ignore[no-untyped-def]
    """Directions (k, 3) to cut across and the vertex of each (k,): one along chains, at branch points one per edge."""
    along = tangents(points, edges, steps)
    start, rows = incidence(len(points), edges)
    normal = np.zeros((len(points) + len(rows), 3))
    owner = np.empty(len(normal), np.int64)
    count = 0
    for v in range(len(points)):
        if start[v + 1] - start[v] < 3:
            normal[count] = along[v]
            owner[count] = v
            count += 1
            continue
        for i in range(start[v], start[v + 1]):
            other = walk(start, rows, edges, v, rows[i], steps)
            x, y, z = points[other, 0] - points[v, 0], points[other, 1] - points[v, 1], points[other, 2] - points[v, 2]
            length = np.sqrt(x * x + y * y + z * z)
            if length > 0:
                normal[count, 0], normal[count, 1], normal[count, 2] = x / length, y / length, z / length
                owner[count] = v
                count += 1
    return normal[:count], owner[:count]


@_jit
def cut_of_box(a, half, t):  # type: ignore[no-untyped-def]
    """Area of a plane in a box of half sides `half` (3,): at t >= 0 from its centre, `a` (3,) its unit normal's sizes.

    The area over t is the product of the convolved intervals of the sides that the normal is not across: a sum over
    the corners (de Boor and Höllig 1982, B-splines from parallelepipeds).
    """
    low, free, scale, axes = 0.0, 1.0, 1.0, 0
    for d in range(3):
        if a[d] < _LEAST:
            free *= 2 * half[d]
        else:
            scale *= a[d]
            low += a[d] * half[d]
            axes += 1
    if t >= low:
        return 0.0
    total = 0.0
    for corner in range(8):
        at, sign = t, 1.0
        for d in range(3):
            if a[d] < _LEAST:
                if corner >> d & 1:
                    sign = 0.0
            elif corner >> d & 1:
                at -= a[d] * half[d]
                sign = -sign
            else:
                at += a[d] * half[d]
        if at > 0 and sign != 0:
            total += sign * (at * at / 2 if axes == 3 else (at if axes == 2 else 1.0))
    return free * total / scale


@_jit
def _leaves(n, half, reach, t, at, shape, ends):  # type: ignore[no-untyped-def]
    """Whether the plane passes through a face of the voxel `at` that is an end of the volume."""
    for d in range(3):
        for side in range(2):
            if ends[2 * d + side] and at[d] == (shape[d] - 1) * side:
                from_face = t - (2 * side - 1) * n[d] * half[d]
                if abs(from_face) < reach - abs(n[d]) * half[d]:
                    return True
    return False


@_jit
def areas(mask, shape, seen, points, normal, voxel_nm, ends):  # type: ignore[no-untyped-def]
    """(k,) nm^2 of the cuts across `normal` (k, 3) at `points` (k, 3), nm from the box's corner; 0 off the mask.

    mask (flat, x fastest) bool of a box of `shape`; seen (the same, int32) is room, zeros. A cut is the voxels that the
    plane passes through, 26-connected to that of the point. It is negative where the plane leaves through a side
    of the box that `ends` (6,: low and high of each axis) says is the volume's own end.
    """
    out = np.zeros(len(points))
    half = voxel_nm / 2
    stack = np.empty(1024, np.int64)
    nx, ny, nz = shape
    for k in range(len(points)):
        n = normal[k].copy()
        for d in range(3):
            if abs(n[d]) < _LEAST:
                n[d] = 0
        length = np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2])
        x = int(np.floor(points[k, 0] / voxel_nm[0]))
        y = int(np.floor(points[k, 1] / voxel_nm[1]))
        z = int(np.floor(points[k, 2] / voxel_nm[2]))
        if length == 0 or x < 0 or y < 0 or z < 0 or x >= nx or y >= ny or z >= nz:
            continue
        first = x + nx * (y + ny * z)
        if not mask[first]:
            continue
        n /= length
        a = np.abs(n)
        reach = (a[0] * half[0] + a[1] * half[1] + a[2] * half[2]) * _INSIDE
        plane = n[0] * points[k, 0] + n[1] * points[k, 1] + n[2] * points[k, 2]
        total, cut_off = 0.0, False
        stack[0] = first
        seen[first] = k + 1
        count = 1
        while count:
            count -= 1
            at = stack[count]
            x, y, z = at % nx, at // nx % ny, at // (nx * ny)
            t = plane - n[0] * (x + 0.5) * voxel_nm[0] - n[1] * (y + 0.5) * voxel_nm[1] - n[2] * (z + 0.5) * voxel_nm[2]
            total += cut_of_box(a, half, abs(t))
            if x == 0 or y == 0 or z == 0 or x == nx - 1 or y == ny - 1 or z == nz - 1:
                cut_off |= _leaves(n, half, reach, t, (x, y, z), shape, ends)
            if count + 26 > len(stack):
                longer = np.empty(2 * len(stack), np.int64)
                longer[:count] = stack[:count]
                stack = longer
            for dz in range(max(z - 1, 0), min(z + 2, nz)):
                for dy in range(max(y - 1, 0), min(y + 2, ny)):
                    for dx in range(max(x - 1, 0), min(x + 2, nx)):
                        other = dx + nx * (dy + ny * dz)
                        if seen[other] == k + 1 or not mask[other]:
                            continue
                        gap = plane - n[0] * (dx + 0.5) * voxel_nm[0] - n[1] * (dy + 0.5) * voxel_nm[1]
                        gap -= n[2] * (dz + 0.5) * voxel_nm[2]
                        if abs(gap) < reach:
                            seen[other] = k + 1
                            stack[count] = other
                            count += 1
        out[k] = -total if cut_off else total
    return out
