"""Write slides.html: the dataset of slides in one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.slide_project import open_slides
from ophiolite.stages.slides_page import build_slides_page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan, slides, store = open_slides(args.plan)
    store.write("slides.html", build_slides_page(plan, slides, store).encode())
