"""Say why a layer was refused, and fail: the target of every layer that cannot be planned."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.errors import PlanError
from ophiolite.plan.model import Refused
from ophiolite.stages.job import load_plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")
    parser.add_argument("--dataset", required=True, help="name of the dataset")
    parser.add_argument("--layer", required=True, help="name of the layer")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    layer = load_plan(args.plan).datasets[args.dataset].layers[args.layer]
    raise PlanError(layer.error if isinstance(layer, Refused) else f"{args.dataset}/{args.layer}: was not refused.")
