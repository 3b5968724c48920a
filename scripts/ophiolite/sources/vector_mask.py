"""Outlines as the pixels of a mask: filled where they are asked for, never whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.kernels.polygon_fill import fill_rings
from ophiolite.sources.vectors import Outline, read_outlines

VECTOR_SUFFIXES = (".geojson", ".json", ".roi", ".zip")


class FilledOutlines:
    """The outlines of a file as structure values at the size of the slide; later ones lie over earlier ones.

    start_px : what pixel of the slide is the first here. structures : value -> name. An outline's class names its
    structure; one without a class belongs to the only structure there is. SourceError for unknown classes, for outlines
    without one among several structures, and (E142) where all lie outside the slide.
    """

    def __init__(
        self, path: Path, size_px: tuple[int, int], structures: Mapping[int, str], start_px: tuple[int, int] = (0, 0)
    ) -> None:
        self.size_px = size_px
        self.bits, self.dtype = 16, np.dtype(np.uint16)
        self.tile_px = (1, 1)
        self.cache_bytes = 0
        outlines = read_outlines(path)
        self._rings = [tuple(ring - start_px for ring in outline.rings) for outline in outlines]
        self._values = [_value(path, outline, structures) for outline in outlines]
        boxes = [_bounds(np.concatenate(rings)) for rings in self._rings]
        self._boxes = np.array(boxes, np.float64).reshape(-1, 4)
        if boxes and not self._within((0, 0, *size_px)).any():
            raise _outside(path, self._boxes, size_px)

    def values(self, window: tuple[int, int, int, int]) -> NDArray[Any]:
        """The values in (x0, y0, x1, y1), half open, as (x, y)."""
        x0, y0, x1, y1 = window
        out = np.zeros((x1 - x0, y1 - y0), self.dtype, order="F")
        low, high = self._boxes[:, :2], self._boxes[:, 2:]
        for i in np.flatnonzero(self._within(window)).tolist():
            left, top = np.maximum(np.floor(low[i]), (x0, y0)).astype(int).tolist()
            right, bottom = np.minimum(np.ceil(high[i]), (x1, y1)).astype(int).tolist()
            inside = fill_rings(self._rings[i], (left, top), (right - left, bottom - top))
            out[left - x0 : right - x0, top - y0 : bottom - y0][inside] = self._values[i]
        return out

    def scales_um(self) -> list[tuple[float, float]]:
        """Outlines have the slide's pixels."""
        return []

    def _within(self, window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
        """Which outlines' boxes reach into a window."""
        x0, y0, x1, y1 = window
        inside = (self._boxes[:, 2:] > (x0, y0)) & (self._boxes[:, :2] < (x1, y1))
        return np.asarray(inside.all(axis=1))


def _outside(path: Path, boxes: NDArray[np.float64], size_px: tuple[int, int]) -> SourceError:
    (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return SourceError(
        explain(
            f"E142 {path}",
            "all of its outlines lie outside the slide",
            expected="x 0 to {}, y 0 to {}".format(*size_px),
            got=f"x {x0:g} to {x1:g}, y {y0:g} to {y1:g}",
            do="Pair the right files; outlines are drawn in pixels of the slide's largest level",
        )
    )


def _bounds(points: NDArray[np.float64]) -> list[float]:
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def _value(path: Path, outline: Outline, structures: Mapping[int, str]) -> int:
    named = {name: value for value, name in structures.items()}
    if outline.structure in named:
        return named[outline.structure]
    if not outline.structure and len(named) == 1:
        return next(iter(named.values()))
    raise SourceError(
        explain(
            str(path),
            f"an outline {outline.name!r} is of a class that `slides.mask.structures` does not name",
            expected=", ".join(sorted(named)),
            got=repr(outline.structure) if outline.structure else "no class",
            do="Name the class in `structures`, or give the outline one of its names",
        )
    )
