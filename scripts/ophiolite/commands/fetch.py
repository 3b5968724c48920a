"""Fetch a pinned file from the config's mirror folder, or from its public address, and check its checksum."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.config.load import parse_config_json
from ophiolite.errors import ConfigError
from ophiolite.sources.fetch import fetch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--config-json", required=True, help="the config as JSON text")
    parser.add_argument("--name", required=True, help="name of the download in the config")
    parser.add_argument("--output", type=Path, required=True, help="where it shall lie")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    config = parse_config_json(args.config_json)
    for dataset in config.datasets.values():
        if args.name in dataset.downloads:
            mirror = Path(dataset.mirror) if dataset.mirror else None
            found = fetch(args.name, dataset.downloads[args.name], mirror, args.output.parent)
            if found.resolve() != args.output.resolve():
                args.output.parent.mkdir(parents=True, exist_ok=True)
                args.output.unlink(missing_ok=True)
                args.output.symlink_to(found.resolve())
            return
    raise ConfigError(f"no dataset of the config names the download {args.name!r}.")
