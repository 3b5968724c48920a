"""Somata and other wide places of one whole object: where they are, how far they reach, straight ways to their roots.

A root is the point deepest inside a wide place, as in TEASAR's treatment of somata (Silversmith et al. 2022,
doi:10.3389/fncir.2022.977700, section 2.7). Ways follow the middle: speed is the distance to the surface (Hassouna and
Farag 2009, doi:10.1109/TPAMI.2008.271), and are pulled straight where no surface is nearer than at their ends.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Vec

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
STEPS: tuple[Vec, ...] = tuple(s for s in itertools.product((-1, 0, 1), (-1, 0, 1), (-1, 0, 1)) if s != (0, 0, 0))
_BAND_STEPS = 3.0
_AT_A_TIME = 1 << 20


@dataclass(frozen=True)
class SomaOptions:
    """What a soma is, and how much of it is replaced.

    accept_nm : distance to the surface above which a place is wide. scale, const_nm : its region reaches
    scale * distance + const_nm from its centres. voids : ways may lead through voids of the object (they are filled).
    """

    accept_nm: float
    scale: float
    const_nm: float
    voids: bool


class Flat:
    """A padded box of voxels as flat indices in Fortran order, so that every voxel has all its 26 neighbours."""

    def __init__(self, shape: Vec, voxel_nm: NDArray[np.float64]) -> None:
        self.shape: Vec = (shape[0] + 2, shape[1] + 2, shape[2] + 2)
        self.voxel_nm = voxel_nm
        strides = np.array([1, self.shape[0], self.shape[0] * self.shape[1]])
        moves = np.array(STEPS)
        self.steps: Ints = moves @ strides
        self.lengths: NDArray[np.float64] = np.linalg.norm(moves * voxel_nm, axis=1)
        self._strides = strides

    def pad(self, array: NDArray[Any]) -> NDArray[Any]:
        """(x, y, z) of the box, padded with zeros, flat."""
        out = np.zeros(self.shape, array.dtype, order="F")
        out[1:-1, 1:-1, 1:-1] = array
        return out.ravel(order="F")

    def index(self, voxels: Ints) -> Ints:
        """Flat indices of voxels (n, 3) of the box."""
        found: Ints = (voxels + 1) @ self._strides
        return found

    def voxels(self, index: Ints) -> Ints:
        """(n, 3) voxels of the box at flat indices."""
        return np.stack(np.unravel_index(index, self.shape, order="F"), axis=-1).astype(np.int64) - 1

    def apart_nm(self, index: Ints, to: int) -> NDArray[np.float64]:
        """(n,) distances of voxels from one; a part at a time, since wide places have many."""
        end = self.voxels(np.array([to]))
        parts = [index[i : i + _AT_A_TIME] for i in range(0, len(index), _AT_A_TIME)]
        found = [np.linalg.norm((self.voxels(part) - end) * self.voxel_nm, axis=1) for part in parts]
        return np.concatenate([np.zeros(0), *found])


@dataclass(frozen=True)
class SomaRegion:
    """The wide places of one object in a box, all arrays flat (see `Flat`).

    filled : the object with its voids. inside : the regions. band : numbers 1, 2, ... of the connected parts of what
    borders on them, 0 elsewhere. field : nm to the surface. roots : one per place. cost, back, owner : the ways from
    each voxel of the regions and the band that ways may use to a root (see `soma_loops.spread`).
    """

    flat: Flat
    filled: Bools
    inside: Bools
    band: NDArray[np.integer[Any]]
    field: NDArray[np.float32]
    roots: Ints
    cost: NDArray[np.float32]
    back: NDArray[np.int8]
    owner: NDArray[np.uint16]


def wide_places(field: NDArray[np.float32], accept_nm: float) -> tuple[NDArray[np.unsignedinteger[Any]], int]:
    """Numbers 1, 2, ... (x, y, z) of the 26-connected parts of a distance field above `accept_nm`, and their count."""
    from ophiolite.kernels.skeleton_measure import connected

    return connected(field > accept_nm, 26)


def reach_nm(radius_nm: float, options: SomaOptions) -> float:
    """How far the region of a centre reaches."""
    return options.scale * radius_nm + options.const_nm


def band_nm(voxel_nm: NDArray[np.float64], options: SomaOptions) -> float:
    """How far beyond a region neurites are told apart."""
    return max(options.const_nm, _BAND_STEPS * float(np.linalg.norm(voxel_nm)))


def soma_region(
    mask: Bools,
    filled: Bools,
    field: NDArray[np.float32],
    places: NDArray[np.unsignedinteger[Any]],
    voxel_nm: NDArray[np.float64],
    options: SomaOptions,
) -> SomaRegion:
    """The regions of the wide places numbered in `places`, and the ways from every voxel of them to a root.

    mask, filled : (x, y, z) the object, and with its voids. field : nm from each voxel of `filled` to the outside.
    """
    from ophiolite.kernels.skeleton_measure import connected
    from ophiolite.kernels.soma_loops import spread

    flat = Flat(mask.shape, voxel_nm)
    solid, deep, numbers = flat.pad(filled), flat.pad(field), flat.pad(places)
    usable = solid if options.voids else flat.pad(mask)
    places_vx = [np.flatnonzero((numbers == n) & solid) for n in np.unique(numbers[numbers > 0]).tolist()]
    centres = [_centres(flat, within, deep, options) for within in places_vx if len(within)]
    seeds = [c for found in centres for c in found]
    starts = np.array([-reach_nm(float(deep[c]), options) for c in seeds], np.float32)
    far = _spread(spread, flat, solid, deep, False, seeds, starts, band_nm(voxel_nm, options))[0]
    inside = (far <= 0) | ((numbers > 0) & solid)
    among = np.flatnonzero(inside & usable)
    deepest = [found[0] for found in centres] if len(among) else []
    roots = sorted({c if usable[c] else _nearest(flat, among, c) for c in deepest})
    around = np.isfinite(far) & ~inside
    band, _ = connected(around.reshape(flat.shape, order="F"), 26)
    cost, back, owner = _spread(
        spread, flat, (inside | around) & usable, deep, True, roots, np.zeros(len(roots), np.float32), np.inf
    )
    return SomaRegion(flat, solid, inside, band.ravel(order="F"), deep, np.array(roots, np.int64), cost, back, owner)


def _spread(
    loop: Any, flat: Flat, mask: Bools, field: Any, by_speed: bool, seeds: list[int], starts: Any, limit: float
) -> tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.uint16]]:
    cost = np.full(len(mask), np.inf, np.float32)
    back = np.full(len(mask), -1, np.int8)
    owner = np.zeros(len(mask), np.uint16)
    at = np.array(seeds, np.int64)
    loop(mask, field, by_speed, at, starts, float(limit), flat.steps, flat.lengths, cost, back, owner)
    return cost, back, owner


def _centres(flat: Flat, within: Ints, field: NDArray[np.float32], options: SomaOptions) -> list[int]:
    """Centres whose balls hold a wide place, deepest first: one for a round soma, several along a vessel."""
    left = within[field[within] > options.accept_nm]
    if len(left) == 0:
        left = within
    found: list[int] = []
    while len(left):
        deepest = int(np.argmax(field[left]))
        radius = float(field[left[deepest]])
        found.append(int(left[deepest]))
        left = left[flat.apart_nm(left, found[-1]) > max(reach_nm(radius, options), radius)]
    return found


def _nearest(flat: Flat, among: Ints, to: int) -> int:
    """The voxel of `among` nearest to another, the first of equals."""
    return int(among[np.argmin(flat.apart_nm(among, to))])


def reached(region: SomaRegion, outer: int, inner: int) -> int:
    """Where the way of a neurite begins that enters by the straight edge between two voxels: as far out as one can.

    The first voxel of the edge that a way leads from, else the nearest to its inner end.
    """
    start, stop = region.flat.voxels(np.array([outer, inner]))
    count = max(int(np.abs(stop - start).max()), 1)
    line = region.flat.index(start + (2 * np.arange(count + 1)[:, None] * (stop - start) + count) // (2 * count))
    known = line[region.owner[line] > 0]
    if len(known):
        return int(known[0])
    return _nearest(region.flat, np.flatnonzero(region.owner), inner)


def way(region: SomaRegion, at: int) -> list[int]:
    """Voxels from `at` (reached) to its root, each a neighbour of the one before, pulled straight."""
    followed = [at]
    while region.back[followed[-1]] >= 0:
        followed.append(int(followed[-1] + region.flat.steps[region.back[followed[-1]]]))
    out, here = [at], 0
    while here < len(followed) - 1:
        there = len(followed) - 1
        line = _line(region, followed[here], followed[there])
        while line is None and there > here + 1:
            there = here + (there - here) // 2
            line = _line(region, followed[here], followed[there])
        out += line if line is not None else [followed[there]]
        here = there
    return out


def _line(region: SomaRegion, a: int, b: int) -> list[int] | None:
    """The voxels after `a` on a straight line to `b`.

    None where one belongs to another root or to none, or is nearer to the surface than both ends: of the points of a
    chord of a convex body, an end is nearest to the surface.
    """
    start, stop = region.flat.voxels(np.array([a, b]))
    count = int(np.abs(stop - start).max())
    along = np.arange(1, count + 1)[:, None]
    voxels = start + (2 * along * (stop - start) + count) // (2 * count)
    index = region.flat.index(voxels)
    least = min(region.field[a], region.field[b]) - float(region.flat.voxel_nm.max()) / 2
    if (region.owner[index] != region.owner[a]).any() or (region.field[index] < least).any():
        return None
    found: list[int] = index.tolist()
    return found


def bridges(region: SomaRegion) -> list[tuple[int, int]]:
    """Neighbouring voxels of different roots, the cheapest for each two roots, as few as join all roots that touch."""
    if len(region.roots) < 2:
        return []
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    own = np.flatnonzero((region.owner > 0) & region.inside)
    for step, length in zip(region.flat.steps[13:].tolist(), region.flat.lengths[13:].tolist(), strict=True):
        a = own[region.inside[own + step] & (region.owner[own + step] > 0)]
        a = a[region.owner[a + step] != region.owner[a]]
        b = a + step
        price = region.cost[a].astype(np.float64) + region.cost[b] + 2 * length / (region.field[a] + region.field[b])
        for pair in {tuple(sorted(p)) for p in zip(region.owner[a].tolist(), region.owner[b].tolist(), strict=True)}:
            these = np.flatnonzero((region.owner[a] == pair[0]) | (region.owner[b] == pair[0]))
            these = these[(region.owner[a[these]] == pair[1]) | (region.owner[b[these]] == pair[1])]
            k = int(these[np.argmin(price[these])])
            found = (float(price[k]), int(a[k]), int(b[k]))
            best[pair] = min(best.get(pair, found), found)
    joined = {number: number for number in range(len(region.roots) + 1)}
    kept = []
    for pair, (_, a_vx, b_vx) in sorted(best.items(), key=lambda item: (item[1], item[0])):
        first, second = (_top(joined, number) for number in pair)
        if first != second:
            joined[second] = first
            kept.append((a_vx, b_vx))
    return kept


def _top(joined: dict[int, int], number: int) -> int:
    while joined[number] != number:
        number = joined[number]
    return number
