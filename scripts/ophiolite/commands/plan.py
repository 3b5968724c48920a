"""Print the plan: layers, mips, jobs, core-hours, memory, bytes and files."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.plan.table import render_plan
from ophiolite.stages.job import load_plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    print(render_plan(load_plan(args.plan)), end="")
