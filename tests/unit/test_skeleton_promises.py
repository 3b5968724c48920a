"""The promises of skeletons: the kernels keep them; where a rule is broken, the measurement says so."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neurite_shapes import neurites
from numpy.typing import NDArray
from scipy import ndimage
from skeleton_promises import (
    APART_THIN,
    DOUBLED_THIN,
    Made,
    broken_promises,
    broken_trace,
    finished,
    made,
    swc_is_whole,
)

from ophiolite.geometry.lattice import SkeletonPiece
from ophiolite.kernels import skeleton_merge, skeletonize
from ophiolite.kernels.skeletonize import SkeletonOptions, borders, trace, trace_loops
from ophiolite.kernels.skeletonize.borders import border_targets
from ophiolite.kernels.skeletonize.trace import trace_object
from ophiolite.precomputed.skeleton import DecodedSkeleton
from ophiolite.precomputed.skeleton_fragment import encode_skeleton_piece
from ophiolite.stages.skeleton_swc import trees_of

CUBES, FLAT = (10.0, 10.0, 10.0), (16.0, 16.0, 40.0)
TASK = (24, 17, 20)
OPTIONS = SkeletonOptions(scale=1.5, const_nm=20.0)
TREE, CROSS = 4, 5


@cache
def labels() -> NDArray[np.uint64]:
    """A torus, a sheet, a ball, a drawn tree and a cross, which planes of tasks cut."""
    out = np.zeros((48, 34, 40), np.uint64, order="F")
    x, y, z = np.indices(out.shape)
    out[(np.hypot(x - 11, y - 17) - 8) ** 2 + (z - 7) ** 2 < 6] = 1
    out[2:46, 2:30, 15] = 2
    out[(x - 37) ** 2 + (y - 14) ** 2 + (z - 6) ** 2 < 36] = 3
    ways = [((4, 8, 21), (44, 8, 28), 2), ((24, 8, 24), (30, 31, 22), 2), ((14, 8, 23), (10, 30, 27), 1)]
    for start, stop, radius in ways:
        for at in np.linspace(start, stop, 120):
            out[(x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2 <= radius**2] = TREE
    for half in ((20, 2, 2), (2, 14, 2), (2, 2, 3)):
        out[tuple(slice(c - h, c + h + 1) for c, h in zip((24, 17, 36), half, strict=True))] = CROSS
    return out


def kept(nm: tuple[float, float, float] = CUBES) -> Made:
    return made(labels(), TASK, nm, OPTIONS)


def broken(got: Made, nm: tuple[float, float, float] = CUBES) -> set[str]:
    return broken_promises(labels(), TASK, nm, got)


@pytest.mark.parametrize("nm", [CUBES, FLAT])
def test_they_are_kept(nm: tuple[float, float, float]) -> None:
    assert broken(kept(nm), nm) == set()


@settings(max_examples=8)
@given(st.integers(0, 2**16), st.tuples(*[st.integers(9, 20)] * 3), st.sampled_from([CUBES, FLAT]))
def test_they_are_kept_for_any_neurites(seed: int, task: Any, nm: tuple[float, float, float]) -> None:
    field = neurites(seed, (31, 28, 26))
    assert broken_promises(field, task, nm, made(field, task, nm, OPTIONS, join=True)) <= {DOUBLED_THIN, APART_THIN}


def changed(change: Callable[[Any, Any, Any, Any], Any]) -> Made:
    """Skeletons of which one piece of the tree is changed before it is stitched."""
    pieces = kept().pieces
    of = max((of for _, of in pieces if TREE in of), key=lambda of: len(of[TREE].vertices))
    piece = of[TREE]
    of[TREE] = SkeletonPiece(*change(piece.vertices.copy(), piece.edges, piece.radius_nm.copy(), piece.seam))
    return Made(pieces, finished(pieces, CUBES, OPTIONS))


def move(v: Any, e: Any, r: Any, s: Any) -> Any:
    v[~s] += [0, 0, 256 * 6]
    return v, e, r, s


def widen(v: Any, e: Any, r: Any, s: Any) -> Any:
    return v, e, r * 1.01, s


def cut_the_ends(v: Any, e: Any, r: Any, s: Any) -> Any:
    return v, e[~s[e].any(axis=1)], r, s


def move_the_ends(v: Any, e: Any, r: Any, s: Any) -> Any:
    v[s, 2] -= 256
    return v, e, r, s


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (move, {"outside"}),
        (widen, {"radius"}),
        (cut_the_ends, {"apart"}),
        (move_the_ends, {"unmet", "apart"}),
    ],
)
def test_damage_is_measured(change: Any, found: set[str]) -> None:
    assert found <= broken(changed(change))


def test_damage_to_finished_skeletons_is_measured() -> None:
    got = kept()
    vertices, edges, radius = got.finished[CROSS]
    far = [np.argmin(vertices[:, 0]), np.argmax(vertices[:, 0])]
    ring = np.concatenate([edges, np.array([far], edges.dtype)])
    for damaged, found in [
        ((vertices, ring, radius), "loop"),
        ((vertices, edges[1:], radius), "apart"),
        ((vertices + 400.0, edges, radius), "outside"),
    ]:
        assert found in broken(Made(got.pieces, {**got.finished, CROSS: damaged}))
    lost = {label: lines for label, lines in got.finished.items() if label != CROSS}
    assert broken(Made(got.pieces, lost)) == {"lost"}


def test_a_target_that_one_side_moves_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(10**6))

    def moved(plane: Any, *rest: Any) -> Any:
        places, of = border_targets(plane, *rest)
        corner = [w.start or 0 for w in rest[-1]] if len(rest) > 1 else [0, 0]
        return np.maximum(places - next(calls) % 2, corner), of

    monkeypatch.setattr(borders, "border_targets", moved)
    assert "unmet" in broken(kept())


def test_more_ends_than_sections_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    real = borders.face_sections

    def many(*args: Any) -> Any:
        found = real(*args)
        return found._replace(targets=np.unique(np.concatenate([found.targets, found.entries[::3]]), axis=0))

    monkeypatch.setattr(skeletonize, "face_sections", many)
    assert "doubled" in broken(kept())


def test_parts_left_to_a_neighbour_that_does_not_take_them_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    real = borders.face_sections

    def none(*args: Any) -> Any:
        found = real(*args)
        return found._replace(left=np.unique(np.concatenate([found.left, found.entries]), axis=0))

    monkeypatch.setattr(skeletonize, "face_sections", none)
    assert broken(kept()) >= {"unmet", "apart"}


def test_loops_left_in_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skeleton_merge, "_without_loops", lambda points, radius, edges: edges)
    assert "loop" in broken(kept())


def test_distances_that_end_with_the_task_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(numbers: Any, nm: Any) -> Any:
        wide = np.pad(np.asarray(numbers), 1)
        return trace.distance_to_surface(np.asfortranarray(wide), nm)[1:-1, 1:-1, 1:-1]

    monkeypatch.setattr(skeletonize, "distance_to_surface", closed)
    assert broken(kept()) == {"radius"}


@pytest.mark.parametrize("halo", [0, 1, 2])
def test_a_halo_that_is_too_short_is_measured(halo: int) -> None:
    # A plane cuts the ball 3 voxels below its top.
    assert broken(made(labels(), TASK, CUBES, OPTIONS, halo=halo)) >= {"radius"}


def moved_alike(plane: NDArray[np.uint32], move: tuple[int, int]) -> bool:
    """Whether targets move with what is in a plane."""
    around = np.pad(plane, 8)
    places, _ = border_targets(around, (3.0, 4.0))
    places_moved, _ = border_targets(np.roll(around, move, axis=(0, 1)), (3.0, 4.0))
    return sorted((places + move).tolist()) == sorted(places_moved.tolist())


def test_targets_move_with_their_section_or_it_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    u, v = np.indices((15, 15)) - 7
    shapes = [
        np.hypot(u, v) < 6,
        abs(np.hypot(u, v) - 5) < 1.5,
        (abs(u) < 2) | (abs(v) < 2),
        (abs(u) < 5) & (abs(v) < 5),
    ]
    planes = [shape.astype(np.uint32) for shape in shapes]
    moves = [(3, 0), (0, -5), (7, 6), (-1, 1)]
    assert all(moved_alike(plane, move) for plane in planes for move in moves)
    real = borders.best

    def by_place(numbers: Any, squared: Any, *rest: Any) -> Any:
        # Ties by the distance to the corner of what is seen, not to the section's own middle.
        u, v = np.indices(squared.shape)
        return real(numbers, squared + 1e-3 * np.cos(u * 5.0 + v), *rest)

    monkeypatch.setattr(borders, "best", by_place)
    assert not all(moved_alike(plane, move) for plane in planes for move in moves)


SHAPES: dict[str, Callable[[], NDArray[np.bool_]]] = {
    "tree": lambda: labels()[3:46, 5:33, 18:31] == TREE,
    "torus": lambda: labels()[:24, 5:30, 2:13] == 1,
    "sheet": lambda: labels()[20:46, 2:30, 15:16] == 2,
    "ball": lambda: labels()[30:44, 7:22, :13] == 3,
    "cross": lambda: labels()[:, :, 32:40] == CROSS,
    "maze": lambda: largest(np.random.default_rng(1).random((9, 8, 10)) < 0.6),
}


def largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def broken_ways(shape: str, nm: tuple[float, float, float] = FLAT) -> set[str]:
    mask = np.pad(SHAPES[shape](), 1)
    return broken_trace(mask, nm, OPTIONS, trace_object(mask, None, nm, OPTIONS))


@pytest.mark.parametrize("nm", [CUBES, FLAT, (40.0, 4.0, 4.0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_way_is_the_cheapest_to_the_farthest_that_is_left(shape: str, nm: tuple[float, float, float]) -> None:
    assert broken_ways(shape, nm) == set()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The loops that trace as Python, so that the rules they call can be broken."""
    for name in ("trace", "_trace_part", "_follow"):
        monkeypatch.setattr(trace_loops, name, getattr(trace_loops, name).py_func)
    return monkeypatch


