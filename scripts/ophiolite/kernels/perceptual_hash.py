"""Perceptual hashes of pictures, and the pairs of pictures that look alike."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.area_means import area_means

HASH_SIDE = 32
KEPT = 8
HASH_BITS = KEPT * KEPT
# ITU-R BT.601, in thousandths.
LUMA = (299, 587, 114)
# A picture without structure has a hash of noise alone; standard deviation in grey levels.
FLAT_BELOW = 1.0
ROWS_TOGETHER = 2048


def grey_square(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture `(x, y)` or `(x, y, 3)` as `(side, side)` grey levels: exact means over equal areas."""
    return area_means(picture, (side, side), LUMA if picture.ndim == 3 else None)


def dct_hash(grey: NDArray[np.uint8]) -> int | None:
    """The 64-bit hash of `(32, 32)` grey levels, None where they are all but equal.

    Bits say which of the 8 x 8 lowest frequencies, constant rows and columns left out, lie above their median (Zauner
    2010, Implementation and benchmarking of perceptual image hash functions, section 3.2.1). Pictures that differ by
    scale, encoding or brightness differ in few bits.
    """
    from scipy.fft import dctn

    if grey.shape != (HASH_SIDE, HASH_SIDE):
        raise ValueError(f"expected {HASH_SIDE} x {HASH_SIDE} grey levels, got {grey.shape}")
    if grey.std() < FLAT_BELOW:
        return None
    waves = dctn(grey.astype(np.float64), norm="ortho")[1 : KEPT + 1, 1 : KEPT + 1].ravel()
    # beyond this lies the rounding of the transform, which may differ from machine to machine
    waves = np.round(waves, 6)
    bits = waves > np.median(waves)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Pearson's correlation of the grey levels of two pictures of one shape; 0 where one of them is flat."""
    x, y = (levels.astype(np.float64).ravel() - levels.mean() for levels in (a, b))
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm else 0.0


def near_pairs(
    hashes: NDArray[np.uint64], groups: NDArray[np.integer], most_bits: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of hashes `(n,)` of different groups that differ in at most `most_bits` bits: first < second, distance.

    Found by bands: two hashes that differ in k bits agree in at least one of k + 1 bands. Memory stays bounded however
    many are alike.
    """
    bands = _bands(hashes, most_bits + 1)
    for number, band in enumerate(bands):
        order = np.argsort(band, kind="stable")
        edges = np.flatnonzero(np.diff(band[order])) + 1
        for members in np.split(order, edges):
            if len(members) < 2 or (groups[members] == groups[members[0]]).all():
                continue
            for start in range(0, len(members), ROWS_TOGETHER):
                rows = members[start : start + ROWS_TOGETHER]
                apart = np.bitwise_count(hashes[rows][:, None] ^ hashes[members][None, :])
                near = (apart <= most_bits) & (groups[rows][:, None] != groups[members][None, :])
                near &= rows[:, None] < members[None, :]
                a, b = np.nonzero(near)
                first, second, distance = rows[a], members[b], apart[a, b].astype(np.int64)
                # a pair that agrees in an earlier band was told there
                new = np.ones(len(first), dtype=bool)
                for earlier in bands[:number]:
                    new &= earlier[first] != earlier[second]
                if new.any():
                    yield first[new], second[new], distance[new]


def _bands(hashes: NDArray[np.uint64], count: int) -> list[NDArray[np.uint64]]:
    """The bits of hashes dealt over `count` bands of nearly equal width."""
    cuts = [HASH_BITS * i // count for i in range(count + 1)]
    return [(hashes >> np.uint64(low)) & np.uint64((1 << (stop - low)) - 1) for low, stop in itertools.pairwise(cuts)]
