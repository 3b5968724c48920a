"""Read the config and the headers of the sources and write plan.json: grids, shards, jobs, costs, digests."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.config.load import load_config, parse_config_json
from ophiolite.plan.estimate import load_speeds
from ophiolite.plan.make import make_plan, planned_layers, store_of
from ophiolite.plan.slides import slide_datasets
from ophiolite.stages.stale import remove_stale


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    config = parser.add_mutually_exclusive_group(required=True)
    config.add_argument("--config", type=Path, help="config file (YAML)")
    config.add_argument("--config-json", help="the config as JSON text, as snakemake merged it")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    config = load_config(args.config) if args.config else parse_config_json(args.config_json)
    store = store_of(config, Path())
    plan = make_plan(config, Path(), load_speeds(store, [*config.datasets, *slide_datasets(config, Path())]))
    for paths in planned_layers(plan):
        store.make_folder(paths.receipts)  # from here on the layer's folder is ours
    remove_stale(store, plan)
    store.write("plan.json", plan.to_bytes())
