"""Clusters of vertices: their test for discs against the mesh that results, and pieces done again in part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import ball, blobs, nm, whole
from numpy.typing import NDArray
from scipy import ndimage

from ophiolite.kernels import simplify
from ophiolite.kernels.cluster_loops import _is_disc
from ophiolite.kernels.judge_loops import far_from_own, moved_outwards, restoring_length, volume_about
from ophiolite.kernels.marching import surfaces
from ophiolite.kernels.mesh_measure import is_watertight, signed_volume, surface_distance
from ophiolite.kernels.mesh_topology import topology
from ophiolite.kernels.quadrics import adjacency
from ophiolite.kernels.simplify import Simplifier
from ophiolite.kernels.simplify_loops import collapse

Mesh = tuple[NDArray[np.float64], NDArray[np.int32]]


def noise(seed: int, shape: tuple[int, int, int], share: float = 0.5) -> Mesh:
    """A surface with handles, thin bridges and parts of few faces."""
    field = np.pad(np.random.default_rng(seed).random(shape) < share, 1)
    found = list(surfaces(np.asfortranarray(field.astype(np.uint32)), np.array([False, True])))
    return (found[0][1] / 16, found[0][2]) if found else (np.zeros((0, 3)), np.zeros((0, 3), np.int32))


def grown(faces: NDArray[np.int32], n: int, rng: np.random.Generator, size: int) -> NDArray[np.int64]:
    """A connected set of vertices, the first named first."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    members = [int(rng.integers(n))]
    while len(members) < size:
        near = np.setdiff1d(pairs[np.isin(pairs[:, 0], members), 1], members)
        if not len(near):
            break
        members.append(int(rng.choice(near)))
    return np.array(sorted(members))


def merged_topology(v: NDArray[np.float64], faces: NDArray[np.int32], members: NDArray[np.int64]) -> Any:
    """Of the mesh in which a set of vertices is one."""
    root = np.arange(len(v))
    root[members] = members[0]
    f = root[faces]
    kept = f[(f[:, 0] != f[:, 1]) & (f[:, 1] != f[:, 2]) & (f[:, 2] != f[:, 0])]
    return topology(v, kept), len(np.unique(kept)) == len(v) - len(members) + 1


@settings(max_examples=60)
@given(st.integers(0, 2**16), st.integers(2, 14), st.sampled_from([(2, 2, 1), (3, 3, 2), (4, 3, 3)]))
def test_discs_are_what_merges_without_a_change_of_topology(seed: int, size: int, shape: Any) -> None:
    v, f = noise(seed, shape)
    if not len(f):
        return
    members = grown(f, len(v), np.random.default_rng(seed), size)
    n = len(v)
    root, following, sizes = np.arange(n, dtype=np.int32), np.arange(n, dtype=np.int32), np.ones(n, np.int32)
    root[members] = members[0]
    following[members] = np.roll(members, -1)
    sizes[members[0]] = len(members)
    mesh, still = (v, f, *adjacency(f, n)), np.zeros(n, np.bool_)
    work = np.zeros(n, np.int64), np.zeros(n, np.int32)
    disc = _is_disc(mesh, (root, following, sizes), still, int(members[0]), *work, 1)
    before = topology(v, f)
    after, all_used = merged_topology(v, f, members)
    same = all_used and (after.components, after.genus) == (before.components, before.genus)
    same = same and after.vertices == n - len(members) + 1 and after.duplicate_faces == 0
    assert disc == same


@settings(max_examples=25)
@given(st.integers(0, 2**16), st.sampled_from([0.5, 2.0, 10.0, 60.0]), st.sampled_from([0.3, 0.5, 0.8]))
def test_any_field_keeps_its_topology(seed: int, rms: float, share: float) -> None:
    v, f = noise(seed, (7, 6, 6), share)
    before = topology(v, f)
    done = Simplifier(v, f).run(0, rms)
    after = topology(done.vertices, done.faces)
    assert (after.components, after.genus, after.duplicate_faces) == (before.components, before.genus, 0)
    assert after.watertight
    assert after.winding_consistent
    assert after.flat_faces == 0
    assert after.vertices == len(done.vertices)
    assert done.into.shape == (len(v),)
    assert set(done.into.tolist()) == set(range(len(done.vertices)))


@settings(max_examples=15)
@given(st.integers(0, 2**16), st.sampled_from([4.0, 15.0]))
def test_what_is_done_again_in_part_keeps_its_topology_and_its_locks(seed: int, rms: float) -> None:
    piece = whole(blobs(seed, (16, 16, 16), labels=1, sigma=2.0), simplify=False)[7]
    v = nm(piece.vertices, (16.0, 16.0, 40.0))
    rng = np.random.default_rng(seed)
    locked = rng.random(len(v)) < 0.05
    before = topology(v, piece.faces)
    work = Simplifier(v, piece.faces, locked)
    done = work.run(0, rms)
    for _ in range(3):
        done = work.again(rng.random(len(v)) < 0.01)
        after = topology(done.vertices, done.faces)
        assert (after.components, after.genus) == (before.components, before.genus)
        assert after.watertight
        assert after.duplicate_faces == after.flat_faces == after.torn_edges == 0
        where = done.into[locked]
        assert done.still[where].all()
        np.testing.assert_allclose(done.vertices[where], v[locked], atol=1e-9)
        assert len(np.unique(where)) == locked.sum()


