"""A source at its place in the layer's space: offset replaced where the config says so, padding added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box, Vec
from ophiolite.geometry.box import sub
from ophiolite.sources.source import Source


@dataclass(frozen=True)
class PlacedSource:
    """A source whose first voxel lies at `voxel_offset_vx`, with `pad_vx` voxels of zeros around it."""

    source: Source
    voxel_offset_vx: Vec
    pad_vx: Vec

    @property
    def data_box(self) -> Box:
        """The voxels that the source itself holds."""
        return Box.of(self.voxel_offset_vx, self.source.shape_vx)

    @property
    def box(self) -> Box:
        """The voxels of the layer's mip 0."""
        return self.data_box.grow(self.pad_vx, self.pad_vx)

    def read(self, box: Box) -> NDArray[Any]:
        """Voxels `(x, y, z, c)` of an absolute box inside `box`, Fortran order; zeros in the padding."""
        inside = box.intersect(self.data_box)
        moved = sub(self.source.voxel_offset_vx, self.voxel_offset_vx)
        if inside == box:
            return self.source.read(box.shift(moved))
        out = np.zeros((*box.shape, self.source.channels), dtype=self.source.dtype, order="F")
        if not inside.empty:
            out[inside.slices(box.start)] = self.source.read(inside.shift(moved))
        return out
