"""Fail where predictions could not be compared with their masks, naming each; the tables are made without them."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.slide_project import open_slides
from ophiolite.stages.slide_score_tables import check_scored


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    _, _, store = open_slides(args.plan)
    check_scored(store)
