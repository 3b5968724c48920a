"""Skeletons at the borders of tasks: what only a border drew goes, what the object has stays; blocks do not show."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from benchmarks.skeleton_blocks import tasks_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial import cKDTree

from ophiolite.kernels import skeleton_merge
from ophiolite.kernels.skeleton_borders import border_measures
from ophiolite.kernels.skeleton_graph_loops import reaches
from ophiolite.kernels.skeleton_measure import Bones, distance_field
from ophiolite.kernels.skeleton_merge import CleanOptions, clean_skeleton, skeleton_measures, stitch_skeletons
from ophiolite.kernels.skeletonize import HALO_LOW_VX, SkeletonOptions, borders, skeletonize_labels, trace
from ophiolite.kernels.skeletonize.borders import face_sections

Whole = tuple[np.ndarray, np.ndarray, np.ndarray]
OPTIONS = CleanOptions(min_cable_nm=0, join_close=False, scale=2.0, const_nm=10.0)
TRACING = SkeletonOptions(scale=2.0, const_nm=30.0)
NO = (False, False, False)


def line(*points: tuple[float, float, float]) -> np.ndarray:
    return np.array(points, float)


def trunk(n: int = 30) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """A cable along x, 10 nm a step."""
    return np.stack([10.0 * np.arange(n), np.zeros(n), np.zeros(n)], 1), [(i, i + 1) for i in range(n - 1)]


def with_branch(branch: np.ndarray, at: int = 15, radius: float = 20.0, seam=()) -> tuple[np.ndarray, ...]:
    points, edges = trunk()
    n = len(points)
    more = [(at if i == 0 else n + i - 1, n + i) for i in range(len(branch))]
    marked = np.zeros(n + len(branch), bool)
    marked[[n + i for i in seam]] = True
    radii = np.append(np.full(n, radius), np.full(len(branch), 5.0))
    return np.concatenate([points, branch]), np.array(edges + more, np.uint32), radii, marked


def cleaned(points, edges, radius, seam, options: CleanOptions = OPTIONS) -> np.ndarray:
    return clean_skeleton(points, edges, radius, options, seam)[0]


def upward(n: int, step: float = 8.0) -> np.ndarray:
    return np.stack([np.full(n, 150.0), step * np.arange(1, n + 1), np.zeros(n)], 1)


# The balls of the trunk reach 2 x 20 + 10 = 50 nm.
@pytest.mark.parametrize(("n", "seam", "left"), [(6, (5,), 30), (6, (), 36), (6, (4,), 30), (9, (8,), 39)])
def test_a_branch_to_a_seam_within_the_ball_of_its_foot_goes(n: int, seam: tuple[int, ...], left: int) -> None:
    got = cleaned(*with_branch(upward(n), seam=seam))
    assert len(got) == left


def test_a_branch_that_goes_on_beyond_the_seam_stays() -> None:
    # 2 radii of 5 nm beyond the seam is 10 nm: one step of 8 goes, two stay.
    assert len(cleaned(*with_branch(upward(6), seam=(4,)))) == 30
    assert len(cleaned(*with_branch(upward(6), seam=(3,)))) == 36


def test_the_ball_of_any_vertex_counts_not_only_of_the_foot() -> None:
    points, edges, radius, seam = with_branch(upward(6), seam=(5,), radius=5.0)
    assert len(cleaned(points, edges, radius, seam)) == 36
    radius[17] = 60.0  # 20 nm along the trunk: 2 x 60 + 10 - 20 reach up the branch
    assert len(cleaned(points, edges, radius, seam)) == 30


def test_an_end_on_a_seam_is_trimmed_to_where_no_other_branch_covers_it() -> None:
    away = np.array([[150.0, 20.0 * i, 0] for i in range(1, 11)])
    back = np.array([[150.0 + 20.0 * i, 200.0 - 20.0 * i, 0] for i in range(1, 9)])  # comes back to y = 40
    branch = np.concatenate([away, back])
    graph = with_branch(branch, seam=(len(branch) - 1,))
    got = cleaned(*graph)
    points, edges, radius, _ = graph
    lost = [p for p in branch.tolist() if p not in got.tolist()]
    # The trunk ends at x = 290, and its balls reach 50 nm.
    assert lost == [p for p in back.tolist() if np.linalg.norm(points[:30] - p, axis=1).min() <= 50]
    assert 0 < len(lost) < len(back)
    assert len(cleaned(points, edges, radius, np.zeros(len(points), bool))) == len(points)


def test_of_two_ends_in_each_others_balls_one_stays() -> None:
    first = np.array([[150.0 - 5 * i, 30.0 * i, 0] for i in range(1, 8)])
    points, edges, radius, seam = with_branch(first, seam=(6,))
    n = len(points)
    second = first[:6] + np.array([20.0, 0, 0])
    more = np.array([(17 if i == 0 else n + i - 1, n + i) for i in range(6)], np.uint32)
    seam = np.append(seam, [False] * 5 + [True])
    got = cleaned(
        np.concatenate([points, second]), np.concatenate([edges, more]), np.append(radius, np.full(6, 9.0)), seam
    )
    kept = {tuple(p) for p in got.tolist()}
    assert {tuple(p) for p in first.tolist()} <= kept
    assert tuple(second[-1]) not in kept


# Balls of 10 nm: a trace 15 nm beside another runs within the same lumen; 20 nm are its width.
@pytest.mark.parametrize(("apart", "n", "left"), [(15.0, 9, 30), (15.0, 1, 31), (25.0, 9, 39)])
@pytest.mark.parametrize("of_another_task", [True, False])
def test_a_trace_beside_one_of_another_task_goes(apart: float, n: int, left: int, of_another_task: bool) -> None:
    beside = np.array([[150.0 + 8 * i, apart, 0] for i in range(n)])
    points, edges, _, seam = with_branch(beside)
    seam[15] = of_another_task
    radius = np.full(len(points), 10.0)
    small = CleanOptions(min_cable_nm=0, join_close=False, scale=0, const_nm=1)
    assert len(cleaned(points, edges, radius, seam, small)) == (left if of_another_task else 30 + n)


def test_a_vertex_without_a_ball_covers_no_end_however_near() -> None:
    points, edges = np.array([(x, 0, 0) for x in range(10)] + [(5, 1, 0), (6, 1, 0)], float), trunk(10)[1]
    ends = np.array([*edges, (5, 10), (10, 11)], np.uint32)
    seam, none = np.arange(12) == 11, np.full(12, -1.0)
    assert len(clean_skeleton(points, ends, np.ones(12), OPTIONS, seam, none)[0]) == 12


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 25))
def test_reach_is_the_greatest_ball_less_the_way(seed: int, n: int) -> None:
    r = np.random.default_rng(seed)
    edges = np.array([(int(r.integers(0, i)), i) for i in range(1, n)] + [(0, n - 1)], np.int64)
    edges = edges[edges[:, 0] != edges[:, 1]]
    lengths, ball = r.integers(1, 9, len(edges)).astype(float), r.integers(-1, 30, n).astype(float)
    want = ball.copy()
    for _ in range(n):
        for (a, b), length in zip(edges.tolist(), lengths.tolist(), strict=True):
            for here, there in ((a, b), (b, a)):
                if want[here] - length > 0:
                    want[there] = max(want[there], want[here] - length)
    np.testing.assert_array_equal(reaches(edges, lengths, ball), want)


@settings(max_examples=60)
@given(hnp.arrays(np.uint32, (5, 4, 4), elements=st.sampled_from([0, 0, 1, 2])), st.integers(0, 2), st.integers(1, 3))
def test_both_tasks_agree_on_targets_and_share_out_what_does_not_go_on(labels, axis: int, cut: int) -> None:
    volume = np.moveaxis(np.pad(labels, ((0, 0), (1, 1), (1, 1))), 0, axis)  # no other face has a target
    task = tuple(cut if d == axis else n for d, n in enumerate(volume.shape))
    found = []
    for core, low, high, window, context, _ in list(tasks_of(volume, task))[:2]:
        inner = tuple(slice(c, c + n + int(s)) for c, n, s in zip(context, core.shape, high, strict=True))
        targets, left, *_ = face_sections(window, inner, low, high, (3.0, 4.0, 5.0))
        start = np.array(core.start)
        on = [{tuple(v) for v in (rows + start).tolist() if v[axis] == cut} for rows in (targets, left)]
        found.append(on)
    assert found[0][0] == found[1][0]
    assert not found[0][1] & found[1][1]
    for voxel in found[0][0]:
        assert voxel not in found[0][1] | found[1][1]


def drawn(seed: int, shape=(52, 48, 44), branches: int = 7) -> np.ndarray:
    """A drawn tree of tubes, thick at the root; (x, y, z) uint32."""
    r = np.random.default_rng(seed)
    volume = np.zeros(shape, np.uint32, order="F")
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).astype(float)
    nodes = [(np.array(shape) / 2, 4.0)]
    for _ in range(branches):
        start, radius = nodes[int(r.integers(0, len(nodes)))]
        stop = 3 + r.random(3) * (np.array(shape) - 6)
        way = stop - start
        along = np.clip(((grid - start) @ way) / (way @ way), 0, 1)
        thick = max(1.5, radius * r.uniform(0.5, 0.9))
        volume[((grid - start - along[..., None] * way) ** 2).sum(-1) <= thick**2] = 1
        nodes.append((stop, thick))
    return volume


def skeleton(
    volume: np.ndarray,
    task,
    nm=(10.0, 10.0, 10.0),
    halo: int = HALO_LOW_VX,
    least: float = 0.0,
    options: SkeletonOptions = TRACING,
) -> Whole:
    pieces = []
    for core, low, high, window, below, above in tasks_of(volume, task, halo):
        for _, piece in skeletonize_labels(window, nm, core.shape, low, high, None, options, below, above):
            pieces.append((core.start, piece))
    whole = stitch_skeletons(pieces)
    clean = CleanOptions(min_cable_nm=least, scale=options.scale, const_nm=options.const_nm)
    return clean_skeleton(whole.vertices / 256 * np.array(nm), whole.edges, whole.radius_nm, clean, whole.seam)


def gap(one: Whole, other: Whole) -> float:
    return float(cKDTree(other[0]).query(one[0])[0].mean())


@pytest.mark.parametrize("nm", [(10.0, 10.0, 10.0), (8.0, 8.0, 20.0)])
@pytest.mark.parametrize("seed", range(3))
def test_the_shape_of_blocks_does_not_show(seed: int, nm: tuple[float, float, float]) -> None:
    volume = drawn(seed)
    whole = skeleton(volume, volume.shape, nm)
    want = skeleton_measures(*whole)
    ratios = []
    for task in ((26, 24, 22), (17, 48, 44), (31, 29, 40)):
        blocks = skeleton(volume, task, nm)
        got = skeleton_measures(*blocks)
        assert got.components == want.components == 1
        assert abs(got.terminals - want.terminals) <= 2
        # In voxels: a twig of 5 % of the cable, drawn in one and cleared in the other, moves the mean by half of one.
        assert gap(blocks, whole) < 0.75 * nm[0]
        assert gap(whole, blocks) < 0.75 * nm[0]
        ratios.append(got.cable_nm / want.cable_nm)
    # One twig of the 180 voxels of cable here is up to a quarter of it.
    assert max(abs(r - 1) for r in ratios) < 0.27
    assert abs(np.mean(ratios) - 1) < 0.15


@pytest.mark.parametrize("thick_vx", [1, 3, 5])
def test_a_thin_arm_one_voxel_from_its_trunk_stays_where_a_plane_lies_between(thick_vx: int) -> None:
    plane, middle = 24, 8 + thick_vx // 2
    fork = np.zeros((48, 70, 20), np.uint32, order="F")
    fork[plane - thick_vx : plane, 1:66, 8 : 8 + thick_vx] = 1
    fork[plane + 1, 10:56, middle] = 1
    fork[plane - 1 : plane + 2, 10, middle] = 1
    options = SkeletonOptions()
    whole, cut = (skeleton(fork, task, options=options) for task in (fork.shape, (plane, 70, 20)))
    for got in (whole, cut):
        arm = got[0][got[0][:, 0] > 10 * (plane + 1)]
        assert np.ptp(arm[:, 1]) > 400
    assert skeleton_measures(*cut).cable_nm == pytest.approx(skeleton_measures(*whole).cable_nm, rel=0.1)


@pytest.mark.parametrize("length", [3, 7, 12])
@pytest.mark.parametrize("branching", [True, False])
def test_a_stub_beyond_a_low_plane_is_traced_with_and_without_branching(length: int, branching: bool) -> None:
    window = np.zeros((44, 40, 40), np.uint32, order="F")
    window[: 4 + length, 10:16, :6] = 5
    options = SkeletonOptions(fix_branching=branching)
    low = (True, False, False)
    ((label, piece),) = skeletonize_labels(window, (10.0,) * 3, (40, 40, 40), low, NO, None, options, (4, 0, 0))
    assert label == 5
    assert len(piece.edges) == len(piece.vertices) - 1
    at = np.floor(piece.vertices / 256).astype(int) + np.array([4, 0, 0])
    assert (window[tuple(at.T)] == 5).all()


def faces_of(kind: str) -> np.ndarray:
    """Objects that are hard at the plane x = 20."""
    x, y, z = np.mgrid[:40, :33, :33].astype(float)
    y, z = y - 16, z - 16
    across = np.hypot(y, z)
    return {
        "square": (np.abs(y) < 6) & (np.abs(z) < 6) & (x > 3) & (x < 37),
        "cross": ((np.abs(y) < 3) | (np.abs(z) < 3)) & (across < 13) & (x > 3) & (x < 37),
        "annulus": (across < 12) & (across > 7) & (x > 3) & (x < 37),
        "grazing tube": ((x - 22) ** 2 + y**2 < 9) & (np.abs(z) < 13),
        "tube in the plane": ((x - 20) ** 2 + y**2 < 9) & (np.abs(z) < 13),
        "sheet in the plane": (x == 20) & (np.abs(y) < 9) & (np.abs(z) < 9),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["square", "cross", "annulus", "grazing tube", "tube in the plane", "sheet in the plane"]
)
@pytest.mark.parametrize("plane", [19, 20, 21])
def test_hard_faces_leave_one_part_without_loops_and_few_more_ends(kind: str, plane: int) -> None:
    volume = np.asfortranarray(faces_of(kind).astype(np.uint32))
    whole, cut = skeleton(volume, volume.shape), skeleton(volume, (plane, 33, 33))
    want, got = skeleton_measures(*whole), skeleton_measures(*cut)
    assert got.components == 1
    assert len(cut[1]) == len(cut[0]) - 1
    # Crosses and annuli, whose flat faces draw a way to every corner, are drawn a little fewer where they are cut.
    assert got.terminals <= want.terminals + 1
    assert 0.85 * want.cable_nm < got.cable_nm < 1.05 * want.cable_nm
    inside = volume[tuple(np.floor(cut[0] / 10).astype(int).T)]
    assert (inside == 1).all()


def components(volume: np.ndarray, task) -> tuple[int, int]:
    parts = cc3d.connected_components(volume, connectivity=26)
    sizes = np.bincount(parts.ravel())[1:]
    return skeleton_measures(*skeleton(volume, task)).components, int((sizes > 1).sum())


@pytest.mark.parametrize("seed", range(4))
def test_ends_on_two_sides_of_a_face_meet(seed: int) -> None:
    r = np.random.default_rng(seed)
    task = tuple(int(v) for v in r.integers(14, 30, 3))
    got, want = components(drawn(seed), task)
    assert got == want


def test_a_target_that_one_side_moves_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = np.zeros((40, 16, 16), np.uint32, order="F")
    volume[2:38, 4:12, 4:12] = 1
    assert components(volume, (20, 16, 16)) == (1, 1)
    real = borders.border_targets
    calls = iter(range(1000))

    def moved(plane, *rest):
        voxels, labels = real(plane, *rest)
        return voxels + next(calls) % 2 * np.array([3, -3]), labels

    monkeypatch.setattr(borders, "border_targets", moved)
    whole = stitch_skeletons(
        [
            (core.start, piece)
            for core, low, high, window, below, above in tasks_of(volume, (20, 16, 16))
            for _, piece in skeletonize_labels(
                window, (10.0,) * 3, core.shape, low, high, None, SkeletonOptions(), below, above
            )
        ]
    )
    nm = whole.vertices / 256 * 10.0
    apart = CleanOptions(min_cable_nm=0, join_close=False)
    assert skeleton_measures(*clean_skeleton(nm, whole.edges, whole.radius_nm, apart, whole.seam)).components == 2


@pytest.mark.parametrize("plane", [19, 20, 21])
def test_a_tube_along_a_plane_is_left_one_trace(plane: int, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = np.asfortranarray(faces_of("tube in the plane").astype(np.uint32))
    want = skeleton_measures(*skeleton(volume, volume.shape)).cable_nm
    assert skeleton_measures(*skeleton(volume, (plane, 33, 33))).cable_nm < 1.1 * want
    monkeypatch.setattr(skeleton_merge, "_trimmed", lambda points, edges, cover: edges)
    twice = skeleton_measures(*skeleton(volume, (plane, 33, 33))).cable_nm > 1.9 * want
    assert twice


def cornered(x0: int, x1: int) -> np.ndarray:
    """A flat corner of an object at the end of the volume, with a neurite: as FIB-25 has."""
    volume = np.zeros((40, 24, 60), np.uint32, order="F")
    x, y, z = np.indices(volume.shape)
    volume[(x / 11) ** 2 + (y / 11) ** 2 + ((z - 30) / 24.0) ** 2 < 1] = 1
    volume[x0:x1, 2:5, 50:53] = 1
    return volume


@pytest.mark.parametrize("plane", [24, 30, 36])
def test_a_stub_at_a_corner_of_the_volume_is_reached_from_the_other_side(plane: int) -> None:
    got = skeleton(cornered(2, 38), (40, 24, plane))[0][:, 2] / 10
    assert got.min() < plane - 2
    assert got.max() > plane + 2


def broken_faces_of_a_fin() -> int:
    """Of a neurite that ends in a flat fin, wider along the plane x = 30 than beyond it."""
    x, y, z = np.indices((56, 40, 24)).astype(float)
    fin = ((x - 26) / 13) ** 2 + ((y - 20) / 14) ** 2 + ((z - 12) / 3) ** 2 < 1
    mask = fin | ((np.hypot(y - 20, z - 12) < 2) & (x < 26) & (x > 2))
    vertices, edges, radius = skeleton(np.asfortranarray(mask.astype(np.uint32)), (30, 40, 24))
    bones = Bones(vertices, edges.astype(np.int64), radius.astype(np.float64))
    nm = np.full(3, 10.0)
    return border_measures(bones, mask, distance_field(mask, nm), (0, 0, 0), nm, [[30], [], []]).broken


def test_a_part_is_followed_as_far_beyond_its_one_entry_as_it_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken_faces_of_a_fin() == 0
    real = trace._told_apart
    monkeypatch.setattr(trace, "_told_apart", lambda asked, parts: (*real(asked, parts)[:2], trace.NO_VOXELS))
    assert broken_faces_of_a_fin() == 1


@settings(max_examples=60)
@given(
    hnp.arrays(np.uint32, (3, 7, 7), elements=st.sampled_from([0, 1, 1])),
    st.tuples(st.integers(2, 9), st.integers(2, 9)),
)
def test_where_the_volume_ends_the_deepest_of_a_section_is_met_and_no_end_is_drawn_by_a_plane(layers, cut) -> None:
    volume = np.asfortranarray(np.pad(layers, ((0, 0), (1, 1), (1, 1))))  # it ends along x alone
    squared = borders.to_edge(volume[0], (10.0, 10.0))
    met = set()
    for core, low, high, window, below, _ in tasks_of(volume, (3, *cut)):
        inner = tuple(slice(c, c + n + int(s)) for c, n, s in zip(below, core.shape, high, strict=True))
        found = face_sections(window, inner, low, high, (10.0,) * 3)
        shared = {tuple(v) for v in (found.entries + np.array(core.start)).tolist()}
        for x, u, v in (found.targets + np.array(core.start)).tolist():
            if x == 0:
                met.add((u, v))
            if x == 0 and (x, u, v) not in shared:
                for at, stop, axis in ((u, core.stop[1], 0), (v, core.stop[2], 1)):
                    if at == stop < 8:
                        beyond = np.take(volume[0], stop + 1, axis)[max(0, (v, u)[axis] - 1) : (v, u)[axis] + 2]
                        assert (beyond == 0).all()
    parts = borders.sections(volume[0])
    for part in range(1, int(parts.max()) + 1):
        deepest = {tuple(p) for p in np.argwhere((parts == part) & (squared == squared[parts == part].max())).tolist()}
        assert deepest & met
