"""The searches beneath the skeletons: distances, balls and cheapest ways against the slow obvious ones."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from ophiolite.kernels.skeletonize import trace
from ophiolite.kernels.skeletonize.search_loops import (
    COST_UNSEEN,
    FAR_UNSEEN,
    FREE,
    LEFT_UNSEEN,
    NO_STEP,
    SETTLED,
    UNIT,
    Lattice,
    Volumes,
    distances,
    flood,
    search,
)

RESOLUTIONS = [(1.0, 1.0, 1.0), (16.0, 16.0, 40.0), (40.0, 4.0, 4.0), (3.0, 5.0, 7.5), (1.0, 1.0, 1000.0)]
LINKS = np.empty((64, 2), np.int32)


def ball(shape: tuple[int, int, int], radius: float) -> np.ndarray:
    return (
        sum((g - n / 2 + 0.5) ** 2 for g, n in zip(np.ogrid[tuple(map(slice, shape))], shape, strict=True)) < radius**2
    )


def torus() -> np.ndarray:
    x, y, z = np.indices((17, 17, 7)) - np.array([8, 8, 3]).reshape(3, 1, 1, 1)
    return (np.hypot(x, y) - 5) ** 2 + z**2 < 5


def maze(seed: int, shape: tuple[int, int, int] = (9, 8, 10), share: float = 0.6) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


def bent() -> np.ndarray:
    """Thick legs with a slit between them: ways that are short in a straight line are long within."""
    mask = np.ones((13, 12, 11), np.bool_)
    mask[6, 2:, :] = False
    mask[:, 6, 3:8] = False
    return mask


SHAPES: dict[str, Callable[[], np.ndarray]] = {
    "box": lambda: np.ones((11, 9, 10), np.bool_),
    "ball": lambda: ball((13, 13, 13), 6.3),
    "sheet": lambda: np.ones((14, 13, 1), np.bool_),
    "row": lambda: np.ones((1, 1, 30), np.bool_),
    "torus": torus,
    "maze": lambda: maze(1),
    "sparse maze": lambda: maze(2, share=0.3),
    "dense maze": lambda: maze(3, (12, 12, 12), 0.97),
    "bent": bent,
}


class Prepared:
    """The largest part of a mask, made ready for searches."""

    def __init__(self, mask: np.ndarray, resolution: tuple[float, float, float]) -> None:
        parts = trace.connected(mask)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        self.mask = np.asfortranarray(parts == sizes.argmax())
        self.grid: Lattice = trace._lattice(mask.shape, resolution)
        self.flat = np.flatnonzero(np.pad(self.mask, 1).ravel(order="F")).astype(np.int32)
        # Little is remembered of a search, so that large ones forget by going through the whole part.
        padded = int(np.prod(np.array(mask.shape) + 2))
        self.room: Volumes = trace._volumes(np.zeros(padded, np.float32), np.zeros(padded, np.uint8), 64)
        around = np.pad(self.mask, 1)
        whole = np.ones_like(self.mask)
        for step in trace._STEPS:
            whole &= around[tuple(slice(1 + s, 1 + s + n) for s, n in zip(step, mask.shape, strict=True))]
        self.room.free[self.flat] = np.where(np.pad(whole, 1).ravel(order="F")[self.flat], FREE, 0)
        self.room.far[self.flat] = FAR_UNSEEN
        self.room.left[self.flat] = LEFT_UNSEEN
        self.room.cost[self.flat] = COST_UNSEEN
        self.room.flooded[self.flat] = SETTLED

    def graph(self, lengths: np.ndarray) -> sparse.csr_matrix:
        """Neighbours among the part's voxels, by `lengths` of the steps."""
        number = np.full(len(self.room.far), -1, np.int64)
        number[self.flat] = np.arange(len(self.flat))
        rows, columns, values = [], [], []
        for step in range(27):
            to = number[self.flat + self.grid.offsets[step]]
            here = np.flatnonzero((to >= 0) & (step != NO_STEP))
            rows.append(here), columns.append(to[here]), values.append(np.full(len(here), lengths[step]))
        n = len(self.flat)
        data = (np.concatenate(values).astype(float), (np.concatenate(rows), np.concatenate(columns)))
        return sparse.csr_matrix(data, (n, n))


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_distances_are_those_of_a_plain_dijkstra(shape: str, resolution: tuple[float, float, float]) -> None:
    at = Prepared(SHAPES[shape](), resolution)
    root = len(at.flat) // 3
    distances(at.grid, at.flat[[root]], at.room, LINKS)
    found = at.room.far[at.flat]
    np.testing.assert_array_equal(found, dijkstra(at.graph(at.grid.lengths), indices=root))
    steps = np.sqrt(((trace._STEPS * np.array(resolution)) ** 2).sum(axis=1))
    exact = dijkstra(at.graph(steps), indices=root)
    np.testing.assert_allclose(found * at.grid.unit_nm, exact, rtol=1 / UNIT)
    assert (np.delete(at.room.far, at.flat) == -1).all()
    assert (at.room.heads == -1).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.2, 1), st.sampled_from(RESOLUTIONS))
