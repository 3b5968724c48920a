"""Somata seen whole: one root, one way for each neurite, nothing outside; and what tasks alone make of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from soma_shapes import MIDDLE, OPTIONS, RADIUS_VX, SIDE_VX, TUBE_VX, VOXEL_NM, WAYS, ball, soma, traced, tube

from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.kernels import soma_graft
from ophiolite.kernels.skeleton_measure import distance_field
from ophiolite.kernels.skeleton_merge import (
    CleanOptions,
    Skeleton,
    SkeletonMeasures,
    clean_skeleton,
    skeleton_measures,
)
from ophiolite.kernels.soma import STEPS, Flat, SomaOptions, SomaRegion, bridges, soma_region, way, wide_places
from ophiolite.kernels.soma_graft import Grafted, _without_lost_ways, graft, healed
from ophiolite.kernels.soma_loops import spread

NM = np.array(VOXEL_NM)
STEP_NM = NM / STEPS_PER_VOXEL
SOMA = SomaOptions(
    accept_nm=OPTIONS.soma_accept_nm, scale=OPTIONS.soma_scale, const_nm=OPTIONS.soma_const_nm, voids=False
)
CLEAN = CleanOptions(min_cable_nm=100, scale=OPTIONS.scale, const_nm=OPTIONS.const_nm)
Bools = NDArray[np.bool_]


def region_of(mask: Bools, filled: Bools | None = None, options: SomaOptions = SOMA) -> SomaRegion:
    solid = mask if filled is None else filled
    field = distance_field(solid, NM)
    places, _ = wide_places(field, options.accept_nm)
    return soma_region(mask, solid, field, places, NM, options)


def grafted(skeleton: Skeleton, region: SomaRegion) -> Grafted:
    """The whole volume is the box of the region, at the mip of the skeleton."""

    def located(vertices: NDArray[np.int64]) -> tuple[NDArray[np.int64], Bools]:
        return region.flat.index(vertices // STEPS_PER_VOXEL), np.ones(len(vertices), np.bool_)

    def placed(index: NDArray[np.int64]) -> NDArray[np.int64]:
        return region.flat.voxels(index) * STEPS_PER_VOXEL + STEPS_PER_VOXEL // 2

    return graft(Grafted.of(skeleton), region, located, placed)


def measures(skeleton: Skeleton) -> SkeletonMeasures:
    return skeleton_measures(skeleton.vertices * STEP_NM, skeleton.edges, skeleton.radius_nm)


def loops(skeleton: Skeleton) -> int:
    found = measures(skeleton)
    return len(skeleton.edges) - found.vertices + found.components


def cleaned(skeleton: Skeleton) -> Skeleton:
    points, edges, radius = clean_skeleton(
        skeleton.vertices * STEP_NM, skeleton.edges, skeleton.radius_nm, CLEAN, skeleton.seam
    )
    vertices = np.rint(points / STEP_NM).astype(np.int64)
    return Skeleton(vertices, edges, radius.astype(np.float32), np.zeros(len(vertices), np.bool_))


def degrees_near(skeleton: Skeleton, centre: tuple[float, float, float], radius_vx: float) -> list[int]:
    """Degrees of the branch points within some voxels of a point."""
    apart = np.linalg.norm(skeleton.vertices / STEPS_PER_VOXEL - 0.5 - np.array(centre), axis=1)
    degree = np.bincount(skeleton.edges.ravel().astype(np.int64), minlength=len(apart))
    return sorted(degree[(degree > 2) & (apart <= radius_vx)].tolist())


def outside(skeleton: Skeleton, mask: Bools) -> int:
    x, y, z = (skeleton.vertices // STEPS_PER_VOXEL).T
    return int(np.count_nonzero(~mask[x, y, z]))


@pytest.fixture(scope="module")
def drawn() -> tuple[Bools, Skeleton]:
    """A soma cut by tasks through its middle, and what the tasks trace of it."""
    mask = soma()
    return mask, traced(mask, SIDE_VX // 2)


def test_tasks_alone_draw_a_maze(drawn: tuple[Bools, Skeleton]) -> None:
    """The fault that the whole object mends; where it were gone, this pass would have nothing to do."""
    found = cleaned(drawn[1])
    assert degrees_near(drawn[1], MIDDLE, RADIUS_VX) != [len(WAYS)]
    assert degrees_near(found, MIDDLE, RADIUS_VX) != [len(WAYS)]


def test_one_root_with_a_way_for_each_neurite(drawn: tuple[Bools, Skeleton]) -> None:
    mask, before = drawn
    region = region_of(mask)
    new = grafted(before, region)
    # Where two tasks draw one neurite side by side, each trace is led to the root, and the shorter is healed away.
    assert len(WAYS) <= new.neurites <= 2 * len(WAYS)
    assert new.removed > 0
    found = cleaned(healed(new, STEP_NM, CLEAN))
    assert degrees_near(found, MIDDLE, RADIUS_VX) == [len(WAYS)]
    assert measures(found).components == 1
    assert loops(found) == 0
    assert outside(found, mask) == 0
    assert measures(found).terminals >= len(WAYS)
    root = int(np.argmax(found.radius_nm))
    assert np.linalg.norm((found.vertices[root] / STEPS_PER_VOXEL - 0.5) - np.array(MIDDLE)) <= 1
    assert found.radius_nm[root] == pytest.approx(RADIUS_VX * 100, rel=0.05)


def test_neurites_are_radial(drawn: tuple[Bools, Skeleton]) -> None:
    """Every new vertex lies on a straight line from the root to a neurite, within a voxel and the neurite's radius."""
    new = grafted(drawn[1], region_of(drawn[0]))
    away = new.skeleton.vertices[new.new] / STEPS_PER_VOXEL - 0.5 - np.array(MIDDLE)
    rays = np.array([np.array(w) / np.linalg.norm(w) for w in WAYS])
    along = np.clip(away @ rays.T, 0, None)
    apart = np.linalg.norm(away[:, None] - along[..., None] * rays, axis=2).min(axis=1)
    assert apart.max() <= TUBE_VX + 2


