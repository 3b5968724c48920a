"""The sheet of slides: a table with a row per slide or patch, judged row by row."""

from __future__ import annotations

import csv
import difflib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ophiolite.errors import SourceError, explain

Kind = Literal["slide", "patch"]
COLUMNS = ("slide_id", "case_id", "group", "image", "mask", "mpp", "kind", "split")
REQUIRED = ("slide_id", "image")
# Ids, cases and groups become parts of file names.
NAME = re.compile(r"[\w](?:[\w. +-]*[\w+-])?")
# File names hold 255 bytes, those of patches a group, a case and where they were cut.
LONGEST_NAME = 100


@dataclass(frozen=True)
class SheetRow:
    """One slide or patch; `line` counts from 1 in the sheet's file, `image` and `mask` are paths as they are opened."""

    line: int
    slide_id: str
    case_id: str
    group: str
    image: Path
    mask: Path | None = None
    mpp: float | None = None
    kind: Kind = "slide"
    split: str | None = None


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why; the id is empty where it has none, case and group where they are unknown."""

    line: int
    slide_id: str
    message: str
    case_id: str = ""
    group: str = ""
    split: str | None = None


class _FaultyCellError(Exception):
    """What is wrong with a cell."""


def read_sheet(path: Path) -> list[SheetRow | BadRow]:
    """Read a sheet: .tsv (tabs) or .csv (commas), UTF-8, the names of the columns in the first line.

    Columns: `slide_id` and `image` are needed; `case_id` is the slide's id where left out, `group` is `all`, `kind` is
    `slide`; `mask`, `mpp` (microns per pixel) and `split` may be empty. Paths are relative to the sheet. A row at fault
    becomes a BadRow whose message names sheet, row and column; rows that share an id are all at fault. SourceError
    where the sheet itself cannot be read, has no rows, or has columns that are unknown, missing or there twice.
    """
    lines = _lines(path)
    if not lines:
        raise SourceError(explain(str(path), "the sheet is empty", expected="a line of column names", do=_COLUMNS_DO))
    header = [name.strip() for name in lines[0][1]]
    _check_header(path, header)
    if len(lines) == 1:
        raise SourceError(explain(str(path), "the sheet has no rows", do="Add a row per slide"))
    rows = [_row(path, line, header, cells) for line, cells in lines[1:]]
    return refuse_duplicates(rows, str(path))


def refuse_duplicates(rows: list[SheetRow | BadRow], sheet: str) -> list[SheetRow | BadRow]:
    """The rows, those that share an id with others turned into BadRows."""
    count = Counter(row.slide_id for row in rows if row.slide_id)
    lines = {name: [row.line for row in rows if row.slide_id == name] for name, n in count.items() if n > 1}
    out: list[SheetRow | BadRow] = []
    for row in rows:
        if isinstance(row, SheetRow) and row.slide_id in lines:
            where = f"{sheet}: row {row.line}, column slide_id"
            listed = ", ".join(map(str, lines[row.slide_id]))
            message = explain(where, f"{row.slide_id!r} is the id of rows {listed}", do="Give every row its own id")
            row = BadRow(row.line, row.slide_id, message, row.case_id, row.group, row.split)
        out.append(row)
    return out


def write_sheet(path: Path, rows: Sequence[SheetRow]) -> None:
    """Write rows as a sheet, .tsv or .csv, which `read_sheet` reads back equal but for their lines.

    Files below the sheet's folder are named relative to it. SourceError for another ending, and where there is a file,
    which may hold changes made by hand.
    """
    delimiter = _delimiter(path)
    try:
        with path.open("x", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([_cell(path.parent, getattr(row, name)) for name in COLUMNS] for row in rows)
    except FileExistsError:
        problem = "there is a sheet already, which may have been edited"
        raise SourceError(explain(str(path), problem, do="Name another file, or move this one away")) from None
    except OSError as error:
        problem = f"the sheet cannot be written ({error.strerror})"
        raise SourceError(explain(str(path), problem, do="Name a file in a folder that can be written")) from None


def _cell(base: Path, value: object) -> str:
    if isinstance(value, Path):
        file, folder = value.absolute(), base.absolute()
        return (file.relative_to(folder) if file.is_relative_to(folder) else file).as_posix()
    return "" if value is None else str(value)


_COLUMNS_DO = f"The columns are {', '.join(COLUMNS)}; {' and '.join(REQUIRED)} are needed"


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not blank."""
    delimiter = _delimiter(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            lines, before = [], 0
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    lines.append((before + 1, cells))
                before = reader.line_num
            return lines
    except OSError as error:
        raise SourceError(
            explain(str(path), f"the sheet cannot be read ({error.strerror})", do="Correct slides.sheet in the config")
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(explain(str(path), f"is no table of text ({error})", do="Save it again as UTF-8")) from None


def _delimiter(path: Path) -> str:
    delimiter = {".tsv": "\t", ".csv": ","}.get(path.suffix.lower())
    if delimiter is None:
        raise SourceError(
            explain(str(path), "is no sheet", expected=".tsv or .csv", got=path.suffix, do="Save it as one of these")
        )
    return delimiter


def _check_header(path: Path, header: list[str]) -> None:
    for name in header:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.5)
            do = f"Did you mean {near[0]!r}? {_COLUMNS_DO}" if near else _COLUMNS_DO
            raise SourceError(explain(f"{path}: row 1", f"there is no column {name!r}", do=do))
    twice = [name for name, n in Counter(header).items() if n > 1]
    absent = [name for name in REQUIRED if name not in header]
    if twice or absent:
        problem = f"column {twice[0]!r} is there twice" if twice else f"column {absent[0]!r} is missing"
        raise SourceError(explain(f"{path}: row 1", problem, got=", ".join(header), do=_COLUMNS_DO))


def _row(path: Path, line: int, header: list[str], cells: list[str]) -> SheetRow | BadRow:
    values = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
    slide_id, column = values.get("slide_id", ""), "slide_id"
    try:
        if len(cells) > len(header):
            column = header[-1]
            raise _FaultyCellError(f"{len(cells)} cells under {len(header)} columns; remove what is too much")
        _name(slide_id)
        names = {"case_id": values.get("case_id") or slide_id, "group": values.get("group") or "all"}
        for column, name in names.items():  # noqa: B007 (named where the fault is told)
            _name(name)
        column = "kind"
        kind = _kind(values.get("kind") or "slide")
        column = "mpp"
        mpp = _mpp(values.get("mpp", ""))
        column = "image"
        image = _file(path, values.get("image", ""))
        column = "mask"
        mask = _file(path, values["mask"]) if values.get("mask") else None
        column = "split"
        split = values.get("split") or None
        if split:
            _name(split)
    except _FaultyCellError as fault:
        return BadRow(line, slide_id, f"{path}: row {line}, column {column}: {fault}.", *_case(values))
    return SheetRow(line, slide_id, names["case_id"], names["group"], image, mask, mpp, kind, split)


def _case(values: Mapping[str, str]) -> tuple[str, str, str | None]:
    """Case, group and split of a row at fault; nothing where they are not to be told."""
    split = values.get("split") or None
    case, group = values.get("case_id") or values.get("slide_id", ""), values.get("group") or "all"
    try:
        for name in (case, group, *([split] if split else [])):
            _name(name)
    except _FaultyCellError:
        return "", "", None
    return case, group, split


def _name(text: str) -> None:
    if not text:
        raise _FaultyCellError("is empty; write a name")
    if not NAME.fullmatch(text):
        raise _FaultyCellError(f"{text!r} cannot be part of a file's name; use letters, digits and ._+- within it")
    if len(text.encode()) > LONGEST_NAME:
        raise _FaultyCellError(f"{text!r} is too long to be part of a file's name; use at most {LONGEST_NAME} bytes")


def _kind(text: str) -> Kind:
    for known in get_args(Kind):
        if text == known:
            return known  # type: ignore[no-any-return]
    raise _FaultyCellError(f"{text!r} is no kind of row; write slide or patch")


def _mpp(text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise _FaultyCellError(f"{text!r} is no number of microns per pixel; write one like 0.25, or leave it empty")
    return value


def _file(sheet: Path, text: str) -> Path:
    if not text:
        raise _FaultyCellError("is empty; write the path of the file")
    try:
        path = sheet.parent / Path(text).expanduser()
        if path.is_file():
            return path
        is_folder, beside = path.is_dir(), path.parent.is_dir()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _FaultyCellError(f"{text!r} cannot be looked for ({reason}); correct the path") from None
    if is_folder:
        raise _FaultyCellError(f"{text!r} is a folder; write the path of a file")
    if not beside:
        raise _FaultyCellError(f"{text!r} does not exist, nor does the folder {path.parent}; correct the path")
    near = difflib.get_close_matches(path.name, sorted(item.name for item in path.parent.iterdir()), n=1)
    do = f"did you mean {near[0]!r}" if near else "correct the path"
    raise _FaultyCellError(f"{text!r} does not exist; {do}")
