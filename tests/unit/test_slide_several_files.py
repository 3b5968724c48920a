"""Slides of several files: which are one slide's, what they measure, and that two in one folder are no copies."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dicom_slides import EXPLICIT, IMPLICIT, header, part_10, write_dicom_slide
from ophiolite.sources.dicom_series import series_uid
from ophiolite.sources.slide import SlideReading, open_slide
from ophiolite.stages.slide_facts import files_sha256

PIXELS = np.random.default_rng(4).integers(0, 256, (150, 200, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two slides of two levels each in one folder, with a file that is none of theirs."""
    for number, pixels in ((1, PIXELS), (3, 255 - PIXELS)):
        write_dicom_slide(tmp_path / f"{number}-fine.dcm", pixels, number, 1)
        write_dicom_slide(tmp_path / f"{number}-coarse.dcm", pixels[::2, ::2], number, 2)
    (tmp_path / "notes.txt").write_text("DICM")
    return tmp_path


@pytest.mark.parametrize("name", ["1-fine.dcm", "1-coarse.dcm"])
def test_a_dicom_slide_is_the_files_of_its_series(folder: Path, name: str) -> None:
    slide = open_slide(folder / name)
    assert slide.levels == ((200, 150), (100, 75))
    assert slide.files == (str(folder / "1-coarse.dcm"), str(folder / "1-fine.dcm"))
    assert np.array_equal(slide.read(slide.box)[:, :, 0].transpose(1, 0, 2), PIXELS)


def test_dicom_tells_microns_per_pixel_by_way_of_openslide(folder: Path) -> None:
    slide = open_slide(folder / "1-fine.dcm")
    assert slide.mpp == pytest.approx((0.5, 0.5))
    assert slide.mpp_origin == "OpenSlide (dicom)"
    assert open_slide(folder / "1-fine.dcm", SlideReading(mpp=0.25)).mpp == (0.25, 0.25)


def test_two_slides_in_one_folder_are_no_copies(folder: Path) -> None:
    """With all files of the folder for either, both would have one checksum and twice their bytes."""
    first, second = (open_slide(folder / f"{number}-fine.dcm").files for number in (1, 3))
    assert not set(first) & set(second)
    assert files_sha256(first) != files_sha256(second)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_the_series_is_the_data_sets_own(syntax: str) -> None:
    data = header("1.2.3", "1.2.4", "1.2.999", explicit=syntax == EXPLICIT)
    whole = part_10(data, "1.2.3", syntax)
    assert series_uid(io.BytesIO(whole)) == "1.2.4"
    assert series_uid(io.BytesIO(whole[: whole.index(b"1.2.999")])) is None
    assert series_uid(io.BytesIO(whole[4:])) is None
    without = whole[: -len(b"\x20\x00\x0e\x00UI\x06\x001.2.4\0")]
    assert series_uid(io.BytesIO(without + b"\x28\x00\x02\x00US\x02\x00\x03\x00" * 3)) is None


def vms_slide(folder: Path, name: str, pixels: NDArray[np.uint8]) -> Path:
    """A slide as Hamamatsu's older scanners write it: an index that names JPEG files, with restart markers."""
    for part, picture in (("0", pixels), ("map", pixels[::4, ::4]), ("macro", pixels[::8, ::8])):
        Image.fromarray(picture).save(folder / f"{name}_{part}.jpg", restart_marker_blocks=4, subsampling=0)
    index = folder / f"{name}.vms"
    index.write_text(
        "[Virtual Microscope Specimen]\nNoLayers=1\nNoJpegColumns=1\nNoJpegRows=1\n"
        f"ImageFile={name}_0.jpg\nMapFile={name}_map.jpg\nMacroImage={name}_macro.jpg\n"
        "OptimisationFile=absent.opt\nPhysicalWidth=100000\nPhysicalHeight=100000\nSourceLens=20\n"
    )
    return index


def test_a_vms_slide_is_its_index_and_the_files_that_it_names(tmp_path: Path) -> None:
    index = vms_slide(tmp_path, "a", PIXELS[:128, :192].repeat(2, 0).repeat(2, 1))
    vms_slide(tmp_path, "b", PIXELS[:128, :192].repeat(2, 0).repeat(2, 1))
    slide = open_slide(index, SlideReading(mpp=0.5))
    assert [Path(file).name for file in slide.files] == ["a.vms", "a_0.jpg", "a_macro.jpg", "a_map.jpg"]
