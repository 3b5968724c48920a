"""Measure every slide or patch of a batch: files, pixels, scale, tissue, structures of the mask."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.slide_facts import write_facts
from ophiolite.stages.slide_project import open_slides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")
    parser.add_argument("--batch", required=True, help="name of a batch of rows, as the plan deals them")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan, slides, store = open_slides(args.plan)
    write_facts(plan, slides, store, args.batch)
