"""Perceptual hashes: exact means, few bits for what looks alike, and no near pair missed."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ophiolite.kernels.perceptual_hash import LUMA, correlation, dct_hash, grey_square, near_pairs


def slow_square(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Every overlap of a pixel with a cell, in fractions."""
    width, height = picture.shape[:2]
    grey = picture if picture.ndim == 2 else picture.astype(np.int64) @ np.array(LUMA)
    scale = 1 if picture.ndim == 2 else sum(LUMA)
    out = np.zeros((side, side), np.uint8)

    def overlap(cell: int, pixel: int, length: int) -> Fraction:
        low, high = Fraction(cell * length, side), Fraction((cell + 1) * length, side)
        return max(Fraction(0), min(high, Fraction(pixel + 1)) - max(low, Fraction(pixel)))

    for i in range(side):
        for j in range(side):
            total = sum(
                overlap(i, x, width) * overlap(j, y, height) * int(grey[x, y])
                for x in range(width)
                for y in range(height)
            )
            mean = total * side * side / (width * height * scale)
            out[i, j] = int(mean + Fraction(1, 2))
    return out


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 5),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None)
def test_grey_squares_are_exact_means(width: int, height: int, side: int, colour: bool, seed: int) -> None:
    shape = (width, height, 3) if colour else (width, height)
    picture = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(grey_square(picture, side), slow_square(picture, side))


def scene(seed: int, side: int = 256) -> NDArray[np.uint8]:
    """Smooth blobs, as tissue is at a coarse scale."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(side, side, 3)), (side / 16, side / 16, 0))
    noise = (noise - noise.min()) / np.ptp(noise)
    return np.asarray(noise * 255, dtype=np.uint8)


def hash_of(picture: NDArray[np.uint8]) -> int:
    found = dct_hash(grey_square(picture, 32))
    assert found is not None
    return found


def test_the_hash_survives_scale_encoding_and_brightness() -> None:
    from PIL import Image

    for seed in range(6):
        picture = scene(seed)
        stored = io.BytesIO()
        Image.fromarray(picture).save(stored, "JPEG", quality=40)
        small = np.asarray(Image.fromarray(picture).resize((100, 100), Image.Resampling.BOX))
        dimmed = (picture * 0.8 + 20).astype(np.uint8)
        for other in (np.asarray(Image.open(stored)), small, dimmed):
            assert (hash_of(picture) ^ hash_of(other)).bit_count() <= 4
            assert correlation(grey_square(picture, 64), grey_square(other, 64)) > 0.98


def test_other_pictures_have_other_hashes() -> None:
    hashes = [hash_of(scene(seed)) for seed in range(30)]
    apart = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 4
    assert 24 < np.mean(apart) < 40


def test_a_known_hash_does_not_change() -> None:
    x, y = np.meshgrid(np.arange(64), np.arange(64), indexing="ij")
    picture = (127 + 60 * np.cos(x * np.pi / 20) * np.cos(y * np.pi / 13) + 40 * np.sin((x + 2 * y) / 17)).astype(
        np.uint8
    )
    assert hash_of(picture) == 0xC8955A9A259B279B


def test_flat_pictures_have_none() -> None:
    assert dct_hash(np.full((32, 32), 245, np.uint8)) is None
    assert correlation(np.full((4, 4), 9, np.uint8), np.arange(16, dtype=np.uint8).reshape(4, 4)) == 0
    with pytest.raises(ValueError, match="32 x 32"):
        dct_hash(np.zeros((31, 32), np.uint8))


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 2)), max_size=40), st.integers(0, 5), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_no_near_pair_is_missed_or_told_twice(items: list[tuple[int, int]], most_bits: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    centres = draw.integers(0, 2**63, 4).astype(np.uint64)
    hashes = []
    for number, _ in items:
        flips = draw.choice(64, number % 5, replace=False)
        hashes.append(int(centres[number % 4]) ^ sum(1 << int(bit) for bit in flips))
    groups = np.array([group for _, group in items], dtype=np.int64)
    found = [
        (int(a), int(b), int(d))
        for first, second, distance in near_pairs(np.array(hashes, dtype=np.uint64), groups, most_bits)
        for a, b, d in zip(first, second, distance, strict=True)
    ]
    expected = [
        (i, j, (hashes[i] ^ hashes[j]).bit_count())
        for i in range(len(items))
        for j in range(i + 1, len(items))
        if groups[i] != groups[j] and (hashes[i] ^ hashes[j]).bit_count() <= most_bits
    ]
    assert sorted(found) == expected
