"""Say what was healed, once the jobs that `verify` found damaged have run again."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.stages.heal import healed
from ophiolite.stages.job import open_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json, as `snakemake plan` writes it")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan, store = open_project(args.plan)
    print(healed(store, plan))
