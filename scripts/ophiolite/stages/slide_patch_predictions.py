"""Predictions of a slide's patches, put together on the plane that patches are cut on, beside the truth there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry import Box
from ophiolite.kernels.area_resample import TINY, area_majority
from ophiolite.kernels.kpis_scoring import FULL, MIN_VOTES
from ophiolite.kernels.patch_stitch import Method, Rectangle, stitch
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.plan.slide_model import PREDICTED_ENDINGS, SlideRowPlan
from ophiolite.sources.mask import MaskReading, MaskSource, open_mask
from ophiolite.sources.mask_pixels import MaskPixels, open_pixels
from ophiolite.stages.patch_frame import Cut, frame_of
from ophiolite.stages.slide_items import open_row_mask
from ophiolite.stages.slide_patches import patch_options
from ophiolite.stages.slide_project import structures_of
from ophiolite.stages.slide_score_planes import (
    Planes,
    Size,
    grey_levels,
    kpis_rows,
    kpis_size,
    refuse_levels,
)
from ophiolite.stages.slide_tables import Row, read_rows

PICTURES = tuple(ending for ending in PREDICTED_ENDINGS if ending != ".geojson")
# Pixels of a slide that are reduced together.
REDUCED_PX = 2_000_000
# What is stitched together, and how many decoded patches are kept for the next.
BAND_ROWS, BAND_COLUMNS = 1024, 2048
KEPT_PATCHES = 12
KEPT_BITMAPS = 256


@dataclass(frozen=True)
class PlacedFile:
    """A predicted patch: its first pixel, how many of its pixels lie in the slide, its file."""

    x: int
    y: int
    w: int
    h: int
    path: Path


def stitched_planes(plan: ProjectPlan, store: Store, row: SlideRowPlan) -> Planes | None:
    """The truth and the stitched prediction of a slide; None where none of its patches is predicted.

    SourceError where some that were kept are not, or where the challenge's conventions need patches at 20x.
    """
    assert plan.slides is not None
    options = plan.slides.options
    if row.dataset is None or options["patches"] is None:
        return None
    volume = plan.datasets[row.dataset].layers["slide"]
    assert isinstance(volume, VolumePlan)
    files = predicted_files(Path(options["scores"]["predictions"]), _kept_patches(store, row, volume))
    if not files:
        return None
    mask = open_row_mask(plan, row)
    assert mask is not None
    assert row.mask is not None
    assert row.size_px is not None
    frame = frame_of(volume, mask.ratio, patch_options(plan.slides), f"slide {row.slide_id}")
    ratio, side = frame.finest.ratio, patch_options(plan.slides).size_px
    if options["scores"]["compat"] == "kpis2024":
        size, factor = kpis_size(row)
        _check_20x(row, ratio, factor)
        return Planes(size, ratio, kpis_rows(Path(row.mask), row), VotedRows(files, size, (side, side)))
    truth = FrameRows(mask, frame.mask, frame.size_px)
    cells = mask.ratio**2 / (ratio[0] * ratio[1])
    reading = _reading(plan, side)
    scores = options["scores"]
    predicted = StitchedRows(files, frame.size_px, scores["stitch"], scores["threshold"], reading)
    return Planes(frame.size_px, ratio, truth, predicted, truth_cells=cells)


def _kept_patches(store: Store, row: SlideRowPlan, volume: VolumePlan) -> list[Row]:
    """The rows of the patches that were kept; SourceError where the slide, as it is now, was not cut into any."""
    paths = LayerPaths(str(row.dataset), "slide")
    receipt = paths.receipt("slide_patches", "")
    if not store.exists(receipt) or read_receipt(store, receipt).digest != volume.digests["slide_patches"]:
        problem = "was not cut into patches, which predictions could be put together by"
        do = "See in slides/tables/items.csv whether it can be read, or predict it whole"
        raise SourceError(explain(f"slide {row.slide_id}", problem, do=do))
    return [found for found in read_rows(store, paths.patches) if found["keep"]]


def predicted_files(folder: Path, kept: Sequence[Row]) -> list[PlacedFile]:
    """The prediction of every patch that was kept, by the names of the patch, its image or its mask.

    None of them where no patch has one; SourceError where some have none.
    """
    found, missing = [], []
    for row in kept:
        stems = [row["patch"], *(Path(row[key]).stem for key in ("image", "mask") if row[key])]
        paths = (folder / f"{stem}{suffix}" for stem in dict.fromkeys(stems) for suffix in PREDICTED_ENDINGS)
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            missing.append(row["patch"])
        else:
            found.append(PlacedFile(row["x_px"], row["y_px"], row["w_px"], row["h_px"], path))
    if found and missing:
        problem = f"{len(missing)} of {len(kept)} patches that were kept have no prediction"
        expected = f"{missing[0]}.png, and so on"
        raise SourceError(explain(str(folder), problem, expected=expected, do="Predict them, or score slides whole"))
    return found


def _reading(plan: ProjectPlan, size_px: int) -> MaskReading:
    assert plan.slides is not None
    binarise = plan.slides.options["mask"]["binarise"]
    return MaskReading((size_px, size_px), (1.0, 1.0, 1.0), binarise, structures_of(plan))


def _check_20x(row: SlideRowPlan, ratio: tuple[float, float], factor: int) -> None:
    if ratio != (factor, factor):
        raise SourceError(
            explain(
                f"slide {row.slide_id}",
                "`compat: kpis2024` scores patches at 20x",
                expected=f"patches of {factor} slide pixels per pixel",
                got=f"{ratio[0]:g}",
                do="Set slides.patches.mpp to that of 20x, or compat: none",
            )
        )


@dataclass(frozen=True)
class FrameRows:
    """The mask of a slide on the plane of its patches: the majority of what lies under each pixel.

    cut : where the plane's pixels lie in those of the mask.
    """

    mask: MaskSource
    cut: Cut
    size_px: Size

    def rows(self, top: int, bottom: int) -> NDArray[Any]:
        """As `Rows`."""
        out = np.zeros((self.size_px[0], bottom - top), self.mask.dtype, order="F")
        step = max(1, int(REDUCED_PX / (self.size_px[0] * max(1, self.cut.ratio[0] * self.cut.ratio[1]))))
        for first in range(top, bottom, step):
            count = (self.size_px[0], min(first + step, bottom) - first)
            box = self.cut.box(0, first, *count, 0)
            low = [v - s for v, s in zip(self.cut.low(0, first), box.start[:2], strict=True)]
            near = [round(v) if abs(v - round(v)) < TINY else v for v in low]
            out[:, first - top : first - top + count[1]] = area_majority(
                self._under(box), (near[0], near[1]), self.cut.ratio, count
            )
        return out

    def check_read(self) -> None:
        """As `Rows`."""
        self.mask.check_binarised()

    def _under(self, box: Box) -> NDArray[Any]:
        """The values in a box, background where the mask ends before it."""
        out = np.zeros(box.shape[:2], self.mask.dtype)
        shared = box.intersect(self.mask.box)
        if shared.volume:
            there = shared.slices(box.start)
            out[there[0], there[1]] = self.mask.read(shared)[:, :, 0, 0]
        return out


class StitchedRows:
    """Overlapping predictions joined: by vote of structures, or where the mean of a structure is above `threshold`.

    reading : how a patch's file is read. Where masks are binarised, values of predictions are probabilities, 0 to 255.
    """

    def __init__(
        self, files: Sequence[PlacedFile], size_px: Size, method: Method, threshold: float, reading: MaskReading
    ) -> None:
        self._files, self._size, self._reading = files, size_px, reading
        self._method, self._threshold = method, threshold
        self._decoded = lru_cache(maxsize=KEPT_PATCHES)(self._decode)
        self._band_at = lru_cache(maxsize=2)(self._stitch_band)

    def rows(self, top: int, bottom: int) -> NDArray[Any]:
        """As `Rows`."""
        bands = [self._band_at(band) for band in range(top // BAND_ROWS, -(-bottom // BAND_ROWS))]
        first = top // BAND_ROWS * BAND_ROWS
        return np.concatenate(bands, axis=1)[:, top - first : bottom - first]

    def check_read(self) -> None:
        """As `Rows`. Probabilities may be low; those of 0 and 1 alone only where predictions of other slides tell that
        they are of 255."""
        if self._reading.binarise is None:
            return
        if self._method != "vote":
            path, top = _highest(self._files)
            if not (0 < top <= 1 and _others_exceed(self._files, self._reading.slide_size_px)):
                refuse_levels(path, top, 1)
            return
        masks = [open_mask(file.path, self._reading) for file in self._files]
        if not any(mask.read(mask.box).any() for mask in masks):
            for mask in masks:
                mask.check_binarised()

    def _stitch_band(self, band: int) -> NDArray[Any]:
        """Some rows of full width, so that few patches are held and each is decoded for few of them."""
        top = band * BAND_ROWS
        height = min(BAND_ROWS, self._size[1] - top)
        near = [file for file in self._files if file.y < top + height and top < file.y + file.h]
        out = np.zeros((self._size[0], height), np.uint16, order="F")
        for x in range(0, self._size[0], BAND_COLUMNS):
            width = min(BAND_COLUMNS, self._size[0] - x)
            here = [file for file in near if file.x < x + width and x < file.x + file.w]
            out[x : x + width] = self._stitch(here, (x, top, width, height))
        return out

    def _stitch(self, files: Sequence[PlacedFile], box: Rectangle) -> NDArray[Any]:
        patches = [(file.x, file.y, self._decoded(file)) for file in files]
        if self._method == "vote":
            return np.asarray(stitch(patches, box, "vote"))
        if self._reading.binarise is not None:
            return np.asarray(stitch(patches, box, self._method) > self._threshold)
        # The structure of the largest mean, of equal ones the smallest.
        out, best = np.zeros(box[2:], np.uint16), np.full(box[2:], self._threshold, np.float32)
        for value in sorted(self._reading.structures):
            share = stitch(((x, y, (pixels == value).astype(np.uint8)) for x, y, pixels in patches), box, self._method)
            more = share > best
            out[more], best[more] = value, share[more]
        return out

    def _decode(self, file: PlacedFile) -> NDArray[Any]:
        """The structures of a predicted patch, or its probabilities, (w, h)."""
        if self._method == "vote" or self._reading.binarise is None:
            mask = open_mask(file.path, self._reading)
            _check_size(file, mask.shape_vx[:2], self._reading.slide_size_px)
            return mask.read(mask.box)[: file.w, : file.h, 0, 0]
        pixels = open_pixels(file.path)
        _check_size(file, pixels.size_px, self._reading.slide_size_px)
        top = 1 if pixels.bits == 1 else np.iinfo(pixels.dtype).max
        return np.asarray(pixels.values((0, 0, file.w, file.h)) / np.float32(top), np.float32)


class VotedRows:
    """Predictions joined as the KPIs challenge does: foreground needs two patches that say so."""

    def __init__(self, files: Sequence[PlacedFile], size_px: Size, patch_px: Size) -> None:
        self._files, self._size, self._patch_px = files, size_px, patch_px
        # Strips are lower than patches, so those across the slide are kept, as bits.
        self._packed = lru_cache(maxsize=KEPT_BITMAPS)(self._decode)

    def rows(self, top: int, bottom: int) -> NDArray[Any]:
        """As `Rows`."""
        votes = np.zeros((self._size[0], bottom - top), np.uint16)
        for file in self._files:
            first, stop = max(top, file.y), min(bottom, file.y + file.h)
            if first < stop:
                foreground = np.unpackbits(self._packed(file), axis=1, count=file.h)
                votes[file.x : file.x + file.w, first - top : stop - top] += foreground[
                    :, first - file.y : stop - file.y
                ]
        return np.asfortranarray(votes >= MIN_VOTES).view(np.uint8)

    def check_read(self) -> None:
        """As `Rows`."""
        refuse_levels(*_highest(self._files), FULL // 2)

    def _decode(self, file: PlacedFile) -> NDArray[np.uint8]:
        """Where a patch was predicted, eight rows to a byte."""
        pixels = open_pixels(file.path)
        _check_size(file, pixels.size_px, self._patch_px)
        return np.packbits(grey_levels(pixels, (0, 0, file.w, file.h)) > FULL // 2, axis=1)


def _highest(files: Sequence[PlacedFile]) -> tuple[Path, int]:
    """The file with the highest value, the first of several, and that value."""
    tops = [_top(open_pixels(file.path)) for file in files]
    return files[int(np.argmax(tops))].path, max(tops)


def _top(pixels: MaskPixels) -> int:
    return int(grey_levels(pixels, (0, 0, *pixels.size_px)).max())


def _others_exceed(files: Sequence[PlacedFile], size_px: Size) -> bool:
    """Whether any other predicted patch beside these holds a value above 1."""
    own = {file.path for file in files}
    for path in sorted(files[0].path.parent.iterdir()):
        if path.suffix in PICTURES and path not in own:
            with suppress(SourceError):  # which its own slide will say
                pixels = open_pixels(path)
                if pixels.size_px == size_px and _top(pixels) > 1:
                    return True
    return False


def _check_size(file: PlacedFile, got_px: tuple[int, ...], size_px: Size) -> None:
    if got_px != size_px:
        expected, got = ("{} x {}".format(*size) for size in (size_px, got_px))
        problem = "a predicted patch is as large as the patches of the config"
        raise SourceError(explain(f"E142 {file.path}", problem, expected=expected, got=got, do="Predict at that size"))
