"""Check a config and list every fault with its place; says nothing where there is none."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.config.load import load_config, parse_config_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    config = parser.add_mutually_exclusive_group(required=True)
    config.add_argument("--config", type=Path, help="config file (YAML)")
    config.add_argument("--config-json", help="the config as JSON text")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    if args.config:
        load_config(args.config)
    else:
        parse_config_json(args.config_json)