def test_a_neurite_that_is_not_led_to_the_root_is_noticed(
    drawn: tuple[Bools, Skeleton], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: one neurite is forgotten."""
    entries = soma_graft._entries
    monkeypatch.setattr(soma_graft, "_entries", lambda *given: entries(*given)[:-1])
    found = cleaned(healed(grafted(drawn[1], region_of(drawn[0])), STEP_NM, CLEAN))
    assert degrees_near(found, MIDDLE, RADIUS_VX) != [len(WAYS)] or measures(found).components > 1


def test_traces_side_by_side_enter_as_one_neurite() -> None:
    """And where each is taken for a neurite of its own (the planted fault), they close a loop."""
    mask = soma(WAYS[:2])
    before = traced(mask, SIDE_VX)
    region = region_of(mask)
    doubled = beside(before)
    new = grafted(doubled, region)
    assert new.neurites == 2
    assert loops(new.skeleton) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(soma_graft, "_entries", lambda region, at, known, crossing, parts: np.arange(len(crossing)))
        assert loops(grafted(doubled, region).skeleton) > 0


LOST = [(0, 1, 0), (0, 0, 1), (0, -1, 0)]


@pytest.mark.parametrize("lost", [LOST[:1], LOST[:2], LOST, [*LOST, LOST[0]]])
@pytest.mark.parametrize("neurites", [[], [(1, 0, 0)], [(1, 0, 0), (-1, 0, 0)]])
def test_ways_to_lost_neurites_go_and_neither_a_root_nor_a_neurite_does(
    lost: list[tuple[int, int, int]], neurites: list[tuple[int, int, int]]
) -> None:
    """Ways of 10 vertices from the root at the origin, a neurite of 30 beyond; a way again joins its first at 5."""
    names: dict[tuple[int, ...], int] = {(0, 0, 0): 0}
    links: dict[str, list[tuple[int, int]]] = {"before": [], "after": []}

    def line(along: tuple[int, int, int], start: int, stop: int, *when: str, turn: int = 0) -> None:
        places = [tuple(i * d + (turn if i > 5 else 0) for d in along) for i in range(start, stop + 1)]
        for a, b in pairwise(names.setdefault(place, len(names)) for place in places):
            for time in when:
                links[time] += [(a, b)] if (a, b) not in links[time] else []

    for there in neurites:
        line(there, 0, 40, "before", "after")
    for number, there in enumerate(lost):
        line(there, 0, 10, "before", "after", turn=100 * lost[:number].count(there))
        line(there, 10, 13, "before", turn=100 * lost[:number].count(there))
    places = np.array(list(names))
    new = np.abs(places).max(axis=1) % 100 <= 10
    at = skeleton_of(places, links["before"])
    found = _without_lost_ways(skeleton_of(places, links["after"]), Grafted(at, new, np.arange(len(new)) == 0))
    kept = {tuple(place) for place in found.vertices.tolist()}
    wanted = {tuple(i * d for d in there) for there in neurites for i in range(41)}
    if neurites:
        assert kept == wanted
    else:
        assert len(kept) == 11
        assert (0, 0, 0) in kept
    assert len(found.edges) == len(kept) - 1


def skeleton_of(places: NDArray[np.int64], edges: list[tuple[int, int]]) -> Skeleton:
    count = len(places)
    return Skeleton(places, np.array(edges, np.uint32), np.ones(count, np.float32), np.zeros(count, np.bool_))


def beside(skeleton: Skeleton) -> Skeleton:
    """A skeleton with a second trace a voxel beside all of it, both joined at their ends."""
    count = len(skeleton.vertices)
    step = np.array([0, STEPS_PER_VOXEL, STEPS_PER_VOXEL])
    degree = np.bincount(skeleton.edges.ravel().astype(np.int64), minlength=count)
    rungs = np.flatnonzero(degree == 1)
    edges = [skeleton.edges, skeleton.edges + np.uint32(count), np.stack([rungs, rungs + count], axis=1)]
    return Skeleton(
        np.concatenate([skeleton.vertices, skeleton.vertices + step]),
        np.concatenate(edges).astype(np.uint32),
        np.concatenate([skeleton.radius_nm, skeleton.radius_nm - 1]),
        np.concatenate([skeleton.seam, skeleton.seam]),
    )


def test_what_lies_outside_the_regions_stays(drawn: tuple[Bools, Skeleton]) -> None:
    mask, before = drawn
    region = region_of(mask)
    new = grafted(before, region)
    far = region.flat.index(before.vertices // STEPS_PER_VOXEL)
    kept = before.vertices[~region.inside[far] & (region.band[far] == 0)]
    assert len(kept) > 0
    assert {tuple(v) for v in kept.tolist()} <= {tuple(v) for v in new.skeleton.vertices[~new.new].tolist()}


def test_a_soma_without_neurites_keeps_a_way_to_its_farthest_voxel() -> None:
    mask = ball((60, 60, 60), (30, 29, 31), RADIUS_VX)
    new = grafted(traced(mask, 30), region_of(mask))
    assert new.neurites == 0
    assert measures(new.skeleton).components == 1
    assert measures(new.skeleton).cable_nm > 0.9 * RADIUS_VX * 100


def test_a_soma_that_no_task_traced_gets_its_way_too() -> None:
    mask = ball((60, 60, 60), (30, 29, 31), RADIUS_VX)
    none = Skeleton(
        np.zeros((0, 3), np.int64), np.zeros((0, 2), np.uint32), np.zeros(0, np.float32), np.zeros(0, np.bool_)
    )
    found = healed(grafted(none, region_of(mask)), STEP_NM, CLEAN)
    assert measures(found).components == 1
    assert measures(found).cable_nm > 0.9 * RADIUS_VX * 100


def test_an_object_without_a_wide_place_has_no_region() -> None:
    _, count = wide_places(distance_field(tube((40, 20, 20), (0, 10, 10), (1, 0, 0), 5), NM), SOMA.accept_nm)
    assert count == 0


def test_two_somata_that_touch_have_a_root_each_and_one_bridge() -> None:
    shape = (100, 60, 60)
    mask = ball(shape, (25, 30, 30), 20) | ball(shape, (72, 30, 30), 20) | tube(shape, (25, 30, 30), (1, 0, 0), 5)
    mask[85:] = False
    region = region_of(mask, options=replace(SOMA, const_nm=700))
    assert len(region.roots) == 2
    assert len(bridges(region)) == 1
    new = grafted(traced(mask, 50), region)
    assert measures(new.skeleton).components == 1
    assert outside(new.skeleton, mask) == 0


def test_a_vessel_has_several_centres_and_one_root() -> None:
    shape = (150, 40, 40)
    mask = tube(shape, (4, 20, 20), (1, 0, 0), 16)
    region = region_of(mask)
    assert len(region.roots) == 1
    field, _ = distance_field(mask, NM), None
    assert (region.inside.reshape(region.flat.shape, order="F")[1:-1, 1:-1, 1:-1] >= (field > SOMA.accept_nm)).all()


def test_ways_stay_in_the_label_where_a_nucleus_is_none_of_it() -> None:
    """A void is filled to find the soma, but neither root nor ways lie in it unless voids are filled for good."""
    filled = soma()
    mask = filled & ~ball(filled.shape, MIDDLE, 14)
    before = traced(mask, SIDE_VX // 2, replace(OPTIONS, soma_detect_nm=9000, soma_accept_nm=9000))
    new = grafted(before, region_of(mask, filled))
    assert outside(new.skeleton, mask) == 0
    assert new.neurites >= len(WAYS)
    through = grafted(before, region_of(mask, filled, replace(SOMA, voids=True)))
    assert outside(through.skeleton, filled) == 0
    assert outside(through.skeleton, mask) > 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_costs_are_those_of_a_plain_dijkstra(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (6, 5, 7)
    mask = np.asfortranarray(rng.random(shape) < 0.7)
    flat = Flat(shape, np.array([3.0, 4.0, 5.0]))
    solid, field = flat.pad(mask), flat.pad(np.where(mask, rng.random(shape) + 0.5, 0).astype(np.float32))
    inside = np.flatnonzero(solid)
    by_speed = bool(rng.integers(2))
    seeds = rng.choice(inside, 2, replace=False)
    cost = np.full(len(solid), np.inf, np.float32)
    back, owner = np.full(len(solid), -1, np.int8), np.zeros(len(solid), np.uint16)
    starts = np.zeros(2, np.float32)
    spread(solid, field, by_speed, seeds, starts, np.inf, flat.steps, flat.lengths, cost, back, owner)
    rows, columns, prices = [], [], []
    for step, length in zip(flat.steps, flat.lengths, strict=True):
        near = inside[solid[inside + step]]
        rows.append(near)
        columns.append(near + step)
        pace = 2 / (field[near].astype(float) + field[near + step]) if by_speed else np.ones(len(near))
        prices.append(length * pace)
    edges = (np.concatenate(prices), (np.concatenate(rows), np.concatenate(columns)))
    slow = dijkstra(coo_matrix(edges, (len(solid), len(solid))).tocsr(), indices=seeds)
    np.testing.assert_allclose(cost[inside], slow.min(axis=0)[inside], rtol=1e-5)
    known = inside[np.isfinite(cost[inside])]
    nearest = slow[owner[known].astype(np.int64) - 1, known]
    np.testing.assert_allclose(nearest, cost[known], rtol=1e-5)
    for at in known.tolist():
        here = at
        while back[here] >= 0:
            here += int(flat.steps[back[here]])
        assert here == seeds[owner[at] - 1]


def test_a_limit_bounds_the_spread() -> None:
    flat = Flat((30, 3, 3), NM)
    solid = flat.pad(np.ones((30, 3, 3), np.bool_, order="F"))
    cost = np.full(len(solid), np.inf, np.float32)
    back, owner = np.full(len(solid), -1, np.int8), np.zeros(len(solid), np.uint16)
    at = flat.index(np.array([[0, 1, 1]]))
    no_field, start = np.zeros(1, np.float32), np.array([-200], np.float32)
    spread(solid, no_field, False, at, start, 300.0, flat.steps, flat.lengths, cost, back, owner)
    reached = np.isfinite(cost).reshape(flat.shape, order="F")[1:-1, 2, 2]
    assert np.flatnonzero(reached).tolist() == [0, 1, 2, 3, 4, 5]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_ways_step_from_neighbour_to_neighbour_within_the_object(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (28, 28, 28)
    mask = ball(shape, (14, 14, 14), 9)
    for _ in range(3):
        mask |= tube(shape, (14, 14, 14), rng.normal(size=3), 2.5)
        mask &= ~ball(shape, rng.uniform(6, 22, 3), 2.5)
    region = region_of(mask, options=SomaOptions(accept_nm=300, scale=1, const_nm=300, voids=False))
    assert len(region.roots) >= 1
    solid = region.flat.pad(mask)
    for at in rng.choice(np.flatnonzero(region.owner), 20).tolist():
        track = way(region, at)
        assert track[-1] == region.roots[region.owner[at] - 1]
        assert solid[track].all()
        assert all(b - a in region.flat.steps for a, b in pairwise(track))


def test_steps_are_their_own_opposites_backwards() -> None:
    assert [tuple(-d for d in s) for s in STEPS] == list(reversed(STEPS))
