"""Pieces that are done again are judged where they have changed, and are no worse for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import blobs, nm, whole
from numpy.typing import NDArray

from ophiolite.kernels import simplify
from ophiolite.kernels.mesh_judge import Judge
from ophiolite.kernels.simplify import Simplified, Simplifier

STEP_NM = 0.1
Piece = tuple[NDArray[np.float64], NDArray[np.uint32]]


def piece(seed: int) -> Piece:
    found = whole(blobs(seed, (18, 17, 16), labels=1, sigma=2.0), simplify=False)[7]
    return nm(found.vertices, (16.0, 16.0, 40.0)), found.faces


def judged(judge: Judge, done: Simplified) -> NDArray[np.bool_]:
    lattice = np.rint(done.vertices / STEP_NM).astype(np.int64)
    return judge.blamed(lattice, lattice * STEP_NM, done)


def rounds(seed: int, bound: float, rms: float) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Whom one judge blames that saw every result in turn, and whom a new one each time; until there is no one."""
    v, f = piece(seed)
    rim = np.zeros(len(v), np.bool_)
    work, judge = Simplifier(v, f), Judge(v, f, rim, bound)
    done, out = work.run(0, rms), []
    for _ in range(6):
        anew = Judge(v, f, rim, bound)
        everything = Simplified(**{**vars(done), "changed": np.ones(len(done.vertices), np.bool_)})
        out.append((judged(judge, done), judged(anew, everything)))
        if not out[-1][1].any():
            break
        done = work.again(out[-1][1])
    return out


def missed(found: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> bool:
    return any((other & ~one).any() for one, other in found)


@settings(max_examples=20)
@given(st.integers(0, 2**16), st.sampled_from([8.0, 14.0, 25.0]), st.sampled_from([4.0, 10.0, 20.0]))
def test_a_look_at_what_has_changed_misses_nothing(seed: int, bound: float, rms: float) -> None:
    assert not missed(rounds(seed, bound, rms))


def test_most_pieces_here_need_a_second_look() -> None:
    assert sum(len(rounds(seed, 14.0, 10.0)) > 1 for seed in range(10)) > 5


def test_changes_that_are_not_told_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simplify, "altered", lambda before, _: np.zeros(len(before[0]), np.bool_))
    assert any(missed(rounds(seed, 8.0, 20.0)) for seed in range(10))


def around(done: Simplified) -> list[set[tuple[Any, ...]]]:
    """Of each vertex the faces around it, by the places of their corners, the lowest first."""
    out: list[set[tuple[Any, ...]]] = [set() for _ in done.vertices]
    for face in done.faces:
        places = [tuple(done.vertices[corner].tolist()) for corner in face]
        first = places.index(min(places))
        for corner in face:
            out[corner].add((*places[first:], *places[:first]))
    return out


@settings(max_examples=10)
@given(st.integers(0, 2**16), st.sampled_from([4.0, 15.0]))
def test_what_has_not_changed_is_as_it_was(seed: int, rms: float) -> None:
    v, f = piece(seed)
    rng, work = np.random.default_rng(seed), Simplifier(v, f)
    before = work.run(0, rms)
    assert before.changed.all()
    now = work.again(np.arange(len(v)) == rng.integers(len(v)))
    same = np.flatnonzero(~now.changed)
    assert len(same) > 0.5 * len(now.vertices)
    old = before.into[now.rows]
    np.testing.assert_array_equal(now.vertices[same], before.vertices[old[same]])
    stars, old_stars = around(now), around(before)
    for row in same.tolist():
        assert stars[row] == old_stars[old[row]]
        np.testing.assert_array_equal(now.into == row, before.into == old[row])


def test_all_is_new_where_clusters_are_made_anew() -> None:
    v, f = piece(3)
    work = Simplifier(v, f)
    work.run(0, 10.0)
    assert work.run(0, 5.0).changed.all()
