"""What is measured of meshes: surfaces of masks, distances between shapes that are known, and faults that must show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import blobs, triangle_set
from numpy.typing import NDArray

from ophiolite.kernels import label_surface
from ophiolite.kernels.label_surface import Triangles, lewiner_surface, plain_surface, surface_samples
from ophiolite.kernels.marching_serra import SERRA
from ophiolite.kernels.mesh_compare import Reference, compare_with_voxels, crossings, fill_cavities
from ophiolite.kernels.mesh_measure import area, signed_volume, surface_distance
from ophiolite.kernels.mesh_topology import topology
from ophiolite.stages.mesh_faults import Limits, faults_of

NM = (8.0, 8.0, 20.0)
LIMITS = Limits(error_nm=10, voxel_nm=20)


def ellipsoid(radii_vx: tuple[float, float, float]) -> NDArray[np.uint8]:
    """A mask of an ellipsoid in the middle of its box, with background around it."""
    half = np.ceil(radii_vx).astype(int) + 2
    at = np.indices(2 * half + 1).reshape(3, -1).T - half
    inside = ((at / radii_vx) ** 2).sum(axis=1) <= 1
    return np.asfortranarray(inside.reshape(2 * half + 1).astype(np.uint8))


def ball_nm(radius: float, subdivisions: int = 4) -> Triangles:
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)


def nets_surface(*mask: Any) -> Triangles:
    return plain_surface(*mask, SERRA)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**20), block=st.integers(2, 6), pad=st.booleans())
def test_blocks_make_the_surface_of_the_whole(seed: int, block: int, pad: bool) -> None:
    mask = (blobs(seed, (9, 7, 8), sigma=0.7) == 7).astype(np.uint8)
    mask = np.pad(mask, 1) if pad else mask
    for surface in (plain_surface, nets_surface, lewiner_surface):
        whole = surface(mask, (3, -5, 7), NM)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(label_surface, "BLOCK_VX", block)
            cut = surface(mask, (3, -5, 7), NM)
        assert triangle_set(*cut) == triangle_set(*whole)
        one, other = topology(*cut), topology(*whole)
        assert one.volume_nm3 == pytest.approx(other.volume_nm3)
        assert replace(one, volume_nm3=0.0) == replace(other, volume_nm3=0.0)


@pytest.mark.parametrize("surface", [plain_surface, nets_surface, lewiner_surface])
def test_an_ellipsoid_at_anisotropic_voxels(surface: Any) -> None:
    radii = (20.0, 16.0, 8.0)
    mask = ellipsoid(radii)
    vertices, faces = surface(mask, (100, 200, -300), NM)
    a, b, c = np.array(radii) * NM
    assert signed_volume(vertices, faces) == pytest.approx(4 / 3 * np.pi * a * b * c, rel=0.03)
    p = 1.6075  # Thomsen's formula, off by 1.1 % at most
    smooth = 4 * np.pi * (((a * b) ** p + (a * c) ** p + (b * c) ** p) / 3) ** (1 / p)
    assert smooth < area(vertices, faces) < 1.15 * smooth
    centre = (np.array([100, 200, -300]) + np.array(mask.shape) / 2) * NM
    np.testing.assert_allclose((vertices.min(axis=0) + vertices.max(axis=0)) / 2, centre)
    assert (topology(vertices, faces).components, topology(vertices, faces).genus) == (1, 0)


def test_a_box_closes_half_a_voxel_beyond_its_outermost_centres() -> None:
    mask = np.pad(np.ones((4, 5, 6), np.uint8), 1)
    vertices, faces = plain_surface(mask, (-1, -1, -1), NM)
    np.testing.assert_allclose(vertices.min(axis=0), 0)
    np.testing.assert_allclose(vertices.max(axis=0), np.array([4, 5, 6]) * NM)
    # Edges are cut by triangles of half a voxel, corners by a little more.
    assert 0.9 < signed_volume(vertices, faces) / (120 * np.prod(NM)) < 1


def test_without_background_around_it_the_surface_is_open() -> None:
    tube = np.pad(np.ones((6, 3, 3), np.uint8), ((0, 0), (1, 1), (1, 1)))
    found = topology(*plain_surface(tube, (0, 0, 0), (1, 1, 1)))
    assert found.open_edges > 0
    assert not found.watertight
    assert not len(plain_surface(np.ones((1, 5, 5), np.uint8), (0, 0, 0), (1, 1, 1))[1])


@settings(max_examples=25)
@given(seed=st.integers(0, 2**20), count=st.integers(1, 300))
def test_samples_lie_on_the_surface_where_its_area_is(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    vertices = rng.random((12, 3)) * [1, 5, 0.1]
    faces = np.array([rng.permutation(12)[:3] for _ in range(6)])
    points = surface_samples(vertices, faces, count)
    assert len(points) == count
    other = trimesh.Trimesh(vertices, faces, process=False)
    assert surface_distance(points, vertices, faces).max() < 1e-9
    # An even spread: triangles get their share of points, to within one.
    shares = np.cumsum(other.area_faces) / other.area_faces.sum() * count
    of_face = np.searchsorted(shares, np.arange(count) + 0.5, side="right")
    assert np.abs(np.cumsum(np.bincount(of_face, minlength=6)) - shares).max() <= 1


def test_distance_of_concentric_balls() -> None:
    inner, outer = ball_nm(50), ball_nm(60)
    gap = Reference(inner, 2000).gap(outer)
    assert gap is not None
    assert gap.mean_nm == pytest.approx(10, rel=0.02)
    assert gap.p95_nm == pytest.approx(10, rel=0.03)
    assert gap.max_nm == pytest.approx(10, rel=0.05)
    same = Reference(inner, 2000).gap(inner)
    assert same is not None
    assert same.max_nm < 1e-9


def test_distance_is_seen_from_both_sides() -> None:
    """A bump that only one surface has, whichever of the two it is."""
    plane = (np.array([[0.0, 0, 0], [100, 0, 0], [100, 100, 0], [0, 100, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    far = (plane[0] + [0, 0, 30], plane[1])
    both = (np.concatenate([plane[0], far[0]]), np.concatenate([plane[1], far[1] + 4]))
    for one, other in ((plane, both), (both, plane)):
        gap = Reference(one, 400).gap(other)
        assert gap is not None
        assert gap.max_nm == pytest.approx(30)
        assert gap.mean_nm == pytest.approx(30 / 4)
    assert Reference(plane, 400).gap((plane[0], np.empty((0, 3), np.int64))) is None


@settings(max_examples=25)
@given(seed=st.integers(0, 2**20))
def test_crossings_are_the_vertices_of_the_surface(seed: int) -> None:
    mask = np.pad((blobs(seed, (7, 6, 5), sigma=0.7) == 7).astype(np.uint8), 1)
    assert crossings(mask) == len(plain_surface(mask, (0, 0, 0), (1, 1, 1))[0])


def test_cavities_are_filled() -> None:
    hollow = np.pad(np.ones((5, 5, 5), np.uint8), 1)
    hollow[3, 3, 3] = 0
    assert fill_cavities(hollow).sum() == 125


MASK = ellipsoid((9, 9, 9))
GOOD = plain_surface(MASK, (0, 0, 0), NM)


def row_of(*levels: Triangles, mask: NDArray[np.uint8] = MASK, **more: Any) -> dict[str, Any]:
    row = {"status": "measured", "mesh_mip_voxels": int(mask.sum()), "filled_vx": 0}
    row |= {"lod_scale_nm": [10.0 * (n + 1) for n in range(len(levels))]}
    return row | compare_with_voxels(levels, mask, (0, 0, 0), NM, 500) | more


def test_a_good_mesh_has_no_fault() -> None:
    row = row_of(GOOD, GOOD)
    assert faults_of(row, LIMITS) == (0, [])
    assert row["volume_ratio"] == row["raw_volume_ratio"] == pytest.approx(0.98, abs=0.02)
    assert row["centroid_vx"] == pytest.approx(0, abs=1e-9)
    assert (row["is_volume"], row["components"], row["genus"], row["lewiner_genus"]) == (True, 1, 0, 0)
    assert row["distance_max_nm"] < 1e-9
    # The same vertices, but cells' polygons of more than three corners are cut along other diagonals.
    assert row["lewiner_max_nm"] < 4
    assert (row["lod_faces"], row["lod_watertight"]) == ([len(GOOD[1])] * 2, [True, True])


def test_a_shifted_mesh_is_off_by_so_many_voxels() -> None:
    row = row_of((GOOD[0] + [8, 0, 0], GOOD[1]))
    assert row["centroid_vx"] == pytest.approx(1)
    row = row_of((GOOD[0] + [0, 0, 40], GOOD[1]))
    assert row["centroid_vx"] == pytest.approx(2)
    # Nowhere farther than the shift, and nearly so at the poles.
    assert 35 < row["distance_max_nm"] <= 40
    assert faults_of(row, LIMITS) == (1, [f"{row['distance_max_nm']:.0f} nm off, 10 allowed"])


@pytest.mark.parametrize("voxels", [1, 2, 8])
def test_small_objects_are_right_though_their_volume_is_far_below(voxels: int) -> None:
    mask = np.zeros((12, 4, 4), np.uint8)
    mask[1 : 1 + voxels, 1, 1] = 1
    row = row_of(plain_surface(mask, (0, 0, 0), NM), mask=mask)
    assert row["volume_ratio"] == pytest.approx((voxels - 1) / voxels / 2 + 1 / 6 / voxels)
    assert faults_of(row, LIMITS) == (0, [])


def scaled(mesh: Triangles, by: float) -> Triangles:
    middle = mesh[0].mean(axis=0)
    return (mesh[0] - middle) * by + middle, mesh[1]


def test_how_much_volume_touching_objects_lend_is_not_asked() -> None:
    together = replace(LIMITS, alone=False)
    for ratio, alone, touching in ((0.8, 0, 0), (0.9, 2, 0), (1.4, 2, 0), (0.76, 0, 0), (0.74, 2, 2)):
        row = {**row_of(GOOD), "volume_ratio": ratio, "raw_volume_ratio": 0.8}
        assert [faults_of(row, limits)[0] for limits in (LIMITS, together)] == [alone, touching]


def with_flipped(mesh: Triangles) -> Triangles:
    faces = mesh[1].copy()
    faces[5] = faces[5, ::-1]
    return mesh[0], faces


def with_crumb(mesh: Triangles) -> Triangles:
    crumb = ball_nm(4, 1)
    return np.concatenate([mesh[0], crumb[0]]), np.concatenate([mesh[1], crumb[1][:, ::-1] + len(mesh[0])])


@pytest.mark.parametrize(
    ("broken", "gravity", "said"),
    [
        ((GOOD[0], GOOD[1][1:]), 3, "3 open edges"),
        (with_flipped(GOOD), 3, "3 edges where faces look opposite ways"),
        ((GOOD[0], np.concatenate([GOOD[1], GOOD[1][:1]])), 3, "1 duplicate face"),
        ((GOOD[0], np.concatenate([GOOD[1], GOOD[1][:1]])), 3, "3 edges of more than two faces"),
        ((GOOD[0], GOOD[1][:, ::-1]), 2, "inside out"),
        (scaled(GOOD, 0.9), 2, "27% of the voxels' below the unsimplified mesh's"),
        (scaled(GOOD, 1.1), 2, "above the unsimplified mesh's"),
        (scaled(GOOD, 0.0), 2, "no volume"),
        (with_crumb(GOOD), 1, "2 parts, 1 before simplification"),
    ],
)
def test_a_broken_mesh_is_flagged(broken: Triangles, gravity: int, said: str) -> None:
    found, faults = faults_of(row_of(broken), LIMITS)
    assert found == gravity
    assert any(said in fault for fault in faults), faults


def test_a_filled_hole_through_a_torus_is_flagged() -> None:
    mask = np.pad(np.ones((7, 7, 3), np.uint8), 1)
    mask[4, 4, :] = 0
    plug = mask.copy()
    plug[4, 4, 1:-1] = 1
    row = row_of(plain_surface(plug, (0, 0, 0), NM), mask=mask)
    assert (row["genus"], row["raw_genus"]) == (0, 1)
    assert "0 handles, 1 before simplification" in faults_of(row, LIMITS)[1]


def test_coarser_levels_are_judged_by_what_they_say() -> None:
    off = scaled(GOOD, 0.5)
    assert any(fault.startswith("level 1 is ") for fault in faults_of(row_of(GOOD, off), LIMITS)[1])
    assert faults_of(row_of(GOOD, off, lod_scale_nm=[10.0, 100.0]), LIMITS) == (0, [])
    mask = np.pad(MASK, ((0, 0), (0, 0), (0, 80)))
    mask[5, 5, 90] = 1
    whole = plain_surface(mask, (0, 0, 0), NM)
    left_out = row_of(whole, GOOD, mask=mask, lod_scale_nm=[10.0, 20.0])
    assert left_out["lod_max_nm"][1] > 500
    assert left_out["lod_components"] == [2, 1]
    assert faults_of(left_out, LIMITS) == (0, [])
    assert faults_of(row_of(GOOD, (GOOD[0], GOOD[1][1:])), LIMITS) == (1, ["coarser levels are not watertight"])


def test_meshes_open_by_design_are_no_fault() -> None:
    mask = np.pad(np.ones((6, 3, 3), np.uint8), ((0, 0), (1, 1), (1, 1)))
    tube = plain_surface(mask, (0, 0, 0), NM)
    row = {"status": "measured", "mesh_mip_voxels": 54, "filled_vx": 0, "lod_scale_nm": [10.0]}
    row |= compare_with_voxels([tube], mask, (0, 0, 0), NM, 500, closed=False)
    assert not row["watertight"]
    assert row.get("volume_ratio") is None
    assert faults_of(row, LIMITS) == (0, [])


def test_cavities_that_fill_holes_left_open_are_no_fault() -> None:
    hollow = np.pad(np.ones((9, 9, 9), np.uint8), 1)
    hollow[4:7, 4:7, 4:7] = 0
    full = fill_cavities(hollow)
    facts = {"mesh_mip_voxels": int(hollow.sum()), "filled_vx": 27}
    for mesh in (plain_surface(hollow, (0, 0, 0), NM), plain_surface(full, (0, 0, 0), NM)):
        assert faults_of(row_of(mesh, mask=full, **facts), LIMITS) == (0, [])
    assert faults_of(row_of(scaled(GOOD, 0.2), mask=full, **facts), LIMITS)[0] == 2


@pytest.mark.parametrize(
    ("status", "gravity"),
    [
        ("lost", 4),
        ("without voxels", 4),
        ("without voxels at the mesh mip", 4),
        ("cannot be read", 4),
        ("dust", 0),
        ("not asked for", 0),
        ("no voxel at the mesh mip", 0),
        ("box too large", 0),
        ("surface too large", 0),
    ],
)
def test_what_has_no_mesh(status: str, gravity: int) -> None:
    found, faults = faults_of({"status": status}, LIMITS)
    assert (found, bool(faults)) == (gravity, gravity > 0)
