"""Levels of detail: their number, their errors, and that nothing is lost, open or inside out."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import ball, blobs, nm, whole
from numpy.typing import NDArray

from ophiolite.kernels import lod as lod_module
from ophiolite.kernels.lod import Levels, LodOptions, build_lods, lod_count, most_in_a_cell
from ophiolite.kernels.mesh_measure import is_watertight, surface_distance
from ophiolite.kernels.mesh_topology import topology
from ophiolite.kernels.simplify import simplify

RESOLUTION = (8.0, 8.0, 20.0)


def mesh(seed: int = 2) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    piece = whole(blobs(seed, (26, 26, 20), labels=1, sigma=3.0), RESOLUTION, simplify=False)[7]
    return nm(piece.vertices, RESOLUTION), piece.faces


def ball_and_speck() -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    """A ball of 2,400 nm and a tetrahedron of 20 nm far from it."""
    sphere = whole(ball(12.0), simplify=False)[1]
    speck = np.array([[4000.0, 2000, 2000], [4020, 2000, 2000], [4000, 2020, 2000], [4000, 2000, 2020]])
    closed = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    vertices = nm(sphere.vertices, (100.0,) * 3)
    return np.concatenate([vertices, speck]), np.concatenate([sphere.faces, closed + len(vertices)]).astype(np.uint32)


def place(levels: Levels, level: int) -> NDArray[np.float64]:
    return levels.grid.nm(levels.lods[level].lattice, level)


def samples(vertices: NDArray[np.float64], faces: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Points all over a surface, other than those that the errors were measured at."""
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.7, 0.2], [0.2, 0.1, 0.7], [0.45, 0.45, 0.1]])
    return np.einsum("sc,mcd->msd", shares, vertices[faces]).reshape(-1, 3)


@settings(max_examples=6)
@given(st.integers(0, 1000), st.sampled_from([10, 16]))
def test_levels_shrink_by_four_and_their_errors_are_distances(seed: int, bits: int) -> None:
    vertices, faces = mesh(seed)
    levels = build_lods(vertices, faces, LodOptions(max_lods=3, faces_per_fragment=60, quantization_bits=bits))
    np.testing.assert_array_equal(levels.lods[0].faces, faces)
    parts = topology(vertices, faces).components
    for level, lod in enumerate(levels.lods):
        here = place(levels, level)
        found = topology(here, lod.faces)
        assert found.is_volume
        assert found.components == parts
        there = surface_distance(samples(vertices, faces)[::5], here, lod.faces).max()
        back = surface_distance(samples(here, lod.faces)[::3], vertices, faces).max()
        # Errors add up over levels, so they hold at points that were not looked at; by a little they may not.
        assert max(there, back) <= 1.05 * lod.error_nm
    for finer, coarser in itertools.pairwise(levels.lods):
        assert 0 < len(coarser.faces) <= 0.75 * len(finer.faces)
        assert coarser.error_nm > finer.error_nm


def test_a_ball_of_many_faces_reaches_the_targets() -> None:
    piece = whole(ball(17.0), simplify=False)[1]
    options = LodOptions(max_lods=3, faces_per_fragment=1100)
    levels = build_lods(nm(piece.vertices, (1.0, 1.0, 1.0)), piece.faces, options)
    counts = [len(lod.faces) for lod in levels.lods]
    assert counts[1] <= counts[0] / 4
    assert counts[2] <= counts[0] / 16
    assert 0 < levels.lods[1].error_nm < levels.lods[2].error_nm < 1.5
    assert levels.wanted == 3


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


@settings(max_examples=5)
@given(st.integers(0, 1000), st.integers(40, 400))
def test_no_cell_of_any_level_is_crowded(seed: int, most: int) -> None:
    levels = build_lods(*mesh(seed), LodOptions(faces_per_fragment=most, fragment_nm=1e9))
    for level, lod in enumerate(levels.lods):
        assert most_in_a_cell(lod.lattice, lod.faces, levels.grid.top, levels.grid.cells(level)) <= most


@pytest.mark.parametrize("bits", [10, 16])
def test_specks_stay_and_count(bits: int) -> None:
    vertices, faces = ball_and_speck()
    levels = build_lods(vertices, faces, LodOptions(3, faces_per_fragment=900, quantization_bits=bits))
    assert len(levels.lods) == 3
    for level, lod in enumerate(levels.lods):
        here = place(levels, level)
        assert topology(here, lod.faces).components == 2
        assert topology(here, lod.faces).is_volume
        # A step of 10 bits at level 2 is 4 nm: what is left of the speck is near to where it was.
        away = surface_distance(vertices[-4:], here, lod.faces).max()
        assert away <= lod.error_nm + 1e-9
        assert away < 20


