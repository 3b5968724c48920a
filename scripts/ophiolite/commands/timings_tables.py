"""Collect what every job took, per job and per stage, into tables/timings, stages and paper_scale."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.job import open_project
from ophiolite.stages.timings import write_tables


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    write_tables(*open_project(args.plan))
