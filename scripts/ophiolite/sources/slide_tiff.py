"""Slides in TIFF files that OpenSlide refuses or sees in part: SubIFD pyramids, OME-TIFF, untiled and planar files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.sources.axes import unit_in_nm
from ophiolite.sources.cache import ArrayCache
from ophiolite.sources.plausible import check_place
from ophiolite.sources.slide_mpp import TIFF_TAGS, Mpp
from ophiolite.sources.slide_reader import (
    ORIENTATION,
    BadTileError,
    Size,
    SlideFacts,
    check_segment,
    lost_tile,
    segment_size,
    turned_warning,
)
from ophiolite.sources.tiffhead import walk_pages

CACHE_BYTES = 96 * 2**20
# Other images of the file are kept only where their name says what they are: any might show the slide's label.
OTHER_IMAGES = ("label", "macro", "thumbnail")
LARGEST_OTHER_PX = 30_000_000
RGB, GREY_BLACK, YCBCR, JPEG_KINDS = 2, 1, 6, (6, 7, 34892, 33007)
UNIT_UM = {2: 25400.0, 3: 10000.0}
ALPHA_KINDS = {1: "associated", 2: "unassociated"}


def needs_own_reader(file: Path) -> bool:
    """True for what OpenSlide opens as plain TIFF but without its pyramid or its OME-XML."""
    try:
        with tifffile.TiffFile(file) as tiff:
            return bool(tiff.is_ome or tiff.pages.first.subifds)
    except (tifffile.TiffFileError, OSError, ValueError):
        return False


class TiffSlideReader:
    """A slide by tifffile, decoded tile by tile or strip by strip.

    SourceError for damaged files, several channels or z planes, and pixels that are no 8-bit colours or grey.
    """

    def __init__(self, path: str, file: Path) -> None:
        self._path, self._file = path, file
        walk_pages(path, file, headers_only=True)  # tifffile takes a file for whole whose later pages are cut off
        try:
            self._tiff = tifffile.TiffFile(file)
            series = list(self._tiff.series)
            main = max(series, key=lambda one: one.keyframe.imagewidth * one.keyframe.imagelength)
        except (tifffile.TiffFileError, OSError, ValueError) as error:
            raise SourceError(
                explain(path, f"the TIFF file cannot be opened ({error})", do="The file is damaged; copy it again")
            ) from error
        self._pages = _levels(path, main, series)
        for page in self._pages:
            _check_page(path, page)
        self._others = _other_images(series, main)
        first = self._pages[0]
        tile = segment_size(first)
        self._maps = [_mapped(file, page) for page in self._pages]
        for page, mapped in zip(self._pages, self._maps, strict=True):
            if mapped is None:
                check_segment(path, segment_size(page))
        mpp, objective = tiff_scale(self._tiff, first)
        turned = first.tags.valueof(ORIENTATION, 1)
        self.facts = SlideFacts(
            reader=f"tifffile {tifffile.__version__}",
            vendor=main.kind,
            levels=tuple((page.imagewidth, page.imagelength) for page in self._pages),
            tile_px=(512, 512) if self._maps[0] is not None else tile,
            mpp=mpp,
            objective=objective,
            icc=first.iccprofile,
            associated=tuple(sorted(self._others)),
            files=(str(file),),
            cache_bytes=max(CACHE_BYTES, tile[0] * tile[1] * 4),
            warnings=(turned_warning(turned),) if turned in range(2, 9) else (),
        )
        self._cache = ArrayCache(CACHE_BYTES)

    def read(self, level: int, x: int, y: int, size: Size) -> NDArray[np.uint8]:
        """See `SlideReader.read`."""
        mapped = self._maps[level]
        if mapped is not None:
            return _colours(self._pages[level], mapped.part(x, y, size))
        page = self._pages[level]
        width, height = segment_size(page)
        columns = -(-page.imagewidth // width)
        parts = []
        for row in range(y // height, -(-(y + size[1]) // height)):
            for column in range(x // width, -(-(x + size[0]) // width)):
                box = (column * width, row * height)
                parts.append((box, self._segment(level, row * columns + column)))
        opaque = all(part.shape[2] == 3 for _, part in parts)
        out = np.full((size[1], size[0], 3 if opaque else 4), 255, np.uint8)
        for (left, top), part in parts:
            a, b = max(y, top), min(y + size[1], top + height)
            c, d = max(x, left), min(x + size[0], left + width)
            out[a - y : b - y, c - x : d - x, : part.shape[2]] = part[a - top : b - top, c - left : d - left]
        return out

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """See `SlideReader.associated_image`."""
        page = self._others[name].keyframe
        pixels = np.asarray(page.asarray())
        return _colours(page, np.moveaxis(pixels, 0, -1) if page.planarconfig == 2 else _with_samples(pixels))

    def first_lost(self) -> tuple[int, int, int, int] | None:
        """See `SlideReader.first_lost`."""
        return lost_tile(self._pages[0], self._file.stat().st_size)

    def _segment(self, level: int, index: int) -> NDArray[np.uint8]:
        return self._cache.get((level, index), lambda: self._decode(level, index))

    def _decode(self, level: int, index: int) -> NDArray[np.uint8]:
        """A tile or strip as (h, w, 3), or (h, w, 4) with alpha; left out by the writer: all clear."""
        page = self._pages[level]
        planes = page.samplesperpixel if page.planarconfig == 2 else 1
        per_plane = len(page.dataoffsets) // planes
        found = [self._decode_plane(page, index + plane * per_plane) for plane in range(planes)]
        parts = [part for part in found if part is not None]
        if len(parts) < planes:
            width, height = segment_size(page)
            return np.zeros((height, width, 4), np.uint8)
        return np.ascontiguousarray(_colours(page, np.concatenate(parts, axis=2) if planes > 1 else parts[0]))

    def _decode_plane(self, page: Any, index: int) -> NDArray[np.uint8] | None:
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        if not count:
            return None
        tables = {}
        if page.compression in JPEG_KINDS:
            tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        try:
            handle = self._tiff.filehandle
            check_place(offset, count, handle.size)
            handle.seek(offset)
            data = handle.read(count)
            if len(data) != count:
                raise ValueError(f"{count} bytes expected, {len(data)} read")
            decoded = page.decode(data, index, **tables)[0]
            return np.asarray(decoded[0])
        except (OSError, ValueError, RuntimeError, IndexError, TypeError) as error:
            raise BadTileError(str(error) or type(error).__name__, offset) from error


def _levels(path: str, main: Any, series: list[Any]) -> list[Any]:
    """One page per level: SubIFDs, or pages of the same proportions that grow smaller."""
    letters = dict(zip(main.axes, main.shape, strict=True))
    spare = {letter: n for letter, n in letters.items() if letter not in "YXS" and n > 1}
    if spare:
        words = {"C": "channels", "Z": "z planes", "T": "time points"}
        got = ", ".join(f"{n} {words.get(letter, 'images of the same size')}" for letter, n in spare.items())
        raise SourceError(
            explain(
                path,
                "is no slide of one plane of colours",
                expected="one RGB image",
                got=got,
                do="Give it as a layer of its own, `datasets: <name>: layers: <name>: {type: image, format: tiff}`, or "
                "write the wanted plane to a TIFF of its own",
            )
        )
    first = main.keyframe
    levels = [level.keyframe for level in main.levels]
    if len(levels) == 1:
        for one in series:
            page, last = one.keyframe, levels[-1]
            shape = abs(page.imagewidth * first.imagelength / (page.imagelength * first.imagewidth) - 1)
            named = any(word in one.name.lower() for word in OTHER_IMAGES)
            if not named and page.imagewidth < last.imagewidth and page.imagelength < last.imagelength and shape < 0.01:
                levels.append(page)
    return levels


def _check_page(path: str, page: Any) -> None:
    """SourceError unless the pixels of a page are 8-bit RGB or grey, with or without alpha."""
    colour = page.photometric in (RGB, YCBCR) and page.samplesperpixel in (3, 4)
    grey = page.photometric == GREY_BLACK and page.samplesperpixel == 1
    if page.photometric == YCBCR and page.compression not in JPEG_KINDS:
        colour = False
    if page.dtype != np.uint8 or not (colour or grey) or page.imagedepth != 1:
        photometric = getattr(page.photometric, "name", page.photometric)
        raise SourceError(
            explain(
                path,
                "its pixels are no 8-bit colours",
                expected="uint8, RGB, YCbCr in JPEG, or grey",
                got=f"{page.dtype}, {photometric}, {page.samplesperpixel} samples per pixel",
                do="Convert it to 8-bit RGB, or give it as a layer of its own (`type: image, format: tiff`)",
            )
        )


@dataclass(frozen=True)
class _Mapped:
    """The pixels of an uncompressed page that lies in one piece: from byte `offset` on, of `shape` (h, w, s)."""

    file: Path
    offset: int
    shape: tuple[int, int, int]

    def part(self, x: int, y: int, size: Size) -> NDArray[np.uint8]:
        """A copy of a region; mapped for this read alone, since mapped pages count as the job's memory."""
        pixels = np.memmap(self.file, np.uint8, "r", offset=self.offset, shape=self.shape)
        return np.array(pixels[y : y + size[1], x : x + size[0]])


