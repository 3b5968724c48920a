"""Measures of meshes against closed forms and the slow obvious way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import unpaired_edges
from numpy.typing import NDArray

from ophiolite.kernels.mesh_measure import (
    Surface,
    area,
    centroid,
    is_watertight,
    measure,
    signed_volume,
    surface_distance,
)

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
CORNERS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])


def box(size: tuple[float, float, float]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vertices = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float) * size
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return vertices, np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])


@given(st.tuples(*[st.floats(0.1, 1e4)] * 3), st.tuples(*[st.integers(-(10**9), 10**9)] * 3))
def test_a_box_anywhere(size: tuple[float, float, float], at: tuple[int, int, int]) -> None:
    vertices, faces = box(size)
    x, y, z = size
    tolerance = 1e-6 * max(size) / min(size)
    assert area(vertices, faces) == pytest.approx(2 * (x * y + y * z + z * x))
    assert signed_volume(vertices + at, faces) == pytest.approx(x * y * z, rel=tolerance)
    assert signed_volume(vertices, faces[:, ::-1]) == pytest.approx(-x * y * z)
    np.testing.assert_allclose(centroid(vertices, faces), np.array(size) / 2, rtol=1e-9)
    assert is_watertight(faces)


def test_measure_puts_them_together() -> None:
    m = measure(*box((2, 3, 4)))
    assert (m.vertices, m.faces, m.watertight) == (8, 12, True)
    assert (m.area_nm2, m.volume_nm3) == (pytest.approx(52), pytest.approx(24))
    assert m.centroid_nm == pytest.approx((1, 1.5, 2))


def test_centroid_of_a_flat_mesh_is_that_of_its_surface() -> None:
    flat = np.array([[0.0, 0, 5], [4, 0, 5], [0, 4, 5]])
    np.testing.assert_allclose(centroid(flat, [[0, 1, 2]]), [4 / 3, 4 / 3, 5])
    assert np.isnan(centroid(flat, np.empty((0, 3)))).all()


@pytest.mark.parametrize(
    ("faces", "expected"),
    [
        (TETRAHEDRON, True),
        (TETRAHEDRON[:3], False),
        (np.concatenate([TETRAHEDRON[:3], TETRAHEDRON[3:, ::-1]]), False),
        (np.concatenate([TETRAHEDRON, TETRAHEDRON]), False),
        (np.concatenate([TETRAHEDRON, TETRAHEDRON + 4]), True),
        # Two tetrahedra along one edge: four faces there.
        (np.concatenate([TETRAHEDRON, np.array([0, 1, 4, 5])[TETRAHEDRON]]), False),
        (np.array([[0, 1, 2], [2, 1, 0]]), True),
        (np.empty((0, 3), int), False),
    ],
)
def test_watertight_means_two_opposite_faces_at_every_edge(faces: Any, expected: bool) -> None:
    assert is_watertight(faces) is expected


def test_unpaired_edges_are_the_rim_in_its_direction() -> None:
    assert unpaired_edges(TETRAHEDRON[:3]).tolist() == [[1, 3], [2, 1], [3, 2]]
    assert unpaired_edges(TETRAHEDRON).shape == (0, 2)
    assert unpaired_edges([[0, 1, 2], [0, 1, 3]]).tolist().count([0, 1]) == 2


def slow_distance(p: NDArray[np.float64], t: NDArray[np.float64]) -> float:
    """Least distance from p to a triangle, by projection on its plane, its sides and its corners in turn."""
    best = min(np.linalg.norm(p - corner) for corner in t)
    for a, b in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0])):
        u = b - a
        if u @ u > 0 and 0 < (p - a) @ u / (u @ u) < 1:
            best = min(best, np.linalg.norm(p - a - u * ((p - a) @ u / (u @ u))))
    n = np.cross(t[1] - t[0], t[2] - t[0])
    if n @ n > 0:
        foot = p - n * ((p - t[0]) @ n / (n @ n))
        inside = [np.cross(t[(i + 1) % 3] - t[i], foot - t[i]) @ n for i in range(3)]
        if min(inside) >= 0:
            best = min(best, np.linalg.norm(p - foot))
    return float(best)


@settings(max_examples=25)
@given(st.integers(0, 2**20), st.integers(1, 90), st.floats(1e-3, 1e5))
def test_distance_equals_brute_force(seed: int, triangles: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    vertices = rng.random((30, 3)) * [1, 1, rng.choice([0, 0.01, 1])] * scale
    faces = rng.integers(0, 30, (triangles, 3))
    points = (rng.random((12, 3)) * 2 - 0.5) * scale
    points[:3] = vertices[faces[0]]
    expected = np.array([min(slow_distance(p, vertices[f]) for f in faces) for p in points])
    np.testing.assert_allclose(surface_distance(points, vertices, faces), expected, atol=1e-9 * scale)
    bound = float(np.median(expected)) * (1 + 1e-9)
    np.testing.assert_array_equal(Surface(vertices, faces).within(points, bound), expected <= bound)


def test_distance_to_nothing_is_infinite() -> None:
    none = np.empty((0, 3), int)
    assert np.isinf(surface_distance([[0, 0, 0]], CORNERS, none)).all()
    assert not Surface(CORNERS, none).within([[0, 0, 0]], 1e9).any()


@given(st.integers(0, 1000))
def test_the_farthest_point_is_that_of_all_distances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vertices, points = rng.normal(size=(30, 3)), 3 * rng.normal(size=(50, 3))
    faces = rng.integers(0, 30, (40, 3))
    surface = Surface(vertices, faces)
    assert surface.farthest(points) == pytest.approx(surface.distance(points).max(), rel=1e-12)
    most = float(surface.distance(points).max())
    assert surface.farthest(points, most / 2) == pytest.approx(most, rel=1e-12)
    assert surface.farthest(points, 2 * most) == 2 * most
    assert surface.farthest(points[:0], 3.0) == 3.0
    assert surface.farthest(points[:0]) == 0
    assert Surface(vertices, faces[:0]).farthest(points) == np.inf
