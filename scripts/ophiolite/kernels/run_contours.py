"""Outlines of connected objects from their runs, so that an object's size costs no memory.

The outline is that of marching squares at one half (Lorensen and Cline 1987, in two dimensions; as
`skimage.measure.find_contours(..., fully_connected="high")`): it goes through the middles of the edges between object
and background pixels. So the rings of an object never touch, and the pixels whose centre they enclose are the object's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Contours:
    """The rings of some objects, by label; the first ring of an object is its outline, the others its holes.

    points : (m, 2) float64, x and y in mask pixels, whole numbers at the corners of pixels; no point is repeated at a
    ring's end. Outlines are walked from x towards y (positive area), holes the other way.
    stops : (k,) int64, end of each ring in `points`. labels : (k,) uint32.
    unsimplified : objects whose rings would have met, and keep all their points.
    """

    points: NDArray[np.float64]
    stops: NDArray[np.int64]
    labels: NDArray[np.uint32]
    unsimplified: int

    def rings(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """The label and the points of every ring."""
        first = 0
        for stop, label in zip(self.stops.tolist(), self.labels.tolist(), strict=True):
            yield label, self.points[first:stop]
            first = stop


def trace_contours(runs: NDArray[np.uint32], max_error_px: float) -> Contours:
    """The contours of every label of `runs` (n, 4): row, start, stop, label (never 0), in raster order.

    They are simplified so that no point left out is farther than `max_error_px` from what is left; a ring that would
    vanish, and an object whose rings would touch, lose points on straight lines alone.
    """
    from ophiolite.kernels.run_contours_loops import follow_sides, link_sides

    runs = np.ascontiguousarray(runs[np.argsort(runs[:, 3], kind="stable")])
    links = np.full((2 * len(runs), 2), -1, np.int64)
    link_sides(runs, links)
    points = np.empty((6 * len(runs), 2), np.int64)
    stops, labels = np.empty(2 * len(runs), np.int64), np.empty(2 * len(runs), np.uint32)
    count = follow_sides(runs, links, points, stops, labels)
    stops, labels = stops[:count], labels[:count]
    return _simplified(points[: stops[-1]] if count else points[:0], stops, labels, 2.0 * max_error_px)


def _simplified(
    points: NDArray[np.int64], stops: NDArray[np.int64], labels: NDArray[np.uint32], limit: float
) -> Contours:
    starts = np.concatenate([[0], stops])[:-1].astype(np.int64)
    bounds = [*np.flatnonzero(np.diff(labels, prepend=0)).tolist(), len(labels)]
    parts: list[NDArray[np.int64]] = []
    whole = 0
    for low, high in pairwise(bounds):
        rings = [points[starts[k] : stops[k]] for k in range(low, high)]
        found = _simplify(rings, limit)
        if found is None:
            whole += 1
            found = _simplify(rings, 0.0)
        parts += found or rings
    ends = np.cumsum([len(part) for part in parts]).astype(np.int64)
    joined = np.concatenate(parts) if parts else points
    return Contours(joined / 2, ends, labels, whole)


def _simplify(rings: list[NDArray[np.int64]], limit: float) -> list[NDArray[np.int64]] | None:
    """The rings of one object, simplified; None where they would meet."""
    from ophiolite.kernels.run_contours_loops import kept_points, rings_meet, twice_area

    out = []
    for ring in rings:
        keep = np.empty(len(ring), np.bool_)
        kept_points(ring, limit, keep)
        kept = ring[keep]
        if np.sign(twice_area(kept)) != np.sign(twice_area(ring)):
            kept_points(ring, 0.0, keep)
            kept = ring[keep]
        out.append(kept)
    if limit > 0 and rings_meet(np.concatenate(out), np.cumsum([len(ring) for ring in out])):
        return None
    return out
