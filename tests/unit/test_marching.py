"""Marching cubes of all labels at once: closed manifolds of every label field, vertices where labels change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ophiolite.geometry.box import Vec
from ophiolite.kernels import marching
from ophiolite.kernels.marching import surfaces
from ophiolite.kernels.marching_tables import EDGE_START, triangle_table
from ophiolite.kernels.mesh_topology import Topology, topology


def padded(field: NDArray[Any]) -> NDArray[np.uint32]:
    return np.asfortranarray(np.pad(field, 1).astype(np.uint32))


def random_field(seed: int, shape: Vec, labels: int) -> NDArray[np.uint32]:
    """Noise: every way in which voxels touch at faces, edges and corners."""
    return padded(np.random.default_rng(seed).integers(0, labels + 1, shape))


def all_surfaces(volume: NDArray[Any]) -> dict[int, tuple[NDArray[np.int32], NDArray[np.int32]]]:
    wanted = np.arange(int(volume.max()) + 1) > 0
    return {number: (v, f) for number, v, f in surfaces(volume, wanted)}


def sound(t: Topology) -> bool:
    return t.is_volume and not (t.flat_faces or t.duplicate_faces)


@settings(max_examples=25)
@given(st.integers(0, 2**16), st.tuples(*[st.integers(1, 7)] * 3), st.integers(1, 4))
def test_every_label_of_any_field_is_a_closed_manifold(seed: int, shape: Vec, labels: int) -> None:
    volume = random_field(seed, shape, labels)
    found = all_surfaces(volume)
    assert list(found) == [n for n in np.unique(volume).tolist() if n]
    for v, f in found.values():
        t = topology(v.astype(float), f)
        assert sound(t)
        # Each vertex has one fan of faces around it.
        assert t.vertices == len(v)


@settings(max_examples=15)
@given(st.integers(0, 2**16), st.tuples(*[st.integers(2, 6)] * 3))
def test_vertices_are_the_middles_of_edges_that_labels_change_on(seed: int, shape: Vec) -> None:
    volume = random_field(seed, shape, 2)
    for number, (v, _) in all_surfaces(volume).items():
        expected = set()
        for axis in range(3):
            for at in np.argwhere(np.diff((volume == number).astype(int), axis=axis)).tolist():
                expected.add(tuple(128 * (2 * c + (d == axis)) for d, c in enumerate(at)))
        assert len(v) == len(expected)
        assert {tuple(p) for p in v.tolist()} == expected


@settings(max_examples=15)
@given(st.integers(0, 2**16))
def test_a_surface_does_not_depend_on_the_other_labels(seed: int) -> None:
    volume = random_field(seed, (5, 6, 4), 3)
    for number, (v, f) in all_surfaces(volume).items():
        (alone,) = all_surfaces(np.asfortranarray((volume == number).astype(np.uint32))).values()
        np.testing.assert_array_equal(alone[0], v)
        np.testing.assert_array_equal(alone[1], f)


@pytest.mark.parametrize("axis", range(3))
def test_sheets_rows_and_single_voxels(axis: int) -> None:
    for size in ((1, 1, 1), (1, 9, 9), (1, 1, 9)):
        (mesh,) = all_surfaces(padded(np.ones(np.roll(size, axis), int))).values()
        t = topology(mesh[0].astype(float), mesh[1])
        assert sound(t)
        assert (t.components, t.genus) == (1, 0)


def test_a_ring_has_a_handle_and_diagonal_neighbours_are_apart() -> None:
    ring = np.ones((5, 5, 1), int)
    ring[2, 2] = 0
    (mesh,) = all_surfaces(padded(ring)).values()
    assert topology(mesh[0].astype(float), mesh[1]).genus == 1
    for other in ((1, 1, 0), (1, 1, 1)):
        pair = np.zeros((2, 2, 2), int)
        pair[0, 0, 0] = pair[other] = 1
        (mesh,) = all_surfaces(padded(pair)).values()
        assert topology(mesh[0].astype(float), mesh[1]).components == 2


def test_the_table_cuts_each_crossed_edge_in_every_case() -> None:
    counts, edges = triangle_table()
    assert counts[0] == counts[255] == 0
    for mask in range(256):
        crossed = {e for e, c in enumerate(EDGE_START) if (mask >> c & 1) != (mask >> (c | 1 << e // 4) & 1)}
        assert set(edges[mask, : 3 * counts[mask]].tolist()) == crossed


def test_a_case_that_joins_diagonal_corners_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    # The table of 1987 had this fault: a case as the complement of another joins what the neighbour keeps apart.
    counts, edges = (a.copy() for a in triangle_table())
    mask = 0b00001001
    other = 255 - mask
    counts[mask] = counts[other]
    edges[mask] = edges[other].reshape(-1, 3)[:, ::-1].reshape(-1)
    monkeypatch.setattr(marching, "triangle_table", lambda: (counts, edges))
    pair = np.zeros((2, 2, 1), int)
    pair[0, 0] = pair[1, 1] = 1
    (mesh,) = all_surfaces(padded(pair)).values()
    assert not sound(topology(mesh[0].astype(float), mesh[1]))


def test_volumes_without_cells_have_no_surface() -> None:
    assert all_surfaces(np.ones((1, 4, 4), np.uint32, order="F")) == {}
