"""Edge collapse: topology kept, locks kept, errors small, the same result every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import ball, blobs, nm, unpaired_edges, whole
from numpy.typing import NDArray

from ophiolite.kernels.mesh_measure import area, is_watertight, signed_volume, surface_distance
from ophiolite.kernels.simplify import simplify

ONE = (1.0, 1.0, 1.0)
Arrays = tuple[NDArray[np.float64], NDArray[np.uint32]]


def surface(seed: int, resolution: tuple[float, float, float] = ONE) -> Arrays:
    piece = whole(blobs(seed, (16, 16, 16), labels=1, sigma=2.0), simplify=False)[7]
    return nm(piece.vertices, resolution), piece.faces


def euler(vertices: NDArray[np.float64], faces: NDArray[np.uint32]) -> int:
    return len(np.unique(faces)) - len(faces) * 3 // 2 + len(faces)


@settings(max_examples=15)
@given(st.integers(0, 2**16), st.sampled_from([2, 10, 1000]), st.sampled_from([ONE, (4.0, 4.0, 40.0)]))
def test_watertight_stays_watertight_and_keeps_its_topology(
    seed: int, ratio: int, resolution: tuple[float, float, float]
) -> None:
    vertices, faces = surface(seed, resolution)
    v, f, rows = simplify(vertices, faces, len(faces) // ratio)
    assert is_watertight(faces)
    assert is_watertight(f)
    assert euler(v, f) == euler(vertices, faces)
    assert len(f) <= max(len(faces) // ratio, 0) or ratio > 2
    assert len(rows) == len(v) == len(np.unique(rows)) == f.max() + 1


def test_a_ball_keeps_its_volume_and_place() -> None:
    piece = whole(ball(15.3), simplify=False)[1]
    vertices = nm(piece.vertices, ONE)
    v, f, _ = simplify(vertices, piece.faces, 800)
    assert len(f) == 800
    assert signed_volume(v, f) == pytest.approx(signed_volume(vertices, piece.faces), rel=0.01)
    assert surface_distance(vertices, v, f).max() < 0.9


def test_far_coordinates_cost_no_precision() -> None:
    vertices, faces = surface(3)
    near, f, _ = simplify(vertices, faces, len(faces) // 8)
    far, g, _ = simplify(vertices + 2.0**30, faces, len(faces) // 8)
    np.testing.assert_array_equal(f, g)
    np.testing.assert_allclose(far - 2.0**30, near, atol=1e-5)


def test_the_cost_bound_stops_it() -> None:
    vertices, faces = surface(5)
    loose, tight = (simplify(vertices, faces, 0, max_rms=r) for r in (0.5, 0.1))
    assert len(loose[1]) < len(tight[1]) < len(faces)
    assert surface_distance(vertices, *tight[:2]).mean() < surface_distance(vertices, *loose[:2]).mean() < 0.5


def test_a_flat_grid_collapses_to_its_rim() -> None:
    x, y = np.meshgrid(np.arange(12), np.arange(12), indexing="ij")
    vertices = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3).astype(float)
    i = (x[:-1, :-1] * 12 + y[:-1, :-1]).ravel()
    faces = np.concatenate([np.stack([i, i + 12, i + 1], 1), np.stack([i + 12, i + 13, i + 1], 1)])
    rim = {tuple(map(tuple, vertices[e])) for e in unpaired_edges(faces)}
    v, f, _ = simplify(vertices, faces, 0, max_rms=1e-6)
    assert {tuple(map(tuple, v[e])) for e in unpaired_edges(f)} == rim
    assert len(f) < len(faces) / 3
    assert area(v, f) == pytest.approx(121)
    assert (v[:, 2] == 0).all()


def test_locked_vertices_stay() -> None:
    vertices, faces = surface(9)
    locked = np.zeros(len(vertices), bool)
    locked[::5] = True
    v, _, rows = simplify(vertices, faces, 0, locked=locked)
    assert np.isin(np.flatnonzero(locked), rows).all()
    still = locked[rows]
    np.testing.assert_allclose(v[still], vertices[rows[still]], atol=1e-9)


@pytest.mark.parametrize("share", [0.7, 0.45, 0.25])
def test_what_stops_at_the_target_is_as_fine_everywhere(share: float) -> None:
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=3, radius=1000.0)
    order = np.argsort(ball.vertices[:, 2], kind="stable")
    rank = np.argsort(order)
    v, f, _ = simplify(ball.vertices[order], rank[ball.faces], int(share * len(ball.faces)), max_rms=500.0)
    upper = (v[f].mean(axis=1)[:, 2] > 0).mean()
    assert 0.44 < upper < 0.56


def test_nothing_collapses_below_a_tetrahedron() -> None:
    vertices, faces = surface(21)
    v, f, _ = simplify(vertices, faces, 0)
    parts = surface_distance(vertices, v, f)
    assert np.isfinite(parts).all()
    assert len(f) >= 4
    again = simplify(v, f, 0)
    assert is_watertight(again[1])


def test_the_same_every_time() -> None:
    vertices, faces = surface(4)
    a, b = (simplify(vertices, faces, 100) for _ in range(2))
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_nothing_to_do() -> None:
    vertices, faces = surface(4)
    v, f, rows = simplify(vertices, faces, len(faces))
    np.testing.assert_array_equal(v, vertices)
    np.testing.assert_array_equal(f, faces)
    np.testing.assert_array_equal(rows, np.arange(len(v)))
    assert len(simplify(np.empty((0, 3)), np.empty((0, 3)), 5)[1]) == 0
