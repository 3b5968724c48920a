"""Labels that look like neurites."""

from __future__ import annotations

import numpy as np


def neurites(seed: int, shape: tuple[int, int, int], n: int = 12) -> np.ndarray:
    """Random bent tubes of changing width, some of them touching: (x, y, z) uint64."""
    r = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint64, order="F")
    for label in range(1, n + 1):
        at, way, radius = r.random(3) * shape, r.normal(size=3), r.uniform(0.6, 3.5)
        for _ in range(40):
            way = way + r.normal(size=3) * 0.4
            way /= np.linalg.norm(way)
            at = at + way
            radius = np.clip(radius + r.normal() * 0.15, 0.5, 4)
            low = np.maximum(np.floor(at - radius - 1), 0).astype(int)
            high = np.minimum(np.ceil(at + radius + 2), shape).astype(int)
            if (low < high).all():
                box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
                distance = sum((g - p) ** 2 for g, p in zip(np.ogrid[box], at, strict=True))
                inside = (distance <= radius**2) & (labels[box] == 0)
                labels[box][inside] = label
    return labels
