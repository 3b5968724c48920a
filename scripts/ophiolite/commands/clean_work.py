"""Remove the intermediate files of a finished project; a later job that needs one says how to remake it."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from ophiolite.layers.paths import KEPT_WORK, LayerPaths
from ophiolite.plan.model import VolumePlan
from ophiolite.stages.cleaned import record_cleaned
from ophiolite.stages.job import open_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    plan, store = open_project(args.plan)
    for dataset, data in plan.datasets.items():
        work = f"{dataset}/work"
        for name, layer in data.layers.items():
            if isinstance(layer, VolumePlan):
                record_cleaned(store, LayerPaths(dataset, name), layer)
        entries = [
            f"{work}/{layer}/{name}" for layer in store.folders(work) for name in store.folders(f"{work}/{layer}")
        ]
        size = sum(store.delete_folder(entry) for entry in entries if entry.rsplit("/", 1)[1] not in KEPT_WORK)
        if store.bucket:
            shutil.rmtree(store.scratch(work), ignore_errors=True)
        print(f"removed from {store.place(work)}: {size / 1e6:.1f} MB", file=sys.stderr)
