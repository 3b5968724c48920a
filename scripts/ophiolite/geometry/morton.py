"""Compressed Morton codes, as the Neuroglancer sharded volume format defines them.

Bit i of an axis is emitted only where `2**i < grid[axis]`, so a code has no unused bits.
Specification: Neuroglancer, precomputed volume format, "Compressed morton code".
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.errors import FormatError
from ophiolite.geometry.box import Vec


def axis_bits(grid: Vec) -> Vec:
    """Bits each axis contributes to the codes of a grid of cells."""
    x, y, z = (max(n - 1, 0).bit_length() for n in grid)
    return (x, y, z)


# A plan of many volumes asks for the same few grids over and over.
@lru_cache(maxsize=4096)
def order(grid: Vec) -> tuple[tuple[int, int], ...]:
    """(axis, bit) of every code bit, lowest first; raises FormatError where a code needs over 64 bits."""
    bits = axis_bits(grid)
    out = tuple((axis, bit) for bit in range(max(bits)) for axis in range(3) if bit < bits[axis])
    if len(out) > 64:
        raise FormatError(
            f"grid of {grid} cells: its Morton codes need {len(out)} bits, the format has 64. Use larger chunks."
        )
    return out


def encode(points: ArrayLike, grid: Vec) -> NDArray[np.uint64]:
    """Codes `(n,)` of cell indices `points (n, 3)` in a grid of `grid` cells."""
    p = np.asarray(points, dtype=np.uint64).reshape(-1, 3)
    code = np.zeros(len(p), dtype=np.uint64)
    for out_bit, (axis, bit) in enumerate(order(grid)):
        code |= ((p[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(out_bit)
    return code


def decode(codes: ArrayLike, grid: Vec) -> NDArray[np.int64]:
    """Cell indices `(n, 3)` of codes `(n,)`."""
    c = np.asarray(codes, dtype=np.uint64).reshape(-1)
    p = np.zeros((len(c), 3), dtype=np.uint64)
    for out_bit, (axis, bit) in enumerate(order(grid)):
        p[:, axis] |= ((c >> np.uint64(out_bit)) & np.uint64(1)) << np.uint64(bit)
    return p.astype(np.int64)


def box_of_low_bits(grid: Vec, bits: int) -> Vec:
    """Cells along x, y, z that share all but the lowest `bits` code bits (2**k per axis)."""
    spent = [0, 0, 0]
    for axis, _ in order(grid)[:bits]:
        spent[axis] += 1
    return (1 << spent[0], 1 << spent[1], 1 << spent[2])
