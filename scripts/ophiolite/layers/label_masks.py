"""Labels and masks of single labels, read chunk by chunk; what is near one another shares the decoded chunks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box, Vec
from ophiolite.geometry.box import prod
from ophiolite.geometry.grid import indices
from ophiolite.layers.volume import VolumeReader


class LabelMasks:
    """Reads masks of labels of one mip of a segmentation; keeps `cache_bytes` of decoded chunks, one at least."""

    def __init__(self, reader: VolumeReader, cache_bytes: int) -> None:
        self._reader = reader
        self._grid = reader.scale.grid
        chunk_bytes = prod(self._grid.cell_vx) * np.dtype(reader.info.data_type).itemsize
        self._chunk = lru_cache(maxsize=max(1, cache_bytes // chunk_bytes))(self._read)

    def read(self, label: int, box: Box) -> NDArray[np.uint8]:
        """(x, y, z) of any absolute box, Fortran order: 1 where the label is, 0 elsewhere and outside the volume."""
        out = np.zeros(box.shape, np.uint8, order="F")
        wanted = np.array(label, np.uint64)
        for within, chunk in self._chunks(box):
            out[within] = chunk == wanted
        return out

    def labels(self, box: Box) -> NDArray[np.uint64]:
        """(x, y, z) of any absolute box, Fortran order: the labels, 0 outside the volume."""
        out = np.zeros(box.shape, np.uint64, order="F")
        for within, chunk in self._chunks(box):
            out[within] = chunk
        return out

    def _chunks(self, box: Box) -> Iterator[tuple[tuple[slice, ...], NDArray[Any]]]:
        """What chunks hold of a box: where in the box, and the labels there."""
        for cell in indices(self._grid.touching(box)):
            own = self._grid.cell(cell)
            shared = own.intersect(box)
            yield shared.slices(box.start), self._chunk(cell)[shared.slices(own.start)]

    def _read(self, cell: Vec) -> NDArray[Any]:
        return self._reader.read(self._grid.cell(cell))[..., 0]
