"""Write the split of every case: as the sheet or the lock file says, or drawn."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.slide_project import open_slides
from ophiolite.stages.slide_splits import write_splits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    _, slides, store = open_slides(args.plan)
    write_splits(slides, store)
