"""The split of every case: as the sheet or the lock file says, or drawn."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ophiolite.errors import ConfigError, explain
from ophiolite.kernels.case_splits import split_cases
from ophiolite.layers.store import Store
from ophiolite.plan.slide_model import SlideRowPlan, SlidesPlan
from ophiolite.stages.slide_tables import SPLITS, Row, write_slide_table

LOCK_COLUMNS = ("case_id", "split")


def write_splits(slides: SlidesPlan, store: Store) -> None:
    """Write slides/tables/splits.csv, which may serve as lock file afterwards, and splits.parquet."""
    options = slides.options["splits"]
    lock = Path(options["lock"]) if options and options["lock"] else None
    locked = read_lock(lock) if lock else {}
    write_slide_table(store, "splits", case_rows(slides.rows, options, locked), SPLITS)


def case_rows(
    rows: Sequence[SlideRowPlan], options: Mapping[str, object] | None, locked: Mapping[str, str]
) -> list[Row]:
    """Rows of `SPLITS`, by case. options : the section `splits`, None where only what the sheet says counts.

    Rows that the plan refused take part where their case is known, as no items: a file that cannot be read, and one
    that is mended, move no other case. Their column `split` counts where the other rows of a case say nothing. `origin`
    is `sheet`, `lock` or `drawn`. A case that the sheet puts into several splits is listed in each: the rule
    slide_leakage says so. Raises ConfigError where lock file and sheet, or lock file and config, do not agree.
    """
    known = sorted((row for row in rows if row.case_id), key=lambda row: row.error is not None)
    groups: dict[str, str] = {}
    of_sheet: dict[str, list[str]] = {}
    for row in known:
        groups[row.case_id] = min(row.group, groups.get(row.case_id, row.group))
        told = of_sheet.get(row.case_id, [])
        if row.split and row.split not in told and not (told and row.error):
            of_sheet[row.case_id] = [*told, row.split]
    out: dict[str, list[str]] = dict(of_sheet)
    if options is not None:
        _check(locked, of_sheet, options)
        first = {case: splits[0] for case, splits in of_sheet.items()}
        fractions, seed = options["fractions"], options["seed"]
        assert isinstance(fractions, Mapping)
        assert isinstance(seed, int)
        drawn = split_cases(groups, fractions, seed, bool(options["stratify"]), {**locked, **first})
        out = {case: of_sheet.get(case) or [drawn[case]] for case in groups}
    items = Counter(row.case_id for row in rows if row.error is None)
    return [
        {
            "case_id": case,
            "group": groups[case],
            "split": split,
            "origin": "sheet" if case in of_sheet else "lock" if case in locked else "drawn",
            "items": items[case],
        }
        for case in sorted(out)
        for split in out[case]
    ]


def read_lock(path: Path) -> dict[str, str]:
    """Case -> split of a lock file; ConfigError names the line at fault."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            absent = [name for name in LOCK_COLUMNS if name not in (reader.fieldnames or [])]
            if absent:
                raise ConfigError(
                    explain(
                        f"{path}: line 1",
                        f"the lock file has no column {absent[0]!r}",
                        expected=" and ".join(LOCK_COLUMNS),
                        got=", ".join(reader.fieldnames or []),
                        do="Name the columns in the first line",
                    )
                )
            found: dict[str, str] = {}
            for row in reader:
                case, split = ((row[name] or "").strip() for name in LOCK_COLUMNS)
                where = f"{path}: line {reader.line_num}"
                if not case or not split:
                    raise ConfigError(explain(where, "case_id or split is empty", do="Fill it in, or remove the line"))
                if found.setdefault(case, split) != split:
                    problem = f"case {case!r} is in two splits, {found[case]!r} and {split!r}"
                    raise ConfigError(explain(f"E160 {where}", problem, do="Keep one of the lines"))
            return found
    except OSError as error:
        problem = f"the lock file cannot be read ({error.strerror})"
        raise ConfigError(explain(str(path), problem, do="Correct slides.splits.lock in the config")) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(explain(str(path), f"is no table of text ({error})", do="Save it again as UTF-8")) from None


def _check(locked: Mapping[str, str], of_sheet: Mapping[str, Sequence[str]], options: Mapping[str, object]) -> None:
    fractions = options["fractions"]
    assert isinstance(fractions, Mapping)
    for case, split in sorted(locked.items()):
        if split not in fractions:
            raise ConfigError(
                explain(
                    f"{options['lock']}: case {case!r}",
                    f"there is no split {split!r}",
                    expected=", ".join(fractions),
                    do="Name it in slides.splits.fractions, with 0 where no other case may enter it",
                )
            )
        others = [other for other in of_sheet.get(case, ()) if other != split]
        if others:
            raise ConfigError(
                explain(
                    f"E160 {options['lock']}: case {case!r}",
                    f"is in two splits: {split!r} here and {others[0]!r} in the sheet",
                    do="Let the two agree",
                )
            )
