"""Headers that promise gigabytes in files of some kilobytes are refused before anything is allocated."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from ophiolite.errors import SourceError
from ophiolite.geometry import Box
from ophiolite.sources import open_source
from ophiolite.sources.hdf5_chunks import ChunkReader
from ophiolite.sources.plausible import LARGEST_RATIO, LEAST_BYTES, check_place, check_size
from ophiolite.sources.slide import open_slide
from ophiolite.sources.slide_tiles import jpeg_tiles
from slide_pictures import picture, write_jpeg_tiff, write_strips

HUGE = 2**30


def wide_tiles(folder: Path) -> Path:
    file = folder / "v.tif"
    tifffile.imwrite(file, np.zeros((4, 64, 64), np.uint8), tile=(16, 16), compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(file, mode="r+b") as tiff:
        for page in tiff.pages:
            page.tags["TileWidth"].overwrite(HUGE)
    return file


def long_png(folder: Path) -> Path:
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    file = folder / "v.png"
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    file.write_bytes(start + b"\0\0\0\0IEND\xaeB`\x82")
    return file


@pytest.mark.parametrize("write", [wide_tiles, long_png])
def test_a_header_that_promises_gigabytes_is_refused(write: Callable[[Path], Path], tmp_path: Path) -> None:
    source = open_source(str(write(tmp_path)), kind="image")
    with pytest.raises(SourceError, match=r"promises \d+ bytes in \d+ compressed ones"):
        source.read(Box.of(source.box.start, (1, 1, 1)))


def test_a_chunk_that_promises_gigabytes_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("v", data=np.zeros((16, 16, 16), np.uint8), chunks=(8, 8, 8), compression="gzip")
        reader = ChunkReader(file["v"], 0)
        reader._bytes = HUGE
        with pytest.raises(ValueError, match=f"promises {HUGE} bytes"):
            reader.read((slice(0, 1),) * 3)


def test_a_tile_that_reaches_behind_the_end_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "slide.tif"
    write_jpeg_tiff(file, picture(200, 150))
    with tifffile.TiffFile(file, mode="r+b") as tiff:
        counts = tiff.pages.first.tags["TileByteCounts"]
        counts.overwrite((2**32 - 1, *counts.value[1:]))
    tiles = jpeg_tiles(file, (200, 150))
    assert tiles is not None
    assert tiles.decoded(0, 0) is None
    assert tiles.encoded(0, 0) is None
    assert tiles.decoded(1, 0) is not None


def test_sizes_that_do_not_fit_their_places_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "slide.tif"
    write_strips(file, picture(200, 150))
    with tifffile.TiffFile(file, mode="r+b") as tiff:
        counts = tiff.pages.first.tags["StripByteCounts"]
        counts.overwrite(counts.value[:-1])
    slide = open_slide(file)
    with pytest.raises(SourceError, match="the file is damaged"):
        slide.verify()


def test_openslide_is_not_asked_for_tiles_of_gigabytes(tmp_path: Path) -> None:
    file = tmp_path / "slide.tif"
    write_jpeg_tiff(file, picture(200, 150))
    with tifffile.TiffFile(file, mode="r+b") as tiff:
        tiff.pages.first.tags["TileLength"].overwrite(2**24)
    with pytest.raises(SourceError, match=r"takes too much memory.*128 x 16777216"):
        open_slide(file)


def test_what_can_be_true_is_believed() -> None:
    check_size(LEAST_BYTES, 0)
    check_size(LARGEST_RATIO * 10**6, 10**6)
    with pytest.raises(ValueError, match="promises"):
        check_size(LARGEST_RATIO * 10**6 + 1, 10**6)
    check_place(90, 10, 100)
    with pytest.raises(ValueError, match="the file ends at 100"):
        check_place(90, 11, 100)
