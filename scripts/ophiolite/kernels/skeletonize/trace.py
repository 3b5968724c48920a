"""TEASAR of our own: centrelines of the connected parts of a volume (Sato et al. 2000, doi:10.1109/PCCGA.2000.883951).

A part's root is the middle of its soma, or its deepest end on a border, or one of its two ends. From there, the voxel
farthest away is joined by the way that keeps to the middle (Bitter et al. 2001, doi:10.1109/VISUAL.2001.964509), and
balls about that way, which grow with the distance to the surface, are cleared; so on until nothing is left. Ends on
borders come first, and are joined even where they are cleared (Silversmith et al. 2022, doi:10.3389/fncir.2022.977700).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.cavities import cavities
from ophiolite.kernels.skeletonize import pack_loops, trace_loops
from ophiolite.kernels.skeletonize.options import SkeletonOptions
from ophiolite.kernels.skeletonize.search_loops import (
    BUCKETS,
    COST_OUTSIDE,
    FAR_OUTSIDE,
    FREE,
    LEFT_OUTSIDE,
    NO_STEP,
    STEPS,
    UNIT,
    Lattice,
    Volumes,
)
from ophiolite.kernels.skeletonize.trace_loops import Rules

Vector = tuple[float, float, float]
Numbers = NDArray[np.uint32]
Depths = NDArray[np.float32]
Ints = NDArray[np.int64]
Lines = tuple[Ints, NDArray[np.uint32], Depths]

_STEPS = np.array([(x, y, z) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1)], np.int64)
NO_VOXELS = np.zeros((0, 3), np.int64)
NO_NUMBERS = np.zeros(0, np.int64)


class Trees(NamedTuple):
    """Centrelines of parts: voxels (n, 3) int64, edges (m, 2) uint32, radii_nm (n,) float32, part (n,) int64."""

    voxels: Ints
    edges: NDArray[np.uint32]
    radii_nm: Depths
    part: Ints


class Parts(NamedTuple):
    """What is known of parts 1, 2, ... of a volume: voxels, greatest depth, flat index (x fastest) of the first."""

    sizes: Ints
    deepest: Depths
    first: Ints


class Asked(NamedTuple):
    """What is asked of ways; voxels are (n, 3) int64, those of no part are ignored.

    targets : must be reached. shunned : are no ends, unless they are targets, and ways keep out of them as if they lay
    at the surface. entries : cross-sections through which parts go on beyond the volume; number (m,) of the section.
    """

    targets: Ints = NO_VOXELS
    shunned: Ints = NO_VOXELS
    entries: Ints = NO_VOXELS
    number: Ints = NO_NUMBERS


NOTHING_ASKED = Asked()


def trace_object(
    mask: NDArray[np.bool_],
    dbf: Depths | None,
    resolution_nm: Vector,
    options: SkeletonOptions,
    targets: Ints = NO_VOXELS,
) -> Lines:
    """Trace the centrelines of one object: voxels (n, 3) int64, edges (m, 2) uint32 and radii_nm (n,) float32.

    mask : (x, y, z) bool. dbf : (x, y, z) float32 nm from each of its voxels to the nearest outside, None to compute it
    with the ends of the array open. targets : (k, 3) voxels that must be reached; those outside the mask are ignored.
    Every 26-connected part of two voxels or more gives one tree; a part deeper than `soma_detect_nm` is traced with its
    voids filled.
    """
    found = trace_labels(np.asarray(mask, np.bool_).view(np.uint8), resolution_nm, options, Asked(targets), dbf)
    return found.get(1, (NO_VOXELS, np.zeros((0, 2), np.uint32), np.zeros(0, np.float32)))


def trace_labels(
    numbers: NDArray[np.unsignedinteger[Any]],
    resolution_nm: Vector,
    options: SkeletonOptions,
    asked: Asked = NOTHING_ASKED,
    dbf: Depths | None = None,
) -> dict[int, Lines]:
    """Voxels (n, 3), edges and radii of each number's centrelines in a volume (x, y, z); 0 is background.

    dbf : as for `trace_object`. Arrays of the volume's size are let go as soon as they are of no more use: one part may
    be most of the volume.
    """
    parts = connected(numbers)
    depth = distance_to_surface(parts, resolution_nm) if dbf is None else np.asfortranarray(dbf)
    del dbf
    known = measure_parts(parts, depth)
    names = numbers.ravel(order="F")[known.first]
    del numbers
    suspects = [int(part) for part in np.flatnonzero(known.deepest > options.soma_detect_nm)]
    filled = {part: box for part in suspects if (box := _filled(parts, part)) is not None}
    wanted = known.sizes > 1
    wanted[list(filled)] = False
    wishes = [_Wish(np.asarray(parts[tuple(voxels.T)], np.int64), voxels) for voxels in _told_apart(asked, parts)]
    shape, packed = parts.shape, _pack(parts, depth, np.where(wanted, known.sizes, 0), resolution_nm, wishes)
    del parts, depth
    found = [_trace_packed(packed, options)]
    del packed
    for part, (mask, corner) in filled.items():
        packed = _pack(
            mask.astype(np.uint32, order="F"),
            _depth_of_box(mask, corner, shape, resolution_nm),
            np.array([0, mask.sum()]),
            resolution_nm,
            [_Wish(np.ones(int((w.part == part).sum()), np.int64), w.voxels[w.part == part] - corner) for w in wishes],
        )
        trees = _trace_packed(packed, options)
        del packed
        found.append(trees._replace(voxels=trees.voxels + corner, part=np.full(len(trees.part), part)))
    whole = _joined(found)
    return _split(whole, names[whole.part])


def connected(numbers: NDArray[Any]) -> Numbers:
    """Numbers 1, 2, ... of the 26-connected parts of each number but 0."""
    import cc3d

    return cc3d.connected_components(np.asfortranarray(numbers), connectivity=26, out_dtype=np.uint32).astype(
        np.uint32, copy=False
    )


def distance_to_surface(numbers: NDArray[Any], resolution_nm: Vector) -> Depths:
    """(x, y, z) float32 nm from each voxel to the nearest of another number.

    The ends of the array are open, except where one number fills it: then the outside is the nearest there is.
    """
    import edt

    def of(closed: bool) -> Depths:
        field: Depths = edt.edt(numbers, anisotropy=resolution_nm, black_border=closed, order="F", parallel=1)
        return field

    field = of(closed=False)
    return field if numbers.size == 0 or np.isfinite(field[0, 0, 0]) else of(closed=True)


def measure_parts(parts: Numbers, depth: Depths) -> Parts:
    """Measure parts 1, 2, ... of a volume (x, y, z), whose voxels lie as deep as `depth` says; 0 counts as nothing."""
    count = int(parts.max(initial=0)) + 1
    known = Parts(np.zeros(count, np.int64), np.zeros(count, np.float32), np.zeros(count, np.int64))
    pack_loops.measure_parts(parts, depth, *known)
    known.sizes[0], known.deepest[0] = 0, 0
    return known


def _filled(parts: Numbers, part: int) -> tuple[NDArray[np.bool_], Ints] | None:
    """A part with its voids filled, in its box, and the box's corner; None where it has no voids."""
    where = [np.flatnonzero((parts == part).any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    corner = np.array([w[0] for w in where], np.int64)
    mask = np.asfortranarray(parts[tuple(slice(w[0], w[-1] + 1) for w in where)] == part)
    voids = cavities(mask)
    return (mask | voids, corner) if voids.any() else None


def _depth_of_box(mask: NDArray[np.bool_], corner: Ints, shape: tuple[int, ...], resolution_nm: Vector) -> Depths:
    """Depths of a box's mask; outside it where the box does not end with the volume there is background."""
    before = [int(c > 0) for c in corner]
    after = [int(c + n < whole) for c, n, whole in zip(corner, mask.shape, shape, strict=True)]
    padded = np.asfortranarray(np.pad(mask, list(zip(before, after, strict=True))))
    inner = tuple(slice(b, b + n) for b, n in zip(before, mask.shape, strict=True))
    return np.asfortranarray(distance_to_surface(padded, resolution_nm)[inner])


class _Wish(NamedTuple):
    """Voxels (n, 3) int64 of one kind, and the part (n,) int64 of each."""

    part: Ints
    voxels: Ints


def _told_apart(asked: Asked, parts: Numbers) -> tuple[Ints, Ints, Ints]:
    """Targets; what is shunned and no target; the section of parts that go on through no other."""
    own = parts[tuple(asked.entries.T)].astype(np.int64)
    pairs = np.unique(np.stack([own, asked.number], axis=1), axis=0)
    alone = np.bincount(pairs[:, 0], minlength=1)[own] == 1
    return asked.targets, _without(asked.shunned, asked.targets, parts.shape), asked.entries[alone]


def _without(voxels: Ints, others: Ints, shape: tuple[int, ...]) -> Ints:
    """The voxels that are not among the others."""
    marked = np.zeros(shape, np.bool_)
    marked[tuple(others.T)] = True
    kept: Ints = voxels[~marked[tuple(voxels.T)]]
    return kept


class Packed(NamedTuple):
    """Parts made ready for the compiled loops: their numbers and voxels, what is asked, else as `Volumes`."""

    numbers: Ints
    where: NDArray[np.int32]
    starts: Ints
    targets: NDArray[np.int32]
    target_starts: Ints
    shunned: NDArray[np.int32]
    shunned_starts: Ints
    entries: NDArray[np.int32]
    entry_starts: Ints
    lattice: Lattice
    depth: Depths
    free: NDArray[np.uint8]


def _pack(parts: Numbers, depth: Depths, sizes: Ints, resolution_nm: Vector, wishes: list[_Wish]) -> Packed:
    """Make ready the parts whose size is not 0."""
    numbers = np.flatnonzero(sizes)
    starts = np.append(0, np.cumsum(sizes[numbers])).astype(np.int64)
    ends = np.full(len(sizes), -1, np.int64)
    ends[numbers] = starts[:-1]
    lattice = _lattice(parts.shape, resolution_nm)

    def by_part(wish: _Wish) -> tuple[NDArray[np.int32], Ints]:
        kept = sizes[wish.part] > 0
        own, flat = wish.part[kept], (wish.voxels[kept] + 1) @ lattice.strides
        order = np.lexsort([flat, own])
        return flat[order].astype(np.int32), np.append(np.searchsorted(own[order], numbers), len(own))

    targets, shunned, entries = (by_part(wish) for wish in wishes)
    where = np.empty(starts[-1], np.int32)
    padded = int(np.prod([n + 2 for n in parts.shape]))
    depths, free = np.zeros(padded, np.float32), np.zeros(padded, np.uint8)
    clearance = float(np.sqrt((np.array(resolution_nm) ** 2).sum()))
    pack_loops.pack(parts, depth, ends, clearance, where, depths, free)
    return Packed(numbers, where, starts, *targets, *shunned, *entries, lattice, depths, free)


def _trace_packed(packed: Packed, options: SkeletonOptions) -> Trees:
    rows, ends = trace_loops.trace(
        packed.lattice,
        packed.where,
        packed.starts,
        packed.targets,
        packed.target_starts,
        packed.shunned,
        packed.shunned_starts,
        packed.entries,
        packed.entry_starts,
        _rules(options),
        _volumes(packed.depth, packed.free, int(np.diff(packed.starts).max(initial=0))),
    )
    strides = packed.lattice.strides
    z, rest = np.divmod(rows[:, 0].astype(np.int64), strides[2])
    y, x = np.divmod(rest, strides[1])
    children = np.flatnonzero(rows[:, 1] >= 0)
    edges = np.stack([children, rows[children, 1]], axis=1).astype(np.uint32)
    part = packed.numbers[np.searchsorted(ends, np.arange(len(rows)), side="right")]
    return Trees(np.stack([x, y, z], axis=1) - 1, edges, packed.depth[rows[:, 0]], part)


def _lattice(shape: tuple[int, ...], resolution_nm: Vector) -> Lattice:
    strides = np.array([1, shape[0] + 2, (shape[0] + 2) * (shape[1] + 2)], np.int64)
    lengths, turns, turn_count = _steps(resolution_nm)
    resolution = np.array(resolution_nm, np.float64)
    return Lattice(_STEPS @ strides, lengths, turns, turn_count, strides, resolution, float(resolution.min()) / UNIT)


@lru_cache(maxsize=8)
def _steps(resolution_nm: Vector) -> tuple[Ints, Ints, Ints]:
    """The length of each step, and the steps to take after it (FREE + 27, 26) and how many they are."""
    nm = np.sqrt(((_STEPS * np.array(resolution_nm)) ** 2).sum(axis=1))
    lengths = np.rint(nm / min(resolution_nm) * UNIT).astype(np.int64)
    turns, count = np.zeros((FREE + STEPS, STEPS - 1), np.int64), np.zeros(FREE + STEPS, np.int64)
    for free in (0, FREE):
        for number in range(STEPS):
            taken = [turn for turn in range(STEPS) if turn != NO_STEP and _needed(number, turn, bool(free), lengths)]
            count[free + number] = len(taken)
            turns[free + number, : len(taken)] = taken
    return lengths, turns, count


def _needed(number: int, turn: int, free: bool, lengths: Ints) -> bool:
    """Whether a turn after a step can be the shortest way to where the two lead, all others being considered."""
    if number == NO_STEP:
        return True
    both = _STEPS[number] + _STEPS[turn]
    if np.abs(both).max() < 2:
        return False
    if not free:
        return True
    first = np.sign(both)
    better, rest = (int(np.dot(v + 1, (1, 3, 9))) for v in (first, both - first))
    if better == number:
        return True
    return bool(lengths[better] + np.where(rest == NO_STEP, 0, lengths[rest]) > lengths[number] + lengths[turn])


def _volumes(depth: Depths, free: NDArray[np.uint8], largest: int) -> Volumes:
    """Volumes in which every voxel is outside, for parts of up to so many voxels."""
    padded = len(depth)
    return Volumes(
        depth=depth,
        free=free,
        far=np.full(padded, FAR_OUTSIDE, np.int32),
        left=np.full(padded, LEFT_OUTSIDE, np.int32),
        cost=np.full(padded, COST_OUTSIDE, np.uint32),
        weight=np.zeros(padded, np.uint16),
        came=np.zeros(padded, np.uint8),
        flooded=np.zeros(padded, np.uint8),
        touched=np.empty(min(largest, 1024 + largest // 8), np.int32),
        heads=np.full(BUCKETS, -1, np.int32),
        filled=np.zeros(BUCKETS // 64, np.uint64),
        tally=np.zeros(3, np.int64),
    )


def _rules(options: SkeletonOptions) -> Rules:
    return Rules(
        scale=float(options.scale),
        const=float(options.const_nm),
        pdrf_scale=float(options.pdrf_scale),
        pdrf_exponent=int(options.pdrf_exponent),
        soma_accept=float(options.soma_accept_nm),
        soma_scale=float(options.soma_scale),
        soma_const=float(options.soma_const_nm),
        most_paths=-1 if options.max_paths is None else int(options.max_paths),
        branching=bool(options.fix_branching),
    )


def _joined(found: list[Trees]) -> Trees:
    starts = np.cumsum([0] + [len(trees.voxels) for trees in found])
    return Trees(
        np.concatenate([trees.voxels for trees in found]),
        np.concatenate([trees.edges + np.uint32(start) for trees, start in zip(found, starts, strict=False)]),
        np.concatenate([trees.radii_nm for trees in found]),
        np.concatenate([trees.part for trees in found]),
    )


def _split(found: Trees, names: NDArray[np.uint32]) -> dict[int, Lines]:
    """The trees by name, vertices of each in their order."""
    order = np.argsort(names, kind="stable")
    ordered = names[order]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    edges = place[found.edges.astype(np.int64)].reshape(-1, 2)
    edges = edges[np.argsort(names[found.edges[:, 0]], kind="stable")]
    starts = np.flatnonzero(np.diff(ordered, prepend=0))
    ends = np.append(starts[1:], len(order))
    by_name = np.append(np.searchsorted(ordered[edges[:, 0]], ordered[starts]), len(edges))
    return {
        int(ordered[a]): (
            found.voxels[order[a:b]],
            (edges[c:d] - a).astype(np.uint32),
            found.radii_nm[order[a:b]],
        )
        for a, b, c, d in zip(starts, ends, by_name, by_name[1:], strict=False)
        if d > c
    }
