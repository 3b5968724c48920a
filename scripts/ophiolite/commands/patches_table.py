"""Collect the patches of all slides into slides/tables/patches.csv and .parquet, and count them by slide."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.slide_patches_table import write_patches_table
from ophiolite.stages.slide_project import open_slides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    write_patches_table(*open_slides(args.plan))
