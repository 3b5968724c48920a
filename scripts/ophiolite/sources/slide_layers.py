"""The sources of a slide's layers, opened again from the plan: the slide, its mask, the mask's connected objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from ophiolite.errors import SourceError, explain
from ophiolite.sources.source import Source, decoding

SlideFormat = Literal["slide", "mask", "mask_objects"]
FORMATS: tuple[str, ...] = get_args(SlideFormat)


def open_slide_layer(path: Path, format: str, reading: dict[str, Any], table: Path | None = None) -> Source:
    """Open the source of one layer of a slide.

    format : `slide` (RGB), `mask` (values of structures) or `mask_objects` (labels of connected objects, looked up in
    `table`, which rule mask_objects made of the mask; without it only the header is there). reading : the fields of
    `SlideReading` or `MaskReading`, as JSON keeps them. SourceError where the file is missing, damaged or does not fit its slide.
    """
    try:
        with decoding(str(path)):
            return _open(path, format, reading, table)
    except OSError as error:
        raise SourceError(
            explain(str(path), f"cannot be read ({error})", do="Check its permissions and that its disk is mounted")
        ) from error


def _open(path: Path, format: str, reading: dict[str, Any], table: Path | None) -> Source:
    if format == "slide":
        from ophiolite.sources.slide import SlideReading, open_slide

        return open_slide(path, SlideReading(**{**reading, "background": tuple(reading["background"])}))
    from ophiolite.sources.mask import MaskReading, open_mask

    facts = MaskReading(
        slide_size_px=tuple(reading["slide_size_px"]),
        slide_resolution_nm=tuple(reading["slide_resolution_nm"]),
        binarise=reading["binarise"],
        structures={int(value): name for value, name in reading["structures"].items()},
    )
    if format == "mask":
        return open_mask(path, facts)
    from ophiolite.sources.mask_objects import open_mask_objects

    return open_mask_objects(path, facts, table)
