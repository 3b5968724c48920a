"""Compiled loops of TEASAR over the parts of a volume; steps, volumes and searches are as in `search_loops`.

A centreline is rows (voxel, parent): one row per voxel of a tree, the parent the next one towards the root, -1 there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ophiolite.kernels.compiled import inner, njit
from ophiolite.kernels.skeletonize.search_loops import (
    BUCKETS,
    COST_OUTSIDE,
    COST_UNSEEN,
    FAR_OUTSIDE,
    FAR_UNSEEN,
    FREE,
    LEFT_OUTSIDE,
    LEFT_UNSEEN,
    SETTLED,
    UNIT,
    Array,
    Lattice,
    Volumes,
    distances,
    flood,
    grown,
    search,
)

# A soma holds its ball; a neurite of its own that comes near from outside is farther along the object than that.
DETOUR = 1.25
# A part that goes on through one section alone is followed at least as many radii of it beyond, as far as it goes.
WIDTHS = 2.0
_DIGIT_BITS = 8
_DIGITS = 1 << _DIGIT_BITS


class Rules(NamedTuple):
    """The options in numbers; most_paths is -1 for no limit."""

    scale: float
    const: float
    pdrf_scale: float
    pdrf_exponent: int
    soma_accept: float
    soma_scale: float
    soma_const: float
    most_paths: int
    branching: bool


@inner
def _apart(grid: Lattice, voxel: int, x: float, y: float, z: float) -> float:
    """Square of the nm between a voxel and a point, counted from the corner of the padded volume."""
    k = voxel // grid.strides[2]
    j = (voxel - k * grid.strides[2]) // grid.strides[1]
    i = voxel - k * grid.strides[2] - j * grid.strides[1]
    out: float = (
        (i * grid.resolution[0] - x) ** 2 + (j * grid.resolution[1] - y) ** 2 + (k * grid.resolution[2] - z) ** 2
    )
    return out


@inner
def _position(grid: Lattice, voxel: int) -> tuple[float, float, float]:
    """Where a voxel lies, nm from the corner of the padded volume."""
    k = voxel // grid.strides[2]
    j = (voxel - k * grid.strides[2]) // grid.strides[1]
    i = voxel - k * grid.strides[2] - j * grid.strides[1]
    return i * grid.resolution[0], j * grid.resolution[1], k * grid.resolution[2]


@njit(cache=True, nogil=True)
def _middle(grid: Lattice, voxels: Array, depth: Array, most: float) -> int:
    """The deepest voxel of a part; of equals the nearest to its centre of mass, then the first."""
    cx, cy, cz = 0.0, 0.0, 0.0
    for voxel in voxels:
        x, y, z = _position(grid, voxel)
        cx, cy, cz = cx + x / len(voxels), cy + y / len(voxels), cz + z / len(voxels)
    best, least = voxels[0], np.inf
    for voxel in voxels:
        if depth[voxel] == most:
            away = _apart(grid, voxel, cx, cy, cz)
            if away < least:
                best, least = voxel, away
    return int(best)


@njit(cache=True, nogil=True)
def _farthest(voxels: Array, far: Array) -> int:
    best = voxels[0]
    for voxel in voxels:
        if far[voxel] > far[best]:
            best = voxel
    return int(best)


@njit(cache=True, nogil=True)
def _first_end(voxels: Array, root: int, room: Volumes) -> int:
    """The voxel farthest from the root that is not shunned; where all are, the farthest."""
    best = root
    for voxel in voxels:
        if room.left[voxel] < 0 and (best == root or room.far[voxel] > room.far[best]):
            best = int(voxel)
    return best if best != root else _farthest(voxels, room.far)


@njit(cache=True, nogil=True)
def _by_distance(order: Array, far: Array) -> Array:
    """Voxels by their distance, greatest first, equals in the order they had; what is given is no longer of use."""
    count, most = len(order), 0
    spare = np.empty(count, np.int32)
    for i in range(count):
        most = max(most, far[order[i]])
    tops = np.empty(_DIGITS, np.int64)
    shift = 0
    while most >> shift > 0:
        for digit in range(_DIGITS):
            tops[digit] = 0
        for i in range(count):
            tops[_DIGITS - 1 - (far[order[i]] >> shift & (_DIGITS - 1))] += 1
        place = 0
        for digit in range(_DIGITS):
            place, tops[digit] = place + tops[digit], place
        for i in range(count):
            digit = _DIGITS - 1 - (far[order[i]] >> shift & (_DIGITS - 1))
            spare[tops[digit]] = order[i]
            tops[digit] += 1
        order, spare = spare, order
        shift += _DIGIT_BITS
    return order


@njit(cache=True, nogil=True)
def _remaining(voxels: Array, far: Array, left: Array) -> Array:
    """The voxels that no ball has cleared, the farthest first."""
    count = 0
    for voxel in voxels:
        count += left[voxel] < 0
    order = np.empty(count, np.int32)
    count = 0
    for voxel in voxels:
        if left[voxel] < 0:
            order[count] = voxel
            count += 1
    return _by_distance(order, far)


@njit(cache=True, nogil=True)
def _enter(voxels: Array, room: Volumes) -> None:
    for voxel in voxels:
        room.far[voxel] = FAR_UNSEEN
        room.left[voxel] = LEFT_UNSEEN
        room.cost[voxel] = COST_UNSEEN
        room.flooded[voxel] = SETTLED


@njit(cache=True, nogil=True)
def _leave(voxels: Array, room: Volumes) -> None:
    for voxel in voxels:
        room.far[voxel] = FAR_OUTSIDE
        room.left[voxel] = LEFT_OUTSIDE
        room.cost[voxel] = COST_OUTSIDE


@njit(cache=True, nogil=True)
def _root(
    grid: Lattice, voxels: Array, most: float, targets: Array, rules: Rules, room: Volumes, links: Array
) -> tuple[int, Array]:
    """The middle of a soma, the deepest target, or the voxel farthest from the first; with the distances from it."""
    root = int(voxels[0])
    if most > rules.soma_accept:
        root = _middle(grid, voxels, room.depth, most)
    elif len(targets):
        root = int(targets[0])
        for target in targets:
            if room.depth[target] > room.depth[root]:
                root = int(target)
    links = distances(grid, np.full(1, root, np.int32), room, links)
    if most <= rules.soma_accept and not len(targets):
        root = _farthest(voxels, room.far)
        links = _afresh(grid, voxels, np.full(1, root, np.int32), room, links)
    return root, links


@njit(cache=True, nogil=True)
def _afresh(grid: Lattice, voxels: Array, sources: Array, room: Volumes, links: Array) -> Array:
    """The distances from other voxels in place of those before."""
    for voxel in voxels:
        room.far[voxel] = FAR_UNSEEN
    return distances(grid, sources, room, links)


@njit(cache=True, nogil=True)
def _weigh(grid: Lattice, voxels: Array, shunned: Array, most: float, rules: Rules, room: Volumes) -> None:
    """The penalty of each voxel as a whole number: little in the middle and near the root, most where it is shunned.

    After Bitter et al. 2001, doi:10.1109/VISUAL.2001.964509. The cheapest way of all is no dearer than the shortest
    one at the greatest weight, which fits 32 bits. What is shunned asks for no way of its own.
    """
    farthest = max(1, room.far[_farthest(voxels, room.far)])
    scale = (min(BUCKETS - 1, (2**32 - 2) // (farthest // UNIT + 2)) - 1) / (rules.pdrf_scale + 1)
    for voxel in voxels:
        shallow = max(0.0, 1.0 - room.depth[voxel] / most)
        penalty = rules.pdrf_scale
        for _ in range(rules.pdrf_exponent):
            penalty *= shallow
        room.weight[voxel] = 1 + int((penalty + room.far[voxel] / farthest) * scale)
    for voxel in shunned:
        room.weight[voxel] = 1 + int((rules.pdrf_scale + 1) * scale)
        room.left[voxel] = 0


@inner
def _in_ball(grid: Lattice, voxel: int, root: int, radius: float, room: Volumes) -> bool:
    """Whether a voxel is of the ball about a root, and not of a neurite that comes near from outside."""
    x, y, z = _position(grid, root)
    near: bool = room.far[voxel] * grid.unit_nm <= DETOUR * radius and _apart(grid, voxel, x, y, z) <= radius * radius
    return near


@njit(cache=True, nogil=True)
def _follow(
    grid: Lattice,
    voxels: Array,
    order: Array,
    ends: bool,
    paths: int,
    rules: Rules,
    room: Volumes,
    links: Array,
    rows: Array,
    count: int,
) -> tuple[int, int, Array, Array]:
    """Lay the way to each voxel of `order` in turn that is neither laid nor, unless they are ends, cleared.

    The balls about each way, and about the voxel that it joins, are cleared. Returns paths and rows used so far.
    """
    weight, came, offsets = room.weight, room.came, grid.offsets
    for target in order:
        if paths == rules.most_paths:
            break
        if weight[target] == 0 or (room.left[target] >= 0 and not ends):
            continue
        first, voxel = count, int(target)
        if rules.branching:
            voxel, links = search(grid, voxels, int(target), False, room, links)
        joined = voxel
        while count == first or (voxel != target if rules.branching else weight[voxel] != 0):
            other = voxel - offsets[came[voxel] & (FREE - 1)]
            if count == len(rows):
                rows = grown(rows)
            rows[count, 0] = other if rules.branching else voxel
            rows[count, 1] = voxel if rules.branching else other
            count += 1
            voxel = other
        sources = np.empty(count - first + 1, np.int64)
        sources[0] = joined if rules.branching else voxel
        for i in range(first, count):
            sources[i - first + 1] = rows[i, 0]
            weight[rows[i, 0]] = 0
        radii = np.empty(len(sources), np.int64)
        for i in range(len(sources)):
            radii[i] = int((rules.scale * room.depth[sources[i]] + rules.const) / grid.unit_nm)
        links = flood(grid, sources, radii, room, links)
        paths += 1
    return paths, count, links, rows


@njit(cache=True, nogil=True)
def _clear_soma(grid: Lattice, voxels: Array, root: int, radius: float, room: Volumes, links: Array) -> Array:
    """Make a ball about the root belong to it: ways end there, and nothing in it is a target."""
    links = flood(grid, np.full(1, root, np.int64), np.full(1, int(radius / grid.unit_nm), np.int64), room, links)
    for voxel in voxels:
        if _in_ball(grid, voxel, root, radius, room):
            room.weight[voxel] = 0
            room.left[voxel] = max(room.left[voxel], 0)
    return links


@njit(cache=True, nogil=True)
def _beyond_entry(
    grid: Lattice, voxels: Array, laid: Array, entry: Array, shunned: Array, room: Volumes, links: Array
) -> tuple[Array, Array]:
    """The voxel farthest from an entry, if nothing laid goes WIDTHS beyond it and the part does; else none."""
    deepest = 0.0
    for voxel in entry:
        deepest = max(deepest, room.depth[voxel])
    least = WIDTHS * deepest / grid.unit_nm
    links = _afresh(grid, voxels, entry, room, links)
    for voxel in shunned:
        room.far[voxel] = 0
    end = _farthest(voxels, room.far)
    wanted = room.far[end] >= least
    # The merge sees the entry of a task below one layer lower, where it keeps out of the plane.
    enough = min(room.far[end], least + UNIT)
    for voxel in laid:
        wanted = wanted and room.far[voxel] < enough
    return np.full(int(wanted), end, np.int32), links


@njit(cache=True, nogil=True)
def _trace_part(
    grid: Lattice,
    voxels: Array,
    targets: Array,
    shunned: Array,
    entry: Array,
    rules: Rules,
    room: Volumes,
    links: Array,
    rows: Array,
    first: int,
) -> tuple[int, Array, Array]:
    """Append the tree of one part, its root first, as rows (voxel, row of the parent)."""
    most = 0.0
    for voxel in voxels:
        most = max(most, room.depth[voxel])
    root, links = _root(grid, voxels, most, targets, rules, room, links)
    _weigh(grid, voxels, shunned, most, rules, room)
    soma = most > rules.soma_accept
    radius = rules.soma_scale * most + rules.soma_const if soma else -1.0
    if soma:
        links = _clear_soma(grid, voxels, root, radius, room, links)
    room.weight[root] = 0
    if not rules.branching:
        _, links = search(grid, voxels, root, True, room, links)
    while len(rows) < first + 1 + len(targets):
        rows = grown(rows)
    rows[first, 0], rows[first, 1] = root, -1
    count = first + 1
    ends = _by_distance(targets.copy(), room.far)
    for target in ends:
        if room.weight[target] == 0 and target != root:
            rows[count, 0], rows[count, 1] = target, root
            count += 1
    if not soma and (len(ends) == 0 or (len(ends) == 1 and ends[0] == root)):
        ends = np.full(1, _first_end(voxels, root, room), np.int32)
    paths, count, links, rows = _follow(grid, voxels, ends, True, 0, rules, room, links, rows, count)
    ends = _remaining(voxels, room.far, room.left)
    paths, count, links, rows = _follow(grid, voxels, ends, False, paths, rules, room, links, rows, count)
    if not soma and len(entry):
        ends, links = _beyond_entry(grid, voxels, rows[first:count, 0], entry, shunned, room, links)
        if not rules.branching and len(ends):
            _, links = search(grid, voxels, root, True, room, links)  # the ways from the entries lie where these lay
        paths, count, links, rows = _follow(grid, voxels, ends, True, paths, rules, room, links, rows, count)
    for i in range(first, count):
        room.cost[rows[i, 0]] = i
    for i in range(first + 1, count):
        within = soma and _in_ball(grid, rows[i, 1], root, radius, room)
        rows[i, 1] = first if within else room.cost[rows[i, 1]]
    return count, links, rows


@njit(cache=True, nogil=True)
def trace(
    grid: Lattice,
    where: Array,
    starts: Array,
    targets: Array,
    target_starts: Array,
    shunned: Array,
    shunned_starts: Array,
    entries: Array,
    entry_starts: Array,
    rules: Rules,
    room: Volumes,
) -> tuple[Array, Array]:
    """The trees of all parts: rows (voxel, row of the parent), and how many there are up to the end of each part.

    where int32 : voxels by part, starts (n + 1,) where each begins. targets int32 : voxels that must be reached, of
    each part from `target_starts` (n + 1,) on; shunned likewise: others that ways keep out of where they can. entries
    likewise: the section through which a part goes on beyond the volume, if there is no other, a target among it. A
    part of one voxel has a tree of one row.
    """
    links = np.empty((1 << 12, 2), np.int32)
    rows = np.empty((1 << 10, 2), np.int32)
    ends = np.empty(len(starts) - 1, np.int64)
    count = 0
    for part in range(len(ends)):
        voxels = where[starts[part] : starts[part + 1]]
        own = targets[target_starts[part] : target_starts[part + 1]]
        left_alone = shunned[shunned_starts[part] : shunned_starts[part + 1]]
        entry = entries[entry_starts[part] : entry_starts[part + 1]]
        _enter(voxels, room)
        count, links, rows = _trace_part(grid, voxels, own, left_alone, entry, rules, room, links, rows, count)
        _leave(voxels, room)
        ends[part] = count
    return rows[:count], ends
