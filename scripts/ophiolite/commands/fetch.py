"""Fetch a pinned file from a mirror folder or its public address; a receipt beside it says that it is there."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ophiolite.errors import SourceError
from ophiolite.layers.store import Store
from ophiolite.sources.fetch import MIRROR_VARIABLE, Pinned, fetch, mirror_folder, receipt_bytes, receipt_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--name", required=True, help="name of the file")
    parser.add_argument("--sha256", required=True, help="its checksum")
    parser.add_argument("--url", help="its public address; without one it must be in the mirror")
    parser.add_argument("--mirror", help=f"folder that may hold it; the environment variable {MIRROR_VARIABLE} wins")
    parser.add_argument("--folder", type=Path, default=Path("data"), help="where it shall lie (default: data)")
    parser.add_argument(
        "--failures",
        type=int,
        help="tries that failed before this one; when given, a failure is counted in the receipt and ends only the "
        "layers that need the file",
    )


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    error, failures = None, args.failures or 0
    try:
        fetch(args.name, Pinned(args.url, args.sha256), mirror_folder(args.mirror), args.folder)
    except SourceError as problem:
        if args.failures is None:
            raise
        error, failures = str(problem), failures + 1
        print(f"ophiolite fetch: {error}", file=sys.stderr)
    receipt = receipt_path(args.name, args.folder)
    Store(args.folder).write(receipt.name, receipt_bytes(args.name, args.sha256, error, failures))
