"""TIFF stacks: every layout tifffile writes reads back box by box; damaged and odd files are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from sources_reference import assert_reads, volume

from ophiolite.errors import SourceError
from ophiolite.geometry import Box
from ophiolite.sources import open_source

SHAPE = (53, 41, 7)

LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "bigtiff": {"bigtiff": True, "compression": "lzw", "rowsperstrip": 16},
    "big_endian": {"byteorder": ">", "compression": "zlib", "rowsperstrip": 8, "metadata": None},
    "big_endian_contiguous": {"byteorder": ">"},
    "tiles": {"tile": (16, 32), "compression": "zlib", "predictor": True},
    "pages": {"compression": "zstd", "metadata": None},
    "imagej": {"imagej": True},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_reads_every_box(tmp_path: Path, layout: str, dtype: str) -> None:
    expected = volume((*SHAPE, 1), dtype)
    options = dict(LAYOUTS[layout])
    if dtype == "float32" and "predictor" in options:
        options["predictor"] = 3
    tifffile.imwrite(tmp_path / "v.tif", expected[..., 0].T, **options)
    source = open_source(str(tmp_path / "v.tif"), kind="image")
    assert_reads(source, expected)
    assert source.resolution_nm is None


@pytest.mark.parametrize(
    ("layout", "aligned"),
    [("contiguous", (1, 1, 1)), ("bigtiff", (53, 16, 1)), ("tiles", (32, 16, 1)), ("pages", (53, 41, 1))],
)
def test_alignment_is_the_tile_or_strip(tmp_path: Path, layout: str, aligned: tuple[int, int, int]) -> None:
    tifffile.imwrite(tmp_path / "v.tif", volume((*SHAPE, 1), "uint8")[..., 0].T, **LAYOUTS[layout])
    assert open_source(str(tmp_path / "v.tif"), kind="image").alignment_vx == aligned


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_colour_becomes_channels(tmp_path: Path, planar: str, tile: tuple[int, int] | None) -> None:
    expected = volume((*SHAPE, 3), "uint8")
    stored = expected.transpose((2, 1, 0, 3) if planar == "contig" else (2, 3, 1, 0))
    tifffile.imwrite(
        tmp_path / "v.tif",
        stored,
        photometric="rgb",
        planarconfig=planar,
        compression="zlib",
        tile=tile,
        rowsperstrip=16,
    )
    assert_reads(open_source(str(tmp_path / "v.tif"), kind="image"), expected)


@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_jpeg_compressed_pages_read_as_tifffile_says(tmp_path: Path, tile: tuple[int, int] | None) -> None:
    stored = np.add.outer(np.arange(7), volume((41, 53, 3), "uint8") // 3).astype("u1")
    tifffile.imwrite(tmp_path / "v.tif", stored, photometric="rgb", compression="jpeg", tile=tile, rowsperstrip=16)
    expected = tifffile.imread(tmp_path / "v.tif").transpose(2, 1, 0, 3)
    assert_reads(open_source(str(tmp_path / "v.tif"), kind="image"), expected)


def test_a_file_of_no_pages(tmp_path: Path) -> None:
    (tmp_path / "v.tif").write_bytes(b"II*\0" + bytes(20))
    with pytest.raises(SourceError, match="holds no pages"):
        open_source(str(tmp_path / "v.tif"), kind="image")


def test_pages_appended_one_by_one_are_a_stack(tmp_path: Path) -> None:
    expected = volume((*SHAPE, 1), "uint16")
    with tifffile.TiffWriter(tmp_path / "v.tif") as writer:
        for plane in expected[..., 0].T:
            writer.write(plane, contiguous=False, compression="zlib")
    assert_reads(open_source(str(tmp_path / "v.tif"), kind="image"), expected)


def test_one_page_is_a_volume_of_one_plane(tmp_path: Path) -> None:
    expected = volume((20, 10, 1, 1), "uint8")
    tifffile.imwrite(tmp_path / "v.tif", expected[:, :, 0, 0].T, compression="zlib")
    assert_reads(open_source(str(tmp_path / "v.tif"), kind="image"), expected)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_ome_metadata(tmp_path: Path, compression: str | None) -> None:
    expected = volume((*SHAPE, 2), "uint16")
    metadata = {
        "axes": "CZYX",
        "PhysicalSizeX": 0.15,
        "PhysicalSizeY": 150,
        "PhysicalSizeYUnit": "nm",
        "PhysicalSizeZ": 0.0005,
        "PhysicalSizeZUnit": "mm",
    }
    tifffile.imwrite(tmp_path / "v.ome.tif", expected.transpose(3, 2, 1, 0), metadata=metadata, compression=compression)
    source = open_source(str(tmp_path / "v.ome.tif"), kind="image")
    assert source.resolution_nm == (150, 150, 500)
    assert_reads(source, expected)


def test_imagej_hyperstack(tmp_path: Path) -> None:
    expected = volume((*SHAPE, 2), "uint16")
    metadata = {"axes": "ZCYX", "spacing": 0.235, "unit": "um"}
    tifffile.imwrite(
        tmp_path / "v.tif",
        expected.transpose(2, 3, 1, 0),
        imagej=True,
        resolution=(1 / 0.15, 1 / 0.3),
        metadata=metadata,
    )
    source = open_source(str(tmp_path / "v.tif"), kind="image")
    assert source.resolution_nm == (150, 300, 235)
    assert_reads(source, expected)


def test_labels_of_64_bits(tmp_path: Path) -> None:
    expected = volume((*SHAPE, 1), "uint64")
    tifffile.imwrite(tmp_path / "v.tif", expected[..., 0].T, compression="zlib")
    assert_reads(open_source(str(tmp_path / "v.tif"), kind="segmentation"), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("part", [0.0, 0.001, 0.4, 0.95])
def test_truncated_files_are_refused(tmp_path: Path, layout: str, part: float) -> None:
    tifffile.imwrite(tmp_path / "v.tif", volume((*SHAPE, 1), "uint8")[..., 0].T, **LAYOUTS[layout])
    whole = (tmp_path / "v.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(
        SourceError, match=r"cut\.tif: (the TIFF file is truncated|the file is empty|this is not a TIFF)"
    ):
        open_source(str(tmp_path / "cut.tif"), kind="image")


def test_damaged_data_name_the_page(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "v.tif", volume((*SHAPE, 1), "uint8")[..., 0].T, compression="zlib", metadata=None)
    with tifffile.TiffFile(tmp_path / "v.tif") as tiff:
        start, count = tiff.pages[3].dataoffsets[0], tiff.pages[3].databytecounts[0]
    data = bytearray((tmp_path / "v.tif").read_bytes())
    data[start : start + count] = bytes(count)
    (tmp_path / "v.tif").write_bytes(data)
    source = open_source(str(tmp_path / "v.tif"), kind="image")
    with pytest.raises(SourceError, match="strip 0 of page 3 cannot be decoded"):
        source.read(source.box)


@pytest.mark.parametrize(("odd", "words"), [(("u1", 40), "53 x 40"), (("u2", 41), "uint16")])
def test_an_odd_page_is_named(tmp_path: Path, odd: tuple[str, int], words: str) -> None:
    with tifffile.TiffWriter(tmp_path / "v.tif") as writer:
        for z in range(9):
            dtype, height = odd if z == 5 else ("u1", 41)
            writer.write(np.zeros((height, 53), dtype), contiguous=False, metadata=None, compression="zlib")
    with pytest.raises(SourceError, match=rf"page 5 .* differs from page 0.*{words}"):
        open_source(str(tmp_path / "v.tif"), kind="image")


@pytest.mark.parametrize(
    ("stored", "options", "words"),
    [
        (np.zeros((3, 4, 16, 16), "u1"), {"imagej": True, "metadata": {"axes": "TZYX"}}, "axis 't'.*length 3"),
        (np.zeros((6, 4, 16, 16), "u1"), {"ome": True, "metadata": {"axes": "CZYX"}}, "too many channels"),
        (np.zeros((4, 16, 16), "f8"), {}, "float64 are not read"),
        (np.zeros((4, 16, 16), "?"), {}, "bool are not read"),
    ],
)
def test_stacks_that_are_no_volume(tmp_path: Path, stored: np.ndarray, options: dict[str, Any], words: str) -> None:
    tifffile.imwrite(tmp_path / "v.tif", stored, photometric="minisblack", **options)
    with pytest.raises(SourceError, match=words):
        open_source(str(tmp_path / "v.tif"), kind="image")


def test_a_voxel_size_of_zero_is_refused_unless_the_config_mends_it(tmp_path: Path) -> None:
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.0, "PhysicalSizeY": 1.0, "PhysicalSizeZ": 1.0}
    tifffile.imwrite(tmp_path / "v.ome.tif", np.zeros((4, 16, 16), "u1"), metadata=metadata)
    with pytest.raises(SourceError, match="above zero"):
        open_source(str(tmp_path / "v.ome.tif"), kind="image")
    source = open_source(str(tmp_path / "v.ome.tif"), kind="image", resolution_nm=(1, 2, 3), voxel_offset_vx=(5, 6, 7))
    assert (source.resolution_nm, source.voxel_offset_vx) == ((1, 2, 3), (5, 6, 7))
    assert source.read(Box((5, 6, 7), (6, 7, 8))).shape == (1, 1, 1, 1)


def test_a_slab_read_in_tiles_decodes_each_strip_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = volume((256, 256, 8, 1), "uint8")
    tifffile.imwrite(tmp_path / "v.tif", expected[..., 0].T, compression="zlib", rowsperstrip=64)
    source = open_source(str(tmp_path / "v.tif"), kind="image")
    calls = []
    make_decoder = tifffile.TiffPage.decode.func

    def counted(page: tifffile.TiffPage) -> Any:
        decode = make_decoder(page)
        return lambda *args, **kwargs: calls.append(args) or decode(*args, **kwargs)

    monkeypatch.setattr(tifffile.TiffPage.decode, "func", counted)
    for x in range(0, 256, 48):
        for y in range(0, 256, 48):
            box = Box((x, y, 0), (min(x + 49, 256), min(y + 49, 256), 8))
            np.testing.assert_array_equal(source.read(box), expected[box.slices()])
    assert len(calls) == 8 * 4


def test_an_imagej_file_of_one_header_that_lost_its_end(tmp_path: Path) -> None:
    expected = volume((*SHAPE, 1), "uint8")
    tifffile.imwrite(tmp_path / "v.tif", expected[..., 0].T, imagej=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(tmp_path / "v.tif") as tiff:
        first = tiff.pages.first
        link = first.offset + 2 + 12 * len(first.tags)
        end = tiff.series[0].dataoffset + expected.size
    data = bytearray((tmp_path / "v.tif").read_bytes())
    data[link : link + 4] = bytes(4)
    (tmp_path / "v.tif").write_bytes(data[:end])
    assert_reads(open_source(str(tmp_path / "v.tif"), kind="image"), expected)
    (tmp_path / "v.tif").write_bytes(data[: end - 3000])
    with pytest.raises(SourceError, match=r"truncated.*Expected 7 images"):
        open_source(str(tmp_path / "v.tif"), kind="image")


def test_an_ome_tiff_of_several_files(tmp_path: Path) -> None:
    expected = volume((*SHAPE, 2), "uint8")
    x, y, z = SHAPE
    places = "".join(
        f'<TiffData FirstC="{c}" PlaneCount="{z}" IFD="0"><UUID FileName="c{c}.ome.tif">urn:uuid:{c}</UUID></TiffData>'
        for c in range(2)
    )
    for c in range(2):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{c}"><Image ID="Image:0">'
            f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="{x}" SizeY="{y}" SizeZ="{z}" SizeC="2" '
            f'SizeT="1"><Channel SamplesPerPixel="1"/><Channel SamplesPerPixel="1"/>{places}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            tmp_path / f"c{c}.ome.tif", expected[..., c].T, description=xml, metadata=None, compression="zlib"
        )
    source = open_source(str(tmp_path / "c0.ome.tif"), kind="image")
    assert [Path(file).name for file in source.files] == ["c0.ome.tif", "c1.ome.tif"]
    assert_reads(source, expected)


def test_a_real_ome_tiff_reads_as_tifffile_says(data_dir: Path) -> None:
    source = open_source(f"{data_dir}/slides/OS-1-detail.ome.tif", kind="image")
    assert source.shape_vx == (1101, 1101, 1)
    expected = tifffile.imread(data_dir / "slides" / "OS-1-detail.ome.tif")
    channel_axis = expected.shape.index(source.channels)
    np.testing.assert_array_equal(
        source.read(source.box)[:, :, 0], np.moveaxis(expected, channel_axis, -1).transpose(1, 0, 2)
    )
