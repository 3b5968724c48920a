"""Remove the intermediate files of a finished project; later jobs that need one say how to remake it."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from ophiolite.stages.job import load_plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    for dataset in load_plan(args.plan).datasets:
        folder = args.plan.parent / dataset / "work"
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        shutil.rmtree(folder, ignore_errors=True)
        print(f"removed {folder}: {size / 1e6:.1f} MB", file=sys.stderr)
