"""Masks of slides in every file they come in, against the array they were written from."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from ophiolite.errors import SourceError
from ophiolite.geometry import Box
from ophiolite.kernels.mask_runs import RunLabeller
from ophiolite.sources import mask_pixels
from ophiolite.sources.mask import MaskReading, MaskSource, open_mask
from ophiolite.sources.mask_objects import open_mask_objects

WIDTH, HEIGHT = 300, 211
STRUCTURES = {1: "glomerulus", 2: "tubule"}
# (y, x), as image libraries hold it.
VALUES = np.kron(np.random.default_rng(2).integers(0, 3, (9, 12)), np.ones((24, 25))).astype(np.uint8)[:HEIGHT]


def reading(binarise: int | None = None, structures: Mapping[int, str] = STRUCTURES, ratio: int = 1) -> MaskReading:
    return MaskReading((WIDTH * ratio, HEIGHT * ratio), (500.0, 500.0, 4000.0), binarise, structures)


def whole(source: MaskSource) -> NDArray[Any]:
    """All values as (y, x)."""
    return source.read(source.box)[:, :, 0, 0].T


def save_palette(path: Path) -> None:
    image = Image.fromarray(VALUES, "L").convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [9] * 759)
    image.putdata(VALUES.ravel().tolist())
    image.save(path)


def save_pyramid(path: Path) -> None:
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(VALUES, tile=(64, 64), compression="zlib", subifds=1)
        tiff.write(VALUES[::2, ::2], tile=(64, 64), subfiletype=1)


def save_pages(path: Path) -> None:
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(VALUES[::2, ::2], tile=(64, 64), subfiletype=1)
        tiff.write(VALUES, tile=(64, 64), compression="lzw")


WRITERS: dict[str, Callable[[Path], object]] = {
    "grey.png": lambda path: Image.fromarray(VALUES).save(path),
    "palette.png": save_palette,
    "colour.png": lambda path: Image.fromarray(np.dstack([VALUES] * 3)).save(path),
    "deep.png": lambda path: Image.fromarray(VALUES.astype(np.uint16)).save(path),
    "tiled.tif": lambda path: tifffile.imwrite(path, VALUES, tile=(64, 48), compression="zlib"),
    "strips.tif": lambda path: tifffile.imwrite(path, VALUES, rowsperstrip=10, compression="packbits"),
    "plain.tif": lambda path: tifffile.imwrite(path, VALUES.astype(np.uint16)),
    "rgb.tif": lambda path: tifffile.imwrite(path, np.dstack([VALUES] * 3), tile=(64, 64), photometric="rgb"),
    "planes.tif": lambda path: tifffile.imwrite(
        path, np.stack([VALUES] * 3), tile=(64, 64), photometric="rgb", planarconfig="separate"
    ),
    "pyramid.tif": save_pyramid,
    "pages.tif": save_pages,
    "jpeg.tif": lambda path: tifffile.imwrite(path, VALUES * 100, tile=(64, 64), compression="jpeg"),
}


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "jpeg.tif"])
def test_every_file_gives_the_values_it_was_written_from(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    source = open_mask(tmp_path / name, reading())
    assert (source.shape_vx, source.channels, source.dtype.name) == ((WIDTH, HEIGHT, 1), 1, "uint8")
    np.testing.assert_array_equal(whole(source), VALUES)
    cut = source.read(Box((37, 50, 0), (201, 163, 1)))
    assert cut.flags.f_contiguous
    np.testing.assert_array_equal(cut[:, :, 0, 0].T, VALUES[50:163, 37:201])


@pytest.mark.parametrize("name", ["mask.jpg", "mask.tif"])
def test_lossy_masks_are_binarised_and_their_grey_pixels_counted(tmp_path: Path, name: str) -> None:
    white = (VALUES > 0).astype(np.uint8) * 255
    if name.endswith("jpg"):
        Image.fromarray(np.dstack([white] * 3)).save(tmp_path / name, quality=80)
        stored = np.asarray(Image.open(tmp_path / name))[..., 1]
    else:
        tifffile.imwrite(tmp_path / name, white, tile=(64, 64), compression="jpeg")
        stored = tifffile.imread(tmp_path / name)
    source = open_mask(tmp_path / name, reading(127, {1: "glomerulus"}))
    np.testing.assert_array_equal(whole(source), VALUES > 0)
    assert source.nonbinary(source.box) == np.count_nonzero((stored != 0) & (stored != 255)) > 0


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_bilevel_mask_needs_no_other_bound(tmp_path: Path, suffix: str) -> None:
    path, bits = tmp_path / f"mask.{suffix}", VALUES > 0
    Image.fromarray(bits).save(path) if suffix == "png" else tifffile.imwrite(path, bits, compression="packbits")
    for binarise in (127, 0, None):
        source = open_mask(path, reading(binarise))
        source.check_binarised()
        np.testing.assert_array_equal(whole(source), bits)
        assert source.nonbinary(source.box) == 0


@pytest.mark.parametrize("values", [VALUES, VALUES.astype(np.uint16), VALUES > 0])
def test_masks_in_which_white_is_0_are_refused(tmp_path: Path, values: NDArray[Any]) -> None:
    tifffile.imwrite(tmp_path / "mask.tif", values, photometric="miniswhite", software="scanner")
    with pytest.raises(SourceError, match=r"mask\.tif: white is stored as 0.*WhiteIsZero.*Save it again"):
        open_mask(tmp_path / "mask.tif", reading())


def test_masks_of_imagej_are_the_numbers_it_stored(tmp_path: Path) -> None:
    """It shows them with an inverting table of colours, which it saves as white being 0; objects are 255."""
    stored = np.where(VALUES == 1, np.uint8(255), np.uint8(0))
    tifffile.imwrite(tmp_path / "mask.tif", stored, imagej=True, photometric="miniswhite", software="ImageJ")
    with tifffile.TiffFile(tmp_path / "mask.tif") as tiff:
        assert tiff.pages.first.photometric == 0
    assert np.array_equal(whole(open_mask(tmp_path / "mask.tif", reading(127))), VALUES == 1)


def test_arrays_of_bool_are_as_tifffile_wrote_them(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "mask.tif", VALUES == 1)
    with tifffile.TiffFile(tmp_path / "mask.tif") as tiff:
        assert tiff.pages.first.photometric == 0
    assert np.array_equal(whole(open_mask(tmp_path / "mask.tif", reading(127))), VALUES == 1)


def test_values_without_a_structure_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[150:152, 20] = 7
    tifffile.imwrite(tmp_path / "m.tif", values, tile=(64, 64))
    source = open_mask(tmp_path / "m.tif", reading())
    np.testing.assert_array_equal(source.read(Box((0, 0, 0), (64, 64, 1)))[:, :, 0, 0].T, values[:64, :64])
    with pytest.raises(SourceError, match=r"2 pixels have values.*1 \(glomerulus\), 2 \(tubule\).*7 at x 20, y 150"):
        source.read(source.box)


def test_binarising_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    Image.fromarray(VALUES).save(tmp_path / "m.png")
    with pytest.raises(SourceError, match=r"leaves nothing.*values above 127.*0 to 2.*binarise: 0"):
        open_mask(tmp_path / "m.png", reading(127, {1: "a"})).check_binarised()
    open_mask(tmp_path / "m.png", reading(0, {1: "a"})).check_binarised()
    Image.fromarray(VALUES * 0).save(tmp_path / "empty.png")
    open_mask(tmp_path / "empty.png", reading(127, {1: "a"})).check_binarised()


def test_coloured_masks_are_refused_with_the_first_place(tmp_path: Path) -> None:
    colours = np.dstack([VALUES] * 3)
    colours[101, 77] = (200, 10, 10)
    for name in ("m.png", "m.tif"):
        path = tmp_path / name
        Image.fromarray(colours).save(path) if name == "m.png" else tifffile.imwrite(path, colours, tile=(64, 64))
        with pytest.raises(SourceError, match=r"colour image.*\[200, 10, 10\] at x 77, y 101"):
            whole(open_mask(path, reading()))


def test_masks_whose_numbers_would_be_changed_or_taken_for_others_are_refused(tmp_path: Path) -> None:
    deep = VALUES.astype(np.uint16)
    opaque = np.full_like(deep, 65535)
    for number, samples in enumerate(([deep] * 3, [deep, opaque])):
        path = tmp_path / f"{number}.png"
        path.write_bytes(imagecodecs.png_encode(np.dstack(samples)))
        with pytest.raises(SourceError, match=r"numbers that could stand.*16 bits per colour.*grey image"):
            open_mask(path, reading())
    ink = Image.fromarray(np.dstack([VALUES * 100] * 3)).convert("CMYK")
    for name, kind in (("m.jpg", "CMYK"), ("m.tif", "SEPARATED")):
        ink.save(tmp_path / name)
        with pytest.raises(SourceError, match=f"numbers that could stand.*Got {kind}"):
            open_mask(tmp_path / name, reading(127))


def test_a_fourth_sample_that_is_no_alpha_is_left_out(tmp_path: Path) -> None:
    samples = np.dstack([VALUES] * 3 + [VALUES * 0])
    for kind, expected in (("unspecified", VALUES), ("unassalpha", VALUES * 0)):
        path = tmp_path / f"{kind}.tif"
        tifffile.imwrite(path, samples, tile=(64, 64), photometric="rgb", extrasamples=[kind])
        np.testing.assert_array_equal(whole(open_mask(path, reading())), expected)


def test_colours_of_a_picture_are_never_an_array_as_large_as_it(tmp_path: Path) -> None:
    side = 3000
    Image.new("RGB", (side, side)).save(tmp_path / "m.png", compress_level=1)
    source = open_mask(tmp_path / "m.png", MaskReading((side, side), (500.0, 500.0, 4000.0), 127, {1: "a"}))
    tracemalloc.start()
    source.read(Box((0, 0, 0), (10, 10, 1)))
    peak = tracemalloc.get_traced_memory()[1]  # numpy's; Pillow's own copy is not counted
    tracemalloc.stop()
    assert peak < 2.5 * side * side


def test_transparent_pixels_are_background(tmp_path: Path) -> None:
    alpha = (np.arange(WIDTH) % 2 * 255).astype(np.uint8) * np.ones((HEIGHT, 1), np.uint8)
    Image.fromarray(np.dstack([VALUES, VALUES, VALUES, alpha])).save(tmp_path / "m.png")
    np.testing.assert_array_equal(whole(open_mask(tmp_path / "m.png", reading())), np.where(alpha > 0, VALUES, 0))


def test_a_mask_at_a_ratio_has_its_own_resolution(tmp_path: Path) -> None:
    Image.fromarray(VALUES).save(tmp_path / "m.png")
    source = open_mask(tmp_path / "m.png", reading(ratio=4))
    assert (source.ratio, source.resolution_nm) == (4, (2000.0, 2000.0, 4000.0))


def test_a_small_masks_own_scale_or_the_config_says_its_ratio(tmp_path: Path) -> None:
    """15 x 10 pixels of a slide of 1,000 x 640: 63 to 71 slide pixels each by the sizes alone."""
    small, slide = VALUES[:10, :15], MaskReading((1000, 640), (500.0, 500.0, 4000.0), None, STRUCTURES)
    tifffile.imwrite(tmp_path / "bare.tif", small)
    per_cm = 10_000 / (0.5 * 65)
    tifffile.imwrite(tmp_path / "tags.tif", small, resolution=(per_cm, per_cm), resolutionunit="CENTIMETER")
    tifffile.imwrite(tmp_path / "print.tif", small, resolution=(72, 72), resolutionunit="INCH")
    ome = {"PhysicalSizeX": 0.5 * 66, "PhysicalSizeY": 0.5 * 66, "axes": "YX"}
    tifffile.imwrite(tmp_path / "mask.ome.tif", small, metadata=ome)
    for name, ratio in (("bare.tif", 64), ("tags.tif", 65), ("mask.ome.tif", 66), ("print.tif", 64)):
        assert open_mask(tmp_path / name, slide).ratio == ratio
        assert open_mask(tmp_path / name, replace(slide, ratio=63)).ratio == 63
    assert open_mask(tmp_path / "tags.tif", replace(slide, ratio=9)).ratio == 65, "it does not fit, so it is not taken"


def test_the_mask_of_a_part_of_a_slide_lies_where_the_part_does(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.tif", VALUES, tile=(64, 64))
    part = replace(reading(ratio=2), slide_start_px=(1000, 642))
    source = open_mask(tmp_path / "m.tif", part)
    assert source.box == Box((500, 321, 0), (500 + WIDTH, 321 + HEIGHT, 1))
    np.testing.assert_array_equal(whole(source), VALUES)
    np.testing.assert_array_equal(np.concatenate([source.read(box)[:, :, 0, 0].T for box in source.strips(50)]), VALUES)
    ring = [[1010, 650], [1020, 650], [1020, 652], [1010, 652]]
    (tmp_path / "m.json").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    filled = open_mask(tmp_path / "m.json", replace(part, structures={1: "a"}))
    assert filled.read(Box((1010, 650, 0), (1020, 652, 1))).all()
    assert np.count_nonzero(whole(filled)) == 20
    with pytest.raises(SourceError, match=r"E142.*begins within a pixel of the mask.*x 1001, y 642"):
        open_mask(tmp_path / "m.tif", replace(part, slide_start_px=(1001, 642)))


def test_options_change_the_fingerprint(tmp_path: Path) -> None:
    Image.fromarray(VALUES).save(tmp_path / "m.png")
    options = [reading(), reading(0), reading(structures={1: "other", 2: "tubule"}), reading(ratio=2)]
    assert len({open_mask(tmp_path / "m.png", option).fingerprint() for option in options}) == len(options)


def test_files_that_are_no_masks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="no such mask"):
        open_mask(tmp_path / "none.png", reading())
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(SourceError, match="cannot be read"):
        open_mask(tmp_path / "text.png", reading())
    Image.fromarray(VALUES).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:-200])
    with pytest.raises(SourceError, match="cannot be read"):
        whole(open_mask(tmp_path / "cut.png", reading()))
    tifffile.imwrite(tmp_path / "cut.tif", VALUES, tile=(64, 64), compression="zlib")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:-200])
    with pytest.raises(SourceError, match="cannot be read"):
        whole(open_mask(tmp_path / "cut.tif", reading()))
    tifffile.imwrite(tmp_path / "float.tif", VALUES.astype(np.float32))
    with pytest.raises(SourceError, match="small unsigned numbers"):
        open_mask(tmp_path / "float.tif", reading())
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([VALUES] * 3), photometric="minisblack")
    with pytest.raises(SourceError, match="3 planes"):
        open_mask(tmp_path / "stack.tif", reading())
    monkeypatch.setattr(mask_pixels, "MAX_WHOLE_PX", 1000)
    Image.fromarray(VALUES).save(tmp_path / "large.png")
    with pytest.raises(SourceError, match="tiled TIFF"):
        open_mask(tmp_path / "large.png", reading())


def test_objects_are_looked_up_in_their_table(tmp_path: Path) -> None:
    from scipy import ndimage

    tifffile.imwrite(tmp_path / "m.tif", VALUES, tile=(64, 64))
    mask = open_mask(tmp_path / "m.tif", reading())
    labeller = RunLabeller()
    runs = np.concatenate([labeller.add(mask.read(box)[:, :, 0, 0], box.start[1]) for box in mask.strips(50)])
    labels, structures = labeller.objects(0)
    runs[:, 3] = labels[runs[:, 3]]
    np.save(tmp_path / "runs.npy", np.asfortranarray(runs))
    source = open_mask_objects(tmp_path / "m.tif", reading(), tmp_path / "runs.npy")
    assert (source.box, source.dtype.name, source.fingerprint()) == (mask.box, "uint32", mask.fingerprint())
    found = source.read(source.box)[:, :, 0, 0].T
    counts = [ndimage.label(value == VALUES, np.ones((3, 3)))[1] for value in (1, 2)]
    assert found.max() == len(structures) == sum(counts)
    for label, structure in enumerate(structures.tolist(), 1):
        assert (VALUES[found == label] == structure).all()
    with pytest.raises(SourceError, match="connected objects are not in"):
        open_mask_objects(tmp_path / "m.tif", reading(), tmp_path / "gone.npy").read(source.box)


def test_a_large_tiled_mask_takes_little_memory(tmp_path: Path) -> None:
    """16,000 x 12,000 pixels in tiles: what is held stays near one strip, far below the 192 MB of the whole."""
    import tracemalloc

    with tifffile.TiffWriter(tmp_path / "m.tif") as tiff:
        tile = np.ones((512, 512), np.uint8)
        count = -(-16_000 // 512) * -(-12_000 // 512)
        tiff.write(
            (tile for _ in range(count)), shape=(12_000, 16_000), dtype=np.uint8, tile=(512, 512), compression="zlib"
        )
    source = open_mask(tmp_path / "m.tif", MaskReading((16_000, 12_000), (500.0, 500.0, 4000.0), None, STRUCTURES))
    tracemalloc.start()
    total = sum(int(np.count_nonzero(source.read(box))) for box in source.strips(512))
    assert total == 16_000 * 12_000
    assert tracemalloc.get_traced_memory()[1] < 120e6
    tracemalloc.stop()
