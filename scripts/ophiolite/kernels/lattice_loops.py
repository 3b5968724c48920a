"""Points onto a lattice, into nm and back, and their box: compiled, since numpy is slow along an axis of three."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit


@njit(cache=True, nogil=True)
def box_of(points: Any) -> Any:
    """Lowest and highest coordinates (2, 3) of points (n, 3), n above 0."""
    out = np.empty((2, 3), points.dtype)
    out[0], out[1] = points[0], points[0]
    for i in range(len(points)):
        for d in range(3):
            out[0, d], out[1, d] = min(out[0, d], points[i, d]), max(out[1, d], points[i, d])
    return out


@njit(cache=True, nogil=True)
def shift(vertices: Any, offset: Any, ends: Any) -> None:
    """Move vertices (n, 3) by `offset` (3,), and back to within `ends` (2, 3), in place."""
    for i in range(len(vertices)):
        for d in range(3):
            vertices[i, d] = min(max(vertices[i, d] + offset[d], ends[0, d]), ends[1, d])


@njit(cache=True, nogil=True)
def between(vertices: Any, slabs: Any) -> Any:
    """Which vertices (n, 3) lie within a slab (k, 3): axis, low, high, both ends included."""
    out = np.zeros(len(vertices), np.bool_)
    for k in range(len(slabs)):
        axis, low, high = slabs[k]
        for i in range(len(vertices)):
            out[i] |= low <= vertices[i, axis] <= high
    return out


@njit(cache=True, nogil=True)
def scaled(vertices: Any, step: Any) -> Any:
    """Vertices (n, 3) times the length of a step (3,), as float64."""
    out = np.empty((len(vertices), 3))
    for i in range(len(vertices)):
        for d in range(3):
            out[i, d] = vertices[i, d] * step[d]
    return out


@njit(cache=True, nogil=True)
def about(vertices: Any, centre: Any) -> Any:
    """Vertices (n, 3) less a point (3,), as float64."""
    out = np.empty((len(vertices), 3))
    for i in range(len(vertices)):
        for d in range(3):
            out[i, d] = vertices[i, d] - centre[d]
    return out


@njit(cache=True, nogil=True)
def snapped(vertices: Any, per_nm: Any, low: Any, high: Any, old: Any, rows: Any, still: Any) -> Any:
    """Vertices (n, 3) in nm rounded to steps, `per_nm` (3,), between `low` and `high` (3,), int32.

    Those that are `still` (n,) lie where they did: old (k, 3), of their rows (n,).
    """
    out = np.empty((len(vertices), 3), np.int32)
    for i in range(len(vertices)):
        for d in range(3):
            if still[i]:
                out[i, d] = old[rows[i], d]
            else:
                out[i, d] = min(max(np.rint(vertices[i, d] * per_nm[d]), low[d]), high[d])
    return out
