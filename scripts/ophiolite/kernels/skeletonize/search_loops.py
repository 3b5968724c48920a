"""Compiled loops of TEASAR on compact lists of voxels (Sato et al. 2000, doi:10.1109/PCCGA.2000.883951).

A volume of connected parts is padded by one voxel of background and flattened, x fastest. `where` lists the flat index
of every voxel, part after part, each in order of the index; `rank` holds, at each voxel of the padded volume, its place
in that list plus 1, 0 outside. A part is the range [start, start + size) of the list, and its voxels go by their place
within the range: all that a search knows of a voxel lies in short arrays of the part's size. Whether a neighbour is of
the same part is one look into `rank` and one comparison.

Steps to the 26 neighbours, and 13 for none, are numbered dx + 1 + 3 (dy + 1) + 9 (dz + 1). A voxel reached by a step
need not look at neighbours of the voxel it was reached from: they were reached from there, in a way that is no longer.
`turns[step]` lists the steps that remain, `turn_count[step]` how many: 9, 15 or 19 of 26 (Harabor and Grastien 2011
prune further, with equally short ways; here the shortest float32 sum over all ways is kept, so the field is exact).

The queues are buckets (Dial 1969, doi:10.1145/363269.363610), no wider than the shortest step: what a bucket yields
goes into later ones. Where rounding puts it into the same one, it is taken up again, so results never depend on width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

NO_STEP = 13
STEPS = 27
SETTLED = 32
BUCKETS = 1 << 16
FAR = np.float32(3e38)
UNSEEN = np.uint32(0xFFFFFFFF)
MOST_WEIGHT = BUCKETS - 1
_MOST_PUSHES = STEPS

_DE_BRUIJN = np.zeros(64, np.int64)
for _place in range(64):
    _DE_BRUIJN[(0x03F79D71B4CB0A89 << _place & 0xFFFFFFFFFFFFFFFF) >> 58] = _place

Array = NDArray[Any]


class Lattice(NamedTuple):
    """The voxels and their neighbourhood: see the module."""

    rank: Array
    where: Array
    offsets: Array
    lengths: Array
    turns: Array
    turn_count: Array
    strides: Array
    resolution: Array


class Scratch(NamedTuple):
    """Room for the largest part: distance from the root, radius that remains, cost of the search, weights, steps."""

    far: Array
    left: Array
    cost: Array
    weight: Array
    came: Array
    flooded: Array
    touched: Array
    heads: Array
    filled: Array
    tally: Array


@njit(cache=True, nogil=True)
def grown(rows: Array) -> Array:
    out = np.empty((2 * rows.shape[0], rows.shape[1]), rows.dtype)
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            out[i, j] = rows[i, j]
    return out


@njit(cache=True, nogil=True)
def _push(heads: Array, links: Array, tally: Array, bucket: int, voxel: int) -> None:
    """Put a voxel into a bucket; tally is (first free link or -1, links ever used, links in use)."""
    link = tally[0]
    if link >= 0:
        tally[0] = links[link, 0]
    else:
        link = tally[1]
        tally[1] += 1
    tally[2] += 1
    links[link, 0] = heads[bucket]
    links[link, 1] = voxel
    heads[bucket] = link


@njit(cache=True, nogil=True)
def _pop(heads: Array, links: Array, tally: Array, bucket: int) -> int:
    link = heads[bucket]
    heads[bucket] = links[link, 0]
    links[link, 0] = tally[0]
    tally[0] = link
    tally[2] -= 1
    return links[link, 1]  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def distances(grid: Lattice, start: int, size: int, root: int, room: Scratch, links: Array) -> Array:
    """Shortest way from a voxel to all of its part along steps between 26-neighbours: float32 nm in `far`."""
    far, came, heads, tally = room.far, room.came, room.heads, room.tally
    per_nm = np.float32(1) / grid.lengths[NO_STEP]
    for i in range(size):
        far[i] = FAR
    far[root] = 0
    came[root] = NO_STEP
    tally[0], tally[1], tally[2] = -1, 0, 0
    _push(heads, links, tally, 0, root)
    bucket = 0
    while tally[2] > 0:
        here = bucket & (BUCKETS - 1)
        while heads[here] >= 0:
            voxel = _pop(heads, links, tally, here)
            near = far[voxel]
            if int(near * per_nm) != bucket:
                continue
            if tally[1] + _MOST_PUSHES > links.shape[0]:
                links = grown(links)
            place = grid.where[start + voxel]
            step = came[voxel]
            for k in range(grid.turn_count[step]):
                turn = grid.turns[step, k]
                other = grid.rank[place + grid.offsets[turn]] - 1 - start
                if other < 0 or other >= size:
                    continue
                way = near + grid.lengths[turn]
                before = far[other]
                if way < before:
                    far[other] = way
                    came[other] = turn
                    to = int(way * per_nm)
                    if before == FAR or to == bucket or to != int(before * per_nm):
                        _push(heads, links, tally, to & (BUCKETS - 1), other)
        bucket += 1
    return links


@njit(cache=True, nogil=True)
def flood(grid: Lattice, start: int, size: int, sources: Array, radii: Array, room: Scratch, links: Array) -> Array:
    """Raise `left`, the radius that remains at each voxel of the balls about earlier sources, by those about more.

    Balls are along steps between 26-neighbours within the part. What remains is largest first, so that each voxel is
    settled once however many balls hold it, and nothing is done where an earlier flood left more.
    """
    left, came, heads, tally = room.left, room.flooded, room.heads, room.tally
    most = np.float32(0)
    for i in range(len(sources)):
        most = max(most, radii[i])
    per_nm = min(np.float32(1) / grid.lengths[NO_STEP], np.float32(BUCKETS - 2) / max(most, np.float32(1e-30)))
    tally[0], tally[1], tally[2] = -1, 0, 0
    for i in range(len(sources)):
        voxel = sources[i]
        if radii[i] > left[voxel]:
            if tally[1] + _MOST_PUSHES > links.shape[0]:
                links = grown(links)
            left[voxel] = radii[i]
            came[voxel] = NO_STEP
            _push(heads, links, tally, int((most - radii[i]) * per_nm), voxel)
    bucket = 0
    while tally[2] > 0:
        while heads[bucket] >= 0:
            voxel = _pop(heads, links, tally, bucket)
            here = left[voxel]
            if int((most - here) * per_nm) != bucket:
                continue
            if tally[1] + _MOST_PUSHES > links.shape[0]:
                links = grown(links)
            place = grid.where[start + voxel]
            step = came[voxel] & (SETTLED - 1)
            came[voxel] = step | SETTLED
            for k in range(grid.turn_count[step]):
                turn = grid.turns[step, k]
                remains = here - grid.lengths[turn]
                if remains < 0:
                    continue
                other = grid.rank[place + grid.offsets[turn]] - 1 - start
                if other < 0 or other >= size:
                    continue
                before = left[other]
                if remains > before:
                    waits = came[other] < SETTLED
                    left[other] = remains
                    came[other] = turn
                    to = int((most - remains) * per_nm)
                    if not waits or to != int((most - before) * per_nm):
                        _push(heads, links, tally, to, other)
        bucket += 1
    return links


@njit(cache=True, nogil=True)
def _lowest_bit(word: int) -> int:
    """Place of the lowest bit of a word (Leiserson, Prokop and Randall 1998)."""
    low = word & (~word + np.uint64(1))
    return _DE_BRUIJN[(low * np.uint64(0x03F79D71B4CB0A89)) >> np.uint64(58)]  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _next_bucket(filled: Array, bucket: int) -> int:
    """The first bucket from `bucket` on, around the ring, that a bit of `filled` says holds something."""
    word = bucket >> 6
    bits = filled[word] >> np.uint64(bucket & 63) << np.uint64(bucket & 63)
    while bits == 0:
        word = (word + 1) & (BUCKETS // 64 - 1)
        bits = filled[word]
    return word * 64 + _lowest_bit(bits)


@njit(cache=True, nogil=True)
def search(
    grid: Lattice, start: int, size: int, source: int, whole: bool, room: Scratch, links: Array
) -> tuple[int, Array]:
    """The cheapest way from a voxel to one of weight 0, to which `came` leads back; returns that voxel.

    A step costs the weight of the voxel that it leads to. whole : go on until the entire part is reached, and return
    the source. Weights are whole numbers below the number of buckets, so that a bucket holds one cost alone and every
    voxel is settled once, in the order of its cost.
    """
    cost, weight, came, touched = room.cost, room.weight, room.came, room.touched
    heads, filled, tally = room.heads, room.filled, room.tally
    tally[0], tally[1], tally[2] = -1, 0, 0
    count, found, now, bucket = 1, source, 0, 0
    cost[source] = 0
    came[source] = NO_STEP
    touched[0] = source
    _push(heads, links, tally, 0, source)
    filled[0] |= np.uint64(1)
    while tally[2] > 0:
        to = _next_bucket(filled, bucket)
        now += (to - bucket) & (BUCKETS - 1)
        bucket = to
        voxel = _pop(heads, links, tally, bucket)
        if heads[bucket] < 0:
            filled[bucket >> 6] &= ~(np.uint64(1) << np.uint64(bucket & 63))
        if cost[voxel] != now:
            continue
        if weight[voxel] == 0 and not whole:
            found = voxel
            break
        if tally[1] + _MOST_PUSHES > links.shape[0]:
            links = grown(links)
        place = grid.where[start + voxel]
        step = came[voxel]
        for k in range(grid.turn_count[step]):
            turn = grid.turns[step, k]
            other = grid.rank[place + grid.offsets[turn]] - 1 - start
            if other < 0 or other >= size:
                continue
            price = now + weight[other]
            before = cost[other]
            if price < before:
                if before == UNSEEN:
                    touched[count] = other
                    count += 1
                cost[other] = price
                came[other] = turn
                into = price & (BUCKETS - 1)
                _push(heads, links, tally, into, other)
                filled[into >> 6] |= np.uint64(1) << np.uint64(into & 63)
    _forget(heads, filled, cost, touched, count)
    return found, links


@njit(cache=True, nogil=True)
def _forget(heads: Array, filled: Array, cost: Array, touched: Array, count: int) -> None:
    """Empty the buckets that a search left, and the costs that it wrote."""
    for word in range(filled.shape[0]):
        while filled[word] != 0:
            bit = _lowest_bit(filled[word])
            heads[word * 64 + bit] = -1
            filled[word] &= ~(np.uint64(1) << np.uint64(bit))
    for i in range(count):
        cost[touched[i]] = UNSEEN
