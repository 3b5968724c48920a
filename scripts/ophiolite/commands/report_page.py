"""Write report.html: what was made, figures, what every stage cost, versions and config, in one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.report.page import render_page
from ophiolite.stages.job import open_project
from ophiolite.stages.report import build_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan, store = open_project(args.plan)
    page = render_page(build_report(plan, store))
    store.write("report.html", page.encode())
