"""Fail where slides have no patches, unreadable or with none that is kept, naming each; tables hold all others."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.slide_patches_table import check_patches_kept
from ophiolite.stages.slide_project import open_slides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    _, _, store = open_slides(args.plan)
    check_patches_kept(store)
