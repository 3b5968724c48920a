"""Make the built-in sample: a phantom in the CREMI layout, and its truth beside it."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "output", type=Path, help="the HDF5 file to write; the truth lands beside it as <name>.truth.json"
    )
    parser.add_argument(
        "--size-vx",
        type=int,
        nargs=3,
        metavar=("X", "Y", "Z"),
        default=(256, 256, 96),
        help="size (default: 256 256 96)",
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed and size give the same bytes (default: 1)")


def run(args: argparse.Namespace) -> None:
    """Write the sample and its truth, each whole or not at all.

    Raises ConfigError for a size or seed that cannot work, StoreError where a file cannot be written.
    """
    from ophiolite.sample import make_phantom, truth_path, write_cremi, write_truth

    phantom = make_phantom((args.size_vx[0], args.size_vx[1], args.size_vx[2]), args.seed)
    write_truth(phantom, truth_path(args.output))
    write_cremi(phantom, args.output)
