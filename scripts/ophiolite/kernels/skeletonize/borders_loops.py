"""The compiled loops of kernels.skeletonize.borders."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit

_jit: Any = njit(cache=True, nogil=True)

_FAR = 1 << 30


@_jit
def squared_distance(plane, du_nm, dv_nm):  # type: ignore[no-untyped-def]
    """(u, v) float64, squared nm from each voxel to the nearest of another label; infinite where there is none.

    First along v in whole voxels, then outwards along u for as long as the step alone is no further than the best.
    """
    nu, nv = plane.shape
    along = np.full((nu, nv), _FAR, np.int64)
    for u in range(nu):
        last = -2 * _FAR
        for v in range(1, nv):
            if plane[u, v] != plane[u, v - 1]:
                last = v - 1
            along[u, v] = min(along[u, v], v - last)
        last = 2 * _FAR
        for v in range(nv - 2, -1, -1):
            if plane[u, v] != plane[u, v + 1]:
                last = v + 1
            along[u, v] = min(along[u, v], last - v)
    out = np.full((nu, nv), np.inf)
    for u in range(nu):
        for v in range(nv):
            label = plane[u, v]
            if label == 0:
                out[u, v] = 0.0
                continue
            least = np.inf
            if along[u, v] < _FAR:
                least = (along[u, v] * dv_nm) * (along[u, v] * dv_nm)
            for side in (-1, 1):
                step = 1
                at = u + side
                while 0 <= at < nu and (step * du_nm) * (step * du_nm) < least:
                    apart = 0 if plane[at, v] != label else along[at, v]
                    if apart < _FAR:
                        found = (step * du_nm) * (step * du_nm) + (apart * dv_nm) * (apart * dv_nm)
                        least = min(least, found)
                        if apart == 0:
                            break
                    step += 1
                    at += side
            out[u, v] = least
    return out


@_jit
def best(numbers, squared, count, du_nm, dv_nm):  # type: ignore[no-untyped-def]
    """(count, 2) int64: of each number from 1 on the voxel of the greatest `squared`, then nearest to its centroid."""
    nu, nv = numbers.shape
    first = np.full((count + 1, 2), _FAR, np.int64)
    total = np.zeros((count + 1, 3), np.int64)
    for u in range(nu):
        for v in range(nv):
            k = numbers[u, v]
            first[k, 0] = min(first[k, 0], u)
            first[k, 1] = min(first[k, 1], v)
    for u in range(nu):
        for v in range(nv):
            k = numbers[u, v]
            total[k, 0] += u - first[k, 0]
            total[k, 1] += v - first[k, 1]
            total[k, 2] += 1
    top = np.full(count + 1, -1.0)
    near = np.full(count + 1, np.inf)
    out = np.zeros((count, 2), np.int64)
    for u in range(nu):
        for v in range(nv):
            k = numbers[u, v]
            if k == 0 or squared[u, v] < top[k]:
                continue
            n = total[k, 2]
            a = (n * (u - first[k, 0]) - total[k, 0]) * du_nm
            b = (n * (v - first[k, 1]) - total[k, 1]) * dv_nm
            apart = a * a + b * b
            if squared[u, v] > top[k] or apart < near[k]:
                top[k] = squared[u, v]
                near[k] = apart
                out[k - 1, 0] = u
                out[k - 1, 1] = v
    return out
