"""Compiled loops over the runs of a mask: finding, joining, measuring and painting them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit
from ophiolite.kernels.union_find import find

_jit: Any = njit(cache=True, nogil=True)

# Columns of a table of runs.
ROW, START, STOP, LABEL = range(4)


@_jit
def count_runs(strip):  # type: ignore[no-untyped-def]
    """Runs of equal values other than 0 along x in a strip (x, y)."""
    count = 0
    for y in range(strip.shape[1]):
        before = 0
        for x in range(strip.shape[0]):
            value = strip[x, y]
            if value != before and value != 0:
                count += 1
            before = value
    return count


@_jit
def find_runs(strip, top, runs, values):  # type: ignore[no-untyped-def]
    """Fill row, start, stop and value of the runs that `count_runs` counted, row by row; `top` is the first row."""
    n = 0
    for y in range(strip.shape[1]):
        before = 0
        for x in range(strip.shape[0]):
            value = strip[x, y]
            if value != before:
                if before != 0:
                    runs[n, STOP] = x
                    n += 1
                if value != 0:
                    runs[n, ROW] = top + y
                    runs[n, START] = x
                    values[n] = value
            before = value
        if before != 0:
            runs[n, STOP] = strip.shape[0]
            n += 1


@_jit
def join_runs(runs, values, known, parents, count):  # type: ignore[no-untyped-def]
    """Number the runs from `known` on; those before it are numbered and lie in the row above the first of them.

    A run takes the number of one of equal value above that it touches, corners included, and joins the numbers of all
    of these; without one it takes the next number. `parents` has room for one number per run more than `count`.
    Returns how many numbers are in use.
    """
    above, above_stop, first = 0, known, known
    for i in range(known, len(runs)):
        if i > known and runs[i, ROW] != runs[i - 1, ROW]:
            above, above_stop, first = first, i, i
        if above < above_stop and runs[above, ROW] + 1 != runs[i, ROW]:
            above = above_stop
        label = -1
        while above < above_stop and runs[above, STOP] < runs[i, START]:
            above += 1
        j = above
        while j < above_stop and runs[j, START] <= runs[i, STOP]:
            if values[j] == values[i]:
                other = find(parents, runs[j, LABEL])
                if label < 0:
                    label = other
                elif other < label:
                    parents[label] = other
                    label = other
                else:
                    parents[other] = label
            j += 1
        if label < 0:
            label = count
            parents[label] = label
            count += 1
        runs[i, LABEL] = label
    return count


@_jit
def roots_of(parents, count):  # type: ignore[no-untyped-def]
    """The first of the joined numbers of each of the numbers below `count`."""
    out = np.empty(count, np.int64)
    for i in range(count):
        out[i] = find(parents, i)
    return out


@_jit
def measure(runs, whole):  # type: ignore[no-untyped-def]
    """Add up areas, boxes, coordinate sums and neighbours of the runs of every label.

    runs : in raster order. whole (labels, 11) : area, start x, start y, stop x, stop y, sum of x, sum of y, runs, and
    pairs of pixels one below the other, below left, below right; boxes start as the opposite of a box.
    """
    above, above_stop, first = 0, 0, 0
    for i in range(len(runs)):
        if i > 0 and runs[i, ROW] != runs[i - 1, ROW]:
            above, above_stop, first = first, i, i
        if above < above_stop and runs[above, ROW] + 1 != runs[i, ROW]:
            above = above_stop
        y, a, b = np.int64(runs[i, ROW]), np.int64(runs[i, START]), np.int64(runs[i, STOP])
        row = whole[runs[i, LABEL] - 1]
        row[0] += b - a
        row[1], row[2] = min(row[1], a), min(row[2], y)
        row[3], row[4] = max(row[3], b), max(row[4], y + 1)
        row[5] += (b - a) * (a + b - 1) // 2
        row[6] += (b - a) * y
        row[7] += 1
        while above < above_stop and runs[above, STOP] < runs[i, START]:
            above += 1
        j = above
        while j < above_stop and runs[j, START] <= runs[i, STOP]:
            if runs[j, LABEL] == runs[i, LABEL]:
                c, d = np.int64(runs[j, START]), np.int64(runs[j, STOP])
                for k, shift in ((8, 0), (9, -1), (10, 1)):
                    row[k] += max(0, min(b, d + shift) - max(a, c + shift))
            j += 1


@_jit
def central_moments(runs, centre, moments):  # type: ignore[no-untyped-def]
    """Add up, in raster order, (x - cx)^2, (x - cx) (y - cy) and (y - cy)^2 over the pixels of every label.

    centre (labels, 2) : of pixels whose coordinate is their low corner. moments (labels, 3).
    """
    for i in range(len(runs)):
        label = runs[i, LABEL] - 1
        n = float(runs[i, STOP]) - float(runs[i, START])
        middle = (float(runs[i, START]) + float(runs[i, STOP]) - 1) / 2 - centre[label, 0]
        down = float(runs[i, ROW]) - centre[label, 1]
        moments[label, 0] += n * (middle * middle + (n * n - 1) / 12)
        moments[label, 1] += n * middle * down
        moments[label, 2] += n * down * down


@_jit
def paint(runs, left, top, out):  # type: ignore[no-untyped-def]
    """Paint the labels of runs into a window (x, y) whose first pixel is (left, top); the rows lie inside."""
    for i in range(len(runs)):
        y = runs[i, ROW] - top
        for x in range(max(runs[i, START] - left, 0), min(runs[i, STOP] - left, out.shape[0])):
            out[x, y] = runs[i, LABEL]


@_jit
def add_colours(labels, colours, ratio, sums):  # type: ignore[no-untyped-def]
    """Add the colours (x, y, c) under the labels (x, y) of a window, `ratio` pixels of colour along each side of one.

    sums (labels, c + 1) : of every channel, and the number of pixels; pixels beyond the colours are left out.
    """
    for y in range(min(labels.shape[1] * ratio, colours.shape[1])):
        for x in range(min(labels.shape[0] * ratio, colours.shape[0])):
            label = labels[x // ratio, y // ratio]
            if label != 0:
                for c in range(colours.shape[2]):
                    sums[label - 1, c] += colours[x, y, c]
                sums[label - 1, colours.shape[2]] += 1
