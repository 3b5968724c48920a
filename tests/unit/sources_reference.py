"""Shared by the tests of sources: a reference volume, random boxes, and the properties every reader must have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box, Vec
from ophiolite.sources import Source


def volume(shape: tuple[int, ...], dtype: str, seed: int = 7) -> NDArray[Any]:
    """Random numbers over the whole range of the type, (x, y, z, c)."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(size=shape).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, shape, dtype=kind.newbyteorder("="), endpoint=True).astype(kind)


def random_boxes(shape: Vec, offset: Vec, count: int, seed: int = 3) -> list[Box]:
    """Boxes inside a volume: the whole, one voxel, and random ones."""
    rng = np.random.default_rng(seed)
    boxes = [Box.of(offset, shape), Box.of(offset, (1, 1, 1))]
    for _ in range(count):
        corners = [sorted(int(v) for v in rng.integers(0, n + 1, 2)) for n in shape]
        start = tuple(min(a, n - 1) + o for (a, _), n, o in zip(corners, shape, offset, strict=True))
        stop = tuple(max(b, min(a, n - 1) + 1) + o for (a, b), n, o in zip(corners, shape, offset, strict=True))
        boxes.append(Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])))
    return boxes


def assert_reads(source: Source, expected: NDArray[Any], offset: Vec = (0, 0, 0), count: int = 25) -> None:
    """Every box reads what the reference array (x, y, z, c) holds, in Fortran order and native bytes."""
    shape = (expected.shape[0], expected.shape[1], expected.shape[2])
    assert source.shape_vx == shape
    assert source.channels == expected.shape[3]
    assert source.voxel_offset_vx == offset
    assert source.dtype == expected.dtype.newbyteorder("=")
    for box in random_boxes(shape, offset, count):
        block = source.read(box)
        assert block.flags.f_contiguous
        assert block.dtype == source.dtype
        assert block.dtype.isnative
        np.testing.assert_array_equal(block, expected[box.slices(offset)])
