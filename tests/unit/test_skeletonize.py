"""Centrelines of the labels of a task: seams, ownership, tips, options."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from neurite_shapes import neurites

from ophiolite.errors import ConfigError
from ophiolite.geometry.lattice import SkeletonPiece
from ophiolite.kernels.skeletonize import SkeletonOptions, skeletonize_labels
from ophiolite.kernels.skeletonize.borders import face_sections
from ophiolite.precomputed.skeleton_fragment import encode_skeleton_piece

NO = (False, False, False)
RES = (10.0, 10.0, 10.0)
DEFAULT = SkeletonOptions()


def trace(labels: np.ndarray, options: SkeletonOptions = DEFAULT, skip=None) -> dict[int, SkeletonPiece]:
    return dict(skeletonize_labels(np.asfortranarray(labels), RES, labels.shape, NO, NO, skip, options))


def voxels(piece: SkeletonPiece) -> np.ndarray:
    assert ((piece.vertices - 128) % 256 == 0).all()
    return (piece.vertices - 128) // 256


def halves(labels: np.ndarray, axis: int, cut: int) -> tuple[dict[int, SkeletonPiece], dict[int, SkeletonPiece]]:
    """Both tasks of a volume cut in two along an axis."""
    there = tuple(i == axis for i in range(3))
    below, above = np.split(labels, [cut + 1], axis)[0], np.split(labels, [cut], axis)[1]
    core = tuple(n - int(t) for n, t in zip(below.shape, there, strict=True))
    first = skeletonize_labels(np.asfortranarray(below), RES, core, NO, there)
    return dict(first), dict(skeletonize_labels(np.asfortranarray(above), RES, above.shape, there, NO))


@pytest.mark.parametrize("seed", range(6))
def test_both_tasks_put_an_end_at_the_same_voxel_of_every_cross_section(seed: int) -> None:
    axis, shape = seed % 3, (30, 28, 26)
    labels, cut = neurites(seed, shape), shape[seed % 3] // 2
    pieces = halves(labels, axis, cut)
    plane = np.take(labels, cut, axis)
    sections = cc3d.connected_components(plane, connectivity=8)
    met = 0
    for number in range(1, int(sections.max()) + 1):
        section = {tuple(p) for p in np.argwhere(sections == number)}
        label = int(plane[next(iter(section))])
        found = []
        for side, at in zip(pieces, (cut, 0), strict=True):
            piece = side.get(label)
            seam = voxels(piece)[piece.seam] if piece else np.zeros((0, 3), int)
            # The lower task keeps out of the plane but for its ends, so where it stops short of it is a seam too.
            assert (np.isin(seam[:, axis], (at, at - 1)) if at else seam[:, axis] == 0).all()
            seam = seam[seam[:, axis] == at]
            found.append({tuple(p) for p in np.delete(seam, axis, 1)} & section)
        if found[0] and found[1]:
            met += 1
            assert found[0] & found[1], f"label {label}: {found}"
    assert met > 0


@pytest.mark.parametrize("seed", range(6))
def test_two_tasks_never_cross_twice_in_one_section(seed: int) -> None:
    axis, cut, r = seed % 3, 15, np.random.default_rng(seed)
    labels = np.zeros((30, 60, 60), np.uint32)
    labels[cut - 2 : cut + 3, 5:55, 5:55] = 1  # a sheet that lies in the shared plane
    for u, v in r.integers(8, 50, (9, 2)):  # and neurites that leave it on both sides
        labels[slice(0, cut) if u % 2 else slice(cut, 30), u : u + 3, v : v + 3] = 1
    first, second = halves(np.moveaxis(labels, 0, axis), axis, cut)
    low, high = (np.roll(voxels(piece[1]), -axis, axis=1) for piece in (first, second))
    assert _crossings([(low, first[1].edges), (high + np.array([cut, 0, 0]), second[1].edges)], cut) == 1


def _crossings(pieces: list[tuple[np.ndarray, np.ndarray]], cut: int) -> int:
    """How often pieces of two sides meet in the plane x = cut; what runs along it is one."""
    group: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    sides: dict[tuple[int, ...], set[int]] = {}
    for side, (places, edges) in enumerate(pieces):
        for a, b in places[edges].tolist():
            on = [tuple(p) for p in (a, b) if p[0] == cut]
            for voxel in on:
                group.setdefault(voxel, {voxel})
                if len(on) == 1:
                    sides.setdefault(voxel, set()).add(side)
            if len(on) == 2:
                together = group[on[0]] | group[on[1]]
                for voxel in together:
                    group[voxel] = together
    ways = {frozenset(way) for way in group.values()}
    return sum(set().union(*(sides.get(voxel, set()) for voxel in way)) == {0, 1} for way in ways)


@settings(max_examples=60)
@given(hnp.arrays(np.uint32, (4, 5, 4), elements=st.integers(0, 3)), st.integers(0, 2))
def test_exactly_the_parts_that_lie_in_the_halo_alone_are_left_to_the_neighbour(labels, axis: int) -> None:
    wanted = labels.copy()
    inside = np.moveaxis(np.ones(labels.shape, bool), axis, 0)
    inside[-1] = False
    inside = np.moveaxis(inside, 0, axis)
    for label in (1, 2, 3):
        parts = cc3d.connected_components(labels == label, connectivity=26)
        for part in range(1, int(parts.max()) + 1):
            if not (inside & (parts == part)).any():
                wanted[parts == part] = 0
    numbers = np.asfortranarray(labels)
    high = (axis == 0, axis == 1, axis == 2)
    everything = (slice(0, 4), slice(0, 5), slice(0, 4))
    left = face_sections(numbers, everything, NO, high, RES).left
    numbers[tuple(left.T)] = 0
    np.testing.assert_array_equal(numbers, wanted)


@pytest.mark.parametrize("seed", range(2))
def test_every_part_gets_one_tree_of_voxels_of_its_label(seed: int) -> None:
    labels = neurites(seed, (30, 28, 26))
    pieces = trace(labels)
    assert list(pieces) == sorted(pieces)
    for label in range(1, 13):
        parts = cc3d.connected_components(labels == label, connectivity=26)
        sizes = np.bincount(parts.ravel())[1:]
        if not (sizes > 1).any():
            assert label not in pieces
            continue
        piece = pieces[label]
        at = voxels(piece)
        assert (labels[tuple(at.T)] == label).all()
        assert sorted(set(parts[tuple(at.T)])) == list(np.flatnonzero(sizes > 1) + 1)
        assert len(at) - len(piece.edges) == (sizes > 1).sum()
        assert np.abs(at[piece.edges[:, 0]] - at[piece.edges[:, 1]]).max() == 1
        assert (piece.radius_nm >= 10).all()
        assert not piece.seam.any()


def test_a_tip_of_a_large_object_in_the_next_task_is_kept() -> None:
    labels = np.zeros((40, 12, 12), np.uint32, order="F")
    labels[:34, 3:9, 3:9] = 5
    labels[34:37, 5:7, 5:7] = 5  # the tip: 12 voxels, of which 8 lie beyond the shared plane
    first, second = halves(labels, 0, 34)
    assert voxels(second[5])[:, 0].max() == 2
    shared = voxels(first[5])[first[5].seam] - [34, 0, 0]
    assert {tuple(p) for p in shared} & {tuple(p) for p in voxels(second[5])}
    for skip in (np.array([5], np.uint64), None):
        assert (5 in trace(labels, skip=skip)) == (skip is None)


def test_large_labels_come_back_exactly_and_in_order() -> None:
    labels = np.zeros((12, 20, 6), np.uint64, order="F")
    big = [2**32 + 1, 2**53 + 1, 2**63 + 5, 2**64 - 1]
    for i, label in enumerate(big[::-1]):
        labels[3 * i : 3 * i + 2, 2:18, 2:4] = label
    assert list(trace(labels)) == big
    assert list(trace(labels, SkeletonOptions(include_labels=(big[3], big[1], 77)))) == [big[1], big[3]]
    assert list(trace(labels, SkeletonOptions(exclude_labels=(big[2],)))) == [big[0], big[1], big[3]]


def test_absent_labels_give_nothing_and_no_error() -> None:
    labels = np.zeros((8, 8, 8), np.uint8, order="F")
    assert trace(labels) == {}
    labels[1:7, 3, 3] = 9
    assert trace(labels, SkeletonOptions(include_labels=(4,))) == {}


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 6, 1), (6, 1, 1), (1, 6, 6), (2, 2, 2), (7, 7, 7)])
def test_a_task_of_one_label_or_one_voxel_thick_is_traced(shape: tuple[int, int, int]) -> None:
    pieces = trace(np.full(shape, 3, np.uint16, order="F"))
    assert list(pieces) == ([3] if np.prod(shape) > 1 else [])
    assert all(np.isfinite(p.radius_nm).all() for p in pieces.values())


def test_filled_holes_straighten_the_shell_and_keep_what_lies_inside() -> None:
    labels = np.zeros((30, 14, 14), np.uint32, order="F")
    labels[2:28, 1:13, 1:13] = 1
    labels[4:26, 3:11, 3:11] = 0
    labels[6:24, 6:8, 6:8] = 2
    hollow, filled = trace(labels), trace(labels, SkeletonOptions(fill_holes=True))
    assert list(hollow) == list(filled) == [1, 2]
    assert hollow[1].radius_nm.max() < 20  # the shell is two voxels thick
    assert filled[1].radius_nm.max() >= 60
    np.testing.assert_array_equal(hollow[2].vertices, filled[2].vertices)


def test_a_soma_is_rooted_in_its_middle() -> None:
    grid = np.ogrid[:41, :41, :41]
    ball = sum((g - 20) ** 2 for g in grid) <= 15**2
    ball[20:, 19:22, 19:22] = True
    labels = np.asfortranarray(ball.astype(np.uint8))
    options = SkeletonOptions(soma_detect_nm=100, soma_accept_nm=120, soma_const_nm=0)
    at = voxels(trace(labels, options)[1])
    distance = np.linalg.norm(at - 20, axis=1)
    assert (distance <= 1).sum() == 1
    assert ((distance <= 1) | (distance > 14)).all()


def test_the_same_task_gives_the_same_bytes() -> None:
    labels = neurites(3, (24, 24, 24))
    first, second = ([encode_skeleton_piece(p) for p in trace(labels).values()] for _ in range(2))
    assert first == second


def test_a_shape_that_does_not_fit_the_seams_is_refused() -> None:
    with pytest.raises(ValueError, match="seams"):
        next(skeletonize_labels(np.zeros((5, 4, 4), np.uint32), RES, (4, 4, 4), NO, NO))


@pytest.mark.parametrize(
    "wrong", [{"scale": -1}, {"const_nm": float("nan")}, {"scale": 0, "const_nm": 0}, {"max_paths": 0}]
)
def test_options_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        SkeletonOptions(**wrong)  # type: ignore[arg-type]
