"""The sources of a slide's layers, opened again from the plan: the slide, its mask, the mask's connected objects."""

from __future__ import annotations

from collections.abc import Callable
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
    `SlideReading` or `MaskReading`, as JSON keeps them. Raises SourceError where the file is missing, damaged or does
    not fit its slide.
    """
    opened = _slide(path, reading) if format == "slide" else _mask(path, format, reading, table)
    try:
        with decoding(str(path)):
            return opened()
    except OSError as error:
        raise SourceError(
            explain(str(path), f"cannot be read ({error})", do="Check its permissions and that its disk is mounted")
        ) from error


# Each format brings heavy packages of its own; only those of the one at hand are imported.
def _slide(path: Path, reading: dict[str, Any]) -> Callable[[], Source]:
    from ophiolite.sources.slide import SlideReading, open_slide

    facts = SlideReading(**{**reading, "background": tuple(reading["background"])})
    return lambda: open_slide(path, facts)


def _mask(path: Path, format: str, reading: dict[str, Any], table: Path | None) -> Callable[[], Source]:
    from ophiolite.sources.mask import MaskReading, open_mask
    from ophiolite.sources.mask_objects import open_mask_objects

    facts = MaskReading(
        slide_size_px=tuple(reading["slide_size_px"]),
        slide_resolution_nm=tuple(reading["slide_resolution_nm"]),
        binarise=reading["binarise"],
        structures={int(value): name for value, name in reading["structures"].items()},
        slide_start_px=tuple(reading["slide_start_px"]),
        ratio=reading["ratio"],
    )
    if format == "mask":
        return lambda: open_mask(path, facts)
    return lambda: open_mask_objects(path, facts, table)
