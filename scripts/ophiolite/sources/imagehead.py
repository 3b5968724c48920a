"""Headers and pixels of single 2-D image files: TIFF, PNG, JPEG."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.sources.plausible import check_size
from ophiolite.sources.tiffhead import walk_pages

SLICE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_SAMPLES = {0: 1, 2: 3, 4: 2, 6: 4}


@dataclass(frozen=True)
class ImageHead:
    """Size in pixels, samples per pixel and type (a numpy name, or words where numpy has no such type)."""

    width: int
    height: int
    samples: int
    dtype: str

    def __str__(self) -> str:
        return f"{self.width} x {self.height} x {self.samples} {self.dtype}"


def image_head(file: Path) -> ImageHead:
    """Read the header of one slice; SourceError, naming the file, where it is none."""
    try:
        with file.open("rb") as stream:
            start = stream.read(32)
            if start[:8] == _PNG_MAGIC:
                return _png_head(file, start)
            if start[:3] == b"\xff\xd8\xff":
                return _jpeg_head(file)
    except OSError as error:
        raise _unreadable(file, str(error)) from error
    if start[:2] in (b"II", b"MM"):
        heads = walk_pages(str(file), file)
        if len(heads) != 1:
            raise SourceError(
                explain(
                    str(file),
                    "a slice of the stack is a multi-page TIFF",
                    expected="1 page",
                    got=f"{len(heads)} pages",
                    do="Give the one file as the source if it is the volume, or write one page per file",
                )
            )
        return ImageHead(heads[0].width, heads[0].height, heads[0].samples, heads[0].dtype)
    raise _unreadable(file, "it is empty" if not start else "it is neither TIFF, PNG nor JPEG")


def decode_image(file: Path) -> NDArray[Any]:
    """Decode one slice to (y, x) or (y, x, samples); SourceError, naming the file, where it cannot be."""
    try:
        data = file.read_bytes()
        if data[:8] == _PNG_MAGIC:
            # Pillow would cut 16-bit colour to 8 bits.
            import imagecodecs

            width, height = (int.from_bytes(data[at : at + 4]) for at in (16, 20))
            check_size(width * height * 8, len(data))
            return np.asarray(imagecodecs.png_decode(data))
        if data[:3] == b"\xff\xd8\xff":
            # imagecodecs would fill the lost end of a truncated file with grey.
            from PIL import Image

            with Image.open(file) as image:
                check_size(image.width * image.height * len(image.getbands()), len(data))
                return np.asarray(image)
        return _decode_tiff(file)
    except (OSError, ValueError, RuntimeError, IndexError) as error:
        raise _unreadable(file, str(error) or type(error).__name__) from error


def _decode_tiff(file: Path) -> NDArray[Any]:
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        check_size(page.nbytes, file.stat().st_size)
        array = np.asarray(page.asarray())
        if page.planarconfig == 2 and page.samplesperpixel > 1:
            return np.moveaxis(array, 0, -1)
        return array


def _png_head(file: Path, start: bytes) -> ImageHead:
    """PNG (ISO 15948) section 11.2.1: the IHDR chunk is the first."""
    if len(start) < 26 or start[12:16] != b"IHDR":
        raise _unreadable(file, "the PNG header is cut off")
    width, height, depth, colour = struct.unpack(">IIBB", start[16:26])
    if colour not in _PNG_SAMPLES:
        raise SourceError(
            explain(
                str(file),
                "the PNG has a palette, so its numbers are not intensities",
                do="Save the slices as grey (or RGB) PNG",
            )
        )
    return ImageHead(width, height, _PNG_SAMPLES[colour], f"uint{depth}" if depth in (8, 16) else f"{depth}-bit uint")


def _jpeg_head(file: Path) -> ImageHead:
    """JPEG (ITU T.81) annex B: the frame header is the first SOF marker."""
    data = file.read_bytes()
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            depth, height, width, samples = struct.unpack(">BHHB", data[at + 4 : at + 10])
            return ImageHead(width, height, samples, f"uint{depth}" if depth == 8 else f"{depth}-bit uint")
        at += 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
    raise _unreadable(file, "the JPEG header is cut off")


def _unreadable(file: Path, reason: str) -> SourceError:
    return SourceError(
        explain(
            str(file),
            f"this slice cannot be read ({reason})",
            do="Restore the file; a slice that is lost must be replaced, e.g. by a copy of its neighbour",
        )
    )