def test_the_slow_loops_keep_them(slow: pytest.MonkeyPatch) -> None:
    assert [broken_ways(shape) for shape in SHAPES] == [set()] * len(SHAPES)


REAL_FLOOD, REAL_SEARCH = trace_loops.flood, trace_loops.search


def small_balls(grid: Any, sources: Any, radii: Any, room: Any, links: Any) -> Any:
    return REAL_FLOOD(grid, sources, (radii * 0.9).astype(np.int64), room, links)


def balls_of_one_end(grid: Any, sources: Any, radii: Any, room: Any, links: Any) -> Any:
    return REAL_FLOOD(grid, sources[-1:], radii[-1:], room, links)


def large_balls(grid: Any, sources: Any, radii: Any, room: Any, links: Any) -> Any:
    return REAL_FLOOD(grid, sources, radii * 2, room, links)


def along_any_way(grid: Any, voxels: Any, source: int, whole: bool, room: Any, links: Any) -> Any:
    weight = room.weight.copy()
    np.minimum(room.weight, 1, out=room.weight)
    found = REAL_SEARCH(grid, voxels, source, whole, room, links)
    room.weight[:] = weight
    return found


def nothing_remains(voxels: Any, far: Any, left: Any) -> Any:
    return voxels[:0]


def as_they_come(voxels: Any, far: Any, left: Any) -> Any:
    return voxels[left[voxels] < 0]