@pytest.mark.parametrize("seed", [465, 515])
def test_what_is_done_again_around_what_is_held_stays_closed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    side = int(rng.integers(16, 30))
    field = ndimage.gaussian_filter(rng.random((side, side, side)), float(rng.uniform(0.8, 2)))
    labels = np.asfortranarray(field > np.quantile(field, 0.6), dtype=np.uint8)
    piece = whole(labels, simplify=False)[1]
    v = nm(piece.vertices, (10.0, 10.0, 10.0))
    rms = float(rng.choice([4.0, 10.0, 20.0]))
    work = Simplifier(v, piece.faces)
    work.run(0, rms)
    share = float(rng.choice([0.001, 0.003, 0.01]))
    for _ in range(4):
        assert is_watertight(work.again(rng.random(len(v)) < share).faces)


def test_what_is_done_again_is_as_it_was_elsewhere() -> None:
    piece = whole(blobs(2, (40, 40, 40), labels=1, sigma=3.0), simplify=False)[7]
    v = nm(piece.vertices, (10.0, 10.0, 10.0))
    nothing = np.zeros(len(v), np.bool_)
    work = Simplifier(v, piece.faces)
    done, same = work.run(0, 4.0), work.again(nothing)
    np.testing.assert_array_equal(same.vertices, done.vertices)
    np.testing.assert_array_equal(same.faces, done.faces)
    far = nothing.copy()
    far[len(v) // 2] = True
    held = work.again(far)
    before, after = (set(map(tuple, found.vertices.tolist())) for found in (done, held))
    assert 0 < len(before ^ after) < 40 < len(before & after)


def test_what_is_done_again_goes_as_far_as_if_every_edge_were_priced_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    piece = whole(blobs(2, (40, 40, 40), labels=1, sigma=3.0), simplify=False)[7]
    v = nm(piece.vertices, (10.0, 10.0, 10.0))
    far = np.random.default_rng(5).random(len(v)) < 0.01

    def left(again: Any) -> int:
        work = Simplifier(v, piece.faces)
        work.run(0, 4.0)
        with monkeypatch.context() as patch:
            patch.setattr(simplify, "collapse", again)
            return len(work.again(far).faces)

    near = left(collapse)
    assert near == pytest.approx(left(lambda *args: collapse(*args[:-1], False)), rel=0.005)
    only_repeated = left(lambda *args: collapse(*args[:5], len(piece.faces), *args[6:]))
    assert near < 0.98 * only_repeated


def test_what_stays_far_is_held_itself_in_the_end() -> None:
    piece = whole(ball(9.3, (24, 24, 24)), simplify=False)[1]
    v = nm(piece.vertices, (10.0, 10.0, 10.0))
    far = np.zeros(len(v), np.bool_)
    far[[7, 300]] = True
    work = Simplifier(v, piece.faces)
    done = work.run(0, 10.0)
    for _ in range(3):
        done = work.again(far)
    np.testing.assert_allclose(done.vertices[done.into[far]], v[far], atol=1e-9)
    assert len(done.faces) < len(piece.faces) / 4


@settings(max_examples=10)
@given(st.integers(0, 2**16), st.sampled_from([2.0, 8.0, 20.0]))
def test_nothing_that_passes_is_farther_than_the_bound(seed: int, bound: float) -> None:
    piece = whole(blobs(seed, (16, 16, 16), labels=1, sigma=2.0), simplify=False)[7]
    v = nm(piece.vertices, (16.0, 16.0, 40.0))
    done = Simplifier(v, piece.faces).run(0, 15.0)
    far, lost = far_from_own(v, done.into, done.vertices, done.faces, bound)
    distance = surface_distance(v, done.vertices, done.faces)
    assert (distance[~far] <= bound * (1 + 1e-9)).all()
    back = surface_distance(done.vertices, v, piece.faces)
    assert lost[back > bound * (1 + 1e-9)].all()


def test_a_vertex_that_was_moved_away_is_noticed() -> None:
    piece = whole(ball(9.3, (24, 24, 24)), simplify=False)[1]
    v = nm(piece.vertices, (10.0, 10.0, 10.0))
    done = Simplifier(v, piece.faces).run(0, 2.5)
    far, lost = far_from_own(v, done.into, done.vertices, done.faces, 12.0)
    assert not far.any()
    assert not lost.any()
    outwards = done.vertices.copy()
    outwards[5] += (outwards[5] - v.mean(axis=0)) / 2
    assert np.flatnonzero(far_from_own(v, done.into, outwards, done.faces, 12.0)[1]).tolist() == [5]
    inwards = done.vertices.copy()
    inwards[5] = v.mean(axis=0)
    far, lost = far_from_own(v, done.into, inwards, done.faces, 12.0)
    assert far[done.into == 5].any()
    assert np.flatnonzero(lost).tolist() == [5]


@pytest.mark.parametrize("radius", [4.3, 11.0])
def test_the_volume_comes_back_without_moving_what_is_locked(radius: float) -> None:
    piece = whole(ball(radius, (30, 30, 30)), simplify=False)[1]
    v = nm(piece.vertices, (10.0, 10.0, 10.0))
    wanted = signed_volume(v, piece.faces)
    smaller = v * 0.995 + v.mean(axis=0) * 0.005
    free = np.ones(len(v), np.bool_)
    free[::9] = False
    missing = wanted - volume_about(smaller, piece.faces, smaller[0])
    moved = moved_outwards(smaller, piece.faces, free, restoring_length(smaller, piece.faces, free, missing, 10.0))
    assert signed_volume(moved, piece.faces) == pytest.approx(wanted, rel=1e-3)
    np.testing.assert_array_equal(moved[~free], smaller[~free])
    assert restoring_length(smaller, piece.faces, free, wanted, 0.5) == 0.5
    assert restoring_length(smaller, piece.faces, free, -wanted, 0.5) == -0.5
    limited = moved_outwards(smaller, piece.faces, free, 0.5)
    assert np.linalg.norm(limited - smaller, axis=1).max() == pytest.approx(0.5)
