"""How far every mip of a layer lies from the exact reduction of its mip 0, in one pass of bounded memory.

The mips are made again from what mip 0 decodes to, and compared with what the other mips decode to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box, Vec
from ophiolite.geometry.box import floordiv, mul, prod
from ophiolite.geometry.pyramid import coarse_box, coarse_counts
from ophiolite.kernels import pyramid_check

# A task's voxels, their cells and the mips above them take some 45 bytes per voxel of eight bytes and channel.
TASK_VX = 8_000_000
# Sums of n float64 values are this close to exact, in units of n times the largest.
FLOAT64_ROUNDING = 2.0**-53


@dataclass(frozen=True)
class Pyramid:
    """A layer to be measured.

    boxes, factors : per mip, its voxels and the mip-0 voxels in one of them. read : (mip, box inside it) -> voxels
    (x, y, z, c). labels : measure volumes of labels, not grey levels. followed : which of some labels to follow.
    recode : (mip, voxels) -> what they decode to after the encoding of that mip; None for mips without loss.
    """

    data_type: str
    method: str
    sparse: bool
    labels: bool
    boxes: tuple[Box, ...]
    factors: tuple[Vec, ...]
    read: Callable[[int, Box], NDArray[Any]]
    followed: Callable[[NDArray[Any]], NDArray[np.bool_]]
    recode: Callable[[int, NDArray[Any]], NDArray[Any] | None]


@dataclass
class MipSums:
    """Sums over the voxels of one mip; those of parts of a mip add up.

    voxels : of the mip. wrong : those that are not the rounded exact reduction. deviation_* : stored less exact,
    in grey levels. expected_abs_sum : the same of the reduction itself, rounded and encoded as this mip is; 0 for mips
    without loss. value_sum : of stored values, each times the mip-0 voxels it stands for, which add up to `weight`.
    changed_vx : mip-0 voxels whose label is another one here. volume_vx : mip-0 voxels by followed label.
    """

    voxels: int = 0
    wrong: int = 0
    deviation_sum: float = 0.0
    deviation_abs_sum: float = 0.0
    deviation_max: float = 0.0
    expected_abs_sum: float = 0.0
    value_sum: float = 0.0
    weight: int = 0
    changed_vx: int = 0
    found: list[tuple[NDArray[Any], NDArray[np.int64]]] = field(default_factory=list)

    def volume_vx(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Followed labels, ascending, and their volumes."""
        if len(self.found) != 1:
            labels = [a for a, _ in self.found] or [np.empty(0, np.uint64)]
            volumes = [b for _, b in self.found] or [np.empty(0, np.int64)]
            self.found = [pyramid_check.sum_by(np.concatenate(labels), np.concatenate(volumes))]
        return self.found[0]


@dataclass(frozen=True)
class _Level:
    """The exact reduction over a box: values, or sums for a mean, (x, y, z, c); counts of a sparse mean's voxels.

    largest : the largest magnitude of a floating mip-0 value in it.
    """

    values: NDArray[Any]
    counts: NDArray[Any] | None
    largest: float


def measure(pyramid: Pyramid, top: Box, task_vx: int = TASK_VX) -> list[MipSums]:
    """Per mip, the sums over all that lies under the voxels `top` of the coarsest mip."""
    walk = _Walk(pyramid, task_vx, [MipSums() for _ in pyramid.boxes])
    coarsest = len(pyramid.boxes) - 1
    for piece in walk.pieces(coarsest, top):
        walk.level(coarsest, piece)
    return walk.sums


