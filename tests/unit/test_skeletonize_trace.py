"""The centrelines of our own engine: trees, targets, somata, limits; and against kimimaro."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from test_skeletonize import neurites, trace, voxels

from ophiolite.kernels.skeletonize import SkeletonOptions, skeletonize_labels
from ophiolite.kernels.skeletonize.nuclei import unite_nuclei
from ophiolite.kernels.skeletonize.trace import NO_VOXELS, Lines, trace_labels, trace_object

RES = (10.0, 10.0, 10.0)
FLAT = (10.0, 10.0, 40.0)
DEFAULT = SkeletonOptions()


def of(mask: np.ndarray, resolution=RES, options: SkeletonOptions = DEFAULT, targets=NO_VOXELS) -> Lines:
    return trace_object(np.asarray(mask, bool), None, resolution, options, np.asarray(targets, np.int64).reshape(-1, 3))


def ends(lines: Lines) -> set[tuple[int, ...]]:
    degree = np.bincount(lines[1].ravel(), minlength=len(lines[0]))
    return {tuple(v) for v in lines[0][degree == 1].tolist()}


def cable_nm(lines: Lines, resolution=RES) -> float:
    at = lines[0] * np.array(resolution)
    return float(np.linalg.norm(at[lines[1][:, 0]] - at[lines[1][:, 1]], axis=1).sum())


def cross(arms: int = 14, thick: int = 2) -> np.ndarray:
    mask = np.zeros((2 * arms + 1,) * 3, bool)
    middle = slice(arms - thick, arms + thick + 1)
    mask[:, middle, middle] = mask[middle, :, middle] = mask[middle, middle, :] = True
    return mask


def ball(radius: float, side: int) -> np.ndarray:
    return sum((g - side // 2) ** 2 for g in np.ogrid[:side, :side, :side]) <= radius**2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.1, 0.95), st.sampled_from([RES, FLAT]), st.booleans(), st.integers(0, 4))
def test_every_part_is_one_tree_through_its_targets(seed, share, resolution, branching, count) -> None:
    r = np.random.default_rng(seed)
    mask = ndimage.binary_closing(r.random((9, 10, 8)) < share * r.random())
    inside = np.argwhere(mask)
    targets = r.permutation(inside)[:count]
    options = SkeletonOptions(fix_branching=branching)
    at, edges, radius = of(mask, resolution, options, targets)
    parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    large = np.flatnonzero(np.bincount(parts.ravel())[1:] > 1) + 1
    assert sorted(set(parts[tuple(at.T)])) == list(large)
    assert len(at) - len(edges) == len(large)
    assert len(np.unique(at, axis=0)) == len(at)
    assert (np.abs(at[edges[:, 0]] - at[edges[:, 1]]).max(axis=1) == 1).all() if len(edges) else True
    assert (parts[tuple(at[edges[:, 0]].T)] == parts[tuple(at[edges[:, 1]].T)]).all()
    reached = {tuple(v) for v in at.tolist()}
    assert all(tuple(t) in reached for t in targets.tolist() if parts[tuple(t)] in large)
    assert np.isfinite(radius).all()


def test_a_cross_has_six_ends_and_its_radii_are_distances_to_the_surface() -> None:
    mask = cross()
    lines = of(mask, options=SkeletonOptions(scale=1.5))
    assert len(ends(lines)) == 6
    depth = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge")) * 10
    np.testing.assert_allclose(lines[2], depth[1:-1, 1:-1, 1:-1][tuple(lines[0].T)], atol=11)
    assert (lines[2] >= 10).all()


def test_targets_are_ends_and_the_deepest_is_the_root() -> None:
    mask = np.zeros((40, 9, 9), bool)
    mask[:, 2:7, 2:7] = True
    lines = of(mask, targets=[[0, 4, 4], [39, 4, 4]])
    assert ends(lines) == {(0, 4, 4), (39, 4, 4)}
    assert (lines[0][:, 1:] == 4).all()


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 9, 1), (9, 1, 1), (1, 8, 8), (2, 2, 2), (1, 1, 1)])
def test_degenerate_shapes(shape: tuple[int, int, int]) -> None:
    at, edges, _ = of(np.ones(shape))
    assert len(edges) == max(len(at) - 1, 0)
    assert (len(at) > 0) == (np.prod(shape) > 1)


def test_a_ring_is_cut_once_and_followed_round() -> None:
    x, y, z = np.indices((41, 41, 9)) - np.array([20, 20, 4]).reshape(3, 1, 1, 1)
    lines = of((np.hypot(x, y) - 15) ** 2 + z**2 <= 9)
    assert len(lines[0]) - len(lines[1]) == 1
    assert 0.75 < cable_nm(lines) / (2 * np.pi * 150) < 1.2


def test_no_more_paths_than_wanted() -> None:
    counts = [len(ends(of(cross(), options=SkeletonOptions(scale=1.5, max_paths=n)))) for n in (1, 2, 5, None)]
    assert counts == [2, 3, 6, 6]


def test_a_path_joins_the_nearest_only_where_branching_is_asked_for() -> None:
    mask = cross()
    with_it, without = (cable_nm(of(mask, options=SkeletonOptions(scale=1.5, fix_branching=b))) for b in (True, False))
    assert with_it <= without


def test_a_soma_has_one_root_its_neurites_and_no_other_vertex() -> None:
    soma = np.zeros((81, 41, 41), bool)
    soma[20:61] = ball(15, 41)
    soma[:, 19:22, 19:22] = True
    options = SkeletonOptions(soma_detect_nm=50, soma_accept_nm=120, soma_const_nm=0)
    soma[38:41, 18:21, 18:21] = False  # a void within, that is filled
    at, edges, radius = of(soma, options=options, targets=[[0, 20, 20], [80, 20, 20]])
    away = np.linalg.norm(at - [40, 20, 20], axis=1)
    root = np.flatnonzero(away < 14)
    assert len(root) == 1
    assert radius[root[0]] > 140
    assert (edges == root[0]).sum() == 2
    assert {(0, 20, 20), (80, 20, 20)} <= ends((at, edges, radius))


def test_a_target_within_the_ball_of_a_soma_is_joined_to_its_root() -> None:
    half = np.asfortranarray(ball(15, 41)[24:])
    options = SkeletonOptions(soma_detect_nm=50, soma_accept_nm=60, soma_const_nm=100)
    lines = of(half, options=options, targets=[[0, 20, 20], [0, 12, 20]])
    assert {(0, 12, 20)} <= {tuple(v) for v in lines[0].tolist()}
    assert len(lines[0]) - len(lines[1]) == 1


def test_labels_permuted_or_of_another_type_are_traced_alike() -> None:
    labels = neurites(5, (36, 30, 28))
    first = trace(labels)
    table = np.append(0, np.random.default_rng(1).permutation(12) + 1).astype(np.uint64)
    second = trace(table[labels.astype(int)])
    for label, piece in first.items():
        other = second[int(table[label])]
        for name in ("vertices", "edges", "radius_nm"):
            np.testing.assert_array_equal(getattr(piece, name), getattr(other, name))
    for kind in (np.uint8, np.uint16, np.uint32):
        again = trace(labels.astype(kind))
        assert all((again[label].vertices == piece.vertices).all() for label, piece in first.items())


def test_one_object_alone_is_traced_as_among_others() -> None:
    labels = neurites(6, (36, 30, 28))
    among = trace_labels(labels.astype(np.uint32), RES, DEFAULT)
    for label, lines in among.items():
        for ours, alone in zip(lines, of(labels == label), strict=True):
            np.testing.assert_array_equal(ours, alone)


@pytest.mark.parametrize("seed", range(3))
def test_drawn_neurites_are_traced_like_kimimaro_does(seed: int) -> None:
    labels = neurites(seed, (70, 64, 60), 14)
    core, seam = tuple(n - 1 for n in labels.shape), (True, True, True)
    lengths, tips = [], []
    for engine in ("ophiolite", "kimimaro"):
        options = dataclasses.replace(DEFAULT, engine=engine)
        found = dict(skeletonize_labels(np.asfortranarray(labels), RES, core, seam, seam, options=options))
        lines = {k: (voxels(p), p.edges, p.radius_nm) for k, p in found.items()}
        lengths.append(sum(cable_nm(v) for v in lines.values()))
        tips.append(sum(len(ends(v)) for v in lines.values()))
        assert all((labels[tuple(v[0].T)] == k).all() for k, v in lines.items())
    assert lengths[0] == pytest.approx(lengths[1], rel=0.12)
    assert tips[0] == pytest.approx(tips[1], rel=0.2)


def test_a_nucleus_is_united_with_the_soma_around_it_and_only_with_that() -> None:
    cell = np.zeros((44, 44, 44), np.uint32, order="F")
    cell[ball(20, 44)] = 7
    cell[ball(9, 44)] = 0  # an envelope that is no label
    cell[ball(8, 44)] = 3
    numbers = cell.copy(order="F")
    unite_nuclei(numbers, RES, 150)
    assert (numbers == np.where(ball(20, 44), 7, 0)).all()
    opened = cell.copy(order="F")
    opened[22, 22, :] = 3
    numbers = opened.copy(order="F")
    unite_nuclei(numbers, RES, 150)
    assert (numbers == opened).all()
    small = cell.copy(order="F")
    unite_nuclei(small, RES, 1000)
    assert (small == cell).all()
    options = SkeletonOptions(fix_avocados=True, soma_detect_nm=150, soma_accept_nm=1000)
    assert list(trace(cell, options)) == [7]
    assert list(trace(cell, dataclasses.replace(options, fix_avocados=False))) == [3, 7]