def test_distances_in_any_maze_are_those_of_a_plain_dijkstra(seed, share, resolution) -> None:
    at = Prepared(maze(seed, (7, 6, 8), share) | (np.indices((7, 6, 8)).sum(0) == 0), resolution)
    distances(at.grid, at.flat[:1], at.room, LINKS)
    np.testing.assert_array_equal(at.room.far[at.flat], dijkstra(at.graph(at.grid.lengths), indices=0))


def test_a_step_left_out_by_mistake_is_found() -> None:
    at = Prepared(SHAPES["box"](), RESOLUTIONS[1])
    count = at.grid.turn_count.copy()
    count[count == 7] = 6
    distances(at.grid._replace(turn_count=count), at.flat[:1], at.room, LINKS)
    assert (at.room.far[at.flat] != dijkstra(at.graph(at.grid.lengths), indices=0)).any()


def test_neighbours_wrongly_taken_for_present_are_found() -> None:
    at = Prepared(SHAPES["bent"](), RESOLUTIONS[0])
    at.room.free[at.flat] = FREE
    distances(at.grid, at.flat[:1], at.room, LINKS)
    assert (at.room.far[at.flat] != dijkstra(at.graph(at.grid.lengths), indices=0)).any()


def test_the_steps_that_remain_are_few() -> None:
    _, _, count = trace._steps((1.0, 1.0, 1.0))
    assert sorted(set(count[:NO_STEP])) == [9, 15, 19]
    assert sorted(set(count[FREE : FREE + NO_STEP])) == [1, 3, 7]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 2**32), st.sampled_from(RESOLUTIONS))
def test_floods_leave_the_most_of_any_ball(shape, seed, resolution) -> None:
    at, r = Prepared(SHAPES[shape](), resolution), np.random.default_rng(seed)
    weights = at.graph(at.grid.lengths)
    wanted = np.full(len(at.flat), -1.0)
    for _ in range(3):
        sources = r.choice(len(at.flat), r.integers(1, min(6, len(at.flat)) + 1), replace=False)
        radii = r.integers(0, 9 * UNIT, len(sources))
        flood(at.grid, at.flat[sources], radii, at.room, LINKS)
        wanted = np.maximum(wanted, (radii[:, None] - dijkstra(weights, indices=sources)).max(axis=0))
        np.testing.assert_array_equal(at.room.left[at.flat], np.where(wanted < 0, -1, wanted))
    assert (at.room.flooded[at.flat] & SETTLED).all()


def test_a_flood_of_a_radius_beyond_all_buckets_is_right() -> None:
    at = Prepared(SHAPES["bent"](), RESOLUTIONS[0])
    radius = np.array([UNIT * 200_000])
    flood(at.grid, at.flat[:1], radius, at.room, LINKS)
    far = dijkstra(at.graph(at.grid.lengths), indices=0)
    np.testing.assert_array_equal(at.room.left[at.flat], radius - far)


def plain_search(at: Prepared, source: int) -> dict[int, int]:
    """The least cost of every voxel."""
    inside, done, queue = set(at.flat.tolist()), {}, [(0, source)]
    while queue:
        cost, voxel = heapq.heappop(queue)
        if voxel in done:
            continue
        done[voxel] = cost
        for step in range(27):
            other = voxel + int(at.grid.offsets[step])
            if step != NO_STEP and other in inside and other not in done:
                heapq.heappush(queue, (cost + int(at.room.weight[other]), other))
    return done


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 2**32), st.sampled_from([3, 500, 65535]), st.booleans())
def test_the_way_found_is_as_cheap_as_any(shape, seed, most, whole) -> None:
    at, r = Prepared(SHAPES[shape](), RESOLUTIONS[0]), np.random.default_rng(seed)
    at.room.weight[at.flat] = r.integers(1, most + 1, len(at.flat))
    at.room.weight[r.choice(at.flat, 2)] = 0
    source = int(r.choice(at.flat))
    costs = plain_search(at, source)
    found, _ = search(at.grid, at.flat, source, whole, at.room, LINKS)
    for end in costs if whole else [found]:
        voxel, paid = end, 0
        while voxel != source:
            paid += int(at.room.weight[voxel])
            voxel -= int(at.grid.offsets[at.room.came[voxel]])
        assert paid == costs[end]
    laid = [costs[v] for v in at.flat if at.room.weight[v] == 0]
    assert found == source if whole else costs[found] == min(laid)
    assert (at.room.cost[at.flat] == COST_UNSEEN).all()
    assert (at.room.heads == -1).all()
    assert not at.room.filled.any()
