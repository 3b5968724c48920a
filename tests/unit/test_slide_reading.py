"""Slides: every layout of TIFF gives the pixels that were written; scale, background, colours and damage are told."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ophiolite.errors import FormatError, SourceError
from ophiolite.geometry import Box
from ophiolite.sources.slide import SlideReading, SlideSource, copied_tile_px, open_slide
from ophiolite.sources.slide_mpp import find_mpp, resolution_nm
from ophiolite.sources.slide_pixels import block_sums, means, over_background, pieces
from ophiolite.sources.slide_reader import SlideFacts
from ophiolite.sources.slide_tiles import whole_jpeg
from slide_pictures import MICRON_TAGS, TILE_PX, Pixels, decoded, jpeg, picture, write_jpeg_tiff

WIDTH, HEIGHT = 333, 290


def rows_of(slide: SlideSource, box: Box | None = None) -> Pixels:
    """What a slide reads as, (h, w, 3)."""
    return np.ascontiguousarray(slide.read(box or slide.box)[:, :, 0].transpose(1, 0, 2))


def write_plain(path: Path, pixels: NDArray[Any], **page: Any) -> None:
    tifffile.imwrite(path, pixels, metadata=None, **{"photometric": "rgb", **MICRON_TAGS, **page})


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
    "strips": lambda path, pixels: write_plain(path, pixels, rowsperstrip=7, compression="zlib"),
    "one piece": lambda path, pixels: write_plain(path, pixels),
    "planes": lambda path, pixels: write_plain(
        path, np.moveaxis(pixels, 2, 0), planarconfig="separate", tile=(64, 64), compression="zlib"
    ),
    "tiles": lambda path, pixels: write_plain(path, pixels, tile=(64, 96), compression="lzw"),
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


# --- damage


def damage(path: Path, index: int) -> int:
    """Overwrite a tile's bytes; returns where they lie."""
    with tifffile.TiffFile(path) as tiff:
        offset, count = (values[index] for values in (tiff.pages.first.dataoffsets, tiff.pages.first.databytecounts))
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x55" * count)
    return int(offset)


def test_an_unreadable_tile_is_named(tmp_path: Path) -> None:
    for name, write in (("a", write_jpeg_tiff), ("b", LAYOUTS["tiles"])):
        path = tmp_path / f"{name}.tif"
        write(path, picture(WIDTH, HEIGHT))
        offset = damage(path, 4)
        place = "x 128, y 128" if name == "a" else "x 0, y 64"
        slide = open_slide(path)
        with pytest.raises(SourceError, match=f"E143 .*level 0 at {place}, at byte {offset}.*bad_tiles"):
            slide.read(slide.box)


