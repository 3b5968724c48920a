"""Stitching and cleaning skeletons, against slow obvious versions and against known shapes."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from osteoid import Skeleton as Osteoid

from ophiolite.errors import ConfigError
from ophiolite.geometry.box import Box, sub
from ophiolite.geometry.grid import Grid
from ophiolite.geometry.lattice import SkeletonPiece
from ophiolite.kernels.skeleton_merge import (
    CleanOptions,
    Skeleton,
    clean_skeleton,
    skeleton_measures,
    stitch_skeletons,
)
from ophiolite.kernels.skeletonize import HALO_LOW_VX, SkeletonOptions, skeletonize_labels

PLAIN = SkeletonOptions()
KEEP_ALL = CleanOptions(min_cable_nm=0, remove_loops=False, join_close=False)


def roots(n: int, edges: np.ndarray) -> list[int]:
    """Each vertex's component, by painting neighbours until nothing changes."""
    colour = list(range(n))
    changed = True
    while changed:
        changed = False
        for a, b in edges.tolist():
            if colour[a] != colour[b]:
                colour[a] = colour[b] = min(colour[a], colour[b])
                changed = True
    return colour


def cycles(n: int, edges: np.ndarray) -> int:
    return len(edges) - n + len(set(roots(n, edges)))


def as_lines(vertices: np.ndarray, edges: np.ndarray) -> set[frozenset[tuple[float, ...]]]:
    points = [tuple(v) for v in vertices.tolist()]
    return {frozenset((points[a], points[b])) for a, b in edges.tolist()}


