"""Write the tables of all slides: items, structures, sizes, occurrences, objects."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.slide_project import open_slides
from ophiolite.stages.slide_statistics import write_statistics


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    _, slides, store = open_slides(args.plan)
    write_statistics(slides, store)
