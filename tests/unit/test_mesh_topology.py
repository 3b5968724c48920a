"""Topology of meshes: shapes whose answers are known, deliberate damage, and trimesh as the slow obvious way."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import blobs
from numpy.typing import NDArray

from ophiolite.kernels.label_surface import Triangles, plain_surface
from ophiolite.kernels.mesh_topology import merge_vertices, topology


def tri(mesh: trimesh.Trimesh) -> Triangles:
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)


def together(*meshes: Triangles) -> Triangles:
    counts = np.cumsum([0] + [len(v) for v, _ in meshes])
    return np.concatenate([v for v, _ in meshes]), np.concatenate(
        [f + n for (_, f), n in zip(meshes, counts, strict=False)]
    )


BOX = tri(trimesh.creation.box(extents=(2, 3, 4)))
BALL = tri(trimesh.creation.icosphere(subdivisions=3, radius=5))
TUBE = tri(trimesh.creation.annulus(r_min=2, r_max=3, height=10, sections=24))
TORUS = tri(trimesh.creation.torus(major_radius=10, minor_radius=2))
SHAPES = {"box": BOX, "ball": BALL, "tube": TUBE, "torus": TORUS}


@pytest.mark.parametrize(
    ("mesh", "components", "genus"),
    [
        (BOX, 1, 0),
        (BALL, 1, 0),
        (TUBE, 1, 1),
        (TORUS, 1, 1),
        (together(BALL, (TORUS[0], TORUS[1])), 2, 1),
        (together(BALL, (BALL[0] * 0.5, BALL[1][:, ::-1])), 2, 0),
    ],
    ids=["box", "ball", "tube", "torus", "ball and torus", "hollow ball"],
)
def test_parts_and_handles(mesh: Triangles, components: int, genus: int) -> None:
    found = topology(*mesh)
    assert (found.components, found.genus) == (components, genus)
    assert found.is_volume
    assert found.watertight
    assert found.faces == len(mesh[1])
    assert (found.flat_faces, found.duplicate_faces) == (0, 0)


def test_volumes() -> None:
    assert topology(*BOX).volume_nm3 == pytest.approx(24)
    assert topology(*BALL).volume_nm3 == pytest.approx(4 / 3 * np.pi * 125, rel=0.02)
    assert topology(*TORUS).volume_nm3 == pytest.approx(2 * np.pi**2 * 10 * 4, rel=0.03)


def test_two_cubes_that_touch() -> None:
    """At a corner they are two bodies; along an edge that edge has four faces; apart, nothing joins them."""
    for shift, crowded in (((1, 1, 1), 0), ((1, 1, 0), 1), ((3, 0, 0), 0)):
        cube = tri(trimesh.creation.box())
        found = topology(*merge_vertices(*together(cube, (cube[0] + shift, cube[1]))))
        assert found.crowded_edges == crowded
        assert found.components == (1 if crowded else 2)
        assert found.genus == (None if crowded else 0)
        assert found.watertight == found.is_volume == (crowded == 0)


@pytest.mark.parametrize("name", SHAPES)
def test_damage_is_seen(name: str) -> None:
    vertices, faces = SHAPES[name]
    hole = topology(vertices, faces[1:])
    assert (hole.open_edges, hole.watertight, hole.is_volume, hole.genus) == (3, False, False, None)
    flipped = faces.copy()
    flipped[0] = flipped[0, ::-1]
    turned = topology(vertices, flipped)
    assert (turned.torn_edges, turned.watertight) == (3, True)
    assert (turned.winding_consistent, turned.is_volume, turned.genus) == (False, False, None)
    twice = topology(vertices, np.concatenate([faces, faces[:1]]))
    assert (twice.duplicate_faces, twice.crowded_edges, twice.watertight) == (1, 3, False)
    back = topology(vertices, np.concatenate([faces, faces[:1, ::-1]]))
    assert back.duplicate_faces == 1
    inside_out = topology(vertices, faces[:, ::-1])
    assert (inside_out.watertight, inside_out.winding_consistent, inside_out.is_volume) == (True, True, False)
    flat = topology(vertices, np.concatenate([faces, [[0, 0, 1]]]))
    assert (flat.flat_faces, flat.watertight, flat.faces) == (1, True, len(faces) + 1)


def test_a_face_without_area_is_flat_whatever_its_size() -> None:
    for scale in (1e-6, 1.0, 1e9):
        line = np.array([[0, 0, 0], [1, 2, 3], [2, 4, 6]]) * scale
        assert topology(line, [[0, 1, 2]]).flat_faces == 1
        assert topology(line + np.diag([0, 0, 1e-3 * scale]), [[0, 1, 2]]).flat_faces == 0


def test_nothing_is_no_volume() -> None:
    for faces in (np.empty((0, 3), int), [[0, 0, 1]]):
        found = topology(BOX[0], faces)
        assert (found.components, found.genus, found.watertight, found.is_volume) == (0, None, False, False)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**20), faces=st.integers(1, 40), points=st.integers(3, 9))
def test_any_soup_of_faces_as_trimesh_sees_it(seed: int, faces: int, points: int) -> None:
    rng = np.random.default_rng(seed)
    soup = np.array([rng.permutation(points)[:3] for _ in range(faces)])
    vertices = rng.random((points, 3))
    found = topology(vertices, soup)
    other = trimesh.Trimesh(vertices, soup, process=False)
    assert found.watertight == other.is_watertight
    sides = Counter(tuple(sorted((f[i], f[(i + 1) % 3]))) for f in soup.tolist() for i in range(3))
    assert found.edges == len(sides)
    assert found.open_edges == sum(n == 1 for n in sides.values())
    assert found.crowded_edges == sum(n > 2 for n in sides.values())
    corners = Counter(frozenset(f) for f in soup.tolist())
    assert found.duplicate_faces == sum(n - 1 for n in corners.values())
    if found.watertight:
        assert found.winding_consistent == other.is_winding_consistent
    assert found.components == slow_components(soup)


def slow_components(faces: NDArray[Any]) -> int:
    """Faces that share an edge, joined one by one."""
    edges = [{frozenset((f[i], f[(i + 1) % 3])) for i in range(3)} for f in faces.tolist()]
    left, parts = set(range(len(edges))), 0
    while left:
        todo, parts = [left.pop()], parts + 1
        while todo:
            here = todo.pop()
            near = {other for other in left if edges[here] & edges[other]}
            left -= near
            todo += near
    return parts


@settings(max_examples=12)
@given(seed=st.integers(0, 2**20), sigma=st.sampled_from([0.0, 0.8, 2.0]))
def test_surfaces_of_blobs_as_trimesh_sees_them(seed: int, sigma: float) -> None:
    mask = np.pad((blobs(seed, (9, 8, 7), sigma=sigma) == 7).astype(np.uint8), 1)
    vertices, faces = plain_surface(mask, (0, 0, 0), (1, 1, 1))
    if not len(faces):
        return
    found = topology(vertices, faces)
    bodies = trimesh.Trimesh(vertices, faces, process=False).split(only_watertight=False)
    assert found.is_volume
    assert found.components == len(bodies)
    assert found.genus == sum(1 - int(body.euler_number) // 2 for body in bodies)
    assert found.volume_nm3 == pytest.approx(sum(body.volume for body in bodies))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**20))
def test_merging_joins_equal_places_only(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vertices, faces = rng.integers(0, 3, (30, 3)) * 0.1, rng.integers(0, 30, (15, 3))
    places, corners = merge_vertices(vertices, faces)
    assert len({tuple(p) for p in places.tolist()}) == len(places)
    np.testing.assert_array_equal(places[corners], vertices[faces])
    assert set(corners.ravel().tolist()) == set(range(len(places)))


def test_zeros_of_both_signs_are_one_place() -> None:
    places, _ = merge_vertices([[0.0, 0, 0], [-0.0, 0, 0], [1, 0, 0]], [[0, 1, 2]])
    assert len(places) == 2
