"""Write quality.html: what was measured of pyramids, meshes and skeletons, in one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.job import open_project
from ophiolite.stages.quality_page import build_quality_page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan, store = open_project(args.plan)
    store.write("quality.html", build_quality_page(plan, store).encode())
