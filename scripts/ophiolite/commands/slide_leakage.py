"""Look for what several splits share; writes the tables, then fails where there is any."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.slide_leakage import write_leakage
from ophiolite.stages.slide_project import open_slides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    _, slides, store = open_slides(args.plan)
    write_leakage(slides, store)
