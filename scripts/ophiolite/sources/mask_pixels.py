"""The values of a mask file, window by window: PNG, JPEG, what tifffile decodes, and what OpenSlide opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.sources.cache import ArrayCache
from ophiolite.sources.slide_picture import cut_to_8_bits
from ophiolite.sources.source import CACHE_BYTES

# PNG and JPEG have no tiles: they are decoded whole, up to this.
MAX_WHOLE_PX = 178_000_000
ROWS_TOGETHER = 256
# A grey mask stored as lossy colour differs between its channels by a few levels.
GREY_SPREAD = 16
# TIFF's photometric interpretations of several samples that make a grey: grey with alpha, RGB, YCbCr.
COLOURS = (0, 1, 2, 6)
WHITE_IS_ZERO = 0
ALPHA = {1, 2}
Window = tuple[int, int, int, int]


class MaskPixels(Protocol):
    """The stored values of a mask; `bits` is 1 for a bilevel image, whose values are 0 and 1."""

    size_px: tuple[int, int]
    bits: int
    dtype: np.dtype[Any]
    tile_px: tuple[int, int]
    cache_bytes: int

    def values(self, window: Window) -> NDArray[Any]:
        """The values in (x0, y0, x1, y1), half open and inside, as (x, y)."""

    def scales_um(self) -> list[tuple[float, float]]:
        """Microns per pixel along x and y, as every part of the file gives them that does; plausible or not."""


class WholeImage:
    """A PNG or JPEG, decoded at its first read."""

    def __init__(self, path: Path) -> None:
        from PIL import Image

        try:
            with Image.open(path) as image:
                self.size_px, mode, self._kind = image.size, image.mode, image.format
                deep = cut_to_8_bits(image)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise _unreadable(path, error) from error
        if self.size_px[0] * self.size_px[1] > MAX_WHOLE_PX:
            raise SourceError(
                explain(
                    str(path),
                    f"a {self._kind} has no tiles, so it must be decoded whole",
                    expected=f"at most {MAX_WHOLE_PX / 1e6:.0f} million pixels",
                    got="{} x {}".format(*self.size_px),
                    do="Save the mask as a tiled TIFF (`vips tiffsave mask.png mask.tif --tile --compression deflate`)",
                )
            )
        if deep or mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16", "I;16B"):
            raise _unfit(path, "16 bits per colour" if deep else mode)
        self._path = path
        self.bits = 1 if mode == "1" else 16 if mode.startswith("I") else 8
        self.dtype = np.dtype(np.uint16 if self.bits == 16 else np.uint8)
        self.tile_px = (1, 1)
        self.cache_bytes = self.size_px[0] * self.size_px[1] * self.dtype.itemsize
        self._array: NDArray[Any] | None = None

    def values(self, window: Window) -> NDArray[Any]:
        """As `MaskPixels.values`."""
        if self._array is None:
            self._array = self._decode()
        x0, y0, x1, y1 = window
        return self._array[x0:x1, y0:y1]

    def scales_um(self) -> list[tuple[float, float]]:
        """Pictures say how large they are to be printed, not what they show."""
        return []

    def _decode(self) -> NDArray[Any]:
        from PIL import Image

        try:
            with Image.open(self._path) as image:
                if image.mode == "P":
                    image = _without_palette(image)
                return self._in_strips(image)
        except (OSError, ValueError, SyntaxError) as error:
            raise _unreadable(self._path, error) from error

    def _in_strips(self, image: Any) -> NDArray[Any]:
        """The values of an opened picture; Pillow's copy and ours are whole, colours as arrays are not."""
        width, height = self.size_px
        out = np.empty(self.size_px, self.dtype, order="F")
        for top in range(0, height, ROWS_TOGETHER):
            stop = min(top + ROWS_TOGETHER, height)
            part = np.asarray(image.crop((0, top, width, stop)))
            part = part.T if part.ndim == 2 else part.transpose(1, 0, 2)
            out[:, top:stop] = one_channel(self._path, part, (0, top))
        return out


def _without_palette(image: Any) -> Any:
    """A grey palette is looked up; the numbers of a colour palette are the values, as QuPath and LabKit write them."""
    colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    grey = bool((colours[:, :1] == colours).all())
    return image.convert("L") if grey else image


