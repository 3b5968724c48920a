"""Slides: damage, microns per pixel, colour profiles, scanned regions and other images are told as they are."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from ophiolite.errors import SourceError
from ophiolite.geometry import Box
from ophiolite.sources.slide import SlideReading, SlideSource, copied_tile_px, open_slide
from ophiolite.sources.slide_mpp import find_mpp, resolution_nm
from ophiolite.sources.slide_reader import SlideFacts
from slide_pictures import (
    MICRON_TAGS,
    TILE_PX,
    Pixels,
    decoded,
    picture,
    rows_of,
    write_jpeg_tiff,
    write_strips,
    write_tiles,
)

WIDTH, HEIGHT = 333, 290


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
    for name, write in (("a", write_jpeg_tiff), ("b", write_tiles)):
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
    write_strips(path, picture(WIDTH, HEIGHT))
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


def test_pictures_of_16_bits_are_refused_not_cut(tmp_path: Path) -> None:
    for number, dtype in enumerate((np.uint8, np.uint16)):
        (tmp_path / f"{number}.png").write_bytes(imagecodecs.png_encode(picture(60, 50).astype(dtype)))
    assert open_slide(tmp_path / "0.png", SlideReading(mpp=0.5)).shape_vx == (60, 50, 1)
    with pytest.raises(SourceError, match="16 bits per colour"):
        open_slide(tmp_path / "1.png", SlideReading(mpp=0.5))


def test_an_orientation_that_is_not_applied_is_told(tmp_path: Path) -> None:
    pixels = picture(60, 50)
    for value in (1, 6):
        exif = Image.Exif()
        exif[274] = value
        Image.fromarray(pixels).save(tmp_path / f"{value}.jpg", exif=exif)
        tifffile.imwrite(tmp_path / f"{value}.tif", pixels, photometric="rgb", extratags=[(274, "H", 1, value, True)])
    for name in ("1.jpg", "1.tif", "6.jpg", "6.tif"):
        slide = open_slide(tmp_path / name, SlideReading(mpp=0.5))
        assert slide.shape_vx == (60, 50, 1)
        told = [text for text in slide.warnings if "orientation 6 is asked for" in text]
        assert len(told) == name.startswith("6"), name


def test_an_uncompressed_slide_does_not_stay_in_memory(tmp_path: Path) -> None:
    side = 9000
    tifffile.imwrite(tmp_path / "a.tif", shape=(side, side, 3), dtype=np.uint8, photometric="rgb")
    slide = open_slide(tmp_path / "a.tif", SlideReading(mpp=0.5))
    for y in range(0, side, 1000):
        slide.read(Box((0, y, 0), (side, y + 500, 1)))
    mapped = Path("/proc/self/smaps").read_text().partition(str(tmp_path / "a.tif"))[1]
    assert not mapped, "the file is still mapped, and its pages count"
