"""The promises of simplified pieces: the kernels keep them; where a rule is broken, the measurement says so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_promises import Pieces, broken_promises, broken_surface
from mesh_shapes import ball, blobs, in_tasks, nm
from numpy.typing import NDArray

from ophiolite.geometry.lattice import MeshPiece
from ophiolite.kernels import cluster_loops, mesh, mesh_judge, simplify, simplify_loops, stitch
from ophiolite.kernels.lod import LodOptions
from ophiolite.kernels.marching import surfaces
from ophiolite.kernels.octree import mesh_entry

RESOLUTION = (16.0, 16.0, 40.0)
CUTS = ([9], [11], [10])
BOUND = 40.0


@cache
def labels() -> NDArray[np.uint64]:
    """Blobs that touch, a ball, a plate, a ring and a single voxel."""
    out = np.zeros((52, 22, 20), np.uint64, order="F")
    out[:20, :22, :20] = blobs(3, (20, 22, 20), labels=2, sigma=2.5)
    out[22:40, 2:20, 1:19] = ball(8.2, (18, 18, 18), label=20)
    out[42:44, 2:20, 2:18] = 21
    out[46:50, 2:9, 2:9] = 22
    out[46:50, 5, 5] = 0
    out[47, 14, 14] = 23
    return out


def made() -> Pieces:
    return in_tasks(labels(), CUTS, RESOLUTION, max_error_nm=BOUND)


def broken(pieces: Pieces) -> set[str]:
    return broken_promises(labels(), CUTS, RESOLUTION, BOUND, pieces)


def test_they_are_kept() -> None:
    assert broken(made()) == set()


@settings(max_examples=8)
@given(st.integers(0, 2**16), st.sampled_from([10.0, 30.0, 90.0]), st.sampled_from([(8.0, 8.0, 8.0), RESOLUTION]))
def test_they_are_kept_for_any_field(seed: int, bound: float, resolution: Any) -> None:
    field = blobs(seed, (15, 14, 13), labels=2, sigma=1.6)
    pieces = in_tasks(field, ([7], [], [6]), resolution, max_error_nm=bound)
    # Surfaces that lie closer together than the bound look both ways.
    assert broken_promises(field, ([7], [], [6]), resolution, bound, pieces) <= {"turned"}


def changed(change: Any) -> Pieces:
    """The pieces, those of the ball changed by `change(vertices, faces)`."""
    pieces = made()
    origin, piece = max(pieces[20], key=lambda p: len(p[1].faces))
    vertices, faces = change(piece.vertices.copy(), piece.faces.copy(), np.flatnonzero(~piece.seam))
    others = [p for p in pieces[20] if p[1] is not piece]
    return {**pieces, 20: [*others, (origin, MeshPiece(vertices, faces, piece.seam))]}


def move(v: Any, f: Any, free: Any) -> Any:
    v[free[0]] += v[free[0]] - v.mean(axis=0).astype(np.int32)
    return v, f


def move_a_border(v: Any, f: Any, free: Any) -> Any:
    v[np.setdiff1d(np.arange(len(v)), free)[0], 2] += 1
    return v, f


def swap(v: Any, f: Any, free: Any) -> Any:
    f[len(f) // 2] = f[len(f) // 2, ::-1]
    return v, f


def collapse_a_face(v: Any, f: Any, free: Any) -> Any:
    inner = f[np.isin(f, free).all(axis=1)][0]
    v[inner[1]] = v[inner[0]]
    return v, f


def repeat(v: Any, f: Any, free: Any) -> Any:
    return v, np.concatenate([f, f[:1]])


def drop(v: Any, f: Any, free: Any) -> Any:
    return v, f[np.arange(len(f)) != len(f) // 2]


def shrink(v: Any, f: Any, free: Any) -> Any:
    centre = v.mean(axis=0)
    v[free] = np.rint(centre + (v[free] - centre) * 0.9)
    return v, f


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (move, {"far"}),
        (move_a_border, {"border", "open"}),
        (swap, {"torn", "turned"}),
        (collapse_a_face, {"flat"}),
        (repeat, {"doubled", "crowded"}),
        (drop, {"open"}),
        (shrink, {"volume"}),
    ],
)
def test_damage_is_measured(change: Any, found: set[str]) -> None:
    assert found <= broken(changed(change))


def test_a_lost_object_is_measured() -> None:
    assert broken({label: pieces for label, pieces in made().items() if label != 23}) == {"lost"}


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The loops of collapse and clusters as Python, so that the rules they call can be broken."""
    monkeypatch.setattr(simplify, "collapse", simplify_loops.collapse.py_func)
    monkeypatch.setattr(simplify, "cluster", cluster_loops.cluster.py_func)
    monkeypatch.setattr(simplify_loops, "_allowed", simplify_loops._allowed.py_func)
    monkeypatch.setattr(cluster_loops, "_settle", cluster_loops._settle.py_func)
    return monkeypatch


