"""Slides that OpenSlide reads: Aperio, Hamamatsu, Leica, MIRAX, Philips, Trestle, Ventana, Zeiss, DICOM, tiled TIFF."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import tifffile
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.sources.dicom_series import series_files
from ophiolite.sources.slide_mpp import TIFF_TAGS, Mpp
from ophiolite.sources.slide_reader import BadTileError, Size, SlideFacts, check_segment, lost_tile, segment_size
from ophiolite.sources.slide_tiles import ONE_GRID

# Decoded tiles that OpenSlide keeps; a row of 512 px tiles of a slide 40,000 px wide.
CACHE_BYTES = 96 * 2**20
# Indices that name, in their key file, the JPEG or NGR files that hold the pixels.
INDICES = (".vms", ".vmu")
MM_PER_UNIT = {"inch": 25.4, "centimeter": 10.0}


class OpenSlideReader:
    """A slide by OpenSlide; SourceError where it cannot be opened."""

    def __init__(self, path: str, file: Path) -> None:
        self._path, self._file = path, file
        try:
            self._slide = self._open()
        except openslide.OpenSlideError as error:
            raise SourceError(
                explain(
                    path,
                    f"OpenSlide cannot open the slide ({error}){_end(file)}",
                    do="Copy the file again, it is incomplete or damaged; or save it anew with its scanner's program",
                )
            ) from error
        properties = self._slide.properties
        vendor = properties.get("openslide.vendor", "")
        for level in range(self._slide.level_count):
            check_segment(path, _tile(properties, level))  # OpenSlide ends the process where it gets no memory
        self.facts = SlideFacts(
            reader=f"OpenSlide {openslide.__library_version__}",
            vendor=vendor,
            levels=tuple(self._slide.level_dimensions),
            tile_px=_tile(properties, 0),
            mpp=_mpp(properties, vendor),
            objective=_number(properties.get("openslide.objective-power")),
            icc=_profile(self._slide),
            associated=tuple(sorted(self._slide.associated_images)),
            files=_files(file, properties),
            cache_bytes=CACHE_BYTES,
            bounds=_bounds(properties),
        )
        self._downsamples = self._slide.level_downsamples

    @staticmethod
    def vendor_of(file: Path) -> str | None:
        """Whose format a file is, None where OpenSlide does not know it."""
        found: str | None = openslide.OpenSlide.detect_format(file)
        return found

    def read(self, level: int, x: int, y: int, size: Size) -> NDArray[np.uint8]:
        """See `SlideReader.read`."""
        downsample = self._downsamples[level]
        place = (round(x * downsample), round(y * downsample))
        try:
            return np.asarray(self._slide.read_region(place, level, size))
        except openslide.OpenSlideError as error:
            # After an error OpenSlide refuses whatever is asked of the same handle.
            self._slide.close()
            self._slide = self._open()
            raise BadTileError(str(error), self._offset(level, x, y)) from error

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """See `SlideReader.associated_image`."""
        return np.asarray(self._slide.associated_images[name])

    def first_lost(self) -> tuple[int, int, int, int] | None:
        """See `SlideReader.first_lost`; judged where level 0 is the first page of a TIFF."""
        page = self._first_page()
        return lost_tile(page, self._file.stat().st_size) if page is not None else None

    def _first_page(self) -> Any:
        """The page of level 0; None for formats where it is none."""
        if self.facts.vendor not in ONE_GRID:
            return None
        with tifffile.TiffFile(self._file) as tiff:
            page = tiff.pages.first
            return page if (page.imagewidth, page.imagelength) == self.facts.levels[0] else None

    def _offset(self, level: int, x: int, y: int) -> int | None:
        """Where the bytes of a tile of level 0 lie in the file."""
        page = self._first_page() if level == 0 else None
        if page is None:
            return None
        width, height = segment_size(page)
        return int(page.dataoffsets[y // height * -(-page.imagewidth // width) + x // width])

    def _open(self) -> openslide.OpenSlide:
        slide = openslide.OpenSlide(self._file)
        slide.set_cache(openslide.OpenSlideCache(CACHE_BYTES))
        return slide


def _end(file: Path) -> str:
    """Words for a TIFF that ends before its tiles do; empty for others."""
    try:
        with tifffile.TiffFile(file) as tiff:
            lost = [lost_tile(page, file.stat().st_size) for page in tiff.pages]
    except (tifffile.TiffFileError, OSError, ValueError):
        return ""
    offsets = [found[3] for found in lost if found]
    return f"; the file ends before its tile at byte {min(offsets)} does" if offsets else ""


def _tile(properties: Mapping[str, str], level: int) -> Size:
    """The tiles of a level, as the format has them; 512 where OpenSlide does not say."""
    name = f"openslide.level[{level}].tile"
    width, height = (int(properties.get(f"{name}-{side}", "512")) for side in ("width", "height"))
    return (width, height)


def _bounds(properties: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    names = [f"openslide.bounds-{name}" for name in ("x", "y", "width", "height")]
    if not all(name in properties for name in names):
        return None
    x, y, width, height = (int(properties[name]) for name in names)
    return (x, y, width, height)


def _mpp(properties: Mapping[str, str], vendor: str) -> dict[str, Mpp]:
    """What the properties say of the scale; OpenSlide takes that of a plain TIFF from its resolution tags."""
    found: dict[str, Mpp] = {}
    x, y = (_number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    if x and y:
        found[TIFF_TAGS if vendor == "generic-tiff" else f"OpenSlide ({vendor})"] = (x, y)
    unit = MM_PER_UNIT.get(properties.get("tiff.ResolutionUnit", ""))
    across, down = (_number(properties.get(f"tiff.{axis}Resolution")) for axis in "XY")
    if unit and across and down:
        found.setdefault(TIFF_TAGS, (unit * 1000 / across, unit * 1000 / down))
    return found


def _number(text: str | None) -> float | None:
    """A positive number, or None."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def _profile(slide: openslide.OpenSlide) -> bytes | None:
    profile = slide.color_profile
    return None if profile is None else bytes(profile.tobytes())


def _files(file: Path, properties: Mapping[str, str]) -> tuple[str, ...]:
    """The files that a slide consists of: MIRAX has a folder beside it, Hamamatsu's VMS and VMU name theirs, DICOM
    those of its series; of other formats the file itself."""
    vendor = properties.get("openslide.vendor")
    if vendor == "mirax":
        beside = file.with_suffix("")
        return (str(file), *(str(part) for part in sorted(beside.iterdir()) if part.is_file()))
    if vendor == "hamamatsu" and file.suffix.lower() in INDICES:
        named = {value for name, value in properties.items() if name.startswith("hamamatsu.") and value}
        return (
            str(file),
            *(str(part) for part in sorted(file.parent / name for name in named) if os.path.isfile(part)),
        )
    return series_files(file) if vendor == "dicom" else (str(file),)
