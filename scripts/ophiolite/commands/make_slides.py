"""Make the built-in slides: phantoms of tissue with their masks, predictions of known errors, a sheet, the truth."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("output", type=Path, help="the folder to write; its sheet is slides.tsv")
    parser.add_argument(
        "--size-px",
        type=int,
        nargs=2,
        metavar=("X", "Y"),
        default=(2000, 1420),
        help="size at 20x; the slide at 40x has twice as many each way (default: 2000 1420)",
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed and size give the same bytes (default: 1)")


def run(args: argparse.Namespace) -> None:
    """Write the set.

    Raises ConfigError for a size or seed that cannot work, StoreError where a file cannot be written.
    """
    from ophiolite.sample.slide_set import write_slides

    write_slides(args.output, (args.size_px[0], args.size_px[1]), args.seed)
