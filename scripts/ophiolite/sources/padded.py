"""A source with padding: zeros around what the source holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box, Vec
from ophiolite.sources.source import Source


@dataclass(frozen=True)
class PaddedSource:
    """A source with `pad_vx` voxels of zeros around it."""

    source: Source
    pad_vx: Vec

    @property
    def box(self) -> Box:
        """The voxels of the layer's mip 0."""
        return self.source.box.grow(self.pad_vx, self.pad_vx)

    def read(self, box: Box) -> NDArray[Any]:
        """Voxels `(x, y, z, c)` of an absolute box inside `box`, Fortran order."""
        inside = box.intersect(self.source.box)
        if inside == box:
            return self.source.read(box)
        out = np.zeros((*box.shape, self.source.channels), dtype=self.source.dtype, order="F")
        if not inside.empty:
            out[inside.slices(box.start)] = self.source.read(inside)
        return out
