"""Folders of the KPIs challenge in every layout and spelling become the same rows; what does not fit is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.__main__ import main
from ophiolite.errors import SourceError
from ophiolite.kernels.patch_grid import patch_grid
from ophiolite.sources.kpis import PatchName, most_likely_grid, parse_patch_name, read_kpis_folder
from ophiolite.sources.slide_sheet import BadRow, SheetRow, read_sheet

PLACES = [(0, 0, 0), (3, 3072, 0), (23, 1024, 1024), (47, 3072, 2048)]


def make(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


def patches(folder: str, prefix: str, image: str = "_img.jpg", mask: str = "_mask.jpg") -> list[str]:
    stems = [f"{prefix}{i}_{x}_{y}" for i, x, y in PLACES]
    return [f"{folder}/img/{s}{image}" for s in stems] + [f"{folder}/mask/{s}{mask}" for s in stems]


def told(rows: list[SheetRow | BadRow]) -> list[tuple[str, str, str, str, str | None]]:
    assert all(isinstance(row, SheetRow) for row in rows), [r.message for r in rows if isinstance(r, BadRow)]
    return [(r.slide_id, r.case_id, r.group, r.kind, r.split) for r in rows if isinstance(r, SheetRow)]


@pytest.mark.parametrize(
    ("folder", "prefix", "mask"),
    [
        ("56Nx/12_116", "56Nx_12_116_", "_mask.jpg"),
        ("56NX/12-116", "12-116_", "_mask.png"),
        ("Task1_patch_level/data/56Nx/12_116", "56Nx_12_116_", "_img.jpg"),
        ("56Nx/12_116", "12_116_", ".png"),
    ],
)
def test_patches_in_every_spelling(tmp_path: Path, folder: str, prefix: str, mask: str) -> None:
    make(tmp_path, *patches(folder, prefix, mask=mask), f"{folder}/img/.hidden.jpg", "README.md")
    rows = read_kpis_folder(tmp_path)
    assert told(rows) == [(f"56Nx_12-116_{i}_{x}_{y}", "12-116", "56Nx", "patch", None) for i, x, y in PLACES]
    assert [row.line for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert isinstance(row, SheetRow)
        assert row.mask is not None
        assert (row.image.parent.name, row.mask.parent.name) == ("img", "mask")
        assert parse_patch_name(str(row.image)) == parse_patch_name(row.mask.name)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("normal/12-116_wsi.tiff", "normal/12-116_mask.tiff"),
        ("Normal/img/12_116.tiff", "Normal/mask/12_116_mask.tiff"),
        ("normal/img/12-116_wsi.tiff", "normal/mask/12-116_wsi_mask.tif"),
        ("Task2_WSI_level/test/normal/12-116_wsi.svs", "Task2_WSI_level/test/normal/12-116_mask.tiff"),
    ],
)
def test_slides_in_every_layout(tmp_path: Path, image: str, mask: str) -> None:
    make(tmp_path, image, mask)
    (row,) = read_kpis_folder(tmp_path)
    split = "test" if "test" in image else None
    assert told([row]) == [("12-116", "12-116", "normal", "slide", split)]
    assert isinstance(row, SheetRow)
    assert (row.image, row.mask) == (tmp_path / image, tmp_path / mask)


def test_both_tasks_and_splits_in_one_folder(tmp_path: Path) -> None:
    make(tmp_path, *patches("train/DN/11-363", "11-363_"), "validation/NEP25/08-1_wsi.tiff")
    rows = told(read_kpis_folder(tmp_path))
    assert [(kind, split) for *_, kind, split in rows] == [("patch", "train")] * 4 + [("slide", "validation")]


def test_the_organisers_own_cutter_counts_from_one_and_names_the_row_first(tmp_path: Path) -> None:
    places = [(1 + r * 3 + c, r * 1024, c * 1024) for r in range(2) for c in range(3)] + [(9, 1500, 2048)]
    make(tmp_path, *(f"DN/a/img/DN_img_{i}_{x}_{y}_img.png" for i, x, y in places))
    assert len(told(read_kpis_folder(tmp_path))) == 7


def test_patches_without_places_in_their_names(tmp_path: Path) -> None:
    make(tmp_path, "DN/case1/img/patch1.jpg", "DN/case1/mask/patch1_mask.jpg")
    assert told(read_kpis_folder(tmp_path)) == [("DN_case1_patch1", "case1", "DN", "patch", None)]


def test_a_folder_without_masks_is_a_test_set(tmp_path: Path) -> None:
    make(tmp_path, *(n for n in patches("DN/12_116", "12-116_") if "/img/" in n))
    rows = read_kpis_folder(tmp_path)
    assert len(told(rows)) == 4
    assert all(isinstance(row, SheetRow) and row.mask is None for row in rows)


def faults(root: Path) -> dict[str, str]:
    return {row.slide_id: row.message for row in read_kpis_folder(root) if isinstance(row, BadRow)}


def test_orphans_are_named_and_others_go_on(tmp_path: Path) -> None:
    make(tmp_path, *patches("DN/12_116", "DN_12_116_"))
    (tmp_path / "DN/12_116/mask/DN_12_116_3_3072_0_mask.jpg").unlink()
    (tmp_path / "DN/12_116/img/DN_12_116_23_1024_1024_img.jpg").unlink()
    make(tmp_path, "DN/12_116/img/DN_12_116_0_0_0_img.png")
    found = faults(tmp_path)
    assert sorted(found) == ["DN_12-116_0_0_0", "DN_12-116_23_1024_1024", "DN_12-116_3_3072_0"]
    assert "DN_12_116_3_3072_0_img.jpg: is an image without its mask" in found["DN_12-116_3_3072_0"]
    assert "DN_12_116_23_1024_1024_mask.jpg: is a mask without its image" in found["DN_12-116_23_1024_1024"]
    assert "are 2 images of one name" in found["DN_12-116_0_0_0"]
    assert sum(isinstance(row, SheetRow) for row in read_kpis_folder(tmp_path)) == 1


def test_an_index_that_is_not_its_places_and_a_wrong_case_are_named(tmp_path: Path) -> None:
    make(tmp_path, *patches("DN/12_116", "DN_12_116_"))
    make(tmp_path, "DN/12_116/img/DN_12_116_50_4096_2048_img.jpg", "DN/12_116/mask/DN_12_116_50_4096_2048_mask.jpg")
    make(tmp_path, "DN/12_116/img/DN_11_363_0_0_0_img.jpg", "DN/12_116/mask/DN_11_363_0_0_0_mask.jpg")
    found = sorted(faults(tmp_path).values())
    assert len(found) == 2
    assert "another case than its folder" in found[0]
    assert "(y / 1024) * 22 + x / 1024" in found[1]
    assert "Got 50" in found[1]


def test_a_folder_becomes_a_sheet_that_can_be_edited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, *patches("train/DN/12_116", "DN_12_116_"), "test/NEP25/08-1_wsi.tiff")
    assert main(["slide_sheet", str(tmp_path), str(tmp_path / "slides.tsv")]) == 0
    assert [replace(row, line=0) for row in read_sheet(tmp_path / "slides.tsv") if isinstance(row, SheetRow)] == [
        replace(row, line=0) for row in read_kpis_folder(tmp_path) if isinstance(row, SheetRow)
    ]
    make(tmp_path, "train/DN/12_116/img/DN_12_116_4_4096_0_img.jpg")
    assert main(["slide_sheet", str(tmp_path), str(tmp_path / "more.csv")]) == 1
    told = capsys.readouterr().err
    assert "5 rows are written, 1 at fault are left out" in told
    assert "DN_12_116_4_4096_0_img.jpg: is an image without its mask" in told
    assert len(read_sheet(tmp_path / "more.csv")) == 5


def test_rows_at_fault_keep_their_case(tmp_path: Path) -> None:
    make(tmp_path, *patches("test/DN/12_116", "DN_12_116_"))
    (tmp_path / "test/DN/12_116/mask/DN_12_116_3_3072_0_mask.jpg").unlink()
    (bad,) = (row for row in read_kpis_folder(tmp_path) if isinstance(row, BadRow))
    assert (bad.case_id, bad.group, bad.split) == ("12-116", "DN", "test")


def test_an_empty_folder_and_a_missing_one(tmp_path: Path) -> None:
    make(tmp_path, "notes/picture.jpg")
    with pytest.raises(SourceError, match="holds no patches or slides"):
        read_kpis_folder(tmp_path)
    with pytest.raises(SourceError, match="cannot be read"):
        read_kpis_folder(tmp_path / "absent")


@given(st.integers(1, 3000), st.integers(1, 40), st.sets(st.tuples(st.integers(0, 39), st.integers(0, 20)), min_size=3))
def test_any_grid_is_found_from_its_patches(stride: int, columns: int, cells: set[tuple[int, int]]) -> None:
    names = [
        PatchName("", row * columns + col, col * stride, row * stride) for col, row in sorted(cells) if col < columns
    ]
    if names:
        grid = most_likely_grid(names)
        assert all(grid.judges(name) and grid.holds(name) for name in names)


def test_a_grid_whose_last_patches_were_moved_back_is_found() -> None:
    grid = patch_grid((2000, 1420), 512, 256, "snap")
    names = [PatchName("", patch.index, patch.x, patch.y) for patch in grid]
    found = most_likely_grid(names)
    assert (found.stride, found.columns) == (256, 7)
    assert all(found.holds(name) for name in names if found.judges(name))
    assert not found.holds(PatchName("", 9, 256, 256))


def test_names() -> None:
    assert parse_patch_name("a/56Nx_12_116_23_1024_2048_img.jpg") == PatchName("56Nx_12_116", 23, 1024, 2048)
    assert parse_patch_name("11-363_23_1024_2048.png") == PatchName("11-363", 23, 1024, 2048)
    assert parse_patch_name("slide_1.png") is None
