"""Truth and prediction of a slide on one plane of pixels, read in strips of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry import Box
from ophiolite.kernels.kpis_scoring import FULL, halved_full, halved_size, rows_under
from ophiolite.plan.slide_model import PREDICTED_ENDINGS, SlideRowPlan
from ophiolite.sources.mask import MaskSource
from ophiolite.sources.mask_pixels import MaskPixels, Window, open_pixels

Size = tuple[int, int]
STRIP_PX = 2**22
# Pixels that are interpolated together.
HALVED_PX = 2**22
# Slides of fewer microns per pixel are at 40x, which the challenge halves.
FINE_MPP = 0.35


class Rows(Protocol):
    """Structure values of a plane."""

    def rows(self, top: int, bottom: int) -> NDArray[Any]:
        """The rows [top, bottom), (width, rows) unsigned integers."""

    def check_read(self) -> None:
        """Raise SourceError where all rows are background though the file is not: its levels are not those expected."""


def grey_levels(pixels: MaskPixels, window: Window) -> NDArray[Any]:
    """The stored values of a mask, 255 for the ones of a bilevel file, as every reader of pictures has them."""
    values = pixels.values(window)
    return values * np.uint8(FULL) if pixels.bits == 1 else values


def refuse_levels(path: Path, top: int, bound: int) -> None:
    """Raise SourceError where a mask whose largest value is `top` holds something, but nothing above `bound`."""
    if 0 < top <= bound:
        problem = "none of its values is foreground"
        do = "Save it with 255 where the structure is"
        raise SourceError(explain(str(path), problem, expected=f"values above {bound}", got=f"0 to {top}", do=do))


@dataclass(frozen=True)
class Planes:
    """Truth and prediction on one plane of size_px pixels, each of which covers slide_px slide pixels along x and y.

    truth_cells, predicted_cells : pixels of the plane per pixel of the file, by which smallest sizes are counted.
    """

    size_px: Size
    slide_px: tuple[float, float]
    truth: Rows
    predicted: Rows
    truth_cells: float = 1
    predicted_cells: float = 1

    def strips(self) -> Iterator[tuple[int, int]]:
        """Rows [top, bottom) that are held together."""
        height = max(1, STRIP_PX // self.size_px[0])
        for top in range(0, self.size_px[1], height):
            yield top, min(top + height, self.size_px[1])


@dataclass(frozen=True)
class ArrayRows:
    """A mask (x, y) that is in memory."""

    values: NDArray[Any]

    def rows(self, top: int, bottom: int) -> NDArray[Any]:
        """As `Rows`."""
        return self.values[:, top:bottom]

    def check_read(self) -> None:
        """As `Rows`: what is in memory was read before."""


@dataclass(frozen=True)
class MaskRows:
    """A mask on a plane on which each of its pixels is `finer` pixels wide and high; background beyond it."""

    mask: MaskSource
    finer: int
    size_px: Size

    def rows(self, top: int, bottom: int) -> NDArray[Any]:
        """As `Rows`."""
        width, height, _ = self.mask.shape_vx
        first, stop = top // self.finer, min(-(-bottom // self.finer), height)
        out = np.zeros((self.size_px[0], bottom - top), self.mask.dtype, order="F")
        if first < stop:
            box = Box((0, first, 0), (width, stop, 1)).shift(self.mask.voxel_offset_vx)
            own = self.mask.read(box)[:, :, 0, 0]
            fine = own.repeat(self.finer, axis=0).repeat(self.finer, axis=1) if self.finer > 1 else own
            fine = fine[: out.shape[0], top - first * self.finer :][:, : out.shape[1]]
            out[: fine.shape[0], : fine.shape[1]] = fine
        return out

    def check_read(self) -> None:
        """As `Rows`."""
        self.mask.check_binarised()


def mask_planes(truth: MaskSource, predicted: MaskSource, slide_px: Size) -> Planes:
    """Two masks of a slide on the coarsest plane that has whole pixels for both."""
    unit = gcd(truth.ratio, predicted.ratio)
    size = (-(-slide_px[0] // unit), -(-slide_px[1] // unit))
    finer = truth.ratio // unit, predicted.ratio // unit
    rows = [MaskRows(mask, n, size) for mask, n in zip((truth, predicted), finer, strict=True)]
    return Planes(size, (unit, unit), rows[0], rows[1], finer[0] ** 2, finer[1] ** 2)


@dataclass(frozen=True)
class KpisRows:
    """A mask as the KPIs challenge scores it: at 20x, 1 where it is exactly 255."""

    path: Path
    pixels: MaskPixels
    halve: bool

    def rows(self, top: int, bottom: int) -> NDArray[Any]:
        """As `Rows`."""
        width, height = self.pixels.size_px
        if not self.halve:
            return np.asfortranarray(grey_levels(self.pixels, (0, top, width, bottom)) == FULL).view(np.uint8)
        out = np.zeros((halved_size((width, height))[0], bottom - top), np.uint8, order="F")
        step = max(1, HALVED_PX // (4 * len(out)))
        for first in range(top, bottom, step):
            last = min(first + step, bottom)
            start, stop = rows_under(first, last, height)
            values = grey_levels(self.pixels, (0, start, width, stop))
            out[:, first - top : last - top] = halved_full(values, first, last, height)
        return out

    def check_read(self) -> None:
        """As `Rows`."""
        refuse_levels(self.path, max(int(values.max()) for values in self._strips()), FULL - 1)

    def nonbinary(self) -> int:
        """Pixels of the file that are neither 0 nor 255, as lossy compression leaves them: none of them counts."""
        return sum(int(np.count_nonzero((values != 0) & (values != FULL))) for values in self._strips())

    def _strips(self) -> Iterator[NDArray[Any]]:
        width, height = self.pixels.size_px
        step = max(1, STRIP_PX // width)
        for top in range(0, height, step):
            yield grey_levels(self.pixels, (0, top, width, min(top + step, height)))


def kpis_size(row: SlideRowPlan) -> tuple[Size, int]:
    """The size of a slide at 20x, and slide pixels per pixel of that: 2 where it is at 40x."""
    assert row.size_px is not None
    assert row.mpp is not None
    return (halved_size(row.size_px), 2) if row.mpp[0] < FINE_MPP else (row.size_px, 1)


def kpis_rows(path: Path, row: SlideRowPlan) -> KpisRows:
    """A mask file as the challenge sees it; SourceError where its size is neither the slide's nor that at 20x."""
    pixels = open_pixels(path)
    size, ratio = kpis_size(row)
    if pixels.size_px not in (size, row.size_px):
        expected = " or ".join("{} x {}".format(*s) for s in dict.fromkeys([size, row.size_px or size]))
        got = "{} x {}".format(*pixels.size_px)
        problem = "`compat: kpis2024` knows masks at the slide's size and at 20x"
        raise SourceError(explain(f"E142 {path}", problem, expected=expected, got=got, do="Save it at one of them"))
    return KpisRows(path, pixels, halve=ratio == 2 and pixels.size_px == row.size_px)


def find_prediction(folder: Path, row: SlideRowPlan) -> Path | None:
    """The file with the predicted mask of a row, by a name that the plan gives it; None where there is none.

    SourceError where there is no folder, or the file is the truth.
    """
    if not folder.is_dir():
        problem = "the folder of predictions is not there"
        raise SourceError(explain(str(folder), problem, do="Correct `slides.scores.predictions`"))
    paths = (folder / f"{stem}{ending}" for stem in row.predicted_as for ending in PREDICTED_ENDINGS)
    found = next((path for path in paths if path.is_file()), None)
    return found and _not_own(found, row)


def _not_own(path: Path, row: SlideRowPlan) -> Path:
    """The path; SourceError where it is the row's own image or mask, which would agree with itself."""
    for own, name in ((row.mask, "mask"), (row.image, "image")):
        if own and Path(own).exists() and path.samefile(own):
            problem = f"is the {name} of {row.slide_id} itself, no prediction"
            raise SourceError(explain(str(path), problem, do="Correct `slides.scores.predictions`"))
    return path
