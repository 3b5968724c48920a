"""Loops of the rasterizer, compiled; use them through `ophiolite.report.render`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.compiled import njit


@njit(cache=True, nogil=True)
def fill_triangles(
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    faces: NDArray[Any],
    owner: int,
    back_bias: float,
    depth: NDArray[np.float32],
    normal: NDArray[np.float32],
    owners: NDArray[np.int32],
) -> None:
    """Draw triangles into a depth buffer; nearer is larger.

    points : (n, 3) pixel x, pixel y, depth. normals : (n, 3). faces : (m, 3).
    Faces seen from behind, clockwise on a screen whose y runs down, are set back by `back_bias`: where two objects
    touch, the front of the one wins over the back of the other.
    depth, owners : (height, width); normal : (height, width, 3); changed in place.
    Edge functions after J. Pineda, "A parallel algorithm for polygon rasterization", SIGGRAPH 1988.
    """
    height, width = depth.shape
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay = points[a, 0], points[a, 1]
        bx, by = points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        bias = back_bias if area > 0.0 else 0.0
        x0 = max(0, int(np.floor(min(ax, bx, cx))))
        x1 = min(width - 1, int(np.ceil(max(ax, bx, cx))))
        y0 = max(0, int(np.floor(min(ay, by, cy))))
        y1 = min(height - 1, int(np.ceil(max(ay, by, cy))))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                wa = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                wb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                wc = 1.0 - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                z = wa * points[a, 2] + wb * points[b, 2] + wc * points[c, 2] - bias
                if z <= depth[y, x]:
                    continue
                depth[y, x] = z
                owners[y, x] = owner
                for d in range(3):
                    normal[y, x, d] = wa * normals[a, d] + wb * normals[b, d] + wc * normals[c, d]


@njit(cache=True, nogil=True)
def fill_segments(
    points: NDArray[np.float64],
    edges: NDArray[Any],
    radius_px: float,
    owner: int,
    depth: NDArray[np.float32],
    owners: NDArray[np.int32],
) -> None:
    """Draw line segments with round ends into a depth buffer; nearer is larger.

    points : (n, 3) pixel x, pixel y, depth. edges : (m, 2). depth, owners : (height, width), changed in place.
    """
    height, width = depth.shape
    for e in range(edges.shape[0]):
        ax, ay, az = points[edges[e, 0]]
        bx, by, bz = points[edges[e, 1]]
        dx, dy = bx - ax, by - ay
        length2 = dx * dx + dy * dy
        x0 = max(0, int(np.floor(min(ax, bx) - radius_px)))
        x1 = min(width - 1, int(np.ceil(max(ax, bx) + radius_px)))
        y0 = max(0, int(np.floor(min(ay, by) - radius_px)))
        y1 = min(height - 1, int(np.ceil(max(ay, by) + radius_px)))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                t = 0.0
                if length2 > 0.0:
                    t = min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / length2))
                px, py = x - ax - t * dx, y - ay - t * dy
                z = az + t * (bz - az)
                if px * px + py * py <= radius_px * radius_px and z > depth[y, x]:
                    depth[y, x] = z
                    owners[y, x] = owner