def nothing_is_far(points: Any, into: Any, v: Any, f: Any, bound: float) -> Any:
    return np.zeros(len(points), np.bool_), np.zeros(len(v), np.bool_)


def nothing_of_it(*args: Any) -> Any:
    return np.zeros(len(args[-1].into), np.bool_)


def broken_of_surface(kind: str, rms: float) -> set[str]:
    """Of a surface with thin bridges and handles, or of a smooth one, simplified as far as `rms` lets it."""
    if kind == "rough":
        field = np.pad(np.random.default_rng(1).random((7, 6, 6)) < 0.3, 1)
    else:
        field = np.pad(blobs(1, (12, 12, 12), labels=1, sigma=1.5) > 0, 1)
    ((_, vertices, faces),) = surfaces(np.asfortranarray(field.astype(np.uint32)), np.array([False, True]))
    before = nm(vertices, RESOLUTION), faces.astype(np.int64)
    done = simplify.Simplifier(*before).run(0, rms)
    return broken_surface(before, (done.vertices, done.faces.astype(np.int64)), 10.0) - {"far"}


def nothing_is_unsound(faces: Any, parts: Any) -> Any:
    return np.zeros(len(parts[0]), np.bool_), np.arange(len(faces), dtype=np.int32)


def always(*_: Any) -> bool:
    return True


@pytest.mark.parametrize(("kind", "rms"), [("rough", 10.0), ("smooth", 3.0)])
def test_the_rules_keep_them(slow: pytest.MonkeyPatch, kind: str, rms: float) -> None:
    assert broken_of_surface(kind, rms) == set()


def test_without_the_link_condition(slow: pytest.MonkeyPatch) -> None:
    slow.setattr(simplify_loops, "_allowed", always)
    assert broken_of_surface("rough", 10.0) >= {"parts", "crowded"}


def test_without_the_test_for_discs(slow: pytest.MonkeyPatch) -> None:
    slow.setattr(cluster_loops, "_is_disc", always)
    slow.setattr(cluster_loops, "_no_discs", nothing_is_unsound)
    assert broken_of_surface("rough", 10.0) >= {"parts", "doubled"}


def test_without_the_test_for_faces_turned_over(slow: pytest.MonkeyPatch) -> None:
    slow.setattr(simplify_loops, "fits", always)
    slow.setattr(cluster_loops, "_turned", lambda *_: -1)
    assert broken_of_surface("smooth", 3.0) == {"turned"}


def across_the_seam() -> set[str]:
    """Of a field in four tasks that would be cut across at a seam from either side."""
    field, cuts = blobs(2, (15, 14, 13), labels=2, sigma=1.6), ([7], [], [6])
    return broken_promises(
        field, cuts, (8.0, 8.0, 8.0), 30.0, in_tasks(field, cuts, (8.0, 8.0, 8.0), max_error_nm=30.0)
    )


def test_no_edge_cuts_across_a_seam(slow: pytest.MonkeyPatch) -> None:
    assert across_the_seam() == set()


def test_without_the_test_for_edges_between_locked_vertices(slow: pytest.MonkeyPatch) -> None:
    whole = simplify_loops._allowed

    def blind(v: Any, f: Any, locked: Any, *rest: Any) -> Any:
        return whole(v, f, np.zeros_like(locked), *rest)

    slow.setattr(simplify_loops, "_allowed", blind)
    assert {"crowded", "torn"} <= across_the_seam()


NO_SLABS = np.empty((0, 3), np.int64)


def test_without_locks_at_the_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh._Frame, "rim", property(lambda _: NO_SLABS, lambda *_: None), raising=False)
    monkeypatch.setattr(mesh_judge.Judge, "_torn", nothing_of_it)
    assert {"border", "open"} <= broken(made())


def test_without_a_look_at_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh_judge, "far_from_own", nothing_is_far)
    monkeypatch.setattr(mesh, "_RMS_SHARE", 1.0)
    assert "far" in broken(made())


def folded(bound: float) -> set[str]:
    """Of sheets of one label that lie two voxels apart, bent about each other."""
    field = np.zeros((30, 30, 22), np.uint64, order="F")
    x, y, z = np.indices(field.shape)
    height = 10 + 4 * np.sin(x / 3.0) + 3 * np.cos(y / 4.0)
    for lift in (-5, 0, 5):
        field[(np.abs(z - height - lift) < 1) & (x > 1) & (x < 28) & (y > 1) & (y < 28)] = 1
    resolution, cuts = (8.0, 8.0, 8.0), ([15], [], [])
    pieces = in_tasks(field, cuts, resolution, max_error_nm=bound)
    return broken_promises(field, cuts, resolution, bound, pieces) - {"turned"}


