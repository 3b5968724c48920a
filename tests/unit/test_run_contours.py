"""Contours traced from runs against scikit-image, and filled again."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ophiolite.kernels.mask_runs import RunLabeller, paint_labels
from ophiolite.kernels.polygon_fill import fill_rings
from ophiolite.kernels.run_contours import Contours, trace_contours
from ophiolite.kernels.run_contours_loops import rings_meet

MASKS = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1, 1, 2])
)


def runs_of(mask: NDArray[Any]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Runs by label, and the labels as an image (x, y)."""
    labeller = RunLabeller()
    runs = labeller.add(np.asfortranarray(mask), 0)
    runs[:, 3] = labeller.objects(0)[0][runs[:, 3]]
    return runs, paint_labels(runs, (0, 0), (mask.shape[0], mask.shape[1]))


def rings_by_label(contours: Contours) -> dict[int, list[NDArray[np.float64]]]:
    """The rings of every object."""
    out: dict[int, list[NDArray[np.float64]]] = {}
    for label, ring in contours.rings():
        out.setdefault(label, []).append(ring)
    return out


def ring_areas(contours: Contours) -> NDArray[np.float64]:
    """The signed area of every ring."""
    return np.array([(x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2 for _, (x, y) in _transposed(contours)])


def _transposed(contours: Contours) -> list[tuple[int, NDArray[np.float64]]]:
    return [(label, ring.T) for label, ring in contours.rings()]


def straightened(ring: NDArray[np.float64]) -> list[tuple[float, float]]:
    """A ring without points on straight lines, from its smallest point on, walked from x towards y."""
    before, after = np.roll(ring, 1, axis=0) - ring, np.roll(ring, -1, axis=0) - ring
    ring = ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    x, y = ring.T
    if (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() < 0:
        ring = ring[::-1]
    first = np.lexsort((ring[:, 1], ring[:, 0]))[0]
    return [(a, b) for a, b in np.roll(ring, -first, axis=0).tolist()]


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_rings_are_the_contours_of_scikit_image(mask: NDArray[Any]) -> None:
    from skimage.measure import find_contours

    runs, labels = runs_of(mask)
    found = rings_by_label(trace_contours(runs, 0))
    assert sorted(found) == sorted(set(labels.ravel().tolist()) - {0})
    for label, rings in found.items():
        padded = np.pad((labels == label).astype(float), 1)
        contours = find_contours(padded, 0.5, fully_connected="high")  # type: ignore[no-untyped-call]
        # Padding moves by one; its coordinates count from the centre of a pixel, ours from its corner.
        expected = sorted(straightened(contour[:-1] - 1 + 0.5) for contour in contours)
        assert sorted(straightened(ring) for ring in rings) == expected


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_filling_unsimplified_rings_gives_the_object_back(mask: NDArray[Any]) -> None:
    runs, labels = runs_of(mask)
    for label, rings in rings_by_label(trace_contours(runs, 0)).items():
        filled = fill_rings(rings, (0, 0), (mask.shape[0], mask.shape[1]))
        np.testing.assert_array_equal(filled, labels == label)


@settings(max_examples=150, deadline=None)
@given(MASKS, st.sampled_from([0.0, 0.5, 1.0, 3.0]))
def test_an_outline_comes_first_and_holes_run_the_other_way(mask: NDArray[Any], error: float) -> None:
    contours = trace_contours(runs_of(mask)[0], error)
    areas = ring_areas(contours)
    first = np.diff(contours.labels, prepend=0) != 0
    assert (areas[first] > 0).all()
    assert (areas[~first] < 0).all()


def distance(point: NDArray[np.float64], ring: NDArray[np.float64]) -> float:
    """Of a point from a closed ring."""
    a, b = ring, np.roll(ring, -1, axis=0)
    t = np.clip(((point - a) * (b - a)).sum(axis=1) / np.maximum(((b - a) ** 2).sum(axis=1), 1e-12), 0, 1)
    return float(np.linalg.norm(a + t[:, None] * (b - a) - point, axis=1).min())


def crossing(rings: list[NDArray[np.float64]]) -> bool:
    """Whether segments of rings meet beyond neighbours' common points, pair by pair, in exact fractions of halves."""
    segments = [
        (r, i, (i + 1) % len(ring), *(2 * ring[[i, (i + 1) % len(ring)]]).astype(int).tolist())
        for r, ring in enumerate(rings)
        for i in range(len(ring))
    ]

    def side(a: list[int], b: list[int], c: list[int]) -> int:
        return int(np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])))

    def on(a: list[int], b: list[int], c: list[int]) -> bool:
        return side(a, b, c) == 0 and all(min(p, q) <= v <= max(p, q) for p, q, v in zip(a, b, c, strict=True))

    for n, (r, i, j, a, b) in enumerate(segments):
        for s, k, m, c, d in segments[n + 1 :]:
            if r == s and (j == k or m == i):
                shared, one, two = (b, a, d) if j == k else (a, b, c)
                if on(shared, one, two) or on(shared, two, one):
                    return True
                continue
            if side(a, b, c) != side(a, b, d) and side(c, d, a) != side(c, d, b):
                return True
            if on(a, b, c) or on(a, b, d) or on(c, d, a) or on(c, d, b):
                return True
    return False


