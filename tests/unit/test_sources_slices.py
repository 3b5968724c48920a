"""Stacks of slices: natural order, each slice decoded once, and every way a stack can be broken."""

from __future__ import annotations

import io
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from PIL import Image
from sources_reference import assert_reads, volume

from ophiolite.errors import SourceError
from ophiolite.geometry import Box
from ophiolite.sources import open_source, slices


def save(file: Path, plane: np.ndarray) -> None:
    """One plane, (y, x) or (y, x, c), by another library."""
    if file.suffix == ".tif":
        tifffile.imwrite(file, plane, compression="zlib")
    else:
        Image.fromarray(plane).save(file)


def stack(folder: Path, expected: np.ndarray, names: list[str]) -> Path:
    folder.mkdir()
    for z, name in enumerate(names):
        plane = expected[:, :, z].transpose(1, 0, 2)
        save(folder / name, plane[..., 0] if plane.shape[2] == 1 else plane)
    return folder


@pytest.mark.parametrize(
    ("suffix", "dtype", "channels"),
    [
        ("tif", "uint8", 1),
        ("tif", "uint32", 1),
        ("tif", "float32", 1),
        ("tif", "uint16", 3),
        ("png", "uint8", 1),
        ("png", "uint16", 1),
        ("png", "uint8", 3),
        ("png", "uint8", 4),
    ],
)
def test_reads_every_box_in_natural_order(tmp_path: Path, suffix: str, dtype: str, channels: int) -> None:
    expected = volume((31, 22, 12, channels), dtype)
    folder = stack(tmp_path / "s", expected, [f"iso.{z + 3}.{suffix}" for z in range(12)])
    (folder / "notes.txt").write_text("not a slice")
    (folder / f".hidden_1.{suffix}").write_text("not a slice either")
    source = open_source(str(folder), kind="image")
    assert source.alignment_vx == (31, 22, 1)
    assert_reads(source, expected)
    assert_reads(open_source(f"{folder}/iso.*.{suffix}", kind="image"), expected)


def test_16_bit_colour_png_keeps_its_bits(tmp_path: Path) -> None:
    import imagecodecs

    expected = volume((5, 4, 2, 3), "uint16")
    for z in range(2):
        data = imagecodecs.png_encode(np.ascontiguousarray(expected[:, :, z].transpose(1, 0, 2)))
        (tmp_path / f"{z}.png").write_bytes(data)
    assert_reads(open_source(str(tmp_path), kind="image"), expected)


def test_jpeg_reads_as_its_decoder_says(tmp_path: Path) -> None:
    ramp = np.add.outer(np.arange(24), np.arange(40)).astype("u1") * 3
    decoded = np.empty((40, 24, 3, 1), "u1")
    for z in range(3):
        buffer = io.BytesIO()
        Image.fromarray(ramp + z).save(buffer, "jpeg")
        (tmp_path / f"z{z}.jpeg").write_bytes(buffer.getvalue())
        decoded[:, :, z, 0] = imageio.imread(buffer.getvalue()).T
    source = open_source(f"{tmp_path}/z*.jpeg", kind="image", resolution_nm=(4, 4, 40))
    assert source.resolution_nm == (4, 4, 40)
    assert_reads(source, decoded)


def test_planar_colour_tiff_slices(tmp_path: Path) -> None:
    expected = volume((9, 8, 2, 3), "uint8")
    for z in range(2):
        plane = expected[:, :, z].transpose(2, 1, 0)
        tifffile.imwrite(tmp_path / f"{z}.tif", plane, photometric="rgb", planarconfig="separate")
    assert_reads(open_source(str(tmp_path), kind="image"), expected)


def names_of(numbers: list[int]) -> list[str]:
    return [f"slice_{n:03}.png" for n in numbers]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([1, 2, 3, 5], r"missing between 1 and 5: 4\."),
        ([8, 9, 11, 15], r"missing between 8 and 15: 10, 12-14\."),
        ([0, 10, 20, 40], r"missing between 0 and 40"),
        ([1, 3], r"missing between 1 and 3: 2\."),
    ],
)
def test_gaps_name_the_missing_numbers(tmp_path: Path, numbers: list[int], words: str) -> None:
    folder = stack(tmp_path / "s", volume((5, 4, len(numbers), 1), "uint8"), names_of(numbers))
    with pytest.raises(SourceError, match=words):
        open_source(str(folder), kind="image")


def test_a_constant_step_is_a_numbering(tmp_path: Path) -> None:
    expected = volume((5, 4, 4, 1), "uint8")
    folder = stack(tmp_path / "s", expected, names_of([50, 100, 150, 200]))
    assert_reads(open_source(str(folder), kind="image"), expected)


