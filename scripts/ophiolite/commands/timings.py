"""Print what every stage took, next to the paper's figures."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.timings import timings_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json, beside tables/")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    print(timings_text(args.plan.parent), end="")
