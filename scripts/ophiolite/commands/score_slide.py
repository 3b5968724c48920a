"""Score the predicted masks of a batch of slides or patches against their masks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ophiolite.stages.slide_project import open_slides
from ophiolite.stages.slide_scores import write_scores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")
    parser.add_argument("--batch", required=True, help="name of a batch of rows, as the plan deals them")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan, slides, store = open_slides(args.plan)
    for error in write_scores(plan, slides, store, args.batch):
        print(f"ophiolite score_slide: {error}", file=sys.stderr)
