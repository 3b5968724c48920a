"""Compiled loops of TEASAR over the parts of a volume; lists, steps and searches are as in `search_loops`.

A centreline is rows (voxel, parent): a tree is one row per voxel, the parent the next one towards the root, -1 there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ophiolite.kernels.skeletonize.search_loops import (
    BUCKETS,
    SETTLED,
    Array,
    Lattice,
    Scratch,
    distances,
    flood,
    grown,
    search,
)

# A soma holds its ball; a neurite of its own that comes near from outside is farther along the object than that.
DETOUR = 1.25
_DIGITS = 256


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


@njit(cache=True, nogil=True)
def measure_parts(parts: Array, depth: Array, sizes: Array, deepest: Array, first: Array) -> None:
    """Voxels, greatest depth and flat index (x fastest) of the first voxel of each number of a volume (x, y, z)."""
    for z in range(parts.shape[2]):
        for y in range(parts.shape[1]):
            for x in range(parts.shape[0]):
                part = parts[x, y, z]
                if sizes[part] == 0:
                    first[part] = x + parts.shape[0] * (y + parts.shape[1] * z)
                sizes[part] += 1
                deepest[part] = max(deepest[part], depth[x, y, z])


@njit(cache=True, nogil=True)
def pack(parts: Array, depth: Array, ends: Array, rank: Array, where: Array, depths: Array) -> None:
    """Write rank, where and depth of the parts whose start is in `ends` (-1: left out), which becomes their end."""
    nx, ny, nz = parts.shape
    for z in range(nz):
        for y in range(ny):
            flat = 1 + (nx + 2) * (y + 1 + (ny + 2) * (z + 1))
            for x in range(nx):
                part = parts[x, y, z]
                place = ends[part]
                if place >= 0:
                    ends[part] = place + 1
                    rank[flat + x] = place + 1
                    where[place] = flat + x
                    depths[place] = depth[x, y, z]


@njit(cache=True, nogil=True)
def _position(grid: Lattice, start: int, voxel: int) -> tuple[float, float, float]:
    """Where a voxel lies, nm from the corner of the padded volume."""
    flat = grid.where[start + voxel]
    z = flat // grid.strides[2]
    y = (flat - z * grid.strides[2]) // grid.strides[1]
    x = flat - z * grid.strides[2] - y * grid.strides[1]
    return x * grid.resolution[0], y * grid.resolution[1], z * grid.resolution[2]


@njit(cache=True, nogil=True)
def _apart(grid: Lattice, start: int, voxel: int, at: tuple[float, float, float]) -> float:
    """Square of the distance of a voxel from a point."""
    x, y, z = _position(grid, start, voxel)
    return (x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _middle(grid: Lattice, start: int, size: int, depth: Array, most: float) -> int:
    """The deepest voxel of a part; of equals the nearest to its centre of mass, then the first."""
    sx, sy, sz = 0.0, 0.0, 0.0
    for i in range(size):
        x, y, z = _position(grid, start, i)
        sx, sy, sz = sx + x, sy + y, sz + z
    centre = (sx / size, sy / size, sz / size)
    best, least = 0, np.inf
    for i in range(size):
        if depth[start + i] == most:
            away = _apart(grid, start, i, centre)
            if away < least:
                best, least = i, away
    return best


@njit(cache=True, nogil=True)
def _farthest(far: Array, size: int) -> int:
    best = 0
    for i in range(1, size):
        if far[i] > far[best]:
            best = i
    return best


@njit(cache=True, nogil=True)
def _weigh(grid: Lattice, start: int, size: int, depth: Array, most: float, rules: Rules, room: Scratch) -> None:
    """The penalty of each voxel as a whole number: little in the middle and near the root (Bitter et al. 2001,
    doi:10.1109/VISUAL.2001.964509). The dearest way, of as many steps as fit into the greatest distance, fits 32 bits.
    """
    farthest = max(float(room.far[_farthest(room.far, size)]), 1e-30)
    steps = int(farthest / grid.lengths[13]) + 2
    scale = (min(BUCKETS - 1, (2**32 - 2) // steps) - 1) / (rules.pdrf_scale + 1)
    for i in range(size):
        shallow = max(0.0, 1.0 - float(depth[start + i]) / most)
        penalty = rules.pdrf_scale
        for _ in range(rules.pdrf_exponent):
            penalty *= shallow
        room.weight[i] = 1 + int((penalty + float(room.far[i]) / farthest) * scale)


@njit(cache=True, nogil=True)
def _by_distance(order: Array, spare: Array, far: Array) -> Array:
    """Sort voxels by their distance, greatest first, keeping the order of equals; returns one of the two arrays."""
    bits = far.view(np.uint32)
    count = len(order)
    tops = np.empty(_DIGITS, np.int64)
    for shift in range(0, 32, 8):
        for digit in range(_DIGITS):
            tops[digit] = 0
        for i in range(count):
            tops[255 - ((bits[order[i]] >> np.uint32(shift)) & np.uint32(255))] += 1
        place = 0
        for digit in range(_DIGITS):
            place, tops[digit] = place + tops[digit], place
        for i in range(count):
            digit = 255 - ((bits[order[i]] >> np.uint32(shift)) & np.uint32(255))
            spare[tops[digit]] = order[i]
            tops[digit] += 1
        order, spare = spare, order
    return order


@njit(cache=True, nogil=True)
def _in_ball(
    grid: Lattice, start: int, voxel: int, centre: tuple[float, float, float], radius: float, room: Scratch
) -> bool:
    """Whether a voxel is of the ball about a root, and not of a neurite that comes near from outside."""
    return room.far[voxel] <= DETOUR * radius and _apart(grid, start, voxel, centre) <= radius * radius  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _clear_soma(grid: Lattice, start: int, size: int, root: int, radius: float, room: Scratch, links: Array) -> Array:
    """Make a ball about the root belong to it: ways end there, and nothing in it is a target."""
    source = np.full(1, root, np.int64)
    links = flood(grid, start, size, source, np.full(1, radius, np.float32), room, links)
    centre = _position(grid, start, root)
    for i in range(size):
        if _in_ball(grid, start, i, centre, radius, room):
            room.weight[i] = 0
            room.left[i] = max(room.left[i], np.float32(0))
    return links


@njit(cache=True, nogil=True)
def _lay(
    grid: Lattice,
    start: int,
    size: int,
    target: int,
    rules: Rules,
    room: Scratch,
    links: Array,
    rows: Array,
    count: int,
) -> tuple[int, Array, Array]:
    """Append the way from a target to what is laid; returns the rows used, and both arrays, which may have grown."""
    voxel = target
    if rules.branching:
        voxel, links = search(grid, start, size, target, False, room, links)
    done = voxel == target and rules.branching
    while not done:
        flat = grid.where[start + voxel] - grid.offsets[room.came[voxel]]
        other = grid.rank[flat] - 1 - start
        if count == len(rows):
            rows = grown(rows)
        rows[count, 0] = other if rules.branching else voxel
        rows[count, 1] = voxel if rules.branching else other
        count += 1
        voxel = other
        done = voxel == target if rules.branching else room.weight[voxel] == 0
    return count, links, rows


@njit(cache=True, nogil=True)
def _clear(
    grid: Lattice,
    start: int,
    size: int,
    depth: Array,
    rules: Rules,
    room: Scratch,
    links: Array,
    rows: Array,
    at: int,
    end: int,
) -> Array:
    """Make rows [at, end) part of what is laid, and clear the balls about them and about what they join."""
    sources = np.empty(end - at + 1, np.int64)
    radii = np.empty(end - at + 1, np.float32)
    for i in range(at, end):
        room.weight[rows[i, 0]] = 0
        sources[i - at] = rows[i, 0]
    joined = at if rules.branching else end - 1
    sources[end - at] = rows[joined, 1]
    for i in range(len(sources)):
        radii[i] = rules.scale * depth[start + sources[i]] + rules.const
    return flood(grid, start, size, sources, radii, room, links)


@njit(cache=True, nogil=True)
def _root(
    grid: Lattice,
    start: int,
    size: int,
    depth: Array,
    most: float,
    targets: Array,
    rules: Rules,
    room: Scratch,
    links: Array,
) -> tuple[int, Array]:
    """The middle of a soma; else the deepest end on a border; else the voxel farthest from the first."""
    if most > rules.soma_accept:
        return _middle(grid, start, size, depth, most), links
    if len(targets):
        root = targets[0]
        for target in targets:
            if depth[start + target] > depth[start + root]:
                root = target
        return int(root), links
    links = distances(grid, start, size, 0, room, links)
    return _farthest(room.far, size), links


@njit(cache=True, nogil=True)
def _remaining(far: Array, left: Array, size: int, spare: Array) -> Array:
    """The voxels that no ball has cleared, the farthest first."""
    count = 0
    for i in range(size):
        count += left[i] < 0
    order = np.empty(count, np.int32)
    count = 0
    for i in range(size):
        if left[i] < 0:
            order[count] = i
            count += 1
    return _by_distance(order, spare, far)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _follow(
    grid: Lattice,
    start: int,
    size: int,
    depth: Array,
    order: Array,
    rules: Rules,
    room: Scratch,
    links: Array,
    rows: Array,
    count: int,
    paths: int,
    ends: bool,
) -> tuple[int, int, Array, Array]:
    """Lay the way to each voxel of `order` in turn that is neither laid nor, unless they are ends, cleared."""
    for target in order:
        if paths == rules.most_paths:
            break
        if room.weight[target] == 0 or (room.left[target] >= 0 and not ends):
            continue
        begin = count
        count, links, rows = _lay(grid, start, size, target, rules, room, links, rows, count)
        links = _clear(grid, start, size, depth, rules, room, links, rows, begin, count)
        paths += 1
    return count, paths, links, rows


@njit(cache=True, nogil=True)
def _trace_part(
    grid: Lattice,
    start: int,
    size: int,
    depth: Array,
    targets: Array,
    rules: Rules,
    room: Scratch,
    links: Array,
    rows: Array,
    first: int,
) -> tuple[int, Array, Array]:
    """Append the tree of one part, its root first, as rows (place, row of the parent)."""
    most = 0.0
    for i in range(size):
        most = max(most, float(depth[start + i]))
        room.left[i] = -1
        room.flooded[i] = SETTLED
    root, links = _root(grid, start, size, depth, most, targets, rules, room, links)
    links = distances(grid, start, size, root, room, links)
    _weigh(grid, start, size, depth, most, rules, room)
    soma = most > rules.soma_accept
    radius = rules.soma_scale * most + rules.soma_const if soma else -1.0
    if soma:
        links = _clear_soma(grid, start, size, root, radius, room, links)
    room.weight[root] = 0
    if not rules.branching:
        _, links = search(grid, start, size, root, True, room, links)
    while len(rows) < first + 1 + len(targets):
        rows = grown(rows)
    rows[first, 0], rows[first, 1] = root, -1
    count, paths = first + 1, 0
    for target in targets:
        if room.weight[target] == 0 and target != root:
            rows[count, 0], rows[count, 1] = target, root
            count += 1
    ends = _by_distance(targets.copy(), targets.copy(), room.far)
    if not soma and (len(ends) == 0 or (len(ends) == 1 and ends[0] == root)):
        ends = np.full(1, _farthest(room.far, size), np.int32)
    count, paths, links, rows = _follow(grid, start, size, depth, ends, rules, room, links, rows, count, paths, True)
    ends = _remaining(room.far, room.left, size, room.touched)
    count, paths, links, rows = _follow(grid, start, size, depth, ends, rules, room, links, rows, count, paths, False)
    _finish(grid, start, root, radius, room, rows, first, count)
    return count, links, rows


@njit(cache=True, nogil=True)
def _finish(
    grid: Lattice, start: int, root: int, radius: float, room: Scratch, rows: Array, first: int, count: int
) -> None:
    """Name parents by their rows, the root instead of any voxel of its ball, and voxels by their places."""
    for i in range(first, count):
        room.touched[rows[i, 0]] = i
    centre = _position(grid, start, root)
    for i in range(first + 1, count):
        parent = rows[i, 1]
        if radius >= 0 and _in_ball(grid, start, parent, centre, radius, room):
            parent = root
        rows[i, 1] = room.touched[parent]
    for i in range(first, count):
        rows[i, 0] += start


@njit(cache=True, nogil=True)
def trace(
    grid: Lattice, starts: Array, depth: Array, targets: Array, target_starts: Array, rules: Rules, room: Scratch
) -> tuple[Array, Array]:
    """The trees of all parts: rows (place, row of the parent), and how many there are up to the end of each part.

    starts (n + 1,) int64 : the ranges of the parts. targets int32 : voxels within their parts that must be reached,
    ranges `target_starts` (n + 1,). A part of one voxel has a tree of one row.
    """
    links = np.empty((1 << 12, 2), np.int32)
    rows = np.empty((1 << 10, 2), np.int32)
    ends = np.empty(len(starts) - 1, np.int64)
    count = 0
    for part in range(len(ends)):
        own = targets[target_starts[part] : target_starts[part + 1]]
        start, size = starts[part], starts[part + 1] - starts[part]
        count, links, rows = _trace_part(grid, start, size, depth, own, rules, room, links, rows, count)
        ends[part] = count
    return rows[:count], ends
