"""Collect what was measured of pyramids into tables/pyramid_quality.csv and .parquet."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.job import open_project
from ophiolite.stages.pyramid_quality_table import write_pyramid_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    write_pyramid_table(*open_project(args.plan))
