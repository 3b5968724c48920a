"""Which annotations stand in which cell of which level of a multi-level spatial index.

Specification: Neuroglancer, precomputed annotation format, "Spatial index": levels from coarse to fine, each a
uniform random sample of what the coarser ones left, so a viewer can stop at the density it wants to draw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry import Vec, morton

Floats = NDArray[np.float64]
Meets = Callable[[NDArray[np.int64], Floats, Floats], NDArray[np.bool_]]

MAX_CELLS_PER_AXIS = 1 << 20
MAX_CELLS_PER_PART = 4
FLOAT32_INTEGERS = 1 << 24


@dataclass(frozen=True)
class Level:
    """One level: cell `codes[i]` (compressed Morton code in `grid_shape`) holds `rows[starts[i]:starts[i + 1]]`.

    chunk_size : nm; codes : (cells,) uint64, ascending; starts : (cells + 1,) int64; rows : int64 annotation rows,
    random within a cell; remaining : annotations that no coarser level holds.
    """

    grid_shape: Vec
    chunk_size: tuple[float, float, float]
    codes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    remaining: int

    @property
    def max_count(self) -> int:
        """Annotations in the fullest cell."""
        return int(np.diff(self.starts).max(initial=0))


def snug_bounds(boxes: Floats) -> tuple[Floats, Floats]:
    """Bounds `(3,)`, `(3,)` around boxes `(n, 2, 3)` whose halves, quarters, ... are exact in float32.

    Whole nanometres (a power of two of them beyond 8 mm), upper bounds exclusive, extents of at most four
    significant bits, so up to an eighth longer than needed. The unit cube where there are no boxes.
    """
    if len(boxes) == 0:
        return np.zeros(3), np.ones(3)
    low, high = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)
    step = 1.0
    while np.abs([low, high]).max() / step >= FLOAT32_INTEGERS / 2:
        step *= 2
    lower = np.floor(low / step) * step
    span = np.floor(high / step) * step + step - lower
    unit = step * np.exp2(np.maximum(np.floor(np.log2(span / step)) - 3, 0))
    return lower, lower + np.ceil(span / unit) * unit


def hash_ids(ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A pseudo-random number per id `(n,)`, different for different ids: the finalizer of SplitMix64.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def segments_meet(ends: Floats) -> Meets:
    """A test of line segments `ends (p, 2, 3)` against cells: the slab method, rounding in favour of meeting."""

    def meets(part: NDArray[np.int64], low: Floats, high: Floats) -> NDArray[np.bool_]:
        start, way = ends[part, 0], ends[part, 1] - ends[part, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            enter, leave = (low - start) / way, (high - start) / way
        still = way == 0
        first = np.where(still, 0, np.minimum(enter, leave)).max(axis=1, initial=0)
        last = np.where(still, 1, np.maximum(enter, leave)).min(axis=1, initial=1)
        return np.asarray(first <= last + 1e-9)

    return meets


def ellipsoids_meet(centers: Floats, radii: Floats) -> Meets:
    """A test of solid axis-aligned ellipsoids `(p, 3)`, `(p, 3)` against cells, rounding in favour of meeting."""

    def meets(part: NDArray[np.int64], low: Floats, high: Floats) -> NDArray[np.bool_]:
        away = np.clip(centers[part], low, high) - centers[part]
        flat = radii[part] == 0
        scaled = np.where(flat, 0, away / np.where(flat, 1, radii[part]))
        return np.asarray((scaled**2).sum(axis=1) <= 1 + 1e-9)

    return meets


def _axes_to_split(chunk: Floats, shape: NDArray[np.int64], reach: float) -> NDArray[np.bool_]:
    """The longest axes of a cell, within a factor of the square root of two, whose halves float32 still places."""
    half = chunk / 2
    can = (half == np.floor(half)) & (reach <= half * FLOAT32_INTEGERS) & (shape * 2 <= MAX_CELLS_PER_AXIS)
    longest = chunk[can].max(initial=0)
    return np.asarray(can & (chunk * np.sqrt(2) > longest))


@dataclass(frozen=True)
class _Pairs:
    """Parts and the cells they meet, one row per meeting: `part (k,)`, `cell (k, 3)`, both int64."""

    part: NDArray[np.int64]
    cell: NDArray[np.int64]

    def of(self, keep: NDArray[np.bool_]) -> _Pairs:
        return _Pairs(self.part[keep], self.cell[keep])

    def split(self, axis: int, boxes: Floats, origin: float, chunk: float) -> _Pairs:
        """The meetings with the halves, `chunk` nm long, of every cell along one axis."""
        middle = origin + (2 * self.cell[:, axis] + 1) * chunk
        halves = []
        for bit, keep in ((0, boxes[self.part, 0, axis] < middle), (1, boxes[self.part, 1, axis] >= middle)):
            half = self.of(keep)
            half.cell[:, axis] = 2 * half.cell[:, axis] + bit
            halves.append(half)
        return _Pairs(*(np.concatenate(arrays) for arrays in zip(*((h.part, h.cell) for h in halves), strict=True)))


def plan_levels(
    boxes: Floats,
    ids: NDArray[np.uint64],
    bounds: tuple[Floats, Floats],
    limit: int,
    *,
    meets: Meets | None = None,
    owner: NDArray[np.int64] | None = None,
) -> list[Level]:
    """Spread annotations over levels, coarse to fine; level 0 is one cell.

    boxes : (p, 2, 3) float64 nm, low and high corner of each part; ids : (n,) uint64, unique; bounds : low and high
    (3,) as snug_bounds makes them; limit : wanted annotations per cell; meets : an exact test for parts that do not
    fill their boxes; owner : (p,) the annotation of each part, where it has several (polylines).

    Each annotation stands on exactly one level, in every cell of it that it meets (cells are half-open: a point on a
    face belongs to the upper cell). A level takes each remaining annotation with probability min(1, limit / count of
    the fullest cell), decided by a hash of its id, so counts may pass `limit` by chance. The last level takes
    all that remain, however many: it is reached when no axis can be halved, or when the halves would
    hold each part more than four times on average. Raises FormatError for boxes outside the bounds.
    """
    lower, upper = bounds
    outside = ~((boxes[:, 0] >= lower) & (boxes[:, 1] < upper) & (boxes[:, 0] <= boxes[:, 1])).all(axis=1)
    if outside.any():
        raise FormatError(
            explain(
                f"annotation part {int(np.flatnonzero(outside)[0])}",
                "it lies outside the bounds of the layer",
                expected=f"{lower.tolist()} to {upper.tolist()}",
                got=boxes[outside][0].tolist(),
                do="Widen the bounds or mend the coordinates.",
            )
        )
    count = len(ids)
    owner = np.arange(len(boxes), dtype=np.int64) if owner is None else owner
    rank = hash_ids(ids)
    draw = rank / 2.0**64
    reach = float(np.abs([lower, upper]).max())
    shape, chunk = np.ones(3, dtype=np.int64), upper - lower
    pairs = _Pairs(np.arange(len(boxes), dtype=np.int64), np.zeros((len(boxes), 3), dtype=np.int64))
    remaining = np.ones(count, dtype=bool)
    drawn = 0.0
    levels: list[Level] = []
    while True:
        here, grid = _by_cell(pairs, owner, shape, rank), (int(shape[0]), int(shape[1]), int(shape[2]))
        left = int(remaining.sum())
        fullest = int(np.diff(here[1]).max(initial=0))
        drawn += (1 - drawn) * (limit / max(fullest, limit))
        chosen = remaining & (draw < drawn)
        if left and not chosen.any():
            # A level without annotations would be a level of missing files.
            chosen[np.flatnonzero(remaining)[np.argmin(rank[remaining])]] = True
        rest, finer = remaining & ~chosen, None
        axes = _axes_to_split(chunk, shape, reach)
        if fullest > limit and rest.any() and axes.any():
            finer = pairs.of(rest[owner[pairs.part]])
            chunk_below, shape_below = np.where(axes, chunk / 2, chunk), np.where(axes, shape * 2, shape)
            for axis in np.flatnonzero(axes).tolist():
                finer = finer.split(axis, boxes, float(lower[axis]), float(chunk_below[axis]))
            if meets is not None:
                finer = _meeting(finer, boxes, lower, chunk_below, meets)
            if len(finer.part) > MAX_CELLS_PER_PART * np.count_nonzero(rest[owner]):
                finer = None
        if finer is None:
            chosen = remaining
        levels.append(Level(grid, (float(chunk[0]), float(chunk[1]), float(chunk[2])), *_only(here, chosen), left))
        if finer is None:
            return levels
        remaining, pairs, chunk, shape = rest, finer, chunk_below, shape_below


def _meeting(pairs: _Pairs, boxes: Floats, origin: Floats, chunk: Floats, meets: Meets) -> _Pairs:
    """The pairs whose part, not only its box, meets the cell; asked only where a box stands in several cells."""
    keep = np.bincount(pairs.part, minlength=len(boxes))[pairs.part] == 1
    doubtful = np.flatnonzero(~keep)
    low = origin + pairs.cell[doubtful] * chunk
    keep[doubtful] = meets(pairs.part[doubtful], low, low + chunk)
    return pairs.of(keep)


Cells = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]


def _by_cell(pairs: _Pairs, owner: NDArray[np.int64], shape: NDArray[np.int64], rank: NDArray[np.uint64]) -> Cells:
    """Codes, starts and rows of the cells that hold something, rows by rank; several parts of one owner count once."""
    code = morton.encode(pairs.cell, (int(shape[0]), int(shape[1]), int(shape[2])))
    row = owner[pairs.part]
    order = np.lexsort((rank[row], code))
    code, row = code[order], row[order]
    if len(code):
        first = np.concatenate([[True], (code[1:] != code[:-1]) | (row[1:] != row[:-1])])
        code, row = code[first], row[first]
    return _group(code, row)


def _group(code: NDArray[np.uint64], row: NDArray[np.int64]) -> Cells:
    codes, starts = np.unique(code, return_index=True)
    return codes, np.concatenate([starts, [len(code)]]).astype(np.int64), row


def _only(cells: Cells, chosen: NDArray[np.bool_]) -> Cells:
    """The cells with the chosen annotations alone; an index of nothing keeps its one empty cell."""
    codes, starts, rows = cells
    if len(rows) == 0:
        return np.zeros(1, dtype=np.uint64), np.zeros(2, dtype=np.int64), rows
    keep = chosen[rows]
    return _group(np.repeat(codes, np.diff(starts))[keep], rows[keep])
