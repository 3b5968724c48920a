"""Remove the intermediate files of a finished project; a later job that needs one says how to remake it."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from ophiolite.layers.paths import KEPT_WORK
from ophiolite.stages.job import load_plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    for dataset in load_plan(args.plan).datasets:
        work = args.plan.parent / dataset / "work"
        removed = [path for path in sorted(work.glob("*/*")) if path.name not in KEPT_WORK]
        size = sum(_size(path) for path in removed)
        for path in removed:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        print(f"removed from {work}: {size / 1e6:.1f} MB", file=sys.stderr)


def _size(path: Path) -> int:
    return sum(f.stat().st_size for f in [path, *path.rglob("*")] if f.is_file())
