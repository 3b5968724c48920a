"""Collect what every job took into tables/timings.csv and .parquet."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.layers.store import Store
from ophiolite.stages.job import load_plan
from ophiolite.stages.timings import read_timings, timings_tables


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan = load_plan(args.plan)
    store = Store(args.plan.parent)
    text, binary = timings_tables(read_timings(store, list(plan.datasets)))
    store.write("tables/timings.csv", text)
    store.write("tables/timings.parquet", binary)