def test_unreadable_tiles_are_filled_and_counted_where_asked(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.tif", picture(WIDTH, HEIGHT)
    write_jpeg_tiff(path, pixels)
    damage(path, 4)
    slide = open_slide(path, SlideReading(bad_tiles="fill", background=(7, 8, 9)))
    wanted = decoded(pixels).copy()
    wanted[TILE_PX : 2 * TILE_PX, TILE_PX : 2 * TILE_PX] = (7, 8, 9)
    np.testing.assert_array_equal(rows_of(slide), wanted)
    assert slide.filled == {(0, TILE_PX, TILE_PX)}
    assert slide.tiles is not None
    assert slide.tiles.encoded(1, 1) is None


def test_a_slide_that_ends_too_early_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    LAYOUTS["strips"](path, picture(WIDTH, HEIGHT))
    with tifffile.TiffFile(path) as tiff:
        end = int(tiff.pages.first.dataoffsets[-1])
    path.write_bytes(path.read_bytes()[: end + 20])
    with pytest.raises(SourceError, match=rf"E143 .*y 287, at byte {end} .*behind the end of the file"):
        open_slide(path).verify()
    open_slide(path, SlideReading(bad_tiles="fill")).verify()


def test_a_tile_behind_the_end_is_found_where_openslide_opens_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        for step in (1, 2):
            part = np.ascontiguousarray(picture(WIDTH, HEIGHT)[::step, ::step])
            kind = {"subfiletype": int(step > 1), "metadata": None}
            tiff.write(part, tile=(TILE_PX, TILE_PX), photometric="rgb", compression="zlib", **kind, **MICRON_TAGS)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tag = tiff.pages.first.tags["TileOffsets"]
        tag.overwrite([*tag.value[:5], 1 << 30, *tag.value[6:]])
    slide = open_slide(path)
    assert slide.reader.startswith("OpenSlide")
    with pytest.raises(SourceError, match=rf"E143 .*x 256, y 128, at byte {1 << 30} .*behind the end"):
        slide.verify()


def test_a_truncated_slide_that_openslide_refuses_is_called_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_jpeg_tiff(path, picture(WIDTH, HEIGHT))
    with tifffile.TiffFile(path) as tiff:
        end = int(tiff.pages.first.dataoffsets[-1])
    path.write_bytes(path.read_bytes()[: end + 20])
    with pytest.raises(SourceError, match=rf"ends before its tile at byte {end} does"):
        open_slide(path)


BROKEN = [b"", b"II*\0", b"II*\0" + bytes(500), b"no slide", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"]


@pytest.mark.parametrize("data", BROKEN)
def test_what_is_no_slide_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.svs").write_bytes(data)
    with pytest.raises(SourceError, match=re.escape("a.svs")):
        open_slide(tmp_path / "a.svs", SlideReading(mpp=0.5))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        open_slide(tmp_path / "a.svs")


@pytest.mark.parametrize(
    ("shape", "dtype", "page", "words"),
    [
        ((5, 60, 50), np.uint8, {"photometric": "minisblack", "metadata": {"axes": "CYX"}}, "5 channels.*type: image"),
        ((4, 60, 50), np.uint8, {"photometric": "minisblack", "metadata": {"axes": "ZYX"}}, "4 z planes"),
        ((60, 50), np.uint16, {"photometric": "minisblack", "metadata": {"axes": "YX"}}, "no 8-bit colours.*uint16"),
    ],
)
def test_other_images_are_refused_with_what_to_do(
    tmp_path: Path, shape: tuple[int, ...], dtype: Any, page: dict[str, Any], words: str
) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", np.ones(shape, dtype), ome=True, **page)
    with pytest.raises(SourceError, match=words):
        open_slide(tmp_path / "a.ome.tif", SlideReading(mpp=0.5))


def test_a_huge_compressed_strip_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((7000, 7000, 3), np.uint8),
        photometric="rgb",
        rowsperstrip=7000,
        compression="zlib",
    )
    with pytest.raises(SourceError, match=r"decoded whole.*tiled TIFF"):
        open_slide(tmp_path / "a.tif", SlideReading(mpp=0.5))


# --- scale


def test_microns_come_from_the_most_trusted_origin() -> None:
    found = {"OpenSlide (aperio)": (0.25, 0.26), "OME-XML": (0.5, 0.5)}
    assert find_mpp("a", 0.3, found, 40, force=False).mpp == (0.3, 0.3)
    assert find_mpp("a", None, found, 40, force=False) == find_mpp("a", None, found, None, force=False)
    assert find_mpp("a", None, found, 40, force=False).origin == "OpenSlide (aperio)"
    assumed = find_mpp("a", None, {}, 40, force=False)
    assert (assumed.mpp, len(assumed.warnings)) == ((0.25, 0.25), 1)


def test_resolution_tags_of_print_give_way_to_a_measured_value() -> None:
    found = {"TIFF resolution tags": (352.8, 352.8), "OME-XML": (0.5, 0.5)}
    got = find_mpp("a", None, found, None, force=False)
    assert (got.mpp, got.origin) == ((0.5, 0.5), "OME-XML")
    assert "352.8" in got.warnings[0]
    with pytest.raises(SourceError, match=r"E141 a.*TIFF resolution tags.*0\.05 to 20.*352\.8"):
        find_mpp("a", None, {"TIFF resolution tags": (352.8, 352.8)}, 40, force=False)


@pytest.mark.parametrize("mpp", [(0.049, 0.049), (20.1, 20.1), (0.25, 0.27)])
def test_implausible_microns_are_refused_unless_forced(mpp: tuple[float, float]) -> None:
    with pytest.raises(SourceError, match=r"E141 a: .*OME-XML.*force_mpp"):
        find_mpp("a", None, {"OME-XML": mpp}, None, force=False)
    assert find_mpp("a", None, {"OME-XML": mpp}, None, force=True).mpp == mpp


@pytest.mark.parametrize("mpp", [(0.05, 0.05), (20.0, 20.0), (0.25, 0.2624)])
def test_microns_at_the_limits_are_believed(mpp: tuple[float, float]) -> None:
    assert find_mpp("a", None, {"OME-XML": mpp}, None, force=False).warnings == ()


def test_no_microns_is_an_error_that_says_where_to_give_them(tmp_path: Path) -> None:
    write_jpeg_tiff(tmp_path / "a.tif", picture(WIDTH, HEIGHT), resolution=(1, 1), resolutionunit="NONE")
    with pytest.raises(SourceError, match=r"E140 .*a\.tif: no microns per pixel.*column mpp"):
        open_slide(tmp_path / "a.tif")


def test_nanometres_carry_no_dust_of_binary_fractions() -> None:
    assert resolution_nm((0.2523, 0.499), 4000.0) == (252.3, 499.0, 4000.0)


# --- colours, bounds, other images


def with_profile(path: Path, tables: bool = False) -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    write_jpeg_tiff(path, picture(WIDTH, HEIGHT), iccprofile=profile)
    return bytes(profile)


def test_a_colour_profile_is_kept_or_used(tmp_path: Path) -> None:
    profile = with_profile(tmp_path / "a.tif")
    kept, converted = (open_slide(tmp_path / "a.tif", SlideReading(icc=icc)) for icc in ("keep", "srgb"))
    assert kept.icc == profile
    assert copied_tile_px(kept) == TILE_PX
    assert copied_tile_px(converted) is None
    assert np.abs(rows_of(kept).astype(int) - rows_of(converted)).max() <= 1


def test_a_profile_that_swaps_colours_swaps_pixels(tmp_path: Path) -> None:
    """The primaries of red and blue exchanged: converting to sRGB exchanges the channels."""
    profile = with_profile(tmp_path / "a.tif")
    swapped = profile.replace(b"rXYZ", b"tmp_").replace(b"bXYZ", b"rXYZ").replace(b"tmp_", b"bXYZ")
    write_jpeg_tiff(tmp_path / "a.tif", picture(WIDTH, HEIGHT), iccprofile=swapped)
    kept, converted = (rows_of(open_slide(tmp_path / "a.tif", SlideReading(icc=icc))) for icc in ("keep", "srgb"))
    assert np.abs(kept[..., ::-1].astype(int) - converted).max() <= 2


def test_the_scanned_region_alone_keeps_its_place(tmp_path: Path) -> None:
    whole = picture(WIDTH, HEIGHT)
    facts = SlideFacts("fake", "mirax", ((WIDTH, HEIGHT),), (64, 64), {"x": (0.5, 0.5)}, None, None, (), (), 0)

    class Fake:
        """A reader of a slide that names its scanned region."""

        def __init__(self, bounds: tuple[int, int, int, int]) -> None:
            self.facts = replace(facts, bounds=bounds)

        def read(self, level: int, x: int, y: int, size: tuple[int, int]) -> Pixels:
            return whole[y : y + size[1], x : x + size[0]]

        def associated_image(self, name: str) -> Pixels:
            raise KeyError(name)

        def first_lost(self) -> None:
            return None

    cropped = SlideSource("a", Fake((20, 30, 100, 90)), SlideReading(crop_to_bounds=True))
    assert cropped.box == Box((20, 30, 0), (120, 120, 1))
    np.testing.assert_array_equal(rows_of(cropped), whole[30:120, 20:120])
    np.testing.assert_array_equal(cropped.overview(100).pixels, whole[30:120, 20:120].transpose(1, 0, 2))
    assert SlideSource("a", Fake((20, 30, 100, 90)), SlideReading()).box == Box((0, 0, 0), (WIDTH, HEIGHT, 1))
    with pytest.raises(SourceError, match="outside the slide"):
        SlideSource("a", Fake((400, 0, 10, 10)), SlideReading(crop_to_bounds=True))


def test_other_images_are_kept_only_under_known_names(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        for name, part in (("scan", picture(200, 150)), ("Label image", picture(50, 40)), ("secret", picture(60, 30))):
            tiff.write(part, photometric="rgb", metadata={"axes": "YXS", "Name": name, **size})
    slide = open_slide(tmp_path / "a.ome.tif")
    assert slide.associated == ("label",)
    np.testing.assert_array_equal(slide.associated_image("label").transpose(1, 0, 2), picture(50, 40))
    with pytest.raises(SourceError, match=r"no image 'macro'.*label"):
        slide.associated_image("macro")


def test_the_fingerprint_knows_how_it_is_read(tmp_path: Path) -> None:
    write_jpeg_tiff(tmp_path / "a.tif", picture(WIDTH, HEIGHT))
    readings = (SlideReading(), SlideReading(background=(0, 0, 0)), SlideReading(mpp=0.3))
    assert len({open_slide(tmp_path / "a.tif", reading).fingerprint() for reading in readings}) == len(readings)
    assert open_slide(tmp_path / "a.tif").fingerprint() == open_slide(tmp_path / "a.tif").fingerprint()


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
