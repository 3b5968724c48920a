"""The mask of a slide as a volume of structure values: its pixels, or outlines that are filled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry import Box
from ophiolite.sources.mask_pixels import MaskPixels, open_pixels
from ophiolite.sources.mask_ratio import mask_ratio
from ophiolite.sources.source import Header, HeaderSource, Nm
from ophiolite.sources.vector_mask import VECTOR_SUFFIXES, FilledOutlines

# Pixels of a mask that are looked at together where the whole is searched for a fault.
STRIP_PX = 2**25


@dataclass(frozen=True)
class MaskReading:
    """How a mask is read.

    slide_size_px : (x, y). slide_resolution_nm : (x, y, z). binarise : values above it are structure 1; None keeps the
    values. structures : value -> name; no other value but 0 may occur. slide_start_px : where the slide's layer begins,
    if not all of it is kept; the mask is of what is kept, outlines are in pixels of the whole slide. ratio : slide
    pixels per mask pixel, where the sizes of both leave a choice.
    """

    slide_size_px: tuple[int, int]
    slide_resolution_nm: Nm
    binarise: int | None
    structures: Mapping[int, str]
    slide_start_px: tuple[int, int] = (0, 0)
    ratio: int | None = None


class MaskSource(HeaderSource):
    """Structure values (x, y, 1), uint8 or uint16, of a mask that covers its slide at an integer ratio.

    ratio : slide pixels per mask pixel along both axes. Raises SourceError (E142) where sizes do not fit.
    """

    def __init__(self, path: Path, pixels: MaskPixels, reading: MaskReading) -> None:
        x, y, z = reading.slide_resolution_nm
        self.ratio = mask_ratio(
            str(path),
            pixels.size_px,
            reading.slide_size_px,
            reading.ratio,
            lambda: [(1000 * across / x, 1000 * down / y) for across, down in pixels.scales_um()],
        )
        start = _start(str(path), reading.slide_start_px, self.ratio)
        width, height = pixels.size_px
        values = [*reading.structures, 1 if reading.binarise is not None else 0]
        super().__init__(
            Header(
                path=str(path),
                shape_vx=(width, height, 1),
                channels=1,
                dtype=np.dtype(np.uint8 if max(values) < 256 else np.uint16),
                resolution_nm=(x * self.ratio, y * self.ratio, z),
                voxel_offset_vx=(*start, 0),
                alignment_vx=(*pixels.tile_px, 1),
                files=(str(path),),
                cache_bytes=pixels.cache_bytes,
            )
        )
        self._pixels, self._reading = pixels, reading
        self._filled = isinstance(pixels, FilledOutlines)
        self._known = np.zeros(1 << (8 * pixels.dtype.itemsize), bool)
        self._known[[0, *(v for v in reading.structures if v < len(self._known))]] = True

    @property
    def binarised(self) -> bool:
        """Whether stored values are compared with a bound."""
        return self._reading.binarise is not None and not self._filled

    def strips(self, height: int | None = None) -> Iterator[Box]:
        """Boxes of full width from top to bottom, of whole tiles unless a height is given."""
        width, rows, _ = self.shape_vx
        if height is None:
            tile = self.alignment_vx[1]
            height = max(1, STRIP_PX // (width * tile)) * tile
        boxes = (Box((0, y, 0), (width, min(y + height, rows), 1)) for y in range(0, rows, height))
        return (box.shift(self.voxel_offset_vx) for box in boxes)

    def nonbinary(self, box: Box) -> int:
        """Pixels of a box, of a mask that is binarised, that are stored as neither nothing nor the largest number."""
        if not self.binarised or self._pixels.bits == 1:
            return 0
        values = self._stored(box)
        return int(np.count_nonzero((values != 0) & (values != np.iinfo(values.dtype).max)))

    def check_binarised(self) -> None:
        """Raise SourceError where binarising leaves nothing of a mask that is not empty, such as one of 0 and 1."""
        if not self.binarised:
            return
        top = max(int(self._stored(box).max()) for box in self.strips())
        if 0 < top <= self._bound:
            raise SourceError(
                explain(
                    self.path,
                    "binarising leaves nothing of the mask",
                    expected=f"values above {self._bound} (`slides.mask.binarise`)",
                    got=f"0 to {top}",
                    do="Set `binarise: 0` where every other value is the structure, or `null` where values name them",
                )
            )

    @property
    def _bound(self) -> int:
        return 0 if self._pixels.bits == 1 else self._reading.binarise or 0

    def _stored(self, box: Box) -> NDArray[Any]:
        """The stored values (x, y) of a box in absolute coordinates."""
        (left, top, _), (x0, y0, _), (x1, y1, _) = self.voxel_offset_vx, box.start, box.stop
        return self._pixels.values((x0 - left, y0 - top, x1 - left, y1 - top))

    def _decode(self, box: Box) -> NDArray[Any]:
        values = self._stored(box.shift(self.voxel_offset_vx))
        if self.binarised:
            return (values > self._bound).astype(self.dtype)[:, :, None, None]
        if not self._known[values].all():
            raise self._unlisted()
        return values.astype(self.dtype)[:, :, None, None]

    def _unlisted(self) -> SourceError:
        """The error that names the first value which stands for no structure, looked for in the whole mask."""
        count, first = 0, None
        for box in self.strips():
            values = self._stored(box)
            wrong = ~self._known[values]
            count += int(np.count_nonzero(wrong))
            if first is None and wrong.any():
                row, column = np.argwhere(wrong.T)[0].tolist()
                first = (int(values[column, row]), column, row + box.start[1] - self.voxel_offset_vx[1])
        value, x, y = first or (0, 0, 0)
        listed = ", ".join(f"{v} ({name})" for v, name in sorted(self._reading.structures.items()))
        return SourceError(
            explain(
                self.path,
                f"{count} pixels have values that `slides.mask.structures` does not name",
                expected=f"0, {listed}",
                got=f"{value} at x {x}, y {y}, the first of them",
                do="Name the value in `structures`, or set `binarise` where all values above a bound are one structure",
            )
        )

    def overflow_to(self, folder: Path) -> None:
        """Keep decoded tiles that fall out of memory in files of `folder`."""
        spill = getattr(self._pixels, "overflow_to", None)
        if spill is not None:
            spill(folder)

    def _more_facts(self) -> tuple[object, ...]:
        reading = self._reading
        sides = (reading.slide_size_px, reading.slide_start_px)
        return (*sides, reading.binarise, sorted(reading.structures.items()))


def open_mask(path: Path, reading: MaskReading) -> MaskSource:
    """Open the mask of a slide: PNG, JPEG, TIFF, what OpenSlide reads, GeoJSON or ImageJ ROIs (.roi, .zip).

    SourceError where it is missing, unreadable, or does not fit the slide.
    """
    if not path.exists():
        raise SourceError(explain(str(path), "there is no such mask", do="Correct the column `mask` of the sheet"))
    if path.suffix.lower() in VECTOR_SUFFIXES:
        outlines = FilledOutlines(path, reading.slide_size_px, reading.structures, reading.slide_start_px)
        return MaskSource(path, outlines, reading)
    return MaskSource(path, open_pixels(path), reading)


def _start(path: str, slide_start_px: tuple[int, int], ratio: int) -> tuple[int, int]:
    """Where the mask begins, in its own pixels; SourceError E142 where that is within one of them."""
    x, y = slide_start_px
    if x % ratio or y % ratio:
        raise SourceError(
            explain(
                f"E142 {path}",
                "the region of the slide that is kept begins within a pixel of the mask",
                expected=f"multiples of {ratio}",
                got=f"x {x}, y {y}",
                do="Set slides.crop_to_bounds: false, or save the mask at the slide's size",
            )
        )
    return x // ratio, y // ratio