class TiffImage:
    """The largest page of a TIFF file, tile by tile or strip by strip.

    Where white is stored as 0 (TIFF 6.0, PhotometricInterpretation), readers of pictures turn the numbers round, and
    what the structures are is not to be told: SourceError. Two programs write it whose own readers do not: ImageJ for
    masks with an inverting table of colours, tifffile for arrays of bool.
    """

    def __init__(self, path: Path) -> None:
        import tifffile

        try:
            self._tiff = tifffile.TiffFile(path)
            pages: list[Any] = [page for series in self._tiff.series for page in series.pages if page is not None]
            page = max((p.keyframe for p in pages), key=lambda k: int(k.imagewidth) * int(k.imagelength))
        except (tifffile.TiffFileError, OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        planes = [p for p in pages if p.keyframe.shape == page.shape]
        if len(planes) > 1 or page.imagedepth > 1:
            raise SourceError(
                explain(
                    str(path),
                    f"the mask has {len(planes)} planes of one size",
                    expected="one",
                    do="Save the wanted plane to a file of its own",
                )
            )
        if page.dtype is None or page.dtype.kind not in "ub" or page.dtype.itemsize > 2:
            raise SourceError(
                explain(
                    str(path),
                    "a mask holds small unsigned numbers",
                    expected="1, 8 or 16 bits per pixel",
                    got=page.dtype,
                    do="Convert it to 8 or 16 bits without scaling",
                )
            )
        if page.samplesperpixel > 1 and page.photometric not in COLOURS:
            raise _unfit(path, getattr(page.photometric, "name", page.photometric))
        if page.photometric == WHITE_IS_ZERO and not (self._tiff.is_imagej or page.software == "tifffile.py"):
            raise SourceError(
                explain(
                    str(path),
                    "white is stored as 0 (PhotometricInterpretation WhiteIsZero): its numbers and what is shown"
                    " of it are each other's inverse",
                    expected="black stored as 0",
                    do="Save it again with a program that writes black as 0, and look at it",
                )
            )
        self._path, self._page = path, planes[0]
        self.size_px = (page.imagewidth, page.imagelength)
        self.bits = int(page.bitspersample)
        self.dtype = np.dtype(np.uint8 if page.dtype.itemsize == 1 else np.uint16)
        self.tile_px = (page.tilewidth, page.tilelength)
        if not page.is_tiled:
            self.tile_px = (page.imagewidth, min(page.rowsperstrip, page.imagelength))
        self._planes = page.samplesperpixel if page.planarconfig == 2 else 1
        tile_bytes = self.tile_px[0] * self.tile_px[1] * page.samplesperpixel * self.dtype.itemsize
        self.cache_bytes = max(CACHE_BYTES // 4, tile_bytes)
        self._cache = ArrayCache(self.cache_bytes)

    def values(self, window: Window) -> NDArray[Any]:
        """As `MaskPixels.values`."""
        x0, y0, x1, y1 = window
        width, height = self.tile_px
        out = np.empty((x1 - x0, y1 - y0), self.dtype, order="F")
        for row in range(y0 // height, -(-y1 // height)):
            for column in range(x0 // width, -(-x1 // width)):
                left, top = column * width, row * height
                tile = self._cache.get((column, row), lambda c=column, r=row: self._decode(c, r))  # type: ignore[misc]
                a, b = max(x0, left), min(x1, left + width)
                c, d = max(y0, top), min(y1, top + height)
                out[a - x0 : b - x0, c - y0 : d - y0] = tile[a - left : b - left, c - top : d - top]
        return out

    def scales_um(self) -> list[tuple[float, float]]:
        """As `MaskPixels.scales_um`."""
        from ophiolite.sources.slide_tiff import tiff_scale

        return list(tiff_scale(self._tiff, self._page.keyframe)[0].values())

    def overflow_to(self, folder: Path) -> None:
        """Keep decoded tiles that fall out of memory in files of `folder`."""
        self._cache.overflow_to(folder)

    def _decode(self, column: int, row: int) -> NDArray[Any]:
        columns, rows = (-(-n // t) for n, t in zip(self.size_px, self.tile_px, strict=True))
        planes = [self._segment((plane * rows + row) * columns + column) for plane in range(self._planes)]
        tile = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        if tile.shape[2] in (2, 4) and not set(self._page.keyframe.extrasamples) & ALPHA:
            tile = tile[..., :-1]
        corner = (column * self.tile_px[0], row * self.tile_px[1])
        return one_channel(self._path, tile.transpose(1, 0, 2), corner).astype(self.dtype)

    def _segment(self, index: int) -> NDArray[Any]:
        """One tile or strip as (y, x, sample)."""
        frame, keyframe = self._page, self._page.keyframe
        tables: dict[str, Any] = {}
        if keyframe.compression in (6, 7, 34892, 33007):
            tables = {"jpegtables": frame.jpegtables, "jpegheader": keyframe.jpegheader}
        try:
            handle = frame.parent.filehandle
            handle.seek(frame.dataoffsets[index])
            data = handle.read(frame.databytecounts[index])
            if len(data) != frame.databytecounts[index]:
                raise ValueError(f"{frame.databytecounts[index]} bytes expected, {len(data)} read")
            decoded, _, shape = keyframe.decode(data or None, index, **tables)
        except (OSError, ValueError, RuntimeError, IndexError) as error:
            raise _unreadable(self._path, error) from error
        if decoded is None:
            # A segment without bytes is one the writer left out because it holds only the background.
            return np.full(shape[1:], keyframe.nodata, self.dtype)
        return np.asarray(decoded[0])


class SlideImage:
    """A mask in a format of slide scanners; OpenSlide gives its colours, which must be grey."""

    def __init__(self, path: Path) -> None:
        import openslide

        try:
            self._slide = openslide.OpenSlide(path)
        except (openslide.OpenSlideError, OSError) as error:
            raise _unreadable(path, error) from error
        self._path = path
        self.size_px = self._slide.dimensions
        self.bits, self.dtype = 8, np.dtype(np.uint8)
        side = int(self._slide.properties.get("openslide.level[0].tile-width", 512))
        self.tile_px = (side, side)
        self.cache_bytes = CACHE_BYTES // 4
        self._slide.set_cache(openslide.OpenSlideCache(self.cache_bytes))

    def values(self, window: Window) -> NDArray[Any]:
        """As `MaskPixels.values`; what was not scanned is 0."""
        import openslide

        x0, y0, x1, y1 = window
        try:
            region = self._slide.read_region((x0, y0), 0, (x1 - x0, y1 - y0))
        except openslide.OpenSlideError as error:
            raise _unreadable(self._path, error) from error
        return one_channel(self._path, np.asarray(region).transpose(1, 0, 2), (x0, y0))

    def scales_um(self) -> list[tuple[float, float]]:
        """As `MaskPixels.scales_um`."""
        across, down = (self._slide.properties.get(f"openslide.mpp-{axis}") for axis in "xy")
        return [(float(across), float(down))] if across and down else []


def open_pixels(path: Path) -> MaskPixels:
    """The pixels of a mask file, by its content; SourceError where no reader knows it."""
    with path.open("rb") as stream:
        start = stream.read(8)
    if start.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        return WholeImage(path)
    if start.startswith((b"II", b"MM")):
        return TiffImage(path)
    return SlideImage(path)


def one_channel(path: Path, array: NDArray[Any], corner: tuple[int, int]) -> NDArray[Any]:
    """The values (x, y) of an array (x, y) or (x, y, samples) whose first pixel lies at `corner`.

    Transparent pixels are 0. SourceError, naming the first place, where colours differ by more than JPEG makes them.
    """
    if array.ndim == 2:
        return array
    samples = array.shape[2]
    grey = array[..., 0]
    if samples >= 3:
        spread = array[..., :3].max(axis=2) - array[..., :3].min(axis=2)
        if (spread > GREY_SPREAD).any():
            column, row = np.argwhere(spread.T > GREY_SPREAD)[0][::-1].tolist()
            raise SourceError(
                explain(
                    str(path),
                    "the mask is a colour image",
                    expected="one number per pixel, or equal red, green and blue",
                    got=f"{array[column, row].tolist()} at x {column + corner[0]}, y {row + corner[1]}",
                    do="Save the mask as a grey image whose numbers stand for the structures",
                )
            )
        grey = array[..., 1]
    return np.where(array[..., -1] > 0, grey, 0).astype(array.dtype) if samples in (2, 4) else grey


def _unfit(path: Path, got: object) -> SourceError:
    return SourceError(
        explain(
            str(path),
            "the mask has no numbers that could stand for structures",
            expected="grey of at most 16 bits, a palette, or 8-bit RGB",
            got=got,
            do="Save the mask as a grey image whose numbers stand for the structures",
        )
    )


def _unreadable(path: Path, error: Exception) -> SourceError:
    reason = str(error) or type(error).__name__
    return SourceError(
        explain(str(path), f"the mask cannot be read ({reason})", do="The file is damaged or no image; save it again")
    )
