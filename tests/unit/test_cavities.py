"""Cavities against scipy's own filling, and meshes with filled holes that must close over the faces of tasks."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mesh_shapes import in_tasks
from scipy.ndimage import binary_fill_holes

from ophiolite.kernels.cavities import cavities
from ophiolite.kernels.mesh_measure import is_watertight
from ophiolite.kernels.stitch import stitch


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**20), shape=st.tuples(*[st.integers(1, 8)] * 3), share=st.sampled_from([0.5, 0.7, 0.8, 0.9])
)
def test_cavities_are_what_scipy_fills(seed: int, shape: tuple[int, int, int], share: float) -> None:
    mask = np.asfortranarray(np.random.default_rng(seed).random(shape) < share)
    expected = binary_fill_holes(mask) & ~mask
    for given_as in (mask, np.ascontiguousarray(mask), mask.astype(np.uint8)):
        np.testing.assert_array_equal(cavities(given_as), expected)


def test_background_at_a_face_is_no_cavity() -> None:
    """A mask whose corner at (0, 0, 1) fill_voids 2.1.2 fills by itself, though it lies on three faces."""
    mask = np.array([[[1, 0, 1], [0, 1, 1], [0, 0, 1]], [[0, 1, 1], [1, 1, 0], [1, 0, 1]]], bool)
    assert not cavities(mask).any()


@settings(max_examples=40)
@example(seed=0, share=0.8)
@given(seed=st.integers(0, 2**20), share=st.sampled_from([0.6, 0.75, 0.85]))
def test_filled_meshes_close_over_the_faces_of_tasks(seed: int, share: float) -> None:
    labels = np.asfortranarray((np.random.default_rng(seed).random((9, 8, 7)) < share).astype(np.uint8))
    found = in_tasks(labels, ([4], [5], [3]), (1.0, 1.0, 1.0), simplify=False, fill_holes=True)
    assert is_watertight(stitch(found[1])[1])