@st.composite
def graphs(draw: st.DrawFn, most: int = 24, extra: int = 6):
    """Vertices in general position, edges of a random forest and a few more."""
    n = draw(st.integers(2, most))
    seed = draw(st.integers(0, 2**32 - 1))
    r = np.random.default_rng(seed)
    parts = draw(st.integers(1, 4))
    edges = {(int(r.integers(max(i - 4, 0), i)), i) for i in range(1, n) if i % (n // parts + 1)}
    for _ in range(draw(st.integers(0, extra))):
        a, b = sorted(r.integers(0, n, 2).tolist())
        if a != b:
            edges.add((a, b))
    return r.random((n, 3)) * 100, np.array(sorted(edges), np.uint32).reshape(-1, 2), r.random(n) * 10


def slow_ticks(points: np.ndarray, edges: np.ndarray, limit: float) -> set[tuple[int, int]]:
    """Walk from every terminal to the next branch point, drop the shortest walk, begin again."""
    left = {tuple(e) for e in edges.tolist()}
    while True:
        degree = Counter(itertools.chain(*left))
        walks = []
        for end in (v for v, d in degree.items() if d == 1):
            walk, here, length = [], end, 0.0
            while degree[here] == 2 or here == end:
                step = next(e for e in left if here in e and e not in walk)
                walk.append(step)
                after = step[0] + step[1] - here
                length += float(np.linalg.norm(points[here] - points[after]))
                here = after
                if degree[here] == 1:
                    break
            if degree[here] > 2:
                walks.append((length, end, walk))
        walks = [w for w in walks if w[0] < limit]
        if not walks:
            return left
        left -= set(min(walks)[2])


@settings(max_examples=60)
@given(graphs(), st.floats(0.1, 200))
def test_ticks_go_as_in_the_slow_version(graph, limit: float) -> None:
    points, edges, radius = graph
    got = clean_skeleton(
        points, edges, radius, CleanOptions(min_cable_nm=0, tick_nm=limit, remove_loops=False, join_close=False)
    )
    want = np.array(sorted(slow_ticks(points, edges, limit)), np.int64).reshape(-1, 2)
    assert as_lines(got[0], got[1]) == as_lines(points, want)


def slow_join(points: np.ndarray, edges: np.ndarray, radius: np.ndarray) -> set[tuple[int, int]]:
    """All pairs of used vertices, nearest first."""
    used = sorted(set(edges.ravel().tolist()))
    pairs = []
    for a, b in itertools.combinations(used, 2):
        d = float(((points[a] - points[b]) ** 2).sum())
        if d <= (radius[a] + radius[b]) ** 2:
            pairs.append((d, a, b))
    out = {tuple(e) for e in edges.tolist()}
    colour = roots(len(points), edges)
    for _, a, b in sorted(pairs):
        if colour[a] != colour[b]:
            out.add((a, b))
            old, new = colour[b], colour[a]
            colour = [new if c == old else c for c in colour]
    return out


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(4, 60), st.integers(1, 5))
def test_close_parts_are_joined_as_in_the_slow_version(seed: int, n: int, reach: int) -> None:
    r = np.random.default_rng(seed)
    points = r.integers(0, 12, (n, 3)).astype(np.float64)  # whole numbers: many equal distances
    radius = r.integers(0, reach, n).astype(np.float64)
    edges = np.array([(i, i + 1) for i in range(n - 1) if r.random() < 0.7], np.uint32).reshape(-1, 2)
    options = CleanOptions(min_cable_nm=0, remove_loops=False)
    vertices, joined, _ = clean_skeleton(points, edges, radius, options)
    used = np.unique(edges)
    assert len(vertices) == len(used)
    assert {(int(used[a]), int(used[b])) for a, b in joined} == slow_join(points, edges, radius)


@settings(max_examples=60)
@given(graphs(extra=12), st.sampled_from([1e-3, 1.0, 10.0, 1e6]))
def test_loops_are_broken_and_nothing_falls_apart(graph, thickness: float) -> None:
    points, edges, radius = graph
    n = len(points)
    options = CleanOptions(min_cable_nm=0, join_close=False)
    vertices, tree, _ = clean_skeleton(points, edges, radius * thickness, options)
    assert cycles(len(vertices), tree) == 0
    assert as_lines(vertices, tree) <= as_lines(points, edges)
    used = set(edges.ravel().tolist())
    assert len(set(roots(len(vertices), tree))) == len({c for i, c in enumerate(roots(n, edges)) if i in used})
    if thickness == 1e-3:  # nothing is beside anything: one cut a loop
        assert len(edges) - len(tree) == cycles(n, edges)
        assert len(vertices) == len(used)


def ring(n: int, size: float) -> np.ndarray:
    turn = np.arange(n) * 2 * np.pi / n
    return np.stack([np.cos(turn), np.sin(turn), np.zeros(n)], axis=1) * size


def test_of_two_traces_in_one_lumen_the_longer_goes_whole() -> None:
    straight = np.array([[i, 0, 0] for i in range(12)], float)
    aside = np.array([[3.5, 1, 0], [5.0, 2, 0], [6.5, 1, 0]])
    points = np.concatenate([straight, aside])
    edges = np.array([(i, i + 1) for i in range(11)] + [(3, 12), (12, 13), (13, 14), (14, 7)], np.uint32)
    vertices, tree, _ = clean_skeleton(points, edges, np.full(15, 3.0), CleanOptions(min_cable_nm=0))
    np.testing.assert_array_equal(vertices, straight)
    assert len(tree) == 11
    # A hole wider than the tube is real: both arms stay, open at the thinnest place.
    radius = np.full(15, 0.9)
    radius[13] = 0.5
    vertices, tree, _ = clean_skeleton(points, edges, radius, CleanOptions(min_cable_nm=0, join_close=False))
    assert len(vertices) == 15
    assert len(tree) == 14
    assert skeleton_measures(vertices, tree, radius).branch_points == 2


def test_a_ring_is_opened_at_its_thinnest_place_and_kept() -> None:
    points, radius = ring(20, 50.0), np.full(20, 100.0)
    radius[[7, 8]] = 3
    edges = np.array([(i, (i + 1) % 20) for i in range(20)], np.uint32)
    vertices, tree, _ = clean_skeleton(points, edges, radius, CleanOptions(min_cable_nm=0))
    assert len(vertices) == 20
    assert as_lines(points, edges) - as_lines(vertices, tree) == as_lines(points, np.array([[7, 8]]))


def test_dust_is_judged_by_the_cable_of_the_part() -> None:
    points = np.array([[0, 0, 0], [3, 0, 0], [0, 50, 0], [2, 50, 0], [0, 90, 0]], float)
    edges = np.array([[0, 1], [2, 3]], np.uint32)
    for limit, left in ((2.0, 4), (2.5, 2), (3.0, 2), (3.5, 0)):
        assert len(clean_skeleton(points, edges, np.ones(5), CleanOptions(min_cable_nm=limit))[0]) == left


def test_a_skeleton_over_the_cable_limit_is_left_as_stitched() -> None:
    points, edges = ring(20, 50.0), np.array([(i, (i + 1) % 20) for i in range(20)], np.uint32)
    for limit, left in ((100.0, 20), (1000.0, 19)):
        options = CleanOptions(min_cable_nm=0, max_cable_nm=limit)
        assert len(clean_skeleton(points, edges, np.ones(20), options)[1]) == left


@given(graphs(), st.randoms())
def test_the_order_of_vertices_and_edges_does_not_change_the_result(graph, random) -> None:
    points, edges, radius = graph
    options = CleanOptions(min_cable_nm=20, tick_nm=30)
    place = list(range(len(points)))
    random.shuffle(place)
    moved, moved_radius = np.empty_like(points), np.empty_like(radius)
    moved[place], moved_radius[place] = points, radius
    shuffled = np.array(place)[edges.astype(int)].astype(np.uint32)[::-1, ::-1]
    first, second = (
        clean_skeleton(points, edges, radius, options),
        clean_skeleton(moved, shuffled, moved_radius, options),
    )
    assert as_lines(*first[:2]) == as_lines(*second[:2])


def comb(teeth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A cable with a tooth of its own length at every vertex, and beside it as many loose bits."""
    x = np.arange(teeth) * 10.0
    cable, tips = np.stack([x, 0 * x, 0 * x], 1), np.stack([x, 3 + np.sin(x), 0 * x], 1)
    loose = np.stack([x, 0 * x + 100, 0 * x], 1)
    n = np.arange(teeth)
    edges = [np.stack([n[:-1], n[1:]], 1), np.stack([n, n + teeth], 1), np.stack([n[::2], n[1::2]], 1) + 2 * teeth]
    return np.concatenate([cable, tips, loose]), np.concatenate(edges).astype(np.uint32), np.full(3 * teeth, 6.0)


def test_time_grows_in_step_with_the_skeleton() -> None:
    options = CleanOptions(min_cable_nm=1, tick_nm=8)
    spent = {}
    for teeth in (4000, 64000):
        graph = comb(teeth)
        clean_skeleton(*comb(10), options)
        runs = []
        for _ in range(2):
            start = time.process_time()
            vertices, edges, _ = clean_skeleton(*graph, options)
            runs.append(time.process_time() - start)
        spent[teeth] = min(runs)
        assert len(edges) == len(vertices) - 2  # the cable and the joined row, all teeth pruned but those at the ends
    assert spent[64000] < 16 * 4 * spent[4000]  # a quadratic step would show 256 times


# Stitching


def traced(
    labels: np.ndarray,
    task_vx: tuple[int, int, int],
    resolution=(10.0, 10.0, 10.0),
    origin=(0, 0, 0),
    halo: int = HALO_LOW_VX,
    options: SkeletonOptions = PLAIN,
) -> dict[int, list[tuple[tuple[int, int, int], SkeletonPiece]]]:
    """All tasks of a volume: the pieces of each label."""
    grid = Grid(Box.of(origin, labels.shape), task_vx)
    pieces: dict[int, list[tuple[tuple[int, int, int], SkeletonPiece]]] = {}
    for index in grid:
        core = grid.cell(index)
        low = tuple(i > 0 for i in index)
        high = tuple(i + 1 < n for i, n in zip(index, grid.shape, strict=True))
        seen = core.grow((halo,) * 3, (halo + 1,) * 3).intersect(grid.box)
        part = np.asfortranarray(labels[seen.slices(origin)])
        below = sub(core.start, seen.start)
        above = tuple(b - a - int(s) for a, b, s in zip(core.stop, seen.stop, high, strict=True))
        for label, piece in skeletonize_labels(part, resolution, core.shape, low, high, None, options, below, above):
            pieces.setdefault(label, []).append((core.start, piece))
    return pieces


def nm(skeleton: Skeleton, resolution=(10.0, 10.0, 10.0)) -> np.ndarray:
    return skeleton.vertices / 256 * np.array(resolution)


def tube(shape: tuple[int, int, int], start, stop, radius: float) -> np.ndarray:
    """Voxels whose centre lies within `radius` of a segment."""
    start, way = np.array(start, float), np.array(stop, float) - np.array(start, float)
    grid = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij"), axis=-1) - start
    along = np.clip((grid @ way) / (way @ way), 0, 1)
    inside = ((grid - along[..., None] * way) ** 2).sum(axis=-1) <= radius**2
    return np.asfortranarray(inside.astype(np.uint32))


@pytest.mark.parametrize(
    ("shape", "start", "stop", "task", "tasks"),
    [
        ((60, 20, 20), (6, 10.5, 10.5), (54, 10.5, 10.5), (30, 20, 20), 2),
        ((40, 40, 40), (6, 6, 6), (34, 34, 34), (20, 20, 20), 8),
        ((40, 40, 40), (5, 9, 12), (35, 31, 26), (17, 19, 21), 8),
    ],
)
def test_a_straight_tube_through_many_tasks_is_one_cable_of_its_length(shape, start, stop, task, tasks: int) -> None:
    labels = tube(shape, start, stop, 3.5)
    origin = (-7, 1000, 3)
    pieces = traced(labels, task, origin=origin)[1]
    assert 2 <= len(pieces) <= tasks
    skeleton = stitch_skeletons(pieces)
    options = CleanOptions(min_cable_nm=0, tick_nm=100)
    vertices, edges, radius = clean_skeleton(nm(skeleton), skeleton.edges, skeleton.radius_nm, options)
    measures = skeleton_measures(vertices, edges, radius)
    assert (measures.components, measures.terminals, measures.branch_points) == (1, 2, 0)
    length = 10 * np.linalg.norm(np.subtract(stop, start))
    # The round caps lengthen it by up to a radius at each end, steps from voxel to voxel by up to a tenth, and the ends
    # that every cross-section gets in the planes of eight tasks, where three of them cut it at once, by another tenth.
    assert length - 35 <= measures.cable_nm <= (1.1 if tasks == 2 else 1.2) * (length + 70)
    assert 25 <= measures.mean_radius_nm <= 45
    axis = np.array(stop, float) - start
    off = vertices / 10 - origin - start
    assert np.linalg.norm(np.cross(off, axis), axis=1).max() / np.linalg.norm(axis) < 3.5


def test_a_tip_beyond_the_border_of_a_task_stays_with_its_object() -> None:
    labels = np.zeros((40, 12, 12), np.uint32, order="F")
    labels[2:34, 3:9, 3:9] = 5
    labels[34:37, 5:7, 5:7] = 5
    skeleton = stitch_skeletons(traced(labels, (34, 12, 12))[5])
    vertices, edges, radius = clean_skeleton(
        nm(skeleton), skeleton.edges, skeleton.radius_nm, CleanOptions(min_cable_nm=0)
    )
    assert skeleton_measures(vertices, edges, radius).components == 1
    assert vertices[:, 0].max() == 365


@pytest.mark.parametrize("seed", range(4))
def test_stitching_connects_what_is_connected_and_nothing_else(seed: int) -> None:
    r = np.random.default_rng(seed)
    noise = r.random((24, 22, 20))
    for axis in range(3):
        noise = (noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)) / 3
    labels = np.asfortranarray(np.where(noise > 0.53, 1 + (np.arange(24) // 12)[:, None, None], 0).astype(np.uint32))
    pieces = traced(labels, (9, 8, 7))
    for label in (1, 2):
        parts = cc3d.connected_components(labels == label, connectivity=26)
        sizes = np.bincount(parts.ravel())[1:]
        skeleton = stitch_skeletons(pieces[label])
        at = (skeleton.vertices - 128) // 256
        assert (labels[tuple(at.T)] == label).all()
        colour = np.array(roots(len(at), skeleton.edges.astype(int)))
        assert len(set(zip(colour.tolist(), parts[tuple(at.T)].tolist(), strict=True))) == (sizes > 1).sum()
        assert len(set(colour.tolist())) == (sizes > 1).sum()


def test_the_order_of_pieces_makes_no_difference() -> None:
    pieces = traced(tube((30, 30, 30), (3, 4, 5), (26, 24, 27), 3), (10, 11, 12))[1]
    first, second = stitch_skeletons(pieces), stitch_skeletons(pieces[::-1])
    for name in ("vertices", "edges", "radius_nm"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.vertices.dtype == np.int64
    assert first.edges.dtype == np.uint32


def test_a_shared_vertex_takes_the_smaller_radius() -> None:
    edge = np.array([[0, 1]], np.uint32)
    left = SkeletonPiece(
        np.array([[128, 0, 0], [384, 0, 0]], np.int32), edge, np.array([5, 9], np.float32), np.array([0, 1], bool)
    )
    right = SkeletonPiece(
        np.array([[128, 0, 0], [384, 0, 0]], np.int32), edge, np.array([7, 8], np.float32), np.array([1, 0], bool)
    )
    skeleton = stitch_skeletons([((1, 0, 0), right), ((0, 0, 0), left)])
    assert skeleton.vertices[:, 0].tolist() == [128, 384, 640]
    assert skeleton.radius_nm.tolist() == [5, 7, 8]
    assert skeleton.edges.tolist() == [[0, 1], [1, 2]]


def test_nothing_gives_nothing() -> None:
    skeleton = stitch_skeletons([])
    vertices, edges, radius = clean_skeleton(nm(skeleton), skeleton.edges, skeleton.radius_nm)
    assert vertices.shape == (0, 3)
    assert edges.shape == (0, 2)
    measures = skeleton_measures(vertices, edges, radius)
    assert (measures.cable_nm, measures.components, measures.mean_radius_nm) == (0, 0, 0)


@given(graphs())
def test_measures_agree_with_osteoid(graph) -> None:
    points, edges, radius = graph
    vertices, kept, radii = clean_skeleton(points.astype(np.float32), edges, radius.astype(np.float32), KEEP_ALL)
    measures = skeleton_measures(vertices, kept, radii)
    other = Osteoid(vertices, kept, radii)
    assert measures.cable_nm == pytest.approx(float(other.cable_length()) if len(kept) else 0, rel=1e-5)
    assert measures.terminals == (len(other.terminals()) if len(kept) else 0)
    assert measures.branch_points == (len(other.branches()) if len(kept) else 0)
    assert measures.components == (len(other.components()) if len(kept) else 0)
    assert radii.min(initial=0) <= measures.mean_radius_nm <= radii.max(initial=0)


@pytest.mark.parametrize("wrong", [{"min_cable_nm": -1}, {"max_cable_nm": -1}, {"tick_nm": float("nan")}])
def test_options_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        CleanOptions(**wrong)  # type: ignore[arg-type]
