"""Draw image, mask and overlay of some slides of a group."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.slide_panels import write_panels
from ophiolite.stages.slide_project import open_slides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")
    parser.add_argument("--group", required=True, help="a group of the sheet")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan, slides, store = open_slides(args.plan)
    write_panels(plan, slides, store, args.group)