@dataclass(frozen=True)
class _Walk:
    pyramid: Pyramid
    task_vx: int
    sums: list[MipSums]

    def pieces(self, mip: int, box: Box) -> Iterator[Box]:
        """A box of a mip in pieces that lie over at most `task_vx` mip-0 voxels, or are one voxel."""
        if box.volume <= 1 or prod(self.pyramid.factors[mip]) * box.volume <= self.task_vx:
            yield box
            return
        long = mul(box.shape, self.pyramid.factors[mip])
        splittable = [d for d in range(3) if box.shape[d] > 1]
        axis = max(splittable, key=lambda d: (long[d], d))
        middle = (box.start[axis] + box.stop[axis]) // 2
        stop, start = list(box.stop), list(box.start)
        stop[axis] = start[axis] = middle
        yield from self.pieces(mip, Box(box.start, (stop[0], stop[1], stop[2])))
        yield from self.pieces(mip, Box((start[0], start[1], start[2]), box.stop))

    def level(self, mip: int, box: Box) -> _Level:
        """The exact reduction over a box of a mip, compared on the way with every mip from 0 to this one."""
        if mip == 0:
            return self._finest(box)
        pyramid = self.pyramid
        factor = floordiv(pyramid.factors[mip], pyramid.factors[mip - 1])
        under = Box(mul(box.start, factor), mul(box.stop, factor)).intersect(pyramid.boxes[mip - 1])
        level = self._reduced(self._joined(mip - 1, under), under.start, factor, mip - 1 == 0)
        self._compare(mip, box, level)
        return level

    def _joined(self, mip: int, box: Box) -> _Level:
        pieces = list(self.pieces(mip, box))
        levels = [self.level(mip, piece) for piece in pieces]
        if len(levels) == 1:
            return levels[0]

        def join(parts: list[NDArray[Any]]) -> NDArray[Any]:
            out = np.empty((*box.shape, parts[0].shape[3]), parts[0].dtype, order="F")
            for piece, part in zip(pieces, parts, strict=True):
                out[piece.slices(box.start)] = part
            return out

        counts = [level.counts for level in levels if level.counts is not None]
        return _Level(
            join([level.values for level in levels]),
            join(counts) if counts else None,
            max(level.largest for level in levels),
        )

    def _finest(self, box: Box) -> _Level:
        pyramid, sums = self.pyramid, self.sums[0]
        values = pyramid.read(0, box)
        sums.voxels += box.volume * values.shape[3]
        if pyramid.labels:
            labels = values[..., 0]
            self._follow(sums, labels, None)
            for mip in range(1, len(pyramid.boxes)):
                coarse = pyramid.read(mip, coarse_box(box, pyramid.factors[mip]))[..., 0]
                changed = pyramid_check.spread(coarse, pyramid.factors[mip], box) != labels
                self.sums[mip].changed_vx += int(np.count_nonzero(changed))
            return _Level(values, None, 0.0)
        counted = self._counted(values)
        sums.weight += int(np.count_nonzero(counted))
        sums.value_sum += float(values.sum(dtype=np.float64, where=counted))
        floating = values.dtype.kind == "f"
        return _Level(values, None, float(np.abs(values).max(where=counted, initial=0)) if floating else 0.0)

    def _counted(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Voxels that a mean grey level counts: numbers, and of a sparse pyramid only those that are not 0."""
        counted: NDArray[np.bool_] = np.isfinite(values)
        return counted & (values != 0) if self.pyramid.sparse else counted

    def _reduced(self, finer: _Level, start: Vec, factor: Vec, finest: bool) -> _Level:
        method, values = self.pyramid.method, finer.values
        counts = None
        if method == "mean":
            if self.pyramid.sparse:
                present = (values != 0).view(np.uint8) if finest else finer.counts
                assert present is not None
                counts = pyramid_check.exact_sums(present, start, factor)
            reduced = pyramid_check.exact_sums(values, start, factor)
        elif method == "mode":
            reduced = pyramid_check.exact_mode(values, start, factor, self.pyramid.sparse)
        elif method == "stride":
            reduced = pyramid_check.exact_first(values, start, factor)
        else:
            reduced = pyramid_check.exact_extreme(values, start, factor, method == "max")
        return _Level(reduced, counts, finer.largest)

    def _compare(self, mip: int, box: Box, level: _Level) -> None:
        pyramid, sums = self.pyramid, self.sums[mip]
        stored = pyramid.read(mip, box)
        covered = pyramid_check.outer(coarse_counts(pyramid.boxes[0], box, pyramid.factors[mip]))
        sums.voxels += stored.size
        if pyramid.labels:
            sums.wrong += int(np.count_nonzero(stored != level.values))
            self._follow(sums, stored[..., 0], covered)
            return
        weights = covered[..., None] if level.counts is None else level.counts
        if pyramid.method == "mean":
            deviation = pyramid_check.deviations(stored, level.values, weights)
            wrong = self._wrong_means(stored, level, weights, deviation)
            exact = pyramid_check.rounded_quotients(level.values, weights, stored.dtype)
        else:
            wrong = (stored != level.values) & ~((stored != stored) & (level.values != level.values))
            deviation = stored.astype(np.float64) - level.values.astype(np.float64)
            exact = level.values
        recoded = pyramid.recode(mip, exact)
        if recoded is not None:
            sums.expected_abs_sum += float(np.abs(recoded.astype(np.float64) - exact).sum())
        numbers = np.isfinite(deviation)
        size = np.abs(deviation)
        sums.wrong += int(np.count_nonzero(wrong))
        sums.deviation_sum += float(deviation.sum(where=numbers))
        sums.deviation_abs_sum += float(size.sum(where=numbers))
        sums.deviation_max = max(sums.deviation_max, float(size.max(where=numbers, initial=0.0)))
        counted = np.isfinite(stored)
        weights = np.broadcast_to(weights, stored.shape)
        sums.weight += int(weights.sum(where=counted))
        sums.value_sum += float((stored.astype(np.float64) * weights).sum(where=counted))

    def _wrong_means(
        self, stored: NDArray[Any], level: _Level, weights: NDArray[Any], deviation: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Where a stored mean is not the exact one rounded once: integers to the bit, floats within half a step."""
        if stored.dtype.kind != "f":
            return np.asarray(stored != pyramid_check.rounded_quotients(level.values, weights, stored.dtype))
        step = np.abs(np.spacing(stored)).astype(np.float64)
        noise = FLOAT64_ROUNDING * int(np.max(weights)) * level.largest
        far: NDArray[np.bool_] = np.abs(deviation) > step / 2 + noise
        return np.where(np.isfinite(deviation), far, np.isfinite(stored) != np.isfinite(level.values))

    def _follow(self, sums: MipSums, labels: NDArray[Any], covered: NDArray[np.int64] | None) -> None:
        found, volumes = pyramid_check.label_volumes(labels, covered)
        chosen = (found != 0) & self.pyramid.followed(found)
        sums.found.append((found[chosen], volumes[chosen]))
        if len(sums.found) > 64:
            sums.volume_vx()
