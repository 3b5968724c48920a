"""Regular grids of cells over a box."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ophiolite.geometry.box import Box, Vec, add, ceildiv, floordiv, mul, sub


@dataclass(frozen=True)
class Grid:
    """Cells of `cell_vx` voxels from `box.start` on; the last cell of an axis is clipped by the box."""

    box: Box
    cell_vx: Vec

    @property
    def shape(self) -> Vec:
        """Number of cells along x, y, z."""
        return ceildiv(self.box.shape, self.cell_vx)

    def __len__(self) -> int:
        x, y, z = self.shape
        return x * y * z

    def cell(self, index: Vec) -> Box:
        """The voxels of one cell, clipped by the box."""
        return Box.of(add(self.box.start, mul(index, self.cell_vx)), self.cell_vx).intersect(self.box)

    def __iter__(self) -> Iterator[Vec]:
        """Every cell index, x fastest."""
        nx, ny, nz = self.shape
        return ((x, y, z) for z in range(nz) for y in range(ny) for x in range(nx))

    def touching(self, box: Box) -> Box:
        """The box of cell indices whose cells meet `box` (empty where none does)."""
        inside = box.intersect(self.box)
        if inside.empty:
            return Box((0, 0, 0), (0, 0, 0))
        start = floordiv(sub(inside.start, self.box.start), self.cell_vx)
        stop = ceildiv(sub(inside.stop, self.box.start), self.cell_vx)
        return Box(start, stop)

    def name(self, index: Vec) -> str:
        """The cell's name `x-y-z`, zero-padded so that names sort as indices do."""
        widths = [len(str(max(n - 1, 0))) for n in self.shape]
        return "-".join(f"{i:0{w}d}" for i, w in zip(index, widths, strict=True))

    def index(self, name: str) -> Vec:
        """The cell index of a name made by `name`; raises ValueError for any other text."""
        parts = name.split("-")
        if len(parts) != 3 or not all(p.isdigit() for p in parts):
            raise ValueError(f"block name {name!r}: expected three numbers as x-y-z")
        index = (int(parts[0]), int(parts[1]), int(parts[2]))
        if any(i >= n for i, n in zip(index, self.shape, strict=True)):
            raise ValueError(f"block name {name!r}: outside the grid of {self.shape} cells")
        return index


def indices(box: Box) -> Iterator[Vec]:
    """Every integer point of a box, x fastest."""
    a, b = box.start, box.stop
    return ((x, y, z) for z in range(a[2], b[2]) for y in range(a[1], b[1]) for x in range(a[0], b[0]))