@pytest.mark.parametrize("bound", [6.0, 12.0, 24.0])
def test_faces_stay_near_between_their_corners(bound: float) -> None:
    assert folded(bound) == set()


def test_faces_stay_near_however_far_collapses_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "_RMS_SHARE", 1.0)
    assert folded(6.0) == set()


def test_without_a_look_at_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "_RMS_SHARE", 1.0)
    nothing = np.empty((0, 3)), np.empty(0, np.int64), np.empty(0, np.int64)
    monkeypatch.setattr(mesh_judge, "astray", lambda *_: nothing)
    assert folded(6.0) == {"far"}


def without_a_face(self: Any, *args: Any) -> Any:
    """As `Simplifier.run`, but one face away from the borders is missing."""
    done = RUN(self, *args)
    inner = np.flatnonzero(~done.still[done.faces].any(axis=1))
    return replace(done, faces=np.delete(done.faces, inner[-1:], axis=0))


RUN = simplify.Simplifier.run


def test_a_piece_that_simplifying_left_open_is_done_again_and_else_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simplify.Simplifier, "run", without_a_face)
    assert broken(made()) == set()


def test_without_a_look_at_open_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simplify.Simplifier, "run", without_a_face)
    monkeypatch.setattr(mesh_judge.Judge, "_torn", nothing_of_it)
    assert "open" in broken(made())


def test_without_the_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "_VOLUME_TOLERANCE", 10.0)
    monkeypatch.setattr(mesh, "restoring_length", lambda *_: 0.0)
    assert "volume" in broken(made())


def cavities_and_specks(bound: float) -> set[str]:
    """Of a ball with cavities of a voxel or two, and specks around it, of the same label."""
    field = ball(9.5, (26, 26, 26))
    for x, y, z in np.random.default_rng(0).integers(1, 25, (40, 3)).tolist():
        field[x, y, z] = 1 - field[x, y, z]
    resolution, cuts = (8.0, 8.0, 8.0), ([13], [], [])
    pieces = in_tasks(field, cuts, resolution, max_error_nm=bound)
    return broken_promises(field, cuts, resolution, bound, pieces) - {"turned"}


@pytest.mark.parametrize("bound", [20.0, 40.0, 80.0])
def test_cavities_and_specks_keep_their_sides(bound: float) -> None:
    assert cavities_and_specks(bound) == set()


def test_without_a_look_at_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    # The volume that simplifying costs comes back by moving all vertices outwards, which is into cavities.
    monkeypatch.setattr(mesh_judge.Judge, "_turned", nothing_of_it)
    assert cavities_and_specks(40.0) == {"inverted"}


def as_bytes(pieces: Pieces) -> dict[int, list[tuple[Any, ...]]]:
    return {
        label: [
            (origin, *(a.tobytes() for a in (p.vertices, p.faces, p.seam))) for origin, p in sorted(of, key=origin_of)
        ]
        for label, of in pieces.items()
    }


def origin_of(entry: Any) -> Any:
    return entry[0]


def at_once_and_alone() -> bool:
    """Whether volumes meshed by four threads at once, and again, are those meshed alone."""
    fields = [blobs(seed, (18, 17, 16), labels=2, sigma=2.0) for seed in range(6)]

    def pieces(field: NDArray[np.uint64]) -> Any:
        return as_bytes(in_tasks(field, ([8], [], [9]), RESOLUTION, max_error_nm=BOUND))

    alone = [pieces(field) for field in fields]
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(pieces, fields[::-1])) == alone[::-1]


def test_threads_make_no_difference() -> None:
    assert at_once_and_alone()


def test_what_remembers_the_piece_before_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    # The simplifier of another package does.
    class Remembering(simplify.Simplifier):
        seen = 0

        def __init__(self, vertices: Any, faces: Any, locked: Any, sound: bool) -> None:
            locked[Remembering.seen % len(locked)] = True
            Remembering.seen += len(locked)
            super().__init__(vertices, faces, locked, sound)

    monkeypatch.setattr(mesh, "Simplifier", Remembering)
    assert not at_once_and_alone()


def entries(order: int) -> list[tuple[bytes, bytes]]:
    """The shard entries of all labels, their pieces handed over in some order."""
    out = []
    for _, pieces in sorted(made().items()):
        vertices, faces = stitch.stitch(pieces[::order])
        nm = vertices / 256 * np.array(RESOLUTION)
        out.append(mesh_entry(nm, faces, LodOptions(max_lods=3, faces_per_fragment=200)).stored)
    return out


def test_the_order_of_blocks_makes_no_difference() -> None:
    assert entries(1) == entries(-1)


def test_pieces_that_are_not_put_in_order_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stitch, "sorted", lambda pieces, key: list(pieces), raising=False)
    assert entries(1) != entries(-1)
