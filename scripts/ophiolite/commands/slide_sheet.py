"""Write the sheet of a folder of the KPIs challenge: to be looked through, edited, and named as `slides.sheet`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("folder", type=Path, help="a folder in a layout of the challenge, patches or slides")
    parser.add_argument("sheet", type=Path, help="the .tsv or .csv to write")


def run(args: argparse.Namespace) -> None:
    """Write the rows that can be used; SourceError names those at fault afterwards, which are left out."""
    from ophiolite.errors import SourceError
    from ophiolite.sources.kpis import read_kpis_folder
    from ophiolite.sources.slide_sheet import BadRow, SheetRow, refuse_duplicates, write_sheet

    rows = refuse_duplicates(read_kpis_folder(args.folder), str(args.folder))
    good = [row for row in rows if isinstance(row, SheetRow)]
    write_sheet(args.sheet, good)
    faults = [row.message for row in rows if isinstance(row, BadRow)]
    if faults:
        head = f"{args.sheet}: {len(good)} rows are written, {len(faults)} at fault are left out:"
        raise SourceError("\n".join([head, *faults]))
