"""Write phantom slides the way scanners do: tiled JPEG pyramids, Aperio's SVS, OME-TIFF, plain strips."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ophiolite.sample.files import replacing
from ophiolite.sample.slide_paint import Corner, paint
from ophiolite.sample.slide_scene import SlideScene

if TYPE_CHECKING:
    from tifffile import TiffWriter

Pixels = NDArray[np.uint8]
Colours = Literal["ycbcr", "rgb"]
TILE_PX = 256
LEVELS = (1, 2, 4)


def write_generic(scene: SlideScene, size_px: Corner, mpp: float, path: Path) -> None:
    """A pyramid of tiled JPEG (YCbCr, 4:2:0) pages; microns per pixel by the resolution tags."""
    with tiff(path) as file:
        for factor in LEVELS:
            page = {"resolution": (1e4 / (mpp * factor),) * 2, "resolutionunit": "CENTIMETER", "metadata": None}
            write_level(file, scene, size_px, mpp, factor, "ycbcr", subfiletype=int(factor > 1), **page)


def write_svs(scene: SlideScene, size_px: Corner, mpp: float, path: Path) -> None:
    """As Aperio's scanners write: RGB JPEG tiles with shared tables, a thumbnail in strips, MPP in the description."""
    power = 10 / mpp
    text = f"Aperio Image Library v12.0.16\r\n{size_px[0]}x{size_px[1]} (256x256) JPEG/RGB Q=85"
    text += f"|AppMag = {power:g}|MPP = {mpp:.4f}"
    coarse = max(1, max(size_px) // 512)
    small = paint(scene, mpp * coarse, (0, 0), (size_px[0] // coarse, size_px[1] // coarse)).rgb
    with tiff(path) as file:
        write_level(file, scene, size_px, mpp, 1, "rgb", description=text, metadata=None)
        image(file, small, "Aperio Image Library v12.0.16\r\nthumbnail", 0)
        for factor in LEVELS[1:]:
            write_level(file, scene, size_px, mpp, factor, "rgb", description=text, metadata=None)
        image(file, small[:, : small.shape[1] // 2], "Aperio Image Library v12.0.16\r\nlabel", 1)
        image(file, small, "Aperio Image Library v12.0.16\r\nmacro", 9)


def write_ome(scene: SlideScene, size_px: Corner, mpp: float, path: Path) -> None:
    """OME-TIFF: the smaller levels are sub-images of the first, microns per pixel in the OME-XML."""
    size = {"PhysicalSizeX": mpp, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": mpp, "PhysicalSizeYUnit": "µm"}
    with tiff(path, ome=True) as file:
        # A fixed UUID, so that the same slide gives the same bytes.
        meta = {"axes": "YXS", "UUID": f"00000000-0000-0000-0000-{scene.seed:012d}", **size}
        write_level(file, scene, size_px, mpp, 1, "ycbcr", subifds=len(LEVELS) - 1, metadata=meta)
        for factor in LEVELS[1:]:
            write_level(file, scene, size_px, mpp, factor, "ycbcr", subfiletype=1, metadata=None)


def write_strips(scene: SlideScene, size_px: Corner, mpp: float, path: Path) -> None:
    """One level in strips without tiles, and nothing said about microns per pixel."""
    rows = 64

    def strips() -> Iterator[bytes]:
        for y in range(0, size_px[1], rows):
            box = (size_px[0], min(rows, size_px[1] - y))
            yield zlib.compress(paint(scene, mpp, (0, y), box).rgb.transpose(1, 0, 2).tobytes())

    with tiff(path) as file:
        shape = (size_px[1], size_px[0], 3)
        file.write(
            strips(),
            shape=shape,
            dtype="uint8",
            photometric="rgb",
            rowsperstrip=rows,
            compression="zlib",
            metadata=None,
        )


def write_level(
    file: TiffWriter,
    scene: SlideScene,
    size_px: Corner,
    mpp: float,
    factor: int,
    colours: Colours,
    **page: Any,
) -> None:
    """One level as a tiled page, painted and encoded tile by tile; page : further arguments of tifffile."""
    size = (-(-size_px[0] // factor), -(-size_px[1] // factor))

    def tile(x: int, y: int) -> Pixels:
        box = (min(TILE_PX, size[0] - x), min(TILE_PX, size[1] - y))
        out = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
        out[: box[1], : box[0]] = paint(scene, mpp * factor, (x, y), box).rgb.transpose(1, 0, 2)
        return out

    write_tiles(file, size, tile, colours, **page)


def write_tiles(
    file: TiffWriter, size: Corner, tile: Callable[[int, int], Pixels], colours: Colours, **page: Any
) -> None:
    """A page of JPEG tiles; tile(x, y) gives the pixels (rows, columns, 3) from that corner on.

    colours : `ycbcr` writes whole JPEG files, `rgb` abbreviated ones with their tables in the page's JPEGTables and no
    word about colour inside, as Aperio does.
    """
    corners = [(x, y) for y in range(0, size[1], TILE_PX) for x in range(0, size[0], TILE_PX)]
    arguments: dict[str, Any] = {"photometric": "ycbcr", "subsampling": (2, 2)}
    keep: dict[str, Any] = {}
    if colours == "rgb":
        tables, _ = split_tables(encode(np.zeros((TILE_PX, TILE_PX, 3), np.uint8), colours))
        arguments = {"photometric": "rgb", "jpegtables": tables}
        keep = {"outcolorspace": "rgb"}

    def tiles() -> Iterator[bytes]:
        for x, y in corners:
            data = encode(tile(x, y), colours)
            yield split_tables(data)[1] if colours == "rgb" else data

    file.write(
        tiles(),
        shape=(size[1], size[0], 3),
        dtype="uint8",
        tile=(TILE_PX, TILE_PX),
        compression="jpeg",
        compressionargs=keep,
        **arguments,
        **page,
    )


def encode(rows: Pixels, colours: Colours) -> bytes:
    """A JPEG file of (rows, columns, 3) RGB pixels, stored as YCbCr 4:2:0 or as RGB; standard tables, so they can be
    shared.
    """
    from PIL import Image

    out = io.BytesIO()
    rgb = colours == "rgb"
    Image.fromarray(rows).save(out, "JPEG", quality=85, subsampling=0 if rgb else 2, keep_rgb=rgb)
    return out.getvalue()


def split_tables(data: bytes) -> tuple[bytes, bytes]:
    """A JPEG file as its tables alone and the abbreviated file without them (ITU-T T.81, B.5); APPn segments go."""
    soi, eoi = b"\xff\xd8", b"\xff\xd9"
    tables, rest, at = [soi], [soi], 2
    while True:
        marker = data[at + 1]
        if marker == 0xDA:
            return b"".join([*tables, eoi]), b"".join([*rest, data[at:]])
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0xDB, 0xC4):
            tables.append(data[at:end])
        elif not 0xE0 <= marker <= 0xEF:
            rest.append(data[at:end])
        at = end


def image(file: TiffWriter, rgb: Pixels, text: str, kind: int) -> None:
    """A small picture (x, y, 3) in one strip, as scanners keep thumbnail, label and macro."""
    rows = np.ascontiguousarray(rgb.transpose(1, 0, 2))
    strip = {"rowsperstrip": rows.shape[0], "compression": "lzw", "subfiletype": kind, "metadata": None}
    file.write(rows, photometric="rgb", description=text, **strip)


@contextmanager
def tiff(path: Path, ome: bool = False) -> Iterator[TiffWriter]:
    """A TIFF under a temporary name, in place once it is whole; raises StoreError where it cannot be written."""
    import tifffile

    with replacing(path) as temporary, tifffile.TiffWriter(temporary, ome=ome) as file:
        yield file