def first_is_root(grid: Any, voxels: Any, most: float, targets: Any, rules: Any, room: Any, links: Any) -> Any:
    links = trace_loops.distances(grid, voxels[len(voxels) // 2 :][:1], room, links)
    return int(voxels[len(voxels) // 2]), links


@pytest.mark.parametrize(
    ("name", "bug", "found"),
    [
        ("flood", small_balls, {"target"}),
        ("flood", balls_of_one_end, {"target"}),
        ("flood", large_balls, {"target"}),
        ("search", along_any_way, {"dear"}),
        ("_remaining", as_they_come, {"target"}),
        ("_remaining", nothing_remains, {"left"}),
        ("_root", first_is_root, {"root"}),
    ],
)
def test_a_bug_in_tracing_is_measured(slow: pytest.MonkeyPatch, name: str, bug: Any, found: set[str]) -> None:
    slow.setattr(trace_loops, name, bug)
    assert found <= set().union(*(broken_ways(shape) for shape in SHAPES))


def test_a_length_or_a_turn_of_steps_that_is_wrong_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    real = trace._steps.__wrapped__

    def longer(nm: Any) -> Any:
        lengths, turns, count = real(nm)
        return lengths + 200 * (lengths > lengths.min()), turns, count

    monkeypatch.setattr(trace, "_steps", longer)
    assert set().union(*(broken_ways(shape) for shape in SHAPES)) & {"root", "target", "left"}


def at_once_and_alone() -> bool:
    """Whether volumes traced by four threads at once, and again, are those traced alone."""
    fields = [neurites(seed, (26, 24, 22)) for seed in range(6)]

    def pieces(field: NDArray[np.uint64]) -> list[bytes]:
        return [
            encode_skeleton_piece(piece)
            for _, of in made(field, (13, 24, 11), CUBES, OPTIONS).pieces
            for _, piece in sorted(of.items())
        ]

    alone = [pieces(field) for field in fields]
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(pieces, fields[::-1])) == alone[::-1]


def test_threads_make_no_difference() -> None:
    assert at_once_and_alone()


def test_what_remembers_the_task_before_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = trace._rules, iter(range(10**6))

    def remembering(options: SkeletonOptions) -> Any:
        return real(options)._replace(scale=1 + next(calls) / 10)

    monkeypatch.setattr(trace, "_rules", remembering)
    assert not at_once_and_alone()


def test_skeletons_go_through_swc_whole() -> None:
    for vertices, edges, radius in kept().finished.values():
        skeleton = DecodedSkeleton(vertices.astype(np.float32), edges, (radius.astype(np.float32),))
        trees = list(trees_of(1, skeleton, 1e9, "t/v"))
        assert swc_is_whole(skeleton, trees)
        star = np.minimum(trees[0].parent, 0)
        wrong = [replace(trees[0], parent=star), replace(trees[0], radius_nm=trees[0].radius_nm * 1000)]
        assert not any(swc_is_whole(skeleton, [tree, *trees[1:]]) for tree in wrong)
