"""Collect what the encodings cost on every layer into tables/compression.csv and .parquet."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.compression_table import compression_tables
from ophiolite.stages.job import open_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan, store = open_project(args.plan)
    text, binary = compression_tables(plan, store)
    store.write("tables/compression.csv", text)
    store.write("tables/compression.parquet", binary)
