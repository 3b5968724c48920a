"""Objects and skeletons whose measures are known, for the tests of skeleton quality."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.skeleton_measure import Bones

Points = Sequence[Sequence[float]]
NM = np.array([8.0, 8.0, 8.0])
ORIGIN = (0, 0, 0)


def tubes(
    shape: tuple[int, int, int], lines: Sequence[Points], radius_nm: float, nm: NDArray[np.float64] = NM
) -> NDArray[np.bool_]:
    """Voxels within a radius of polylines of voxel indices."""
    at = np.stack(np.indices(shape), axis=-1).reshape(-1, 3) * nm
    inside = np.zeros(len(at), np.bool_)
    for line in lines:
        corners = np.array(line, np.float64) * nm
        for a, b in pairwise(corners):
            along = b - a
            share = np.clip((at - a) @ along / (along @ along), 0, 1)
            inside |= np.linalg.norm(at - a - share[:, None] * along, axis=1) <= radius_nm
    return np.asfortranarray(inside.reshape(shape))


def bones(lines: Sequence[Points], radius_nm: float = 1.0, nm: NDArray[np.float64] = NM) -> Bones:
    """A skeleton through the centres of voxels along polylines of voxel indices; equal points are one vertex."""
    points: dict[tuple[float, ...], int] = {}
    edges: set[tuple[int, int]] = set()
    for line in lines:
        for a, b in pairwise(line):
            steps = int(np.abs(np.subtract(b, a)).max())
            walk = [tuple(np.add(a, np.subtract(b, a) * k / steps).tolist()) for k in range(steps + 1)]
            rows = [points.setdefault(p, len(points)) for p in walk]
            edges |= {(min(r, s), max(r, s)) for r, s in pairwise(rows)}
    vertices = (np.array(list(points)) + 0.5) * nm
    return Bones(vertices, np.array(sorted(edges), np.int64), np.full(len(vertices), float(radius_nm)))


def ring(shape: tuple[int, int, int], wide: float, thick: float) -> NDArray[np.bool_]:
    """A torus across z in the middle of a box, in voxels."""
    x, y, z = np.indices(shape) - (np.array(shape) - 1).reshape(3, 1, 1, 1) / 2
    return np.asfortranarray((np.hypot(x, y) - wide) ** 2 + z**2 <= thick**2)
