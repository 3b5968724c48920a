"""Draw the slides or patches whose predictions agree least with the truth: shared, missed and false pixels."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.slide_project import open_slides
from ophiolite.stages.slide_score_panels import write_score_panels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    write_score_panels(*open_slides(args.plan))
