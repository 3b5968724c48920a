"""Reading one mip of a Precomputed volume, as this project writes it: chunk files or shards in a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn

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
# Chunks whose encoded bytes are held at once.
READ_TOGETHER = 64


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
        codes = morton.encode(cells, grid.shape).tolist()
        chunks = [(code, grid.cell(cell)) for code, cell in zip(codes, cells, strict=True)]
        for first in range(0, len(chunks), READ_TOGETHER):
            group = chunks[first : first + READ_TOGETHER]
            stored = self._fetch([(code, own) for code, own in group if not self._kept(code)])
            for code, own in group:
                shared = own.intersect(box)
                out[shared.slices(box.start)] = self._chunk(code, own, stored)[shared.slices(own.start)]
        return out

    def encoded(self, cells: Sequence[Vec]) -> list[bytes]:
        """The bytes of chunks as their encoding left them, by their places in the grid."""
        grid = self.scale.grid
        codes = morton.encode(list(cells), grid.shape).tolist()
        found = self._fetch([(code, grid.cell(cell)) for code, cell in zip(codes, cells, strict=True)])
        return [found[code] for code in codes]

    def _kept(self, code: int) -> bool:
        """Whether a decoded chunk is at hand; a reader with a cache overrides it and `_chunk`."""
        return False

    def _chunk(self, code: int, own: Box, stored: Mapping[int, bytes]) -> NDArray[Any]:
        """A decoded chunk, from the bytes that were fetched."""
        data = stored[code] if code in stored else self._fetch([(code, own)])[code]
        return decode_chunk(data, own.shape, self.info.num_channels, self.info.data_type, self.scale.encoding)

    def _fetch(self, chunks: Sequence[tuple[int, Box]]) -> dict[int, bytes]:
        """The encoded bytes of chunks, by code; those of one shard in as few requests as the store can."""
        if self.scale.sharding is None:
            return {code: self._store.read(f"{self._folder}/{chunk_name(own)}") for code, own in chunks}
        found: dict[int, bytes] = {}
        codes = np.array([code for code, _ in chunks], dtype=np.uint64)
        shards = locate(self.scale.sharding, codes)[0].tolist() if chunks else []
        for shard in dict.fromkeys(shards):
            reader = self._shard(shard)
            here = [chunk for chunk, of in zip(chunks, shards, strict=True) if of == shard]
            spans = [reader.location(code) or self._lacking(shard, own) for code, own in here]
            stored = self._store.read_ranges(self._shard_path(shard), spans)
            found |= {code: reader.decoded(data) for (code, _), data in zip(here, stored, strict=True)}
        return found

    def _lacking(self, shard: int, own: Box) -> NoReturn:
        raise LayerError(
            explain(
                self._shard_path(shard),
                f"lacks chunk {chunk_name(own)}",
                do="Remake it: `snakemake --force` on the receipt that names it",
            )
        )

    def _shard_path(self, shard: int) -> str:
        assert self.scale.sharding is not None
        return f"{self._folder}/{shard_name(self.scale.sharding, shard)}"

    def _open_shard(self, shard: int) -> ShardReader:
        assert self.scale.sharding is not None
        path = self._shard_path(shard)
        read: Callable[[int, int], bytes] = lambda offset, size: self._store.read_range(path, offset, size)  # noqa: E731
        return ShardReader(self.scale.sharding, read, path)


def slice_of(reader: VolumeReader, axis: int, index: int) -> NDArray[Any]:
    """One plane `(a, b, c)` of a mip, across `axis` at an absolute voxel index."""
    start, stop = list(reader.box.start), list(reader.box.stop)
    start[axis], stop[axis] = index, index + 1
    a: Vec = (start[0], start[1], start[2])
    b: Vec = (stop[0], stop[1], stop[2])
    plane: NDArray[Any] = np.moveaxis(reader.read(Box(a, b)), axis, 0)[0]
    return plane
