"""Small slides of known pixels in the layouts that TIFF writers use, for tests."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from ophiolite.geometry import Box
from ophiolite.sample.slide_files import split_tables
from ophiolite.sources.slide import SlideSource

Pixels = NDArray[np.uint8]
TILE_PX = 128
MICRON_TAGS = {"resolution": (20000.0, 20000.0), "resolutionunit": "CENTIMETER"}


def picture(width: int, height: int, seed: int = 0) -> Pixels:
    """Smooth colours (h, w, 3) that JPEG keeps well, all different."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (17 + 5 * c) + seed) + np.cos(y / (23 - 4 * c)) for c in range(3)]
    return np.stack([np.round((wave + 2) * 63) for wave in waves], axis=2).astype(np.uint8)


def jpeg(pixels: Pixels, *, rgb: bool = False, subsampling: int = 2) -> bytes:
    """A JPEG file without JFIF marker: YCbCr, or red, green and blue as such, without a word about it."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85, subsampling=0 if rgb else subsampling, keep_rgb=rgb)
    return out.getvalue()


def tiles_of(pixels: Pixels) -> Iterator[Pixels]:
    """All tiles, row by row, those at the border padded."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, [(0, -height % TILE_PX), (0, -width % TILE_PX), (0, 0)], mode="edge")
    for y in range(0, height, TILE_PX):
        for x in range(0, width, TILE_PX):
            yield padded[y : y + TILE_PX, x : x + TILE_PX]


def write_jpeg_tiff(path: Path, pixels: Pixels, *, rgb: bool = False, tables: bool = False, **page: Any) -> list[bytes]:
    """One level of JPEG tiles; `tables` in the page's JPEGTables, as Aperio does. Returns the tiles as whole files."""
    files = [jpeg(tile, rgb=rgb) for tile in tiles_of(pixels)]
    arguments: dict[str, Any] = {"photometric": "rgb"} if rgb else {"photometric": "ycbcr", "subsampling": (2, 2)}
    stored = files
    if tables:
        arguments["jpegtables"] = split_tables(files[0])[0]
        stored = [split_tables(file)[1] for file in files]
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            iter(stored),
            shape=pixels.shape,
            dtype="uint8",
            tile=(TILE_PX, TILE_PX),
            compression="jpeg",
            compressionargs={"outcolorspace": "rgb"} if rgb else None,
            metadata=None,
            **{**MICRON_TAGS, **arguments, **page},
        )
    return files


def decoded(pixels: Pixels, **options: Any) -> Pixels:
    """What the tiles of a picture decode to, put together: (h, w, 3)."""
    height, width = pixels.shape[:2]
    columns = -(-width // TILE_PX)
    tiles = [np.asarray(Image.open(io.BytesIO(jpeg(tile, **options)))) for tile in tiles_of(pixels)]
    rows = [np.concatenate(tiles[at : at + columns], axis=1) for at in range(0, len(tiles), columns)]
    return np.concatenate(rows)[:height, :width]


def write_plain(path: Path, pixels: NDArray[Any], **page: Any) -> None:
    """One page as tifffile writes it, 0.5 microns per pixel."""
    tifffile.imwrite(path, pixels, metadata=None, **{"photometric": "rgb", **MICRON_TAGS, **page})


def write_strips(path: Path, pixels: Pixels) -> None:
    """Compressed strips of seven rows."""
    write_plain(path, pixels, rowsperstrip=7, compression="zlib")


def write_tiles(path: Path, pixels: Pixels) -> None:
    """Compressed tiles of 96 x 64 pixels."""
    write_plain(path, pixels, tile=(64, 96), compression="lzw")


def rows_of(slide: SlideSource, box: Box | None = None) -> Pixels:
    """What a slide reads as, (h, w, 3)."""
    return np.ascontiguousarray(slide.read(box or slide.box)[:, :, 0].transpose(1, 0, 2))