@settings(max_examples=100, deadline=None)
@given(MASKS, st.sampled_from([0.5, 1.0, 2.0]))
def test_simplified_rings_stay_near_and_never_meet(mask: NDArray[Any], error: float) -> None:
    runs, _ = runs_of(mask)
    exact, simple = rings_by_label(trace_contours(runs, 0)), rings_by_label(trace_contours(runs, error))
    for label, rings in simple.items():
        assert not crossing(rings)
        for full, ring in zip(exact[label], rings, strict=True):
            assert len(ring) <= len(full)
            assert max(distance(point, ring) for point in full) <= error + 1e-9


def test_a_smooth_outline_needs_few_points() -> None:
    x, y = np.indices((400, 400)) - 200.0
    disc = (x**2 + y**2 < 150**2).astype(np.uint8)
    runs, _ = runs_of(disc)
    exact, half, simple = (trace_contours(runs, error) for error in (0, 0.5, 1))
    assert len(half.points) < len(exact.points) / 2
    assert len(simple.points) < len(exact.points) / 5
    assert ring_areas(simple)[0] == pytest.approx(disc.sum(), rel=0.01)


def test_rings_that_would_meet_are_kept_whole() -> None:
    """Holes one pixel from a ragged outline: straightened by a pixel, the outline would run into them."""
    runs = runs_of((np.random.default_rng(0).random((8, 8)) < 0.6).astype(np.uint8))[0]
    contours = trace_contours(runs, 1.0)
    exact, found = rings_by_label(trace_contours(runs, 0)), rings_by_label(contours)
    same = [label for label, rings in found.items() if len(rings) > 1 and all(map(np.array_equal, rings, exact[label]))]
    assert contours.unsimplified == len(same) == 1
    assert len(found) > 1


@pytest.mark.parametrize(
    ("points", "stops", "meet"),
    [
        ([(0, 0), (4, 0), (4, 4), (0, 4)], [4], False),
        ([(0, 0), (4, 4), (4, 0), (0, 4)], [4], True),  # a bow tie
        ([(0, 0), (9, 0), (9, 9), (0, 9), (2, 2), (2, 5), (5, 5)], [4, 7], False),
        ([(0, 0), (9, 0), (9, 9), (0, 9), (0, 2), (2, 5), (5, 5)], [4, 7], True),  # a hole that touches the outline
        ([(0, 0), (4, 0), (2, 0), (2, 3)], [4], True),  # back on itself
    ],
)
def test_meeting_rings_are_found(points: list[tuple[int, int]], stops: list[int], meet: bool) -> None:
    assert rings_meet(np.array(points), np.array(stops)) is meet


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), min_size=3, max_size=7), min_size=1, max_size=3)
)
def test_meeting_is_found_as_pair_by_pair(rings: list[list[tuple[int, int]]]) -> None:
    rings = [[p for p, before in zip(ring, [ring[-1], *ring], strict=False) if p != before] for ring in rings]
    rings = [ring for ring in rings if len(ring) >= 3]
    assume(rings)
    points, stops = np.array([p for ring in rings for p in ring]), np.cumsum([len(ring) for ring in rings])
    assert rings_meet(points, stops) == crossing([np.array(ring) / 2 for ring in rings])


def test_a_tall_ragged_object_takes_no_longer_than_a_wide_one() -> None:
    left = np.random.default_rng(0).integers(0, 20, 20_000)
    tall = (np.arange(50)[:, None] >= left).astype(np.uint8)
    seconds = []
    for mask in (tall[:, :100], tall.T, tall):
        runs, _ = runs_of(mask)
        start = time.process_time()
        assert trace_contours(runs, 0.5).unsimplified == 0
        seconds.append(time.process_time() - start)
    assert seconds[2] < 5 * seconds[1] + 0.5


def test_no_object_has_no_contour() -> None:
    contours = trace_contours(np.zeros((0, 4), np.uint32), 0.5)
    assert len(contours.points) == len(contours.stops) == len(ring_areas(contours)) == 0
