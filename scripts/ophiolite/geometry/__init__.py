"""The ground floor: boxes, grids, Morton codes, pyramid coordinates; axis order is x, y, z everywhere."""

from ophiolite.geometry.box import Box, Vec
from ophiolite.geometry.grid import Grid

__all__ = ["Box", "Grid", "Vec"]
