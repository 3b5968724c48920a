"""Compiled searches among the voxels of one connected part: distances, balls and cheapest ways.

A volume is padded by one voxel all round and flattened, x fastest, so that a neighbour is an offset away and no bounds
are checked. What a search knows of a voxel lies in such volumes; voxels outside the part at hand hold a value there
that nothing improves upon, which is all that keeps a search within its part.

Steps to the 26 neighbours, and 13 for none, are numbered dx + 1 + 3 (dy + 1) + 9 (dz + 1). Lengths are whole numbers,
the shortest is UNIT: sums are exact in whatever order. A voxel reached by a step need not look at neighbours of the
voxel it came from: they were reached from there, no longer. That leaves 9, 15 or 19 of 26. Where all neighbours of the
voxel it came from are of the part, most of these are reached no later by another way as well, the one that takes its
longest step first (Harabor and Grastien 2011, doi:10.1609/aaai.v25i1.7994): that leaves 1, 3 or 7. `turns` lists the
steps that remain after each step, and, from FREE on, after a step from a voxel all of whose neighbours are of the part.

The queues are rings of buckets (Dial 1969, doi:10.1145/363269.363610) no wider than the shortest step, so that what
a bucket yields goes into later ones: each voxel is settled once, in an order that does not matter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.compiled import inner, njit

NO_STEP = 13
STEPS = 27
FREE = 32
SETTLED = 64
UNIT_BITS = 10
UNIT = 1 << UNIT_BITS
BUCKETS = 1 << 16
# What a volume holds outside the part at hand, and, where it is another value, at voxels that no search has reached.
FAR_OUTSIDE, FAR_UNSEEN = np.int32(-1), np.int32(0x7FFFFFFF)
LEFT_OUTSIDE, LEFT_UNSEEN = np.int32(0x7FFFFFFF), np.int32(-1)
COST_OUTSIDE, COST_UNSEEN = np.uint32(0), np.uint32(0xFFFFFFFF)

_DE_BRUIJN = np.zeros(64, np.int64)
for _place in range(64):
    _DE_BRUIJN[(0x03F79D71B4CB0A89 << _place & 0xFFFFFFFFFFFFFFFF) >> 58] = _place

Array = NDArray[Any]


class Lattice(NamedTuple):
    """Offset and length of each step, the steps after each and how many; flat strides, nm per voxel and per unit."""

    offsets: Array
    lengths: Array
    turns: Array
    turn_count: Array
    strides: Array
    resolution: Array
    unit_nm: float


class Volumes(NamedTuple):
    """Padded flat volumes, and the queue.

    depth float32 : nm to the surface. free uint8 : FREE where all 26 neighbours are of the same part, else 0.
    far int32 : distance from the root. left int32 : what remains of the radius of the ball that reaches farthest
    beyond. cost uint32, weight uint16 : of a search; a step costs the weight of the voxel that it leads to.
    came, flooded uint8 : the step by which a search, a flood, reached a voxel; plus FREE, and SETTLED.
    touched int32 : room to remember the voxels that a search reached; beyond it, all of the part are gone through.
    heads, filled, tally : the buckets.
    """

    depth: Array
    free: Array
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
    """A copy of an array (n, 2) with twice the rows."""
    out = np.empty((2 * rows.shape[0], 2), rows.dtype)
    for i in range(rows.shape[0]):
        out[i, 0] = rows[i, 0]
        out[i, 1] = rows[i, 1]
    return out


@inner
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


@inner
def _pop(heads: Array, links: Array, tally: Array, bucket: int) -> int:
    link = heads[bucket]
    heads[bucket] = links[link, 0]
    links[link, 0] = tally[0]
    tally[0] = link
    tally[2] -= 1
    return links[link, 1]  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def distances(grid: Lattice, sources: Array, room: Volumes, links: Array) -> Array:
    """Shortest ways from voxels along steps between 26-neighbours, into `far`; returns `links`, which may have grown.

    Voxels farther than int32 holds keep FAR_UNSEEN.
    """
    far, came, free, heads, tally = room.far, room.came, room.free, room.heads, room.tally
    tally[0], tally[1], tally[2] = -1, 0, 0
    for source in sources:
        if tally[1] == links.shape[0]:
            links = grown(links)
        far[source] = 0
        came[source] = NO_STEP
        _push(heads, links, tally, 0, source)
    bucket = 0
    while tally[2] > 0:
        here = bucket & (BUCKETS - 1)
        while heads[here] >= 0:
            voxel = _pop(heads, links, tally, here)
            near = far[voxel]
            if near >> UNIT_BITS != bucket:
                continue
            if tally[1] + STEPS > links.shape[0]:
                links = grown(links)
            step = came[voxel]
            freely = free[voxel]
            for k in range(grid.turn_count[step]):
                turn = grid.turns[step, k]
                other = voxel + grid.offsets[turn]
                way = near + grid.lengths[turn]
                before = far[other]
                if way < before:
                    far[other] = way
                    came[other] = turn | freely
                    to = way >> UNIT_BITS
                    if to != before >> UNIT_BITS:
                        _push(heads, links, tally, to & (BUCKETS - 1), other)
        bucket += 1
    return links


@njit(cache=True, nogil=True)
def flood(grid: Lattice, sources: Array, radii: Array, room: Volumes, links: Array) -> Array:
    """Raise `left`, what remains of balls about earlier sources, by balls about more; returns `links`.

    sources (k,) : voxels; radii (k,) int64. Balls are along steps between 26-neighbours. What remains is settled
    largest first, each voxel once however many balls hold it, and nothing is done where an earlier flood left as much.
    """
    left, came, free, heads, tally = room.left, room.flooded, room.free, room.heads, room.tally
    most = 0
    for i in range(len(radii)):
        most = max(most, radii[i])
    # Wider buckets than the shortest step are as right, only slower: what falls back into one is taken up again.
    bits = UNIT_BITS
    while most >> bits >= BUCKETS:
        bits += 1
    tally[0], tally[1], tally[2] = -1, 0, 0
    for i in range(len(sources)):
        voxel = sources[i]
        if radii[i] > left[voxel]:
            if tally[1] + STEPS > links.shape[0]:
                links = grown(links)
            left[voxel] = radii[i]
            came[voxel] = NO_STEP
            _push(heads, links, tally, (most - radii[i]) >> bits, voxel)
    bucket = 0
    while tally[2] > 0:
        while heads[bucket] >= 0:
            voxel = _pop(heads, links, tally, bucket)
            here = left[voxel]
            if (most - here) >> bits != bucket:
                continue
            if tally[1] + STEPS > links.shape[0]:
                links = grown(links)
            step = came[voxel] & (SETTLED - 1)
            came[voxel] = step | SETTLED
            freely = free[voxel]
            for k in range(grid.turn_count[step]):
                turn = grid.turns[step, k]
                other = voxel + grid.offsets[turn]
                remains = here - grid.lengths[turn]
                before = left[other]
                if remains >= 0 and remains > before:
                    waits = came[other] < SETTLED
                    left[other] = remains
                    came[other] = turn | freely
                    to = (most - remains) >> bits
                    if not waits or to != (most - before) >> bits:
                        _push(heads, links, tally, to, other)
        bucket += 1
    return links


@inner
def _lowest_bit(word: int) -> int:
    """Place of the lowest bit of a word (Leiserson, Prokop and Randall 1998)."""
    low = word & (~word + np.uint64(1))
    return _DE_BRUIJN[(low * np.uint64(0x03F79D71B4CB0A89)) >> np.uint64(58)]  # type: ignore[no-any-return]


@inner
def _next_bucket(filled: Array, bucket: int) -> int:
    """The first bucket from `bucket` on, around the ring, that a bit of `filled` says holds something."""
    word = bucket >> 6
    bits = filled[word] >> np.uint64(bucket & 63) << np.uint64(bucket & 63)
    while bits == 0:
        word = (word + 1) & (BUCKETS // 64 - 1)
        bits = filled[word]
    return word * 64 + _lowest_bit(bits)


@njit(cache=True, nogil=True)
def search(grid: Lattice, voxels: Array, source: int, whole: bool, room: Volumes, links: Array) -> tuple[int, Array]:
    """The cheapest way from a voxel to one of weight 0, to which `came` leads; returns that voxel, and `links`.

    voxels : all of the part. whole : go on until all of them are reached, and return the source. Weights are whole
    numbers below the number of buckets, so that a bucket holds one cost alone and every voxel is settled once, in the
    order of its cost. Here only the neighbours of the voxel it came from are left out: a step's cost does not depend on
    where it began.
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
        if tally[1] + STEPS > links.shape[0]:
            links = grown(links)
        step = came[voxel]
        for k in range(grid.turn_count[step]):
            turn = grid.turns[step, k]
            other = voxel + grid.offsets[turn]
            price = now + weight[other]
            before = cost[other]
            if price < before:
                if before == COST_UNSEEN:
                    if count < len(touched):
                        touched[count] = other
                    count += 1
                cost[other] = price
                came[other] = turn
                into = price & (BUCKETS - 1)
                _push(heads, links, tally, into, other)
                filled[into >> 6] |= np.uint64(1) << np.uint64(into & 63)
    _forget(heads, filled, cost, touched[:count] if count <= len(touched) else voxels)
    return found, links


@njit(cache=True, nogil=True)
def _forget(heads: Array, filled: Array, cost: Array, touched: Array) -> None:
    """Empty the buckets that a search left, and the costs that it wrote."""
    for word in range(filled.shape[0]):
        while filled[word] != 0:
            bit = _lowest_bit(filled[word])
            heads[word * 64 + bit] = -1
            filled[word] &= ~(np.uint64(1) << np.uint64(bit))
    for voxel in touched:
        cost[voxel] = COST_UNSEEN
