"""Seams dissolve after the join: fewer faces, still closed, within the error, nothing else touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import blobs, in_tasks
from numpy.typing import NDArray

from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.kernels import seams as seams_module
from ophiolite.kernels.mesh_measure import surface_distance
from ophiolite.kernels.mesh_topology import topology
from ophiolite.kernels.seams import dissolve_seams
from ophiolite.kernels.simplify import Simplified, Simplifier
from ophiolite.kernels.stitch import join

RESOLUTION = (8.0, 8.0, 20.0)
LATTICE_NM = np.array(RESOLUTION) / STEPS_PER_VOXEL
Joined = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.bool_]]


def joined(seed: int, **options: Any) -> Joined:
    labels = blobs(seed, (24, 24, 16), labels=1, sigma=3.0)
    return join(in_tasks(labels, ([12], [12], [8]), RESOLUTION, **options)[7])


@settings(max_examples=6)
@given(seed=st.integers(0, 1000), allowed=st.sampled_from([2.0, 6.0]))
def test_seams_dissolve_within_the_error(seed: int, allowed: float) -> None:
    lattice, faces, seam = joined(seed, max_error_nm=8.0)
    new, left = dissolve_seams(lattice, faces, seam, LATTICE_NM, allowed)
    assert len(left) < len(faces)
    before, after = topology(lattice * LATTICE_NM, faces), topology(new * LATTICE_NM, left)
    assert after.is_volume == before.is_volume
    assert (after.components, after.genus) == (before.components, before.genus)
    there = surface_distance(lattice * LATTICE_NM, new * LATTICE_NM, left)
    back = surface_distance(new * LATTICE_NM, lattice * LATTICE_NM, faces)
    assert max(there.max(), back.max()) <= allowed * (1 + 1e-9)
    assert set(np.unique(left)) == set(range(len(new)))


def test_what_is_far_from_seams_stays() -> None:
    lattice, faces, seam = joined(4, simplify=False)
    new, left = dissolve_seams(lattice, faces, seam, LATTICE_NM, 6.0)
    planes = np.array([12, 12, 8]) * STEPS_PER_VOXEL + STEPS_PER_VOXEL // 2
    # A ring of unsimplified faces is at most a voxel wide.
    far = (np.abs(lattice - planes) > 4 * STEPS_PER_VOXEL).all(axis=1)
    places = set(map(tuple, new.tolist()))
    assert far.any()
    assert all(tuple(p) in places for p in lattice[far].tolist())
    assert len(left) < len(faces)


def test_no_seam_no_change() -> None:
    lattice, faces, _ = joined(4)
    new, left = dissolve_seams(lattice, faces, np.zeros(len(lattice), np.bool_), LATTICE_NM, 6.0)
    np.testing.assert_array_equal(new, lattice)
    np.testing.assert_array_equal(left, faces)


def test_a_simplifier_that_strays_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Straying(Simplifier):
        def run(self, target_faces: int, max_rms: float = np.inf) -> Simplified:
            done = super().run(target_faces, max_rms)
            away = np.array([0.0, 0.0, 40.0]) * (np.arange(len(done.rows)) == len(done.rows) // 2)[:, None]
            return replace(done, vertices=done.vertices + away)

    lattice, faces, seam = joined(4)
    monkeypatch.setattr(seams_module, "Simplifier", Straying)
    new, left = dissolve_seams(lattice, faces, seam, LATTICE_NM, 6.0)
    there = surface_distance(new * LATTICE_NM, lattice * LATTICE_NM, faces)
    assert there.max() <= 6.0 * (1 + 1e-9)
    assert topology(new * LATTICE_NM, left).is_volume == topology(lattice * LATTICE_NM, faces).is_volume
    monkeypatch.setattr(seams_module.Judge, "blamed", lambda judge, of, after, done: np.zeros(len(done.into), np.bool_))
    new, _ = dissolve_seams(lattice, faces, seam, LATTICE_NM, 6.0)
    assert surface_distance(new * LATTICE_NM, lattice * LATTICE_NM, faces).max() > 12.0


def test_a_part_that_turns_inside_out_is_noticed() -> None:
    corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]])
    before = np.concatenate([corners, corners + 50])
    tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32)
    faces = np.concatenate([tetrahedron, tetrahedron + 4])
    assert not seams_module._turned(before, faces, before, faces)
    after = before.copy()
    after[7, 2] = 41
    assert seams_module._turned(before, faces, after, faces)
    after[7, 2] = 50
    assert seams_module._turned(before, faces, after, faces)
