"""A finished slide as OME-TIFF: its chunks become the tiles of a pyramid, copied where they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ophiolite.geometry import Box, Vec
from ophiolite.layers.ome_tiff import TiffLevel, ome_xml, tiff_head
from ophiolite.layers.store import Written
from ophiolite.layers.volume import VolumeReader
from ophiolite.sources.slide import SlideSource
from ophiolite.stages.job import Job
from ophiolite.stages.volume_input import open_planned

# TIFF's YCbCrSubSampling of what JPEG encoders call by three digits.
SUBSAMPLING = {"444": (1, 1), "422": (2, 1), "420": (2, 2), "440": (1, 2), "411": (4, 1)}
TOGETHER = 64
# Of what is decoded and encoded once more; the little that it is may be large, to lose nothing that can be seen.
QUALITY = 95


@dataclass(frozen=True)
class _Tiles:
    """The tiles of one level, from the chunks of one mip; all share one subsampling of colours, as TIFF wants."""

    reader: VolumeReader
    subsampling: str

    @property
    def level(self) -> TiffLevel:
        """What the file says of this level."""
        width, height, _ = self.reader.scale.size_vx
        x, y, _ = self.reader.scale.resolution_nm
        side = self.reader.scale.chunk_vx[0]
        return TiffLevel(width, height, side, SUBSAMPLING[self.subsampling], (x / 1000, y / 1000))

    def all(self) -> Iterator[tuple[bytes, bool]]:
        """Every tile, row by row, and whether it is a chunk as it lies in the layer."""
        columns, rows, _ = self.reader.scale.grid.shape
        for row in range(rows):
            for first in range(0, columns, TOGETHER):
                cells: list[Vec] = [(column, row, 0) for column in range(first, min(columns, first + TOGETHER))]
                for cell, data in zip(cells, self.reader.encoded(cells), strict=True):
                    yield self._tile(self.reader.scale.grid.cell(cell), data)

    def _tile(self, box: Box, data: bytes) -> tuple[bytes, bool]:
        side = self.reader.scale.chunk_vx[0]
        whole = box.shape[:2] == (side, side)
        if whole and subsampling_of(data) == self.subsampling:
            return data, True
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB")
        # What stands over the border repeats the last pixels, which costs least and rings least.
        padded = np.pad(pixels, [(0, side - box.shape[1]), (0, side - box.shape[0]), (0, 0)], mode="edge")
        coded = simplejpeg.encode_jpeg(
            np.ascontiguousarray(padded), quality=QUALITY, colorspace="RGB", colorsubsampling=self.subsampling
        )
        return bytes(coded), False


def subsampling_of(data: bytes) -> str:
    """How a JPEG file subsamples its colours, e.g. "420"."""
    return str(simplejpeg.decode_jpeg_header(data)[3])


def write_ome_tiff(job: Job) -> tuple[list[Written], dict[str, Any]]:
    """Write the layer's mips as one OME-TIFF with SubIFDs; returns what was written, and how many tiles were copied.

    The tiles are made twice, once to learn their sizes, so that the file is written from front to end and neither it
    nor a level is ever held in memory.
    """
    volume = job.volume
    levels = []
    for scale in volume.scales:
        reader = VolumeReader(job.store, job.paths.layer_folder, scale.mip)
        first = next(iter(reader.encoded([(0, 0, 0)])))
        levels.append(_Tiles(reader, subsampling_of(first)))
    counts = {"n_copied": 0, "n_reencoded": 0}
    sizes = []
    for tiles in levels:
        found = [(len(data), copied) for data, copied in tiles.all()]
        counts["n_copied"] += sum(copied for _, copied in found)
        counts["n_reencoded"] += sum(not copied for _, copied in found)
        sizes.append(np.array([size for size, _ in found], np.uint64))
    source = cast(SlideSource, open_planned(volume).source)
    icc = source.icc if volume.source.reading["icc"] == "keep" else None
    facts = [tiles.level for tiles in levels]
    xml = ome_xml(job.dataset, facts[0], volume.scales[0].resolution_nm[2] / 1000)

    def parts() -> Iterator[bytes]:
        yield tiff_head(facts, sizes, xml, icc)
        for tiles in levels:
            job.say(f"level {tiles.level.width} x {tiles.level.height}")
            for data, _ in tiles.all():
                yield data

    return [job.store.write(f"{job.paths.exports}/{job.dataset}.ome.tif", parts())], counts