def test_what_rounding_would_flatten_becomes_the_smallest_tetrahedron() -> None:
    vertices, faces = ball_and_speck()
    speck = slice(-4, None)
    vertices[speck] = vertices[-4] + (vertices[speck] - vertices[-4]) / 10
    levels = build_lods(vertices, faces, LodOptions(3, faces_per_fragment=900, quantization_bits=10))
    for level, lod in enumerate(levels.lods):
        assert topology(place(levels, level), lod.faces).components == 2
    last = levels.lods[-1]
    corners = last.lattice[-4:] - last.lattice[-4]
    assert np.abs(corners).max() <= 1
    assert levels.grid.depth >= 3


def lose_the_last_part(*args: Any, **options: Any) -> Any:
    v, f, rows = simplify(*args, **options)
    return v, f[f.max(axis=1) < len(v) - 4], rows


def open_a_hole(*args: Any, **options: Any) -> Any:
    v, f, rows = simplify(*args, **options)
    return v, f[1:], rows


def turn_inside_out(*args: Any, **options: Any) -> Any:
    v, f, rows = simplify(*args, **options)
    return v[:, [1, 0, 2]], f, rows


def drift(*args: Any, **options: Any) -> Any:
    v, f, rows = simplify(*args, **options)
    return v + np.array([0, 0, 170.0]) * (v[:, 2:] > v[:, 2].mean()), f, rows


@pytest.mark.parametrize("fault", [lose_the_last_part, open_a_hole])
def test_an_unsound_level_is_refused_and_counted(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lod_module, "simplify", fault)
    levels = build_lods(*ball_and_speck(), LodOptions(3, faces_per_fragment=900))
    if fault is lose_the_last_part:
        # A part that is gone encloses nothing: it comes back as the smallest tetrahedron.
        assert topology(place(levels, 1), levels.lods[1].faces).components == 2
    else:
        assert len(levels.lods) == 1
        assert levels.wanted == 3


def test_inside_out_is_never_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lod_module, "simplify", turn_inside_out)
    levels = build_lods(*mesh(), LodOptions(3, faces_per_fragment=400))
    assert all(topology(place(levels, n), lod.faces).volume_nm3 > 0 for n, lod in enumerate(levels.lods))


def test_a_simplifier_that_errs_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = build_lods(*ball_and_speck(), LodOptions(3, faces_per_fragment=900)).lods[1].error_nm
    monkeypatch.setattr(lod_module, "simplify", drift)
    assert honest < 100 < 160 < build_lods(*ball_and_speck(), LodOptions(3, faces_per_fragment=900)).lods[1].error_nm


def test_a_level_that_saves_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lod_module, "simplify", lambda v, f, *_, **__: (v, f, np.arange(len(v))))
    levels = build_lods(*mesh(), LodOptions(3, faces_per_fragment=300))
    assert len(levels.lods) == 1
    assert levels.wanted == 3


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 1, 1), (2, 2, 2)])
def test_tiny_objects_are_whole_at_every_level(size: tuple[int, int, int]) -> None:
    labels = np.zeros((6, 6, 6), np.uint8, order="F")
    labels[1 : 1 + size[0], 1 : 1 + size[1], 1 : 1 + size[2]] = 1
    piece = whole(labels, RESOLUTION)[1]
    for lod in build_lods(nm(piece.vertices, RESOLUTION), piece.faces, LodOptions(4, faces_per_fragment=1)).lods:
        assert len(lod.faces) >= 4
        assert is_watertight(lod.faces)


def test_the_same_every_time_and_nothing_from_nothing() -> None:
    options = LodOptions(max_lods=3, faces_per_fragment=300)
    for a, b in zip(build_lods(*mesh(), options).lods, build_lods(*mesh(), options).lods, strict=True):
        np.testing.assert_array_equal(a.lattice, b.lattice)
        np.testing.assert_array_equal(a.faces, b.faces)
        assert a.error_nm == b.error_nm
    with pytest.raises(ValueError, match="without faces"):
        build_lods(np.zeros((3, 3)), np.empty((0, 3)), options)