def test_the_number_is_found_beside_others(tmp_path: Path) -> None:
    expected = volume((5, 4, 3, 1), "uint8")
    names = ["em24_w1_009_t17.png", "em24_w1_010_t23.png", "em24_w1_011_t40.png"]
    assert_reads(open_source(str(stack(tmp_path / "s", expected, names)), kind="image"), expected)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a_1.png", "b_2.png"], "names do not follow one pattern: 'b_2.png' is unlike 'a_1.png'"),
        (["x0_y0.png", "x0_y1.png", "x1_y0.png", "x1_y1.png"], "no number in the names tells all slices apart"),
        (["s1.png", "s01.png"], "no number in the names tells all slices apart"),
        (["s1.png", "s2.tif"], "different file types.*png, .tif"),
    ],
)
def test_names_that_are_no_series(tmp_path: Path, names: list[str], words: str) -> None:
    folder = stack(tmp_path / "s", volume((5, 4, len(names), 1), "uint8"), names)
    with pytest.raises(SourceError, match=words):
        open_source(str(folder), kind="image")


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (np.zeros((7, 5), "u1"), "5 x 7 x 1 uint8"),
        (np.zeros((4, 5), "u2"), "uint16"),
        (np.zeros((4, 5, 3), "u1"), "x 3"),
    ],
)
def test_an_odd_slice_is_named(tmp_path: Path, suffix: str, odd: np.ndarray, words: str) -> None:
    folder = stack(tmp_path / "s", volume((5, 4, 6, 1), "uint8"), [f"{z}.{suffix}" for z in range(6)])
    save(folder / f"4.{suffix}", odd)
    with pytest.raises(SourceError, match=rf"4\.{suffix}: this slice differs from the first one.*{words}"):
        open_source(str(folder), kind="image")
    source = open_source(str(folder), kind="image", verify=False)
    with pytest.raises(SourceError, match=rf"4\.{suffix}: this slice differs"):
        source.read(source.box)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_an_unreadable_slice_is_named(tmp_path: Path, suffix: str) -> None:
    folder = stack(tmp_path / "s", volume((50, 40, 6, 1), "uint8"), [f"{z}.{suffix}" for z in range(6)])
    whole = (folder / f"3.{suffix}").read_bytes()
    for part in (b"", whole[:20], b"text" + whole[4:]):
        (folder / f"3.{suffix}").write_bytes(part)
        with pytest.raises(SourceError, match=rf"3\.{suffix}: "):
            open_source(str(folder), kind="image")
    (folder / f"3.{suffix}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=rf"3\.{suffix}: "):
        open_source(str(folder), kind="image").read(Box((0, 0, 0), (50, 40, 6)))


def test_other_bad_stacks(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="there are no slices"):
        open_source(str(tmp_path / "empty"), kind="image")
    with pytest.raises(SourceError, match="there are no slices"):
        open_source(f"{tmp_path}/*.png", kind="image")
    Image.fromarray(np.zeros((4, 5), "u1")).convert("P").save(tmp_path / "p.png")
    with pytest.raises(SourceError, match="palette"):
        open_source(f"{tmp_path}/p.png", kind="image")
    tifffile.imwrite(tmp_path / "many.tif", np.zeros((3, 40, 50), "u1"), photometric="minisblack", compression="zlib")
    with pytest.raises(SourceError, match="multi-page TIFF"):
        open_source(f"{tmp_path}/m*.tif", kind="image")


def test_a_slab_read_in_tiles_decodes_each_slice_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = volume((96, 80, 12, 1), "uint8")
    folder = stack(tmp_path / "s", expected, [f"{z}.png" for z in range(12)])
    decoded: list[str] = []

    def counted(file: Path) -> np.ndarray:
        decoded.append(file.name)
        return np.asarray(Image.open(file))

    monkeypatch.setattr(slices, "decode_image", counted)
    source = slices.SliceSource(str(folder), folder, cache_bytes=4 * 96 * 80)
    for z in range(0, 12, 4):
        for x in range(0, 96, 32):
            for y in range(0, 80, 32):
                box = Box((x, y, z), (x + 32, min(y + 32, 80), z + 4))
                np.testing.assert_array_equal(source.read(box), expected[box.slices()])
    assert sorted(decoded) == sorted(f"{z}.png" for z in range(12))


def test_the_fingerprint_sees_one_changed_slice(tmp_path: Path) -> None:
    folder = stack(tmp_path / "s", volume((5, 4, 6, 1), "uint8"), [f"{z}.tif" for z in range(6)])
    before = open_source(str(folder), kind="image").fingerprint()
    save(folder / "4.tif", np.ones((4, 5), "u1"))
    assert open_source(str(folder), kind="image").fingerprint() != before


def test_the_real_slices_have_the_stated_facts(data_dir: Path) -> None:
    source = open_source(f"{data_dir}/em/fib25_t1_png_slices", kind="image", resolution_nm=(10, 10, 10))
    assert (source.shape_vx, source.dtype, source.channels) == ((250, 250, 64), np.uint8, 1)
    plane = np.asarray(Image.open(data_dir / "em" / "fib25_t1_png_slices" / "iso.2609.png"))
    np.testing.assert_array_equal(source.read(source.box)[:, :, 9, 0], plane.T)
