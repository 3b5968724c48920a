"""Pyramid kernels: exact sums and means, mode, minimum, maximum and stride over blocks of voxels.

Every function takes a fine array and `start`, the absolute fine coordinate of its first voxel, and returns
the coarse array of exactly `coarse_box(Box.of(start, shape), factor)` (geometry.pyramid): coarse voxel i of
an axis covers the fine voxels [i F, (i + 1) F), edge voxels use only what exists. So a volume cut at
multiples of the factor gives the same bytes as the whole.
Arrays in Fortran order and native byte order are read in place; others are copied first.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry.box import Box, Vec
from ophiolite.geometry.pyramid import coarse_box
from ophiolite.kernels.rows import frozen_rows

_ACCUMULATORS = {
    "u": (np.dtype(np.uint16), np.dtype(np.uint32), np.dtype(np.uint64)),
    "i": (np.dtype(np.int32), np.dtype(np.int64)),
}


def sum_dtype(dtype: DTypeLike, voxels: int) -> np.dtype[Any]:
    """The smallest accumulator that holds the sum of any `voxels` values of `dtype`.

    uint16, uint32, uint64 for unsigned, int32, int64 for signed integers, float64 for float32 and float64.
    Raises FormatError for other dtypes and where the sum may pass 64 bits (64-bit integer images).
    """
    kind = np.dtype(dtype)
    if kind in (np.dtype(np.float32), np.dtype(np.float64)):
        return np.dtype(np.float64)
    if kind.kind not in _ACCUMULATORS:
        raise FormatError(
            explain(
                "image data_type",
                "no mean is defined for it",
                expected="an integer type, float32 or float64",
                got=kind.name,
                do="Convert the image, or choose the downsampling method `stride`",
            )
        )
    largest = max(abs(int(np.iinfo(kind).min)), int(np.iinfo(kind).max)) * voxels
    for wide in _ACCUMULATORS[kind.kind]:
        if largest <= np.iinfo(wide).max:
            return wide
    raise FormatError(
        explain(
            "image data_type",
            f"the exact sum of {voxels} voxels may pass 64 bits",
            expected="an image of at most 32 bits per voxel, or fewer voxels per sum",
            got=kind.name,
            do="Convert the image to uint32, int32 or float32, or choose the downsampling method `stride`",
        )
    )


def block_sums(values: NDArray[Any], start: Vec, factor: Vec, out_dtype: DTypeLike) -> NDArray[Any]:
    """Sums of pixels, or of the sums of a finer mip, under each coarse voxel.

    `values` (x, y, z, c) -> (x', y', z', c) of `out_dtype`, which must hold every value of `values`; that it
    holds the sums is the caller's care (`sum_dtype`). Floating sums add the rows of a coarse voxel in y, z order
    column by column, then the columns in x order: independent of how the volume is cut at multiples of the factor.
    Raises FormatError for empty arrays, factors below 1, or an `out_dtype` narrower than `values`.
    """
    from ophiolite.kernels import downsample_loops as loops

    wide = np.dtype(out_dtype)
    if not np.can_cast(values.dtype, wide, "safe"):
        raise FormatError(
            explain(
                "block_sums",
                "the accumulator is narrower than the values",
                expected=f"a type that holds every {values.dtype.name}",
                got=wide.name,
                do="Take the type from sum_dtype",
            )
        )
    coarse = _coarse(values, start, factor, 4)
    out = np.empty((*coarse.shape, values.shape[3]), wide, order="F")
    loops.sum_rows(frozen_rows(values), out.T, *_cuts(values, start, factor), factor[0])
    return out


def block_sums_sparse(
    values: NDArray[Any], start: Vec, factor: Vec, out_dtype: DTypeLike
) -> tuple[NDArray[Any], NDArray[np.uint32]]:
    """Sums and numbers of the non-zero pixels under each coarse voxel.

    `values` (x, y, z, c) -> two arrays (x', y', z', c), `out_dtype` and uint32. Coarser mips: `block_sums` of both.
    Exact below 2^32 voxels per coarse voxel. Raises FormatError as `block_sums` does.
    """
    sums = block_sums(values, start, factor, out_dtype)
    present = (values != 0).view(np.uint8)
    return sums, block_sums(present, start, factor, np.uint32)


def mean_of_sums(
    sums: NDArray[Any],
    counts: tuple[NDArray[np.int64], ...],
    dtype: DTypeLike,
) -> NDArray[Any]:
    """Correctly rounded means: `sums` (x', y', z', c) over the outer product of the three `counts` per axis.

    Integers round half to even in exact integer arithmetic; floating sums divide in float64 and round once to
    `dtype`. Where a count is 0 the mean is 0. Raises FormatError where the shapes or the kinds do not fit.
    """
    from ophiolite.kernels import downsample_loops as loops

    kind = _mean_dtype(sums, dtype)
    if len(counts) != 3 or tuple(len(c) for c in counts) != sums.shape[:3]:
        raise FormatError(
            explain(
                "mean_of_sums",
                "the counts are of another shape than the sums",
                expected=sums.shape[:3],
                got=tuple(len(c) for c in counts),
                do="Take the counts from coarse_counts of the same box",
            )
        )
    out = np.empty(sums.shape, kind, order="F")
    cx, cy, cz = (np.array(c, np.int64) for c in counts)
    # x counts change only at the edges: between them one divisor serves the whole run
    stops = np.append(np.flatnonzero(np.diff(cx)) + 1, len(cx)).astype(np.int64)
    kernel = loops.divide_float if kind.kind == "f" else loops.divide_int
    kernel(frozen_rows(sums), out.T, cx, cy, cz, stops)
    return out


def mean_of_counts(sums: NDArray[Any], counts: NDArray[np.uint32], dtype: DTypeLike) -> NDArray[Any]:
    """Correctly rounded means of `sums` over `counts`, both (x', y', z', c); 0 where the count is 0.

    Rounding as in `mean_of_sums`. Raises FormatError where the shapes or the kinds do not fit.
    """
    from ophiolite.kernels import downsample_loops as loops

    kind = _mean_dtype(sums, dtype)
    if counts.shape != sums.shape:
        raise FormatError(
            explain(
                "mean_of_counts",
                "the counts are of another shape than the sums",
                expected=sums.shape,
                got=counts.shape,
                do="Take both from block_sums_sparse of the same box",
            )
        )
    out = np.empty(sums.shape, kind, order="F")
    kernel = loops.divide_each_float if kind.kind == "f" else loops.divide_each_int
    kernel(frozen_rows(sums), frozen_rows(counts.astype(np.uint32, copy=False)), out.T)
    return out


def block_mode(labels: NDArray[Any], start: Vec, factor: Vec, sparse: bool = False) -> NDArray[Any]:
    """The most frequent label under each coarse voxel; ties go to the first in x, y, z order (x fastest).

    `labels` (x, y, z) of any unsigned type -> (x', y', z') of the same. `sparse`: 0 counts only where nothing else
    is there. Cells of 2 x 2 x 1 and 2 x 2 x 2 compare all pairs without branches: the speed does not depend on the
    data. Raises FormatError for other types, empty arrays, or factors below 1.
    """
    from ophiolite.kernels import downsample_loops as loops

    if labels.dtype.kind != "u":
        raise FormatError(
            explain(
                "block_mode",
                "labels are unsigned integers",
                expected="uint8, uint16, uint32 or uint64",
                got=labels.dtype.name,
                do="Convert the labels first",
            )
        )
    coarse = _coarse(labels, start, factor, 3)
    out = np.empty(coarse.shape, labels.dtype.newbyteorder("="), order="F")
    loops.mode_rows(frozen_rows(labels), out.T, *_cuts(labels, start, factor), factor[0], sparse)
    return out


def block_extreme(values: NDArray[Any], start: Vec, factor: Vec, which: Literal["min", "max"]) -> NDArray[Any]:
    """The smallest or largest value under each coarse voxel, (x, y, z, c) -> (x', y', z', c), same type.

    NaN is left out where a number is there, so minima of minima are minima.
    Raises FormatError for empty arrays or factors below 1.
    """
    from ophiolite.kernels import downsample_loops as loops

    coarse = _coarse(values, start, factor, 4)
    out = np.empty((*coarse.shape, values.shape[3]), values.dtype.newbyteorder("="), order="F")
    loops.extreme_rows(frozen_rows(values), out.T, *_cuts(values, start, factor), factor[0], which == "max")
    return out


def block_stride(values: NDArray[Any], start: Vec, factor: Vec) -> NDArray[Any]:
    """The first existing voxel of each coarse voxel, (x, y, z) or (x, y, z, c) -> the same with x', y', z'.

    Raises FormatError for empty arrays or factors below 1.
    """
    coarse = _coarse(values, start, factor, values.ndim)
    out = np.empty((*coarse.shape, *values.shape[3:]), values.dtype.newbyteorder("="), order="F")
    pieces = []
    for d in range(3):
        second = (coarse.start[d] + 1) * factor[d] - start[d]
        pieces.append(((slice(0, 1), slice(0, 1)), (slice(1, None), slice(second, None, factor[d]))))
    for chosen in itertools.product(*pieces):
        out[tuple(to for to, _ in chosen)] = values[tuple(source for _, source in chosen)]
    return out


def warm_up(image_dtypes: tuple[DTypeLike, ...], label_dtypes: tuple[DTypeLike, ...]) -> None:
    """Compile, or load from numba's cache, what means of the image types and modes of the label types call.

    Types that means or modes refuse are passed over.
    """
    start, factor, counts = (0, 0, 0), (2, 2, 2), (np.full(2, 2),) * 3
    for image in image_dtypes:
        with contextlib.suppress(FormatError):
            # a pyramid sums into the type of its coarsest mip: few voxels in the smallest, 2^18 in the next
            for total in (sum_dtype(image, 8), sum_dtype(image, 2**18)):
                sums = block_sums(np.zeros((4, 4, 4, 1), image, order="F"), start, factor, total)
                block_sums(sums, start, factor, total)
                mean_of_sums(sums, counts, image)
    for label in label_dtypes:
        with contextlib.suppress(FormatError):
            block_mode(np.zeros((4, 4, 4), label, order="F"), start, factor)


def _coarse(values: NDArray[Any], start: Vec, factor: Vec, ndim: int) -> Box:
    """The coarse box of `values`, after the checks all functions share."""
    if values.ndim != ndim or ndim < 3 or 0 in values.shape or min(factor) < 1:
        raise FormatError(
            explain(
                "downsample",
                "no coarse voxels can be made",
                expected=f"a {ndim}-dimensional array without empty axes, and factors of at least 1",
                got=f"shape {values.shape}, factor {tuple(factor)}",
                do="Give a box that holds voxels",
            )
        )
    x, y, z = values.shape[:3]
    return coarse_box(Box.of(start, (x, y, z)), factor)


def _cuts(values: NDArray[Any], start: Vec, factor: Vec) -> tuple[NDArray[np.int64], ...]:
    """Per axis z, y, x, the n + 1 indices into `values` where its n coarse voxels begin and end."""
    found = []
    for d in (2, 1, 0):
        size, f = values.shape[d], factor[d]
        first, last = start[d] // f, -(-(start[d] + size) // f)
        # Python's integers carry offsets of any size; the array sees only what is relative to it
        inner = np.arange(last - first + 1, dtype=np.int64) * f + (first * f - start[d])
        found.append(np.clip(inner, 0, size))
    return tuple(found)


def _mean_dtype(sums: NDArray[Any], dtype: DTypeLike) -> np.dtype[Any]:
    """`dtype`, checked to be of the same kind (floating, signed, unsigned) as the sums (x', y', z', c)."""
    kind = np.dtype(dtype)
    if kind.kind != sums.dtype.kind or kind.kind not in "fui" or sums.ndim != 4:
        raise FormatError(
            explain(
                "mean",
                "sums and means are of different kinds",
                expected=f"sums (x, y, z, c) of the kind of {kind.name}",
                got=f"{sums.dtype.name} with {sums.ndim} axes",
                do="Sum into the type of sum_dtype",
            )
        )
    return kind
