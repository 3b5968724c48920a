"""Slides: every layout of TIFF gives the pixels that were written, in any box and at any size."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ophiolite.errors import FormatError
from ophiolite.geometry import Box
from ophiolite.sources.slide import SlideReading, SlideSource, copied_tile_px, open_slide
from ophiolite.sources.slide_pixels import block_sums, means, over_background, pieces
from ophiolite.sources.slide_tiles import whole_jpeg
from slide_pictures import (
    MICRON_TAGS,
    TILE_PX,
    Pixels,
    decoded,
    jpeg,
    picture,
    rows_of,
    write_jpeg_tiff,
    write_plain,
    write_strips,
    write_tiles,
)

WIDTH, HEIGHT = 333, 290


# --- layouts


def write_subifds(path: Path, pixels: Pixels) -> None:
    half = np.ascontiguousarray(pixels[::2, ::2])
    with tifffile.TiffWriter(path, ome=True) as tiff:
        size = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
        tile = {"tile": (TILE_PX, TILE_PX), "photometric": "rgb", "compression": "zlib"}
        tiff.write(pixels, subifds=1, metadata={"axes": "YXS", **size}, **tile)
        tiff.write(half, subfiletype=1, metadata=None, **tile)


def write_pages(path: Path, pixels: Pixels) -> None:
    with tifffile.TiffWriter(path) as tiff:
        for step in (1, 2, 4):
            part = np.ascontiguousarray(pixels[::step, ::step])
            tiff.write(part, photometric="rgb", rowsperstrip=16, compression="lzw", metadata=None, **MICRON_TAGS)


LAYOUTS = {
    "strips": write_strips,
    "one piece": lambda path, pixels: write_plain(path, pixels),
    "planes": lambda path, pixels: write_plain(
        path, np.moveaxis(pixels, 2, 0), planarconfig="separate", tile=(64, 64), compression="zlib"
    ),
    "tiles": write_tiles,
    "tiles uncompressed": lambda path, pixels: write_plain(path, pixels, tile=(64, 96)),
    "subifds": write_subifds,
    "pages": write_pages,
    "png": lambda path, pixels: Image.fromarray(pixels).save(path, "PNG"),
}


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def exact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[SlideSource, Pixels]:
    """A slide in a layout without loss, and its pixels."""
    path, pixels = tmp_path_factory.mktemp("slides") / "slide.tif", picture(WIDTH, HEIGHT)
    LAYOUTS[request.param](path, pixels)
    reading = SlideReading(mpp=0.5) if request.param == "png" else SlideReading()
    return open_slide(path, reading), pixels


def test_every_layout_gives_the_pixels_that_were_written(exact: tuple[SlideSource, Pixels]) -> None:
    slide, pixels = exact
    assert slide.shape_vx == (WIDTH, HEIGHT, 1)
    assert (slide.channels, slide.dtype) == (3, np.uint8)
    assert slide.resolution_nm == (500.0, 500.0, 4000.0)
    slide.verify()
    np.testing.assert_array_equal(rows_of(slide), pixels)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_box_is_a_part_of_the_whole(exact: tuple[SlideSource, Pixels], data: st.DataObject) -> None:
    slide, pixels = exact
    x0, x1 = sorted(data.draw(st.lists(st.integers(0, WIDTH), min_size=2, max_size=2, unique=True)))
    y0, y1 = sorted(data.draw(st.lists(st.integers(0, HEIGHT), min_size=2, max_size=2, unique=True)))
    box = Box((x0, y0, 0), (x1, y1, 1))
    array = slide.read(box)
    assert array.flags.f_contiguous
    np.testing.assert_array_equal(rows_of(slide, box), pixels[y0:y1, x0:x1])


@pytest.mark.parametrize("max_px", [1000, 333, 100, 10, 1])
def test_an_overview_is_the_mean_of_blocks(exact: tuple[SlideSource, Pixels], max_px: int) -> None:
    slide, pixels = exact
    overview = slide.overview(max_px)
    assert max(overview.pixels.shape[:2]) <= max_px
    enough = [n for n, size in enumerate(slide.levels) if max(size) >= max_px]
    level = pixels[:: 2 ** enough[-1], :: 2 ** enough[-1]] if enough else pixels
    factor = -(-max(level.shape[:2]) // max_px)
    for row, column in ((0, 0), (overview.pixels.shape[1] - 1, overview.pixels.shape[0] - 1)):
        block = level[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor].astype(np.int64)
        wanted = np.floor(block.mean((0, 1)) + 0.5)
        np.testing.assert_array_equal(overview.pixels[column, row], wanted)
    np.testing.assert_allclose(overview.step_px, factor * WIDTH / level.shape[1], rtol=0.01)


def test_levels_are_found_in_subifds_and_pages(tmp_path: Path) -> None:
    for write, sizes in ((write_subifds, 2), (write_pages, 3)):
        write(tmp_path / "a.tif", picture(WIDTH, HEIGHT))
        slide = open_slide(tmp_path / "a.tif")
        assert slide.reader.startswith("tifffile")
        assert slide.levels == tuple((-(-WIDTH // 2**n), -(-HEIGHT // 2**n)) for n in range(sizes))


def test_grey_is_shown_in_three_channels(tmp_path: Path) -> None:
    grey = picture(WIDTH, HEIGHT)[..., 0]
    write_plain(tmp_path / "a.tif", grey, photometric="minisblack", compression="zlib", rowsperstrip=9)
    np.testing.assert_array_equal(rows_of(open_slide(tmp_path / "a.tif")), np.repeat(grey[..., None], 3, 2))


# --- background


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_is_laid_over_the_background(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    alpha = rng.choice([0, 1, 100, 254, 255], (40, 50, 1)).astype(np.uint8)
    colours = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    stored = colours if kind == "unassalpha" else (colours.astype(int) * alpha // 255).astype(np.uint8)
    write_plain(tmp_path / "a.tif", np.concatenate([stored, alpha], 2), extrasamples=[kind], compression="zlib")
    got = rows_of(open_slide(tmp_path / "a.tif", SlideReading(background=(10, 200, 90))))
    weight = alpha / 255
    light = stored * weight if kind == "unassalpha" else stored
    wanted = light + (1 - weight) * np.array([10, 200, 90])
    assert np.abs(got - wanted).max() <= (0.5 if kind == "unassalpha" else 1.01)
    np.testing.assert_array_equal(
        got[alpha[..., 0] == 0], np.broadcast_to([10, 200, 90], got.shape)[alpha[..., 0] == 0]
    )


def test_opaque_pixels_stay() -> None:
    pixels = np.dstack([picture(20, 10), np.full((10, 20), 255, np.uint8)])
    np.testing.assert_array_equal(over_background(pixels, (1, 2, 3)), pixels[..., :3])


def test_what_was_not_scanned_becomes_background(tmp_path: Path) -> None:
    """Aperio leaves tiles without tissue out; OpenSlide gives them clear."""
    text = "Aperio Image Library v12\r\n333x290 (128x128) JPEG/RGB|AppMag = 20|MPP = 0.5"
    with_hole(tmp_path / "a.svs", text, 1)
    slide = open_slide(tmp_path / "a.svs", SlideReading(background=(1, 2, 3)))
    assert slide.vendor == "aperio"
    got = rows_of(slide)
    assert (got[:TILE_PX, TILE_PX : 2 * TILE_PX] == (1, 2, 3)).all()
    np.testing.assert_array_equal(got[:, :TILE_PX], decoded(picture(WIDTH, HEIGHT))[:, :TILE_PX])
    assert slide.tiles is not None
    assert slide.tiles.encoded(1, 0) is None


def with_hole(path: Path, text: str, lost: int) -> None:
    """A tiled JPEG TIFF one of whose tiles has no bytes."""
    write_jpeg_tiff(path, picture(WIDTH, HEIGHT), description=text)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = tiff.pages.first.tags[name]
            values = list(tag.value)
            values[lost] = 0
            tag.overwrite(values)


# --- JPEG tiles


@pytest.mark.parametrize(("rgb", "tables"), [(False, False), (False, True), (True, True)])
def test_jpeg_tiles_read_as_openslide_reads_them(tmp_path: Path, rgb: bool, tables: bool) -> None:
    pixels = picture(WIDTH, HEIGHT)
    write_jpeg_tiff(tmp_path / "a.tif", pixels, rgb=rgb, tables=tables)
    slide = open_slide(tmp_path / "a.tif")
    got = rows_of(slide)
    np.testing.assert_array_equal(got, decoded(pixels, rgb=rgb))
    with openslide.OpenSlide(tmp_path / "a.tif") as other:
        np.testing.assert_array_equal(got, np.asarray(other.read_region((0, 0), 0, (WIDTH, HEIGHT)))[..., :3])
    np.testing.assert_array_equal(slide.read_slowly(slide.box), slide.read(slide.box))
    slow = open_slide(tmp_path / "a.tif", SlideReading(copy_tiles=False))
    np.testing.assert_array_equal(slow.read(slow.box), slide.read(slide.box))
    assert slow.tiles is None


@pytest.mark.parametrize("tables", [False, True])
def test_tiles_to_copy_are_those_of_the_file(tmp_path: Path, tables: bool) -> None:
    files = write_jpeg_tiff(tmp_path / "a.tif", picture(WIDTH, HEIGHT), tables=tables)
    slide = open_slide(tmp_path / "a.tif")
    assert copied_tile_px(slide) == TILE_PX
    assert slide.tiles is not None
    for cy in range(slide.tiles.rows):
        for cx in range(slide.tiles.columns):
            data, file = slide.tiles.encoded(cx, cy), files[cy * slide.tiles.columns + cx]
            assert data is not None
            assert data[data.index(b"\xff\xda") :] == file[file.index(b"\xff\xda") :]
            if not tables:
                assert data == file


def test_tiles_of_red_green_blue_are_not_copied(tmp_path: Path) -> None:
    """Neuroglancer's decoder turns every JPEG of three components from YCbCr to RGB, whatever its markers say."""
    write_jpeg_tiff(tmp_path / "a.tif", picture(WIDTH, HEIGHT), rgb=True, tables=True)
    slide = open_slide(tmp_path / "a.tif")
    assert copied_tile_px(slide) is None
    assert any("RGB" in warning and "not copied" in warning for warning in slide.warnings)


