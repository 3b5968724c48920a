"""Measures of skeletons on shapes whose answers are known; compiled loops against slow obvious ones."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from bone_shapes import NM, ORIGIN, bones, ring, tubes
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import blobs
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

from ophiolite.kernels.inside_mesh import inside_mesh
from ophiolite.kernels.skeleton_measure import (
    Bones,
    component_measures,
    connected,
    coverage,
    distance_field,
    graph_measures,
    place_measures,
)
from ophiolite.kernels.thinning import cavities, euler_number, neighbours, thin, thinning_measures

STRAIGHT = [(6, 10, 10), (33, 10, 10)]
BENT = [(6, 10, 10), (20, 10, 10), (20, 30, 10)]
Y_SHAPE = [[(6, 20, 10), (20, 20, 10)], [(20, 20, 10), (32, 32, 10)], [(20, 20, 10), (32, 8, 10)]]
X_SHAPE = [[(6, 20, 10), (34, 20, 10)], [(20, 6, 10), (20, 34, 10)]]
BOX = (40, 40, 21)


@pytest.mark.parametrize(
    ("lines", "cable_vx", "terminals", "branches"),
    [
        ([STRAIGHT], 27, 2, 0),
        ([BENT], 34, 2, 0),
        (Y_SHAPE, 14 + 24 * np.sqrt(2), 3, 1),
        (X_SHAPE, 56, 4, 1),
    ],
)
def test_graph_of_known_shapes(lines: list, cable_vx: float, terminals: int, branches: int) -> None:
    found = graph_measures(bones(lines))
    assert found.cable_nm == pytest.approx(cable_vx * 8)
    assert (found.terminals, found.branch_points, found.components, found.loops) == (terminals, branches, 1, 0)


def test_anisotropic_cable_and_centroid() -> None:
    nm = np.array([4.0, 4.0, 40.0])
    found = graph_measures(bones([[(0, 0, 0), (0, 0, 5)], [(0, 0, 5), (20, 0, 5)]], nm=nm))
    assert found.cable_nm == pytest.approx(5 * 40 + 20 * 4)
    # 200 nm of cable about z = 120, 80 nm at z = 220 and x = 42.
    assert found.centroid_nm == pytest.approx([(200 * 2 + 80 * 42) / 280, 2, (200 * 120 + 80 * 220) / 280])


def test_a_loop_and_two_components_are_counted() -> None:
    square = [(4, 4, 4), (12, 4, 4), (12, 12, 4), (4, 12, 4), (4, 4, 4)]
    found = graph_measures(bones([square, [(20, 4, 4), (30, 4, 4)]]))
    assert (found.components, found.loops, found.terminals, found.branch_points) == (2, 1, 2, 0)


def test_lone_vertices_have_a_centroid_and_no_cable() -> None:
    found = graph_measures(Bones(np.array([[1.0, 2, 3], [3, 4, 5]]), np.zeros((0, 2), np.int64), np.ones(2)))
    assert found.cable_nm == 0
    assert found.components == 2
    assert found.centroid_nm.tolist() == [2, 3, 4]


@pytest.mark.parametrize("nm", [NM, np.array([4.0, 4.0, 20.0])], ids=["cubes", "anisotropic"])
def test_the_axis_of_a_tube_has_no_fault(nm: NDArray[np.float64]) -> None:
    mask = tubes((40, 21, 21), [[(-20, 10, 10), (60, 10, 10)]], 40.0, nm)
    field = distance_field(mask, nm)
    line = bones([[(0, 10, 10), (39, 10, 10)]], field[5, 10, 10], nm)
    found = place_measures(line, mask, field, ORIGIN, nm)
    assert found.outside == 0
    assert found.ridge_nm.tolist() == [0] * 40
    assert np.abs(found.radius_error_nm).max() == 0
    assert found.coverage > 0.97


@pytest.mark.parametrize("off_vx", [1, 3])
def test_a_skeleton_off_the_axis_is_found_off_the_ridge(off_vx: int) -> None:
    mask = tubes((40, 21, 21), [[(-20, 10, 10), (60, 10, 10)]], 64.0)
    field = distance_field(mask, NM)
    found = place_measures(bones([[(0, 10 + off_vx, 10), (39, 10 + off_vx, 10)]]), mask, field, ORIGIN, NM)
    assert found.ridge_nm == pytest.approx(np.full(40, off_vx * 8.0))


def test_branch_points_have_no_ridge_and_the_rest_of_a_branching_tube_lies_on_it() -> None:
    mask = tubes(BOX, Y_SHAPE, 40.0)
    found = place_measures(bones(Y_SHAPE), mask, distance_field(mask, NM), ORIGIN, NM)
    assert len(found.ridge_nm) == len(bones(Y_SHAPE).vertices_nm) - 1
    assert np.median(found.ridge_nm) == 0


def test_vertices_outside_and_wrong_radii_are_flagged() -> None:
    mask = tubes(BOX, [STRAIGHT], 40.0)
    field = distance_field(mask, NM)
    right = bones([STRAIGHT])
    true = field[6:34, 10, 10].astype(np.float64)
    wrong = Bones(
        np.concatenate([right.vertices_nm, [[20 * 8 + 4, 30 * 8 + 4, 84], [-80, 84, 84]]]),
        right.edges,
        np.concatenate([true * 1.5, [5, 5]]),
    )
    found = place_measures(wrong, mask, field, ORIGIN, NM)
    assert found.outside == 2
    assert found.radius_share == pytest.approx(np.full(28, 0.5))
    assert found.radius_error_nm == pytest.approx(true / 2)


def slow_coverage(line: Bones, mask: NDArray[np.bool_], start: tuple[int, int, int], nm: NDArray[np.float64]) -> float:
    at = (np.argwhere(mask) + start + 0.5) * nm
    apart = np.linalg.norm(at[:, None] - line.vertices_nm[None], axis=2)
    return float((apart <= line.radius_nm[None] * (1 + 1e-6)).any(axis=1).mean())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_coverage_is_that_of_every_voxel_asked_for_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.asfortranarray(rng.random((9, 8, 7)) < 0.5)
    start, nm = (3, -5, 70), rng.uniform(2, 9, 3)
    n = int(rng.integers(1, 6))
    line = Bones(
        (rng.uniform(-1, 10, (n, 3)) + start) * nm, np.zeros((0, 2), np.int64), rng.choice([0.0, 3.0, 11.0, 20.0], n)
    )
    assert coverage(line, mask, start, nm) == pytest.approx(slow_coverage(line, mask, start, nm))


def test_half_a_tube_covers_half() -> None:
    mask = tubes((80, 21, 21), [[(-20, 10, 10), (100, 10, 10)]], 40.0)
    assert coverage(bones([[(0, 10, 10), (79, 10, 10)]], 41.0), mask, ORIGIN, NM) == 1
    assert coverage(bones([[(0, 10, 10), (36, 10, 10)]], 41.0), mask, ORIGIN, NM) == pytest.approx(0.5, abs=0.04)
    assert np.isnan(coverage(bones([STRAIGHT]), np.zeros((3, 3, 3), np.bool_), ORIGIN, NM))


def test_two_touching_cubes_are_one_component_and_two_apart_are_two() -> None:
    mask = np.zeros((24, 12, 12), np.bool_, order="F")
    mask[1:9, 1:9, 1:9] = mask[9:17, 9:11, 9:11] = True  # corner to corner
    one = bones([[(2, 4, 4), (7, 4, 4)]])
    found = component_measures(one, mask, ORIGIN, NM, 10)
    assert (found.objects, found.missed, found.split) == (1, 0, 0)
    mask[9] = False
    found = component_measures(one, mask, ORIGIN, NM, 10)
    assert (found.objects, found.missed, found.split) == (2, 1, 0)
    assert component_measures(one, mask, ORIGIN, NM, 100).missed == 0
    torn = bones([[(2, 4, 4), (4, 4, 4)], [(6, 4, 4), (7, 4, 4)]])
    assert component_measures(torn, mask, ORIGIN, NM, 100).split == 1


def test_thinning_a_straight_tube_and_a_ball() -> None:
    line = thinning_measures(tubes((60, 21, 21), [[(6, 10, 10), (53, 10, 10)]], 30.0), ORIGIN, NM)
    assert (line.terminals, line.branch_points, line.components, line.loops) == (2, 0, 1, 0)
    assert 43 * 8 <= line.cable_nm <= 47 * 8 + 2 * 30
    at = np.indices((31, 31, 31)) - 15
    dot = thinning_measures((at**2).sum(axis=0) <= 100, (4, 4, 4), NM)
    assert dot.components == 1
    assert dot.centroid_nm == pytest.approx(np.full(3, 19.5 * 8), abs=8)


def test_thinning_a_torus_leaves_its_loop_and_a_cross_its_four_ends() -> None:
    torus = thinning_measures(ring((60, 60, 15), 20, 4), ORIGIN, NM)
    assert (torus.loops, torus.terminals, torus.components) == (1, 0, 1)
    assert torus.cable_nm == pytest.approx(2 * np.pi * 20 * 8, rel=0.1)
    cross = thinning_measures(tubes(BOX, X_SHAPE, 30.0), ORIGIN, NM)
    assert (cross.loops, cross.terminals, cross.branch_points) == (0, 4, 1)


def test_thinning_nothing() -> None:
    found = thinning_measures(np.zeros((4, 4, 4), np.bool_), ORIGIN, NM)
    assert (found.vertices, found.cable_nm, found.components) == (0, 0, 0)
    assert np.isnan(found.centroid_nm).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_neighbours_are_all_pairs_one_step_apart_and_the_kept_ones_connect_as_they_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((5, 6, 4)) < rng.uniform(0.05, 0.6)
    voxels = np.argwhere(mask)
    apart = np.abs(voxels[:, None] - voxels[None]).max(axis=2)
    expected = {(i, j) for i, j in np.argwhere(apart == 1).tolist() if i < j}
    assert {tuple(sorted(pair)) for pair in neighbours(voxels, mask.shape).tolist()} == expected
    found = thinning_measures(mask, ORIGIN, NM)
    assert found.components == ndimage.label(thin(mask), np.ones((3, 3, 3)))[1]
    assert found.loops >= 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_euler_numbers_and_cavities_are_those_of_other_tools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((6, 5, 7)) < rng.uniform(0.1, 0.95)
    assert euler_number(np.argwhere(mask)) == measure.euler_number(mask, connectivity=3)
    assert cavities(mask) == ndimage.label(~np.pad(mask, 1))[1] - 1


@pytest.mark.parametrize("connectivity", [8, 26])
def test_connected_parts_are_those_of_another_tool(connectivity: Literal[8, 26]) -> None:
    rng = np.random.default_rng(0)
    axes = 2 if connectivity == 8 else 3
    for _ in range(200):
        mask = rng.random(rng.integers(1, 40 if axes == 2 else 14, axes)) < rng.uniform(0.05, 0.95)
        parts, count = connected(mask, connectivity)
        expected, theirs = ndimage.label(mask, np.ones((3,) * axes))
        assert count == theirs
        assert len(np.unique(np.stack([parts.ravel(), expected.ravel()]), axis=1).T) == count + (not mask.all())


def test_a_hollow_ball_has_no_loop() -> None:
    at = (np.indices((21, 21, 21)) - 10) ** 2
    hollow = (at.sum(axis=0) <= 81) & (at.sum(axis=0) > 25)
    found = thinning_measures(hollow, ORIGIN, NM)
    assert (found.loops, found.components) == (0, 1)


def slow_winding(points: NDArray[np.float64], vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray:
    """Generalised winding numbers: solid angles of all faces (van Oosterom & Strackee 1983)."""
    a, b, c = (vertices[faces[:, i]][None] - points[:, None] for i in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    top = np.einsum("ijk,ijk->ij", a, np.cross(b, c))
    dot = np.einsum
    low = la * lb * lc + dot("ijk,ijk->ij", a, b) * lc + dot("ijk,ijk->ij", b, c) * la + dot("ijk,ijk->ij", c, a) * lb
    return np.asarray(np.arctan2(top, low).sum(axis=1) / (2 * np.pi))


@pytest.mark.parametrize("seed", range(4))
def test_points_inside_a_mesh_are_those_of_half_a_winding_or_more(seed: int) -> None:
    from skimage.measure import marching_cubes

    mask = np.pad(blobs(seed, (12, 12, 12)) == 7, 1)
    vertices, faces, _, _ = marching_cubes(mask.astype(np.float32), 0.5)
    rng = np.random.default_rng(seed)
    # Centres of voxels lie right above vertices and edges of the mesh, which is where rays go wrong.
    points = np.concatenate([np.argwhere(np.ones(mask.shape)).astype(np.float64), rng.uniform(-2, 16, (300, 3))])
    turned = faces[:, ::-1] if seed % 2 else faces
    winding = np.abs(slow_winding(points, vertices.astype(np.float64), turned.astype(np.int64)))
    assert (inside_mesh(points, vertices, turned) == (winding > 0.5)).all()
    assert (inside_mesh(points[: mask.size], vertices, faces) == mask.ravel()).all()


def test_a_missing_face_deceives_no_majority() -> None:
    from skimage.measure import marching_cubes

    ball = (np.indices((20, 20, 20)) - 9.5) ** 2
    vertices, faces, _, _ = marching_cubes((ball.sum(axis=0) < 60).astype(np.float32), 0.5)
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 19, (2000, 3))
    whole = inside_mesh(points, vertices, faces)
    torn = inside_mesh(points, vertices, np.delete(faces, rng.integers(0, len(faces), 3), axis=0))
    assert 200 < whole.sum() < 1000
    assert (whole == torn).mean() > 0.998


def test_no_mesh_holds_no_point() -> None:
    assert not inside_mesh(np.zeros((2, 3)), np.zeros((0, 3)), np.zeros((0, 3), np.int64)).any()
