"""Reductions of voxels as their definition says them, in plain numpy: what mips are checked against.

Nothing here shares code with `kernels.downsample`, which makes the mips. Coarse voxel i of an axis covers the fine
voxels [i F, (i + 1) F) in absolute coordinates (`geometry.pyramid`). Volumes are (x, y, z, c).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ophiolite.geometry.box import Box, Vec, mul
from ophiolite.geometry.pyramid import axis_counts, coarse_box

Counts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def exact_sums(values: NDArray[Any], start: Vec, factor: Vec) -> NDArray[Any]:
    """Sums (x', y', z', c) of the fine voxels under each coarse voxel, in uint64, int64 or float64 by their kind.

    `values` (x, y, z, c); `start` is the absolute coordinate of its first voxel.
    """
    wide = {"u": np.uint64, "b": np.uint64, "i": np.int64, "f": np.float64}[values.dtype.kind]
    views = _views(values, start, factor, "constant")
    total = np.zeros(views[0].shape, wide, order="F")
    for view in views:
        total += view
    return total


def exact_mode(labels: NDArray[Any], start: Vec, factor: Vec, sparse: bool) -> NDArray[Any]:
    """The most frequent value (x', y', z', c) under each coarse voxel; ties go to the first in x, y, z order.

    `sparse`: 0 counts only where nothing else is there.
    """
    views = _views(labels, start, factor, "edge")
    out = views[0].copy(order="F")
    mixed = np.zeros(out.shape, bool, order="F")
    for view in views[1:]:
        mixed |= view != out
    rows = [view[mixed] for view in views]
    present = [np.broadcast_to(p[..., None], mixed.shape)[mixed] for p in _present(labels.shape[:3], start, factor)]
    most = np.full(len(rows[0]), -1)
    chosen = rows[0]
    for row, there in zip(rows, present, strict=True):
        votes = sum((row == other) & has for other, has in zip(rows, present, strict=True)).astype(np.int64)
        if sparse:
            votes[row == 0] = 0
        better = there & (votes > most)
        chosen, most = np.where(better, row, chosen), np.where(better, votes, most)
    out[mixed] = chosen
    return out


def exact_extreme(values: NDArray[Any], start: Vec, factor: Vec, largest: bool) -> NDArray[Any]:
    """The smallest or largest value (x', y', z', c) under each coarse voxel; NaN gives way to any number."""
    views = _views(values, start, factor, "edge")
    out = views[0].copy(order="F")
    for view in views[1:]:
        (np.fmax if largest else np.fmin)(out, view, out=out)
    return out


def exact_first(values: NDArray[Any], start: Vec, factor: Vec) -> NDArray[Any]:
    """The first existing voxel (x', y', z', c) of each coarse voxel."""
    return _views(values, start, factor, "edge")[0].copy(order="F")


def rounded_quotients(sums: NDArray[Any], counts: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """`sums / counts` rounded once: integers half to even, floats to `dtype`; 0 where the count is 0."""
    divisor = np.maximum(counts, 1).astype(sums.dtype)
    if sums.dtype.kind == "f":
        return np.asarray(sums / divisor, dtype)
    whole, rest = np.divmod(sums, divisor)
    # the double of the rest may not fit
    up = (rest > divisor - rest) | ((rest == divisor - rest) & (whole % 2 == 1))
    return np.asarray(whole + up, dtype)


def deviations(stored: NDArray[Any], sums: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float64]:
    """`stored - sums / counts` in float64, without the loss that two large numbers' difference brings."""
    divisor = np.maximum(counts, 1).astype(sums.dtype)
    if sums.dtype.kind == "f":
        return np.asarray(stored - sums / divisor, np.float64)
    whole, rest = np.divmod(sums, divisor)
    near = stored.astype(np.float64) - whole.astype(np.float64)
    return np.asarray(near - rest / divisor, np.float64)


def outer(counts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The outer product (x, y, z) of counts per axis."""
    x, y, z = counts
    return x[:, None, None] * y[None, :, None] * z[None, None, :]


def spread(coarse: NDArray[Any], factor: Vec, box: Box) -> NDArray[Any]:
    """Coarse voxels `(x', y', z', ...)` of `coarse_box(box, factor)` laid over the fine voxels of `box`."""
    over = coarse_box(box, factor)
    for d in range(3):
        counts = axis_counts((box.start[d], box.stop[d]), (over.start[d], over.stop[d]), factor[d])
        coarse = np.repeat(coarse, counts, axis=d) if factor[d] > 1 else coarse
    return coarse


def label_volumes(labels: NDArray[Any], weights: NDArray[np.int64] | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Labels (n,) of an array (x, y, z), ascending, 0 among them, and the sum of weights of each; None weighs 1.

    Both arrays are read in Fortran order, where runs of one label are long.
    """
    flat = labels.ravel(order="F")
    heads = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    if weights is None:
        lengths = np.diff(np.append(heads, len(flat)))
    else:
        lengths = np.add.reduceat(weights.ravel(order="F"), heads)
    return sum_by(flat[heads], lengths)


def sum_by(labels: NDArray[Any], volumes: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The sum of (n,) volumes of each label that occurs among (n,) labels, labels ascending."""
    order = np.argsort(labels, kind="stable")
    ranked = labels[order]
    heads = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])) if len(ranked) else order
    totals = np.add.reduceat(volumes[order], heads) if len(ranked) else volumes
    return ranked[heads], np.asarray(totals, np.int64)


def _views(values: NDArray[Any], start: Vec, factor: Vec, padding: str) -> list[NDArray[Any]]:
    """For every place in a cell, x fastest, the voxels (x', y', z', c) there; cut cells are padded.

    padding : "constant" adds zeros, "edge" repeats voxels of the same cell.
    """
    box = Box.of(start, (values.shape[0], values.shape[1], values.shape[2]))
    over = coarse_box(box, factor)
    whole = Box(mul(over.start, factor), mul(over.stop, factor))
    pads = [(a - b, d - c) for a, b, c, d in zip(box.start, whole.start, box.stop, whole.stop, strict=True)]
    if any(low or high for low, high in pads):
        values = np.pad(values, [*pads, (0, 0)], mode=padding)  # type: ignore[call-overload]
    return [values[x :: factor[0], y :: factor[1], z :: factor[2]] for x, y, z in _places(factor)]


def _present(shape: tuple[int, ...], start: Vec, factor: Vec) -> Iterator[NDArray[np.bool_]]:
    """For every place in a cell, x fastest, whether a voxel of the volume lies there, (x', y', z')."""
    over = coarse_box(Box.of(start, (shape[0], shape[1], shape[2])), factor)
    at = [np.arange(over.start[d], over.stop[d]) * factor[d] - start[d] for d in range(3)]
    for place in _places(factor):
        inside = [(a + p >= 0) & (a + p < n) for a, p, n in zip(at, place, shape, strict=True)]
        yield inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :]


def _places(factor: Vec) -> list[Vec]:
    return [(x, y, z) for z in range(factor[2]) for y in range(factor[1]) for x in range(factor[0])]
