"""Where centrelines of neighbouring tasks meet, against a slow obvious version and against known shapes."""

from __future__ import annotations

import itertools

import cc3d
import edt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ophiolite.kernels.skeletonize.borders import border_targets, continued, sections
from ophiolite.kernels.skeletonize.borders_loops import squared_distance

PLANES = hnp.arrays(np.uint32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3))
SIDES = st.sampled_from([(1.0, 1.0), (4.0, 4.0), (12.0, 40.0), (16.5, 8.25), (40.0, 3.0)])


def slow_squared(plane: np.ndarray, sides: tuple[float, float]) -> np.ndarray:
    """Every voxel against every voxel of another label."""
    out = np.full(plane.shape, np.inf)
    for u, v in np.ndindex(*plane.shape):
        others = np.argwhere(plane != plane[u, v]) - [u, v]
        if plane[u, v] == 0:
            out[u, v] = 0
        elif len(others):
            out[u, v] = ((others * sides) ** 2).sum(axis=1).min()
    return out


def slow_targets(plane: np.ndarray, sides: tuple[float, float]) -> set[tuple[int, int, int]]:
    """Of each section the deepest voxels, of these the most central, of these the first."""
    squared = slow_squared(plane, sides)
    found = set()
    for label in set(plane.ravel().tolist()) - {0}:
        parts = cc3d.connected_components((plane == label).view(np.uint8), connectivity=8)
        for part in range(1, int(parts.max()) + 1):
            cells = np.argwhere(parts == part)
            depth = np.array([squared[tuple(c)] for c in cells])
            offset = (cells - cells.min(axis=0)) * len(cells) - (cells - cells.min(axis=0)).sum(axis=0)
            apart = ((offset * sides) ** 2).sum(axis=1)
            best = min(range(len(cells)), key=lambda i: (-depth[i], apart[i], *cells[i]))
            found.add((*cells[best].tolist(), label))
    return found


def targets(plane: np.ndarray, sides=(1.0, 1.0)) -> list[tuple[int, int, int]]:
    voxels, labels = border_targets(plane, sides)
    return [(*v, label) for v, label in zip(voxels.tolist(), labels.tolist(), strict=True)]


@given(PLANES, SIDES)
def test_distances_are_exact(plane: np.ndarray, sides: tuple[float, float]) -> None:
    got = squared_distance(plane, *sides)
    np.testing.assert_allclose(got, slow_squared(plane, sides), rtol=1e-12)
    library = edt.edtsq(np.asfortranarray(plane), anisotropy=sides, black_border=False)
    known = np.isfinite(got)
    np.testing.assert_allclose(got[known], library[known], rtol=1e-5)


@given(PLANES, SIDES)
def test_every_section_has_one_target_as_in_the_slow_version(plane: np.ndarray, sides: tuple[float, float]) -> None:
    got = targets(plane, sides)
    assert len(set(got)) == len(got)
    assert set(got) == slow_targets(plane, sides)
    numbers = sections(plane)
    assert sorted(int(numbers[u, v]) for u, v, _ in got) == list(range(1, int(numbers.max()) + 1))


@settings(max_examples=40)
@given(PLANES, SIDES, st.tuples(st.integers(0, 40), st.integers(0, 40)), st.integers(1, 2**20))
def test_moving_a_section_moves_its_target(plane, sides, move, other: int) -> None:
    frame = np.pad(plane, 1)
    large = np.zeros((60, 60), np.uint32)
    at = tuple(slice(m, m + n) for m, n in zip(move, frame.shape, strict=True))
    large[at] = frame
    large[large > 0] += np.uint32(other)
    want = sorted((u + move[0], v + move[1], label + other) for u, v, label in targets(frame, sides))
    assert sorted(targets(large, sides)) == want


