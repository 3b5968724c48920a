"""JPEG tiles of a slide that become chunks of its layer as they are, byte for byte."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry import Box
from ophiolite.plan.model import ScalePlan
from ophiolite.sources.slide import SlideSource
from ophiolite.sources.source import Source

# One copied tile of so many, drawn by its place, is decoded by the slide's own reader too.
COMPARED_OF = 64
_COUNTS = struct.Struct("<4Q")


@dataclass
class TileCopies:
    """What one task makes of the tiles of level 0.

    copied, reencoded : chunks of mip 0. compared : copied ones that the slide's reader decodes to the same pixels.
    filled : unreadable tiles that became background.
    """

    slide: SlideSource
    side: int
    copied: int = 0
    reencoded: int = 0
    compared: int = 0
    filled: int = 0

    def chunk(self, box: Box, pixels: NDArray[Any]) -> bytes | None:
        """The tile that is the chunk `box` of mip 0 (absolute voxels); None where there is none, to be encoded.

        pixels : the voxels (x, y, z, c) of the chunk, read just before. SourceError where the reader decodes others.
        """
        tiles = self.slide.tiles
        whole = box.shape == (self.side, self.side, 1)
        column, row = (at // self.side for at in box.start[:2])
        data = tiles.encoded(column, row) if tiles is not None and whole else None
        if data is None:
            self.reencoded += 1
            return None
        if self.copied == 0 or (column * 2654435761 + row * 40503) % COMPARED_OF == 0:
            self._compare(box, pixels)
        self.copied += 1
        return data

    def count_filled(self, box: Box) -> None:
        """Count the unreadable tiles whose first pixel that is kept lies in a task's own voxels of mip 0."""
        left, top, _ = self.slide.box.start
        at = [(max(x, left), max(y, top), 0) for level, x, y in self.slide.filled if level == 0]
        self.filled = sum(all(a <= p < b for a, p, b in zip(box.start, point, box.stop, strict=True)) for point in at)

    def to_bytes(self) -> bytes:
        """The counts, to be kept with the task."""
        return _COUNTS.pack(self.copied, self.reencoded, self.compared, self.filled)

    def _compare(self, box: Box, pixels: NDArray[Any]) -> None:
        if not np.array_equal(self.slide.read_slowly(box), pixels):
            raise SourceError(
                explain(
                    self.slide.path,
                    f"the JPEG tile at x {box.start[0]}, y {box.start[1]} decodes to other pixels than by"
                    f" {self.slide.reader}",
                    do="Set slides.pyramid.copy_tiles: false; and please report the scanner and its version",
                )
            )
        self.compared += 1


def tile_copies(source: Source, scale: ScalePlan) -> TileCopies | None:
    """What becomes of the tiles of a slide in a task; None for sources that are no slides."""
    return TileCopies(source, scale.chunk_vx[0]) if isinstance(source, SlideSource) else None


def copy_facts(tasks: Iterable[bytes]) -> dict[str, int]:
    """The counts of all tasks of a block, for its receipt; empty where none has any."""
    counts = [_COUNTS.unpack(data) for data in tasks]
    names = ("n_copied", "n_reencoded", "n_compared", "n_filled_tiles")
    return {name: sum(column) for name, column in zip(names, zip(*counts, strict=True), strict=True)} if counts else {}