@pytest.mark.parametrize("names", [b"\x00\x01\x02", b"RGB", b"\x01\x02\x03"])
@pytest.mark.parametrize("photometric", [2, 6])
def test_a_tile_made_whole_says_its_colours(names: bytes, photometric: int) -> None:
    """By libjpeg's rules, whatever the names of the components: Aperio's are 0, 1, 2."""
    pixels = picture(TILE_PX, TILE_PX)
    data = bare(jpeg(pixels, rgb=photometric == 2, subsampling=0), names)
    whole = whole_jpeg(data, b"", TILE_PX, photometric)
    assert whole.rgb == (photometric == 2)
    got = np.asarray(Image.open(io.BytesIO(whole.jpeg)).convert("RGB")).astype(int)
    assert np.abs(got - pixels).mean() < 4


def bare(data: bytes, names: bytes) -> bytes:
    """A JPEG file without markers about its colours, its components renamed."""
    out, at = bytearray(data[:2]), 2
    while data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        segment = bytearray(data[at : at + 2 + length])
        if segment[1] == 0xC0:
            segment[10:19:3] = names
        if segment[1] not in (0xE0, 0xEE):
            out += segment
        at += 2 + length
    scan = bytearray(data[at:])
    scan[5:11:2] = names
    return bytes(out + scan)