def _mapped(file: Path, page: Any) -> _Mapped | None:
    """Where the pixels of an uncompressed page lie that can be mapped; None for any other."""
    if not page.is_memmappable or page.planarconfig != 1 or page.dtype != np.uint8:
        return None
    shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
    if page.dataoffsets[0] + shape[0] * shape[1] * shape[2] > file.stat().st_size:
        return None
    return _Mapped(file, int(page.dataoffsets[0]), shape)


def _with_samples(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _colours(page: Any, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels (h, w, s) as RGB, or as RGB with straight alpha; a fourth sample that is no alpha is left out."""
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    kind = ALPHA_KINDS.get(int(page.extrasamples[0])) if pixels.shape[2] == 4 and page.extrasamples else None
    if kind is None:
        return pixels[..., :3]
    if kind == "unassociated":
        return pixels
    alpha = pixels[..., 3:].astype(np.uint32)
    straight = (pixels[..., :3].astype(np.uint32) * 255 + alpha // 2) // np.maximum(alpha, 1)
    return np.concatenate([np.minimum(straight, 255).astype(np.uint8), pixels[..., 3:]], axis=2)


def _other_images(series: list[Any], main: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in series:
        page, name = one.keyframe, one.name.lower()
        known = next((word for word in OTHER_IMAGES if word in name), None)
        small = page.imagewidth * page.imagelength <= LARGEST_OTHER_PX
        colour = page.dtype == np.uint8 and page.samplesperpixel in (1, 3, 4)
        if one is not main and known and small and colour:
            found.setdefault(known, one)
    return found


def tiff_scale(tiff: Any, page: Any) -> tuple[dict[str, Mpp], float | None]:
    """Microns per pixel by origin, most trusted first, and the objective's magnification."""
    found: dict[str, Mpp] = {}
    unit = UNIT_UM.get(int(page.resolutionunit))
    if unit and "XResolution" in page.tags and "YResolution" in page.tags:
        ratios = [page.tags[name].value for name in ("XResolution", "YResolution")]
        if all(numerator and denominator for numerator, denominator in ratios):
            x, y = (float(f"{unit * denominator / numerator:.7g}") for numerator, denominator in ratios)
            found[TIFF_TAGS] = (x, y)
    objective = None
    if tiff.is_ome and tiff.ome_metadata:
        ome, objective = _ome_scale(tiff.ome_metadata, page)
        if ome:
            found["OME-XML"] = ome
    text = page.description or ""
    if "Aperio" in text:
        aperio = _aperio_number(text, "MPP")
        if aperio:
            found["Aperio text"] = (aperio, aperio)
        objective = _aperio_number(text, "AppMag")
    return found, objective


def _aperio_number(text: str, name: str) -> float | None:
    match = re.search(rf"\|{name} = ([0-9.]+)", text)
    return float(match[1]) if match and float(match[1]) > 0 else None


def _ome_scale(xml: str, page: Any) -> tuple[Mpp | None, float | None]:
    """OME schema 2016-06: PhysicalSizeX/Y of the image of this size, and the nominal magnification."""
    root = ElementTree.fromstring(xml)
    wanted = {"SizeX": str(page.imagewidth), "SizeY": str(page.imagelength)}
    powers = [e.get("NominalMagnification") for e in root.iter() if e.tag.endswith("}Objective")]
    objective = float(powers[0]) if len(powers) == 1 and powers[0] else None
    for pixels in (e for e in root.iter() if e.tag.endswith("}Pixels")):
        if any(pixels.get(name) != size for name, size in wanted.items()):
            continue
        sizes = []
        for axis in "XY":
            size = pixels.get(f"PhysicalSize{axis}")
            factor = unit_in_nm(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
            if size is None or factor is None or float(size) <= 0:
                return None, objective
            sizes.append(float(f"{float(size) * factor / 1000:.12g}"))
        return (sizes[0], sizes[1]), objective
    return None, objective
