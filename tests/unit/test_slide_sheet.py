"""The sheet of slides: what is read of it, and where it says it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ophiolite.errors import SourceError
from ophiolite.sources.slide_sheet import BadRow, SheetRow, read_sheet, write_sheet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("a.svs", "b.svs", "a_mask.png"):
        (tmp_path / "images" / name).write_bytes(b"x")
    return tmp_path


def rows(folder: Path, text: str, name: str = "slides.tsv") -> list[SheetRow | BadRow]:
    (folder / name).write_text(text)
    return read_sheet(folder / name)


def bad(folder: Path, *cells: str) -> str:
    """The message for a row of a full sheet."""
    text = "slide_id\tcase_id\tgroup\timage\tmask\tmpp\tkind\tsplit\n" + "\t".join(cells) + "\n"
    (row,) = rows(folder, text)
    assert isinstance(row, BadRow)
    return row.message


def test_every_column_is_read_and_paths_start_at_the_sheet(folder: Path) -> None:
    text = (
        "slide_id\tcase_id\tgroup\timage\tmask\tmpp\tkind\tsplit\n"
        "A-1\t12\tDN\timages/a.svs\timages/a_mask.png\t0.25\tpatch\ttrain\n"
        "\n"
        "b\t\t\timages/b.svs\n"
    )
    first, second = rows(folder, text)
    assert first == SheetRow(
        2, "A-1", "12", "DN", folder / "images/a.svs", folder / "images/a_mask.png", 0.25, "patch", "train"
    )
    assert second == SheetRow(4, "b", "b", "all", folder / "images/b.svs")


def test_commas_quotes_bom_and_any_order_of_columns(folder: Path) -> None:
    (folder / "images" / "a, b.svs").write_bytes(b"x")
    (row,) = rows(folder, '\ufeffimage,slide_id\r\n"images/a, b.svs",a\r\n', "slides.csv")
    assert row == SheetRow(2, "a", "a", "all", folder / "images" / "a, b.svs")


@pytest.mark.parametrize(
    ("cells", "column", "says"),
    [
        (("", "", "", "images/a.svs"), "slide_id", "is empty"),
        (("a/b", "", "", "images/a.svs"), "slide_id", "cannot be part of a file's name"),
        (("..", "", "", "images/a.svs"), "slide_id", "cannot be part of a file's name"),
        (("a", "x/y", "", "images/a.svs"), "case_id", "x/y"),
        (("a", "", "g:1", "images/a.svs"), "group", "g:1"),
        (("a", "", "", ""), "image", "is empty"),
        (("a", "", "", "images/a.swz"), "image", "did you mean 'a.svs'"),
        (("a", "", "", "image/a.svs"), "image", "nor does the folder"),
        (("a", "", "", "images/a.svs", "images/b_mask.png"), "mask", "did you mean 'a_mask.png'"),
        (("a", "", "", "images"), "image", "'images' is a folder"),
        (("a", "", "", "x" * 300), "image", "cannot be looked for (File name too long)"),
        (("a", "", "", "~nobody-of-this-name/a.svs"), "image", "cannot be looked for"),
        (("x" * 101, "", "", "images/a.svs"), "slide_id", "at most 100 bytes"),
        (("a", "", "", "images/a.svs", "", "0,25"), "mpp", "'0,25' is no number"),
        (("a", "", "", "images/a.svs", "", "-1"), "mpp", "'-1' is no number"),
        (("a", "", "", "images/a.svs", "", "nan"), "mpp", "'nan' is no number"),
        (("a", "", "", "images/a.svs", "", "", "tile"), "kind", "write slide or patch"),
        (("a", "", "", "images/a.svs", "", "", "", "tr/ain"), "split", "tr/ain"),
        (("a", "", "", "images/a.svs", "", "", "", "", "more"), "split", "9 cells under 8 columns"),
    ],
)
def test_a_row_at_fault_is_named_by_row_and_column(
    folder: Path, cells: tuple[str, ...], column: str, says: str
) -> None:
    message = bad(folder, *cells)
    assert message.startswith(f"{folder / 'slides.tsv'}: row 2, column {column}: ")
    assert says in message


def test_a_bad_row_spoils_no_other(folder: Path) -> None:
    found = rows(folder, "slide_id\timage\na\timages/none.svs\nb\timages/b.svs\n")
    assert [type(row) for row in found] == [BadRow, SheetRow]


def test_a_row_at_fault_keeps_its_case_where_it_has_one(folder: Path) -> None:
    text = (
        "slide_id\tcase_id\tgroup\timage\tsplit\n"
        "a\t12\tDN\timages/none.svs\ttest\n"
        "b\t\t\timages/none.svs\n"
        "c\t1/2\tDN\timages/b.svs\n"
        "d\t12\tDN\timages/b.svs\n"
        "d\t13\t\timages/b.svs\n"
    )
    found = rows(folder, text)
    assert all(isinstance(row, BadRow) for row in found)
    assert [(row.case_id, row.group, row.split) for row in found] == [
        ("12", "DN", "test"), ("b", "all", None), ("", "", None), ("12", "DN", None), ("13", "all", None),
    ]  # fmt: skip


def test_rows_that_share_an_id_are_all_at_fault(folder: Path) -> None:
    text = "slide_id\timage\na\timages/a.svs\nb\timages/b.svs\na\timages/b.svs\n"
    first, second, third = rows(folder, text)
    assert isinstance(second, SheetRow)
    for row in (first, third):
        assert isinstance(row, BadRow)
        assert "'a' is the id of rows 2, 4" in row.message


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("slides.xlsx", "slide_id", "is no sheet"),
        ("slides.tsv", "", "is empty"),
        ("slides.tsv", "slide_id\timage\n", "has no rows"),
        (
            "slides.tsv",
            "slide_id\timage\tgrop\na\timages/a.svs\tx\n",
            "Did you mean 'group'?",
        ),
        ("slides.tsv", "slide_id\tmask\na\t\n", "column 'image' is missing"),
        ("slides.tsv", "slide_id\timage\timage\na\tx\ty\n", "column 'image' is there twice"),
        ("slides.csv", 'slide_id,image\n"a,b\n', "is no table of text"),
    ],
)
def test_a_sheet_that_is_none_is_refused(folder: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(SourceError) as error:
        rows(folder, text, name)
    assert says in str(error.value)
    assert name in str(error.value)


def test_a_sheet_that_is_not_there_or_not_text_is_refused(folder: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_sheet(folder / "none.tsv")
    (folder / "slides.tsv").write_bytes(b"slide_id\timage\n\xff\xfe\x00\n")
    with pytest.raises(SourceError, match="UTF-8"):
        read_sheet(folder / "slides.tsv")


def test_a_written_sheet_is_read_back(folder: Path) -> None:
    (folder / "other").mkdir()
    made = [
        SheetRow(2, "A-1", "12", "DN", folder / "images/a.svs", folder / "images/a_mask.png", 0.2525, "patch", "train"),
        SheetRow(3, "b", "b", "all", folder / "images/b.svs"),
    ]
    for path in (folder / "slides.tsv", folder / "slides.csv", folder / "other" / "slides.tsv"):
        write_sheet(path, made)
        assert read_sheet(path) == made
    assert "\timages/b.svs\t" in (folder / "slides.tsv").read_text(), "it moves with its files"


def test_a_sheet_that_may_have_been_edited_is_not_written_over(folder: Path) -> None:
    (folder / "slides.tsv").write_text("mine")
    with pytest.raises(SourceError, match="may have been edited"):
        write_sheet(folder / "slides.tsv", [])
    assert (folder / "slides.tsv").read_text() == "mine"
    with pytest.raises(SourceError, match="is no sheet"):
        write_sheet(folder / "slides.xlsx", [])
    with pytest.raises(SourceError, match="cannot be written"):
        write_sheet(folder / "none" / "slides.tsv", [])
