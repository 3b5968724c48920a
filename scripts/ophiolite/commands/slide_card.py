"""Write the card of the dataset: Markdown, JSON and Croissant JSON-LD."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.slide_card import write_card
from ophiolite.stages.slide_project import open_slides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan, slides, store = open_slides(args.plan)
    write_card(plan, slides, store)
