"""Connected objects found strip by strip against scipy, scikit-image and brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ophiolite.kernels.mask_runs import (
    RunLabeller,
    mean_colours,
    measure_runs,
    paint_labels,
)
from ophiolite.kernels.mask_runs_loops import add_colours
from ophiolite.kernels.object_measures import eccentricities, perimeters_um

MASKS = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.sampled_from([0, 0, 1, 2])
)


def labelled(mask: NDArray[Any], height: int, min_px: int = 0) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    """Runs with labels, and values by label."""
    labeller = RunLabeller()
    strips = [labeller.add(np.asfortranarray(mask[:, y : y + height]), y) for y in range(0, mask.shape[1], height)]
    labels, values = labeller.objects(min_px)
    runs = np.concatenate(strips)
    runs[:, 3] = labels[runs[:, 3]]
    return runs[runs[:, 3] > 0], values


def obvious(mask: NDArray[Any], min_px: int = 0) -> NDArray[np.uint32]:
    """Flood fill from every pixel in raster order."""
    out, count = np.zeros(mask.shape, np.uint32), 0
    for y in range(mask.shape[1]):
        for x in range(mask.shape[0]):
            if mask[x, y] == 0 or out[x, y]:
                continue
            queue, seen = [(x, y)], {(x, y)}
            while queue:
                a, b = queue.pop()
                for c in range(max(0, a - 1), min(mask.shape[0], a + 2)):
                    for d in range(max(0, b - 1), min(mask.shape[1], b + 2)):
                        if mask[c, d] == mask[x, y] and (c, d) not in seen:
                            seen.add((c, d))
                            queue.append((c, d))
            found = tuple(np.array(sorted(seen)).T)
            if len(seen) >= min_px:
                count += 1
                out[found] = count
            else:
                mask = mask.copy()
                mask[found] = 0
    return out


@settings(max_examples=150, deadline=None)
@given(MASKS, st.integers(1, 6), st.sampled_from([0, 3]))
def test_labels_are_those_of_a_flood_fill_whatever_the_strips(mask: NDArray[Any], height: int, min_px: int) -> None:
    runs, values = labelled(mask, height, min_px)
    expected = obvious(mask, min_px)
    painted = paint_labels(runs, (0, 0), (mask.shape[0], mask.shape[1]))
    np.testing.assert_array_equal(painted, expected)
    for label, value in enumerate(values.tolist(), 1):
        assert (mask[painted == label] == value).all()


@settings(max_examples=60, deadline=None)
@given(MASKS, st.data())
def test_a_window_is_a_cut_of_the_whole(mask: NDArray[Any], data: st.DataObject) -> None:
    runs, _ = labelled(mask, 3)
    whole = paint_labels(runs, (0, 0), (mask.shape[0], mask.shape[1]))
    x0, x1 = sorted(data.draw(st.tuples(*[st.integers(0, mask.shape[0])] * 2)))
    y0, y1 = sorted(data.draw(st.tuples(*[st.integers(0, mask.shape[1])] * 2)))
    np.testing.assert_array_equal(paint_labels(runs, (x0, y0), (x1, y1)), whole[x0:x1, y0:y1])


def test_against_scipy_on_a_larger_mask() -> None:
    from scipy import ndimage

    mask = (ndimage.gaussian_filter(np.random.default_rng(3).random((301, 257)), 2) > 0.5).astype(np.uint8)
    runs, _ = labelled(mask, 17)
    expected, count = ndimage.label(mask.T, np.ones((3, 3)))
    np.testing.assert_array_equal(paint_labels(runs, (0, 0), (301, 257)).T, expected)
    assert count == runs[:, 3].max() > 20


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_measures_are_those_of_scikit_image(mask: NDArray[Any]) -> None:
    from skimage.measure import perimeter_crofton, regionprops

    runs, values = labelled(mask, 4)
    measures = measure_runs(runs, len(values))
    painted = paint_labels(runs, (0, 0), (mask.shape[0], mask.shape[1])).astype(np.int64)
    perimeters, round_ = perimeters_um(measures, (1.0, 1.0)), eccentricities(measures, (1.0, 1.0))
    regions = regionprops(painted)  # type: ignore[no-untyped-call]
    assert len(regions) == len(values)
    for i, region in enumerate(regions):
        assert measures.area[i] == region.area
        assert (*measures.start[i], *measures.stop[i]) == region.bbox
        np.testing.assert_allclose(measures.centre[i], region.centroid)
        crofton = perimeter_crofton(np.pad(region.image, 1), directions=4)  # type: ignore[no-untyped-call]
        np.testing.assert_allclose(perimeters[i], crofton)
        np.testing.assert_allclose(round_[i], region.eccentricity, atol=1e-7)


def test_a_disc_keeps_its_perimeter_and_shape_on_pixels_that_are_not_square() -> None:
    x, y = np.indices((420, 420)) - 210.0
    flat = ((x * 0.5) ** 2 + (y * 0.4) ** 2 < 70**2).astype(np.uint8)
    runs, values = labelled(flat, 64)
    measures = measure_runs(runs, len(values))
    assert perimeters_um(measures, (0.5, 0.4))[0] == pytest.approx(2 * np.pi * 70, rel=0.01)
    assert eccentricities(measures, (0.5, 0.4))[0] < 0.03
    assert eccentricities(measures, (1.0, 1.0))[0] > 0.5


@pytest.mark.parametrize("ratio", [1, 3])
def test_mean_colours_are_those_under_the_labels(ratio: int) -> None:
    rng = np.random.default_rng(1)
    labels = np.asfortranarray(rng.integers(0, 4, (9, 7), dtype=np.uint32))
    colours = np.asfortranarray(rng.integers(0, 256, (9 * ratio - (ratio > 1), 7 * ratio, 3), dtype=np.uint8))
    sums = np.zeros((3, 4), np.int64)
    add_colours(labels, colours, ratio, sums)
    spread = np.kron(labels, np.ones((ratio, ratio), np.uint32))[: colours.shape[0]]
    expected = [colours[spread == label].mean(axis=0) for label in (1, 2, 3)]
    np.testing.assert_allclose(mean_colours(sums), expected)


def test_no_strip_and_no_object() -> None:
    runs, values = labelled(np.zeros((5, 4), np.uint8), 2)
    assert len(runs) == len(values) == 0
    assert measure_runs(runs, 0).area.shape == (0,)
    assert not paint_labels(runs, (0, 0), (5, 4)).any()
