"""Collect what was measured of skeletons into tables/skeleton_quality.csv and .parquet; name what it flags."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.job import open_project
from ophiolite.stages.skeleton_flagged import write_flagged
from ophiolite.stages.skeleton_quality_table import TABLE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan, store = open_project(args.plan)
    TABLE.write(plan, store)
    write_flagged(plan, store)