def test_a_tile_of_another_size_is_no_tile() -> None:
    with pytest.raises(FormatError, match="100 x 128"):
        whole_jpeg(jpeg(picture(100, TILE_PX)), b"", TILE_PX, 6)
    with pytest.raises(FormatError, match="header"):
        whole_jpeg(jpeg(picture(TILE_PX, TILE_PX))[:100], b"", TILE_PX, 6)


# --- pieces


@given(st.integers(0, 500), st.integers(1, 500), st.integers(1, 200))
def test_pieces_cover_and_end_at_multiples(start: int, length: int, step: int) -> None:
    found = list(pieces(start, length, step))
    assert [n for a, b in found for n in range(a, b)] == list(range(start, start + length))
    assert all(b % step == 0 for _, b in found[:-1])


@given(st.integers(1, 300), st.integers(0, 40), st.integers(0, 40), st.integers(1, 30), st.integers(1, 30))
def test_sums_of_blocks_are_those_of_their_pixels(factor: int, row: int, column: int, height: int, width: int) -> None:
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
    got = block_sums(pixels, (row, column), factor)
    wanted = np.zeros_like(got)
    for y in range(height):
        for x in range(width):
            wanted[(row + y) // factor - row // factor, (column + x) // factor - column // factor] += pixels[y, x]
    np.testing.assert_array_equal(got, wanted)
    if row == column == 0:
        assert means(got, (width, height), factor).shape == got.shape


# --- real slides


@pytest.mark.data
def test_aperio_and_ome_slides_read_as_others_read_them(data_dir: Path) -> None:
    slides_folder = data_dir / "slides"
    aperio = open_slide(slides_folder / "CMU-1-Small-Region.svs")
    assert (aperio.mpp, aperio.vendor, aperio.associated) == ((0.499, 0.499), "aperio", ("label", "macro", "thumbnail"))
    with openslide.OpenSlide(slides_folder / "CMU-1-Small-Region.svs") as other:
        wanted = np.asarray(other.read_region((0, 0), 0, other.dimensions))[..., :3]
    np.testing.assert_array_equal(rows_of(aperio), wanted)
    assert copied_tile_px(aperio) is None
    ome = open_slide(slides_folder / "OS-1-detail.ome.tif")
    assert ome.mpp == pytest.approx((0.22710, 0.22710), abs=1e-5)
    np.testing.assert_array_equal(rows_of(ome), tifffile.imread(slides_folder / "OS-1-detail.ome.tif"))
    assert copied_tile_px(ome) == 512
