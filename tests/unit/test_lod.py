"""Levels of detail: their number, their errors, and that nothing is lost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import ball, blobs, nm, whole
from numpy.typing import NDArray

from ophiolite.kernels.lod import LodOptions, build_lods, lod_count
from ophiolite.kernels.mesh_measure import is_watertight, surface_distance

RESOLUTION = (8.0, 8.0, 20.0)


def mesh(seed: int = 2) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    piece = whole(blobs(seed, (26, 26, 20), labels=1, sigma=3.0), RESOLUTION, simplify=False)[7]
    return nm(piece.vertices, RESOLUTION), piece.faces


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_levels_shrink_by_four_and_their_errors_are_measured(seed: int) -> None:
    vertices, faces = mesh(seed)
    lods = build_lods(vertices, faces, LodOptions(max_lods=3, faces_per_fragment=50))
    assert len(lods) == 3
    np.testing.assert_array_equal(lods[0].faces, faces)
    assert lods[0].error_nm == 0
    for finer, coarser in itertools.pairwise(lods):
        assert 0 < len(coarser.faces) <= len(finer.faces)
        assert is_watertight(coarser.faces)
        there = surface_distance(vertices[::7], coarser.vertices, coarser.faces)
        back = surface_distance(coarser.vertices[np.unique(coarser.faces)], vertices, faces)
        # The error is sampled: what these points find may pass it by a little, but never by much.
        assert max(back.max(), np.quantile(there, 0.99)) <= 1.05 * coarser.error_nm
        assert coarser.error_nm >= finer.error_nm


def test_a_ball_of_many_faces_reaches_the_targets() -> None:
    piece = whole(ball(17.0), simplify=False)[1]
    vertices = nm(piece.vertices, (1.0, 1.0, 1.0))
    lods = build_lods(vertices, piece.faces, LodOptions(max_lods=3, faces_per_fragment=20))
    counts = [len(lod.faces) for lod in lods]
    assert counts[1] <= counts[0] / 4
    assert counts[2] <= counts[0] / 16
    assert 0 < lods[1].error_nm < lods[2].error_nm < 1.5


def test_the_count_follows_faces_and_length() -> None:
    vertices, faces = mesh()
    n = len(faces)
    assert lod_count(vertices, faces, LodOptions(faces_per_fragment=n, fragment_nm=1e9)) == 1
    by_faces = [
        lod_count(vertices, faces, LodOptions(faces_per_fragment=n // k, fragment_nm=1e9)) for k in (2, 20, 200)
    ]
    assert by_faces == sorted(by_faces)
    assert by_faces[0] == 2
    assert by_faces[2] > 3
    assert lod_count(vertices, faces, LodOptions(max_lods=2, faces_per_fragment=5)) == 2
    # A long thin object: Igneous gives it one level, because its shortest side is short.
    rod = np.zeros((4, 4, 400), np.uint8, order="F")
    rod[1:3, 1:3, 1:-1] = 1
    piece = whole(rod, simplify=False)[1]
    long = nm(piece.vertices, (8.0, 8.0, 40.0))
    assert lod_count(long, piece.faces, LodOptions(fragment_nm=4000.0)) == 2
    assert lod_count(long, piece.faces, LodOptions(fragment_nm=40000.0)) == 1


def test_no_cell_of_level_0_is_crowded() -> None:
    vertices, faces = mesh()
    options = LodOptions(faces_per_fragment=300, fragment_nm=1e9)
    cells = 2 ** (lod_count(vertices, faces, options) - 1)
    low, longest = vertices.min(axis=0), np.ptp(vertices, axis=0).max()
    index = np.floor((vertices[faces].mean(axis=1) - low) / longest * cells).astype(int)
    assert np.unique(index, axis=0, return_counts=True)[1].max() <= 300


def test_specks_leave_coarse_levels_and_count_as_errors() -> None:
    sphere = whole(ball(12.0), simplify=False)[1]
    vertices, faces = nm(sphere.vertices, (100.0,) * 3), sphere.faces
    speck = np.array([[0.0, 0, 0], [20, 0, 0], [0, 20, 0], [0, 0, 20]]) + 2000
    closed = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    both = np.concatenate([vertices, speck * [2, 1, 1]])
    lods = build_lods(both, np.concatenate([faces, closed + len(vertices)]), LodOptions(3, faces_per_fragment=500))
    reach = [lod.vertices[np.unique(lod.faces)][:, 0].max() for lod in lods]
    assert len(lods) == 3
    # A node of level 2 is about 3,400 nm long, so a speck of 40 nm is beyond sight there, at level 1 it is not.
    assert reach[0] > 4000
    assert reach[1] > 4000
    assert reach[2] < 4000
    # It lies 800 nm from the ball, but what is not seen is its size.
    assert 40 <= lods[2].error_nm < 500


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 1, 1), (2, 2, 2)])
def test_tiny_objects_keep_every_level(size: tuple[int, int, int]) -> None:
    labels = np.zeros((6, 6, 6), np.uint8, order="F")
    labels[1 : 1 + size[0], 1 : 1 + size[1], 1 : 1 + size[2]] = 1
    piece = whole(labels, RESOLUTION)[1]
    for lod in build_lods(nm(piece.vertices, RESOLUTION), piece.faces, LodOptions(max_lods=4, faces_per_fragment=1)):
        assert len(lod.faces) >= 4
        assert is_watertight(lod.faces)


def test_the_same_every_time_and_nothing_from_nothing() -> None:
    options = LodOptions(max_lods=3, faces_per_fragment=50)
    for a, b in zip(build_lods(*mesh(), options), build_lods(*mesh(), options), strict=True):
        np.testing.assert_array_equal(a.vertices, b.vertices)
        np.testing.assert_array_equal(a.faces, b.faces)
        assert a.error_nm == b.error_nm
    with pytest.raises(ValueError, match="without faces"):
        build_lods(np.zeros((3, 3)), np.empty((0, 3)), options)
