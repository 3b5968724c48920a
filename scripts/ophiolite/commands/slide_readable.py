"""Fail where slides or patches cannot be read beyond their headers, naming each; the page is made without them."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.slide_project import open_slides
from ophiolite.stages.slide_statistics import check_readable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    _, _, store = open_slides(args.plan)
    check_readable(store)
