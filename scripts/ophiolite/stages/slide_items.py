"""Opening the image and the mask of a row: of a slide as its layers do, of a patch as the picture that it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.area_means import StripReducer
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.plan.slide_model import SlideRowPlan
from ophiolite.plan.slides import UNKNOWN_MPP
from ophiolite.sources.mask import MaskReading, MaskSource, open_mask
from ophiolite.stages.slide_project import structures_of
from ophiolite.stages.volume_input import open_planned

if TYPE_CHECKING:
    from ophiolite.sources.slide import SlideSource

STRIP_ROWS, STRIP_BYTES = 512, 160_000_000
ROWS_TOGETHER = 64


def check_headers(plan: ProjectPlan, row: SlideRowPlan) -> None:
    """Raise SourceError where a slide or its mask is not what the plan saw: that is no fault of the slide."""
    if row.dataset:
        open_row(plan, row)
        open_row_mask(plan, row)


def open_row(plan: ProjectPlan, row: SlideRowPlan) -> SlideSource:
    """The image of a row; of a patch whose scale is unknown, as if a pixel were a micron. Raises SourceError."""
    from ophiolite.sources.slide import SlideReading, SlideSource, open_slide

    volume = _layer(plan, row, "slide")
    if volume is not None:
        source = open_planned(volume).source
        assert isinstance(source, SlideSource)
        return source
    assert plan.slides is not None
    options = plan.slides.options
    reading = SlideReading(
        mpp=row.mpp[0] if row.mpp else UNKNOWN_MPP,
        force_mpp=options["force_mpp"] or row.mpp is None,
        section_nm=options["section_nm"],
        background=tuple(options["background"]),
        icc=options["icc"],
        crop_to_bounds=options["crop_to_bounds"],
        bad_tiles=options["bad_tiles"],
    )
    return open_slide(Path(row.image), reading)


def open_row_mask(plan: ProjectPlan, row: SlideRowPlan) -> MaskSource | None:
    """The mask of a row, None where it has none. Raises SourceError."""
    volume = _layer(plan, row, "mask")
    if volume is not None:
        source = open_planned(volume).source
        assert isinstance(source, MaskSource)
        return source
    if row.mask is None or row.size_px is None:
        return None
    assert plan.slides is not None
    options = plan.slides.options
    x, y = row.mpp or (UNKNOWN_MPP, UNKNOWN_MPP)
    reading = MaskReading(
        slide_size_px=row.size_px,
        slide_resolution_nm=(1000 * x, 1000 * y, options["section_nm"]),
        binarise=options["mask"]["binarise"],
        structures=structures_of(plan),
    )
    return open_mask(Path(row.mask), reading)


def _layer(plan: ProjectPlan, row: SlideRowPlan, name: str) -> VolumePlan | None:
    layer = plan.datasets[row.dataset].layers.get(name) if row.dataset else None
    return layer if isinstance(layer, VolumePlan) else None


def overview(image: SlideSource, to_px: tuple[int, int]) -> NDArray[np.uint8]:
    """An image at a smaller size, (x, y, 3): means over areas of the coarsest level that is not smaller."""
    (width, height, _), (x0, y0, _) = image.shape_vx, image.box.start
    whole = image.levels[0]
    fine = [
        n
        for n, (w, h) in enumerate(image.levels)
        if w * width >= to_px[0] * whole[0] and h * height >= to_px[1] * whole[1]
    ]
    level = max(fine, default=0)
    scale = [of / all_ for of, all_ in zip(image.levels[level], whole, strict=True)]
    left, top = round(x0 * scale[0]), round(y0 * scale[1])
    size = max(1, round(width * scale[0])), max(1, round(height * scale[1]))
    size = (min(size[0], image.levels[level][0] - left), min(size[1], image.levels[level][1] - top))
    reducer = StripReducer(size, to_px, 3)
    rows = min(STRIP_ROWS, max(1, STRIP_BYTES // (3 * size[0])))
    for first in range(0, size[1], rows):
        strip = image.read_level(level, left, top + first, (size[0], min(rows, size[1] - first)))
        for top_row in range(0, len(strip), ROWS_TOGETHER):
            reducer.add(strip[top_row : top_row + ROWS_TOGETHER].swapaxes(0, 1))
    return reducer.picture()


def coverage(mask: MaskSource, to_px: tuple[int, int], values: Sequence[int]) -> dict[int, NDArray[np.float64]]:
    """The part of each pixel of a smaller picture that every structure covers, (x, y), 0 to 1."""
    width, height, _ = mask.shape_vx
    reducer = StripReducer((width, height), to_px, len(values))
    for box in mask.strips():
        strip = mask.read(box)[:, :, 0, 0]
        for top in range(0, strip.shape[1], ROWS_TOGETHER):
            part = strip[:, top : top + ROWS_TOGETHER]
            reducer.add(np.stack([(part == value).astype(np.uint8) * 255 for value in values], axis=2))
    parts = reducer.picture() / 255
    return {value: parts[..., i] for i, value in enumerate(values)}
