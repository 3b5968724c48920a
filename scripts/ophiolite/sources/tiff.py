"""TIFF volumes: multi-page, BigTIFF, ImageJ and OME-TIFF; decoded strip by strip or tile by tile, never whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry.box import Box, Vec
from ophiolite.sources.axes import Axes, checked_resolution, lengths_in_nm, stored_axes, unit_in_nm
from ophiolite.sources.cache import ArrayCache
from ophiolite.sources.plausible import check_place, check_size
from ophiolite.sources.source import CACHE_BYTES, MAX_CHANNELS, NOTHING_GIVEN, Given, Header, HeaderSource, Nm
from ophiolite.sources.tiffhead import PageHead, walk_pages

# tifffile's letters for axes of unstated meaning: a plain stack of pages is a stack in z.
_STACK_LETTERS = "ZIQR"


class TiffSource(HeaderSource):
    """One volume in one TIFF file: its pages are z (and channels where OME or ImageJ metadata say so).

    The voxel size is OME's `PhysicalSize` with units or ImageJ's `spacing`, `unit` and XResolution; the resolution tags
    of other files mean print, not microscopy, and are left alone. `given` replaces what the file says.
    SourceError for a truncated file, pages of different size or type, several volumes, and time series.
    """

    def __init__(self, path: str, file: Path, given: Given = NOTHING_GIVEN) -> None:
        heads = walk_pages(path, file)
        try:
            self._tiff = tifffile.TiffFile(file)
            series = self._tiff.series
        except (tifffile.TiffFileError, OSError, ValueError) as error:
            raise SourceError(
                explain(path, f"the TIFF file cannot be opened ({error})", do="The file is damaged; write it again")
            ) from error
        self._pages, names, shape, page_axes = _one_stack(path, series)
        first = series[0]
        keyframe = first.keyframe
        own = [page for page in self._pages if page is not None and page.parent is self._tiff]
        _refuse_odd_pages(path, own, heads)
        _refuse_lost_pages(path, self._tiff, int(np.prod(shape)) // int(np.prod(keyframe.shape)))
        axes = _volume_axes(path, names, shape, imagej=bool(self._tiff.is_imagej))
        contiguous = first.dataoffset is not None and len(series) == 1
        if first.dataoffset is not None and contiguous:
            _refuse_short(path, first, file.stat().st_size)
            self._memmap = np.memmap(
                file,
                np.dtype(first.dtype).newbyteorder(self._tiff.byteorder),
                "r",
                offset=first.dataoffset,
                shape=first.shape,
            )
        elif keyframe.imagedepth > 1:
            raise SourceError(explain(path, "pages that are volumes are not read", do="Write one page per z"))
        tile: Vec = (keyframe.tilewidth, keyframe.tilelength, 1)
        if not keyframe.is_tiled:
            tile = (keyframe.imagewidth, min(keyframe.rowsperstrip, keyframe.imagelength), 1)
        super().__init__(
            Header(
                path=path,
                shape_vx=axes.shape_vx,
                channels=axes.channels,
                dtype=np.dtype(first.dtype),
                resolution_nm=given.resolution_nm or _resolution(path, self._tiff),
                voxel_offset_vx=given.voxel_offset_vx or (0, 0, 0),
                alignment_vx=(1, 1, 1) if contiguous else tile,
                files=tuple(sorted({str(file), *(page.parent.filehandle.path for page in self._pages if page)})),
                cache_bytes=0
                if contiguous
                else max(CACHE_BYTES, tile[0] * tile[1] * axes.channels * first.dtype.itemsize),
            )
        )
        self._axes = axes
        self._contiguous = contiguous
        self._page_axes = page_axes
        self._tile = tile
        planes = keyframe.samplesperpixel if keyframe.planarconfig == 2 else 1
        self._segment_bytes = tile[0] * tile[1] * keyframe.samplesperpixel // planes * self.dtype.itemsize
        self._cache = ArrayCache(self.cache_bytes)

    def _decode(self, box: Box) -> NDArray[Any]:
        if self._contiguous:
            return self._axes.arrange(self._memmap[self._axes.select(box)])
        select = self._axes.select(box)
        lead = len(self._axes.names) - self._page_axes
        ranges = [range(*part.indices(n)) for part, n in zip(select[:lead], self._axes.shape[:lead], strict=True)]
        grid = np.arange(len(self._pages)).reshape(self._axes.shape[:lead] or (1,))
        wanted = grid[np.ix_(*ranges)] if ranges else grid
        planes = [self._plane(int(page), box) for page in wanted.ravel()]
        stack = np.stack(planes)
        return self._axes.arrange(stack.reshape([len(r) for r in ranges] + list(stack.shape[1:])))

    def _caches(self) -> tuple[ArrayCache, ...]:
        return (self._cache,)

    def _plane(self, page: int, box: Box) -> NDArray[Any]:
        """The x, y window of one page with the page's own axes, e.g. (y, x), (y, x, sample) or (sample, y, x)."""
        keyframe = self._pages[page].keyframe
        planes = keyframe.samplesperpixel if keyframe.planarconfig == 2 else 1
        contig = keyframe.samplesperpixel // planes
        (x0, y0, _), (x1, y1, _) = box.start, box.stop
        width, height, _ = self._tile
        columns, rows = -(-keyframe.imagewidth // width), -(-keyframe.imagelength // height)
        window = np.empty((planes, y1 - y0, x1 - x0, contig), self.dtype)
        for plane in range(planes):
            for row in range(y0 // height, -(-y1 // height)):
                for column in range(x0 // width, -(-x1 // width)):
                    index = (plane * rows + row) * columns + column
                    segment = self._segment(page, index)
                    top, left = row * height, column * width
                    a, b = max(y0, top), min(y1, top + height)
                    c, d = max(x0, left), min(x1, left + width)
                    window[plane, a - y0 : b - y0, c - x0 : d - x0] = segment[a - top : b - top, c - left : d - left]
        names = self._axes.names[len(self._axes.names) - self._page_axes :]
        if names == "yx":
            return window[0, :, :, 0]
        return window[:, :, :, 0] if names == "cyx" else window[0]

    def _segment(self, page: int, index: int) -> NDArray[Any]:
        return self._cache.get((page, index), lambda: self._decode_segment(page, index))

    def _decode_segment(self, page: int, index: int) -> NDArray[Any]:
        frame = self._pages[page]
        keyframe = frame.keyframe
        tables: dict[str, Any] = {}
        if keyframe.compression in (6, 7, 34892, 33007):
            tables = {"jpegtables": frame.jpegtables, "jpegheader": keyframe.jpegheader}
        try:
            check_size(self._segment_bytes, frame.databytecounts[index])
            data = _read_bytes(frame, frame.dataoffsets[index], frame.databytecounts[index])
            decoded, _, shape = keyframe.decode(data, index, **tables)
        except (OSError, ValueError, RuntimeError, IndexError) as error:
            raise SourceError(
                explain(
                    self.path,
                    f"{'tile' if keyframe.is_tiled else 'strip'} {index} of page {page} cannot be decoded ({error})",
                    do="The file is damaged; write it again",
                )
            ) from error
        if decoded is None:
            # A segment without bytes is one the writer left out because it holds only the background.
            return np.full(shape[1:], keyframe.nodata, self.dtype)
        return np.ascontiguousarray(decoded[0])

    def _more_facts(self) -> tuple[object, ...]:
        return (self._axes.names,)


def _read_bytes(frame: Any, offset: int, count: int) -> bytes | None:
    if not count:
        return None
    handle = frame.parent.filehandle
    # The other files of an OME-TIFF of many files are closed between reads.
    closed = handle.closed
    if closed:
        handle.open()
    try:
        check_place(offset, count, handle.size)
        handle.seek(offset)
        data: bytes = handle.read(count)
    finally:
        if closed:
            handle.close()
    if len(data) != count:
        raise ValueError(f"{count} bytes expected, {len(data)} read")
    return data


def _one_stack(path: str, series: list[Any]) -> tuple[list[Any], str, tuple[int, ...], int]:
    """The pages of the one volume in the file, its axis letters, its shape, and how many axes lie within a page."""
    first = series[0]
    same = {(s.axes, s.shape, s.dtype) for s in series}
    if len(series) > 1 and (len(same) > 1 or len(first.pages) != 1 or first.ndim > 3):
        raise SourceError(
            explain(
                path,
                f"the TIFF file holds {len(series)} images of different kinds",
                expected="one volume, all pages of one size and type",
                got=", ".join(f"{s.axes} {s.shape} {s.dtype}" for s in series[:6]),
                do="Write the wanted volume to a file of its own",
            )
        )
    page_axes = len(first.keyframe.shape)
    pages = [page for one in series for page in one.pages]
    if first.dataoffset is None and any(page is None for page in pages):
        raise SourceError(
            explain(
                path,
                f"the metadata name a plane that is not in the file (plane {pages.index(None)}, counted from 0)",
                do="Write the file again with all planes",
            )
        )
    if len(series) > 1:
        return pages, "Z" + first.axes, (len(series), *first.shape), page_axes
    return pages, first.axes, tuple(first.shape), page_axes


def _volume_axes(path: str, letters: str, shape: tuple[int, ...], *, imagej: bool) -> Axes:
    """tifffile's axis letters as z, y, x, c: samples are channels, a plain stack of pages is z."""
    letters = letters.upper()
    if imagej and letters == "CYX" and shape[0] > MAX_CHANNELS:
        # What writers that were not told the axes make of a stack; ImageJ itself shows it as one, too.
        letters = "ZYX"
    kept = [letter for letter, length in zip(letters, shape, strict=True) if length != 1 or letter in "YX"]
    stacks = [letter for letter in kept if letter in _STACK_LETTERS]
    samples = [letter for letter in kept if letter in "CS"]
    if len(stacks) > 1 or len(samples) > 1:
        raise SourceError(
            explain(
                path,
                "the TIFF file has more axes than x, y, z and channel",
                got=f"axes {letters}, shape {shape}",
                do="Write one volume per file, with z as pages and at most 4 channels",
            )
        )
    names = ""
    spare = iter("abdefghijklmnopqruvw")
    for letter, length in zip(letters, shape, strict=True):
        if letter in "YX":
            names += letter.lower()
        elif letter in stacks:
            names += "z"
        elif letter in samples:
            names += "c"
        else:
            names += "t" if letter == "T" and length > 1 else next(spare)
    return stored_axes(path, shape, names)


def _refuse_odd_pages(path: str, pages: list[Any], heads: list[PageHead]) -> None:
    if len({str(head) for head in heads}) == 1:
        return
    used = [page.index for page in pages if isinstance(getattr(page, "index", None), int)]
    first = heads[used[0]]
    for number in used:
        if heads[number] != first:
            raise SourceError(
                explain(
                    path,
                    f"page {number} (counted from 0) differs from page {used[0]}",
                    expected=first,
                    got=heads[number],
                    do="Write a stack whose pages are of one size and type",
                )
            )


def _refuse_lost_pages(path: str, tiff: tifffile.TiffFile, found: int) -> None:
    """ImageJ writes files above 4 GB with one header and the number of images in its description."""
    images = int((tiff.imagej_metadata or {}).get("images", 1))
    if images > found:
        raise SourceError(
            explain(
                path,
                "the TIFF file is truncated: ImageJ's description counts more images than it holds",
                expected=f"{images} images",
                got=found,
                do="Copy or write the file again; its end is missing",
            )
        )


def _refuse_short(path: str, series: Any, size: int) -> None:
    end = series.dataoffset + series.nbytes
    if end > size:
        raise SourceError(
            explain(
                path,
                f"the TIFF file is truncated: its {series.axes} volume ends at byte {end}",
                got=f"{size} bytes",
                do="Copy or write the file again; its end is missing",
            )
        )


def _resolution(path: str, tiff: tifffile.TiffFile) -> Nm | None:
    if tiff.is_ome and tiff.ome_metadata:
        return _ome_resolution(path, tiff.ome_metadata)
    if tiff.is_imagej and tiff.imagej_metadata:
        return _imagej_resolution(path, tiff)
    return None


def _ome_resolution(path: str, xml: str) -> Nm | None:
    """OME schema 2016-06: PhysicalSizeX/Y/Z, in micrometres unless the unit attribute says otherwise."""
    pixels = next((e for e in ElementTree.fromstring(xml).iter() if e.tag.endswith("}Pixels")), None)
    if pixels is None:
        return None
    nm: list[float] = []
    for name in "XYZ":
        size = pixels.get(f"PhysicalSize{name}")
        factor = unit_in_nm(pixels.get(f"PhysicalSize{name}Unit", "µm"))
        if size is None or factor is None:
            return None
        nm += lengths_in_nm((float(size), 0, 0), factor)[:1]
    return checked_resolution(path, nm)


def _imagej_resolution(path: str, tiff: tifffile.TiffFile) -> Nm | None:
    """ImageJ: pixels per unit in the resolution tags, `spacing` between slices in the same unit."""
    metadata = tiff.imagej_metadata or {}
    factor = unit_in_nm(metadata.get("unit"))
    tags = tiff.pages.first.tags
    if factor is None or "spacing" not in metadata or "XResolution" not in tags or "YResolution" not in tags:
        return None
    per_unit = [tags[name].value for name in ("XResolution", "YResolution")]
    x, y = (denominator / numerator if numerator else 0.0 for numerator, denominator in per_unit)
    # The tags hold ratios of 32-bit integers, good for about seven digits.
    x, y = float(f"{x:.7g}"), float(f"{y:.7g}")
    return checked_resolution(path, lengths_in_nm((x, y, float(metadata["spacing"])), factor))
