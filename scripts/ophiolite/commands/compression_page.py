"""Write compression.html: what every encoding costs on each layer, who reads it, and which to choose."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.compression_page import build_compression_page
from ophiolite.stages.job import open_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan, store = open_project(args.plan)
    store.write("compression.html", build_compression_page(plan, store).encode())
