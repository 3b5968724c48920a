"""Skeletons as rooted trees and their branches, against the same told slowly by networkx-free walks."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from bone_shapes import bones
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ophiolite.kernels import skeleton_tree
from ophiolite.kernels.skeleton_measure import graph_measures
from ophiolite.kernels.skeleton_tree import CUT, END, FORK, ROOT, Forest, branches, rooted

Drawn = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]


@st.composite
def graphs(draw: st.DrawFn) -> Drawn:
    """Graphs of a few components and loops, in any order of vertices and edges; radii with ties."""
    n = draw(st.integers(1, 25))
    above = [(i, draw(st.integers(0, i - 1))) for i in range(1, n) if draw(st.integers(0, 6))]
    more = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=4))
    names = draw(st.permutations(range(n)))
    pairs = {tuple(sorted((names[a], names[b]))) for a, b in [*above, *more] if a != b}
    edges = np.array(draw(st.permutations(sorted(pairs))), np.int64).reshape(-1, 2)
    seed = np.random.default_rng(draw(st.integers(0, 99)))
    points = np.argsort(seed.random((3, 40)), axis=1)[:, :n].T.astype(np.float32) * 8
    radius = np.array(draw(st.lists(st.integers(1, 5), min_size=n, max_size=n)), np.float32)
    return points, edges, radius


def check(forest: Forest, drawn: Drawn) -> None:
    """What a forest of a graph must hold."""
    points, edges, radius = drawn
    n, pairs = len(points), {tuple(e) for e in edges.tolist()}
    assert sorted(forest.order.tolist()) == list(range(n))
    inner = np.flatnonzero(forest.parent >= 0)
    assert (forest.parent[inner] < inner).all()
    taken = {tuple(sorted(p)) for p in zip(forest.order[inner], forest.order[forest.parent[inner]], strict=True)}
    assert taken <= pairs
    assert len(taken) == len(inner)
    assert forest.loops.sum() == len(pairs) - len(taken)
    for tree in range(len(forest.loops)):
        part = forest.order[forest.tree == tree]
        assert part[0] == min(part, key=lambda v: (-radius[v], v))
    assert len(forest.loops) == components(n, pairs)


def components(n: int, pairs: Any) -> int:
    groups = [{i} for i in range(n)]
    for a, b in pairs:
        first, second = (next(g for g in groups if v in g) for v in (a, b))
        if first is not second:
            groups.remove(second)
            first |= second
    return len(groups)


@given(graphs())
def test_a_forest_holds_all_and_breaks_each_loop_once(drawn: Drawn) -> None:
    check(rooted(*drawn), drawn)


@given(graphs())
def test_loops_are_broken_where_they_are_thinnest(drawn: Drawn) -> None:
    _, edges, radius = drawn
    forest = rooted(*drawn)
    inner = np.flatnonzero(forest.parent >= 0)
    taken = {tuple(sorted(p)) for p in zip(forest.order[inner], forest.order[forest.parent[inner]], strict=True)}
    for a, b in {tuple(e) for e in edges.tolist()} - taken:
        way = path(taken, int(a), int(b))
        assert min(radius[a], radius[b]) <= min(min(radius[u], radius[v]) for u, v in itertools.pairwise(way))


def path(pairs: Any, a: int, b: int) -> list[int]:
    """The only way from a to b in a forest."""
    ways = {a: [a]}
    todo = [a]
    while todo:
        here = todo.pop()
        for u, v in pairs:
            for one, other in ((u, v), (v, u)):
                if one == here and other not in ways:
                    ways[other] = [*ways[here], other]
                    todo.append(other)
    return ways[b]


@given(graphs())
def test_branches_are_the_ways_between_roots_forks_and_ends(drawn: Drawn) -> None:
    points, _, radius = drawn
    forest = rooted(*drawn)
    found = branches(forest, points, radius)
    children: list[list[int]] = [[] for _ in points]
    for v, above in enumerate(forest.parent.tolist()):
        if above >= 0:
            children[above].append(v)
    stops = [v for v in range(len(points)) if forest.parent[v] < 0 or len(children[v]) != 1]
    expected = {}
    for stop in stops:
        for child in children[stop]:
            way = [stop, child]
            while len(children[way[-1]]) == 1:
                way.append(children[way[-1]][0])
            expected[way[-1]] = way
    assert sorted(found.last.tolist()) == sorted(expected)
    orders = {last: slow_order(children, last) for last in expected}
    for k, last in enumerate(found.last.tolist()):
        way = expected[last]
        at, thick = points[forest.order[way]].astype(np.float64), radius[forest.order[way]].astype(np.float64)
        steps = np.linalg.norm(np.diff(at, axis=0), axis=1)
        assert found.first[k] == way[0]
        assert found.length_nm[k] == pytest.approx(steps.sum())
        assert found.distance_nm[k] == pytest.approx(np.linalg.norm(at[-1] - at[0]))
        assert found.mean_radius_nm[k] == pytest.approx(((thick[1:] + thick[:-1]) / 2 * steps).sum() / steps.sum())
        assert (found.min_radius_nm[k], found.max_radius_nm[k]) == (thick.min(), thick.max())
        assert found.order[k] == orders[last]
        assert found.tree[k] == forest.tree[last]
        above = found.parent[k]
        assert (above < 0 and forest.parent[way[0]] < 0) or found.last[above] == way[0]


def slow_order(children: list[list[int]], v: int) -> int:
    orders = sorted((slow_order(children, c) for c in children[v]), reverse=True)
    return 1 if not orders else orders[0] + (orders[:2] == [orders[0]] * 2)


def test_a_y_is_three_branches() -> None:
    y = bones([[(0, 0, 0), (10, 0, 0)], [(10, 0, 0), (15, 5, 0)], [(10, 0, 0), (15, -5, 0)]], 2.0)
    thick = y.radius_nm.copy()
    thick[0] = 9.0
    forest = rooted(y.vertices_nm, y.edges, thick)
    found = branches(forest, y.vertices_nm, thick)
    assert forest.kind[found.first].tolist() == [ROOT, FORK, FORK]
    assert forest.kind[found.last].tolist() == [FORK, END, END]
    assert found.parent.tolist() == [-1, 0, 0]
    assert found.order.tolist() == [2, 1, 1]
    assert found.length_nm.sum() == pytest.approx(graph_measures(y).cable_nm)
    np.testing.assert_allclose(found.length_nm, found.distance_nm)


def test_a_ring_is_cut_open_at_its_thinnest_edge_and_said_to_be() -> None:
    square = bones([[(0, 0, 0), (4, 0, 0), (4, 4, 0), (0, 4, 0), (0, 0, 0)]], 5.0)
    radius = square.radius_nm.copy()
    radius[0], radius[6] = 9.0, 1.0
    forest = rooted(square.vertices_nm, square.edges, radius)
    assert forest.loops.tolist() == [1]
    assert np.count_nonzero(forest.kind == CUT) == 2
    assert 6 in forest.order[forest.kind == CUT]


def test_trees_come_by_falling_cable() -> None:
    two = bones([[(0, 0, 0), (3, 0, 0)], [(0, 9, 0), (30, 9, 0)]])
    found = branches(rooted(two.vertices_nm, two.edges, two.radius_nm), two.vertices_nm, two.radius_nm)
    assert found.tree.tolist() == [0, 1]
    assert found.length_nm.tolist() == [240, 24]


def test_nothing_has_no_branches() -> None:
    nothing = rooted(np.zeros((0, 3)), np.zeros((0, 2), np.uint32), np.zeros(0))
    assert len(nothing.order) == 0
    assert len(branches(nothing, np.zeros((0, 3)), np.zeros(0)).length_nm) == 0


def test_a_walk_that_loses_the_way_back_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(n: int, edges: Any, roots: Any) -> Any:
        order, parent = walk(n, edges, roots)
        return order, np.where(parent >= 0, 0, -1)

    walk = skeleton_tree.walk
    monkeypatch.setattr(skeleton_tree, "walk", lost)
    drawn = (np.eye(3, dtype=np.float32), np.array([[0, 1], [1, 2]]), np.array([3, 2, 1], np.float32))
    with pytest.raises(AssertionError):
        check(rooted(*drawn), drawn)
