"""Write (or check) the files generated from the config model: config/README.md and the JSON schema."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.config.docs import generated_files, stale_files
from ophiolite.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--repository", type=Path, default=Path(), help="root of the checkout")
    parser.add_argument("--check", action="store_true", help="fail where a file is stale, write nothing")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    stale = stale_files(args.repository)
    if args.check and stale:
        raise ConfigError(f"stale generated files: {', '.join(stale)}. Run `make docs` and commit them.")
    for path, text in generated_files().items():
        if path in stale:
            (args.repository / path).parent.mkdir(parents=True, exist_ok=True)
            (args.repository / path).write_text(text)
