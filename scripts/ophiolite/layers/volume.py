"""Reading one mip of a Precomputed volume, as this project writes it: chunk files or shards in a store."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import LayerError, explain
from ophiolite.geometry import Box, Vec, morton
from ophiolite.geometry.grid import indices
from ophiolite.layers.store import Store
from ophiolite.precomputed.encoding import decode_chunk
from ophiolite.precomputed.sharding import ShardReader, locate, shard_name
from ophiolite.precomputed.volume_info import VolumeInfo, chunk_name, parse_info

OPEN_SHARDS = 32


class VolumeReader:
    """Voxels of one mip of a layer in a store; background outside the volume.

    info : what a plan says of the layer; read from the folder where it is not given.
    """

    def __init__(self, store: Store, folder: str, mip: int, info: VolumeInfo | None = None) -> None:
        info_path = f"{folder}/info"
        self.info = info or parse_info(store.read(info_path), store.place(info_path))
        if mip >= len(self.info.scales):
            raise LayerError(
                explain(
                    folder,
                    f"has no mip {mip}",
                    expected=f"0 to {len(self.info.scales) - 1}",
                    got=mip,
                    do="Choose one of them",
                )
            )
        self.scale = self.info.scales[mip]
        self._store, self._folder = store, f"{folder}/{self.scale.key}"
        self._shard = lru_cache(maxsize=OPEN_SHARDS)(self._open_shard)

    @property
    def box(self) -> Box:
        """The voxels of this mip."""
        return self.scale.box

    def read(self, box: Box) -> NDArray[Any]:
        """Voxels `(x, y, z, c)` of any absolute box, Fortran order; zeros outside the volume."""
        out = np.zeros((*box.shape, self.info.num_channels), dtype=self.info.data_type, order="F")
        grid = self.scale.grid
        cells = list(indices(grid.touching(box)))
        codes = morton.encode(cells, grid.shape)
        for cell, code in zip(cells, codes, strict=True):
            own = grid.cell(cell)
            chunk = self._chunk(own, code)
            shared = own.intersect(box)
            out[shared.slices(box.start)] = chunk[shared.slices(own.start)]
        return out

    def _chunk(self, own: Box, code: np.uint64) -> NDArray[Any]:
        data = self._chunk_bytes(own, code)
        return decode_chunk(data, own.shape, self.info.num_channels, self.info.data_type, self.scale.encoding)

    def _chunk_bytes(self, own: Box, code: np.uint64) -> bytes:
        if self.scale.sharding is None:
            return self._store.read(f"{self._folder}/{chunk_name(own)}")
        shard, _ = locate(self.scale.sharding, np.array([code], dtype=np.uint64))
        found = self._shard(int(shard[0])).get(int(code))
        if found is None:
            raise LayerError(
                explain(
                    f"{self._folder}/{shard_name(self.scale.sharding, int(shard[0]))}",
                    f"lacks chunk {chunk_name(own)}",
                    do="Remake it: `snakemake --force` on the receipt that names it",
                )
            )
        return found

    def _open_shard(self, shard: int) -> ShardReader:
        assert self.scale.sharding is not None
        path = f"{self._folder}/{shard_name(self.scale.sharding, shard)}"
        read: Callable[[int, int], bytes] = lambda offset, size: self._store.read_range(path, offset, size)  # noqa: E731
        return ShardReader(self.scale.sharding, read, path)


def slice_of(reader: VolumeReader, axis: int, index: int) -> NDArray[Any]:
    """One plane `(a, b, c)` of a mip, across `axis` at an absolute voxel index."""
    start, stop = list(reader.box.start), list(reader.box.stop)
    start[axis], stop[axis] = index, index + 1
    a: Vec = (start[0], start[1], start[2])
    b: Vec = (stop[0], stop[1], stop[2])
    plane: NDArray[Any] = np.take(reader.read(Box(a, b)), 0, axis=axis)
    return plane
