"""Compile every kernel once per machine type, so that no job spends its time on it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from ophiolite.kernels.warm_up import warm_up
from ophiolite.layers.store import Store
from ophiolite.plan.model import VolumePlan
from ophiolite.stages.job import load_plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json: kernels are compiled for its data types")
    parser.add_argument("--output", type=Path, required=True, help="file that says it is done")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    started = time.monotonic()
    layers = [layer for data in load_plan(args.plan).datasets.values() for layer in data.layers.values()]
    volumes = [layer for layer in layers if isinstance(layer, VolumePlan)]
    images = sorted({v.source.dtype for v in volumes if v.kind == "image"})
    labels = sorted({v.source.dtype for v in volumes if v.kind == "segmentation"})
    slides = {"mask_objects"} if any(v.source.format == "mask_objects" for v in volumes) else set()
    products = sorted({name for v in volumes for name, _ in v.products()} | slides)
    warmed = warm_up(tuple(images), tuple(labels), tuple(products))
    print(f"compiled {', '.join(warmed)} in {time.monotonic() - started:.1f} s", file=sys.stderr)
    data = {"kernels": warmed, "images": images, "labels": labels}
    Store(args.output.parent).write(args.output.name, (json.dumps(data) + "\n").encode())