def shapes() -> dict[str, np.ndarray]:
    u, v = np.mgrid[-10:11, -10:11]
    distance = np.hypot(u, v)
    return {
        "disc": distance < 8,
        "annulus": (distance < 9) & (distance > 5),
        "thin ring": (distance < 9) & (distance >= 8),
        "cross": (np.abs(u) < 2) | (np.abs(v) < 2),
        "square": (np.abs(u) < 6) & (np.abs(v) < 6),
        "even square": (np.abs(u) < 6) & (np.abs(v) < 6) & (u < 5) & (v < 5),
        "frame": (np.maximum(np.abs(u), np.abs(v)) < 8) & (np.maximum(np.abs(u), np.abs(v)) > 4),
        "saltire": np.abs(np.abs(u) - np.abs(v)) < 2,
        "diagonal of single voxels": u == v,
        "crescent": (distance < 9) & (np.hypot(u - 4, v) > 7),
        "two discs and a bridge": (np.hypot(u - 6, v) < 4) | (np.hypot(u + 6, v) < 4) | ((v == 0) & (np.abs(u) < 9)),
        "one voxel": (u == 3) & (v == -4),
    }


@pytest.mark.parametrize("name", list(shapes()))
@pytest.mark.parametrize("sides", [(1.0, 1.0), (12.0, 40.0)])
def test_ties_of_symmetric_shapes_are_resolved_within_the_shape(name: str, sides: tuple[float, float]) -> None:
    mask = shapes()[name]
    found = targets(mask.astype(np.uint8), sides)
    assert len(found) == 1
    assert mask[found[0][:2]]
    assert set(found) == slow_targets(mask.astype(np.uint8), sides)
    for du, dv in itertools.product((0, 3, 17), repeat=2):
        moved = np.zeros((50, 50), np.uint8)
        moved[du : du + 21, dv : dv + 21] = mask
        assert targets(moved, sides) == [(found[0][0] + du, found[0][1] + dv, 1)]


def test_symmetric_shapes_are_met_in_their_middle() -> None:
    for name in ("disc", "cross", "square", "saltire", "diagonal of single voxels"):
        assert targets(shapes()[name].astype(np.uint8)) == [(10, 10, 1)]


@settings(max_examples=40)
@given(hnp.arrays(np.uint32, (12, 11), elements=st.integers(0, 2)), st.integers(0, 4), st.integers(0, 4))
def test_context_moves_the_distances_alone(plane: np.ndarray, low: int, high: int) -> None:
    inner = (slice(low, 12 - high), slice(high, 11 - low))
    voxels, labels = border_targets(plane, (1.0, 2.0), inner)
    squared = slow_squared(plane, (1.0, 2.0))
    numbers = np.zeros(plane.shape, np.uint32)
    numbers[inner] = sections(plane[inner])
    assert len(voxels) == numbers.max()
    for (u, v), label in zip(voxels.tolist(), labels.tolist(), strict=True):
        assert plane[u, v] == label
        assert squared[u, v] == squared[numbers == numbers[u, v]].max()


@given(PLANES.flatmap(lambda p: st.tuples(st.just(p), hnp.arrays(np.uint32, p.shape, elements=st.integers(0, 3)))))
def test_a_section_continues_where_its_part_does(layers: tuple[np.ndarray, np.ndarray]) -> None:
    plane, beside = layers
    numbers = sections(plane)
    got = continued(numbers, plane, beside)
    assert len(got) == numbers.max() + 1
    assert not got[0]
    for number in range(1, len(got)):
        label = plane[numbers == number][0]
        block = np.stack([numbers == number, beside == label])
        parts = cc3d.connected_components(block.view(np.uint8), connectivity=26)
        mine = np.unique(parts[0][numbers == number])
        assert got[number] == bool(np.isin(parts[1], mine[mine > 0]).any())


def test_a_plane_of_one_label_or_of_none() -> None:
    assert targets(np.ones((5, 5), np.uint8)) == [(2, 2, 1)]
    assert targets(np.zeros((5, 5), np.uint8)) == []
    assert targets(np.zeros((0, 5), np.uint8)) == []
    assert targets(np.full((1, 1), 2**32 - 1, np.uint32)) == [(0, 0, 2**32 - 1)]
