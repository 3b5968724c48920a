"""The arguments that commands share, and the job they describe."""

from __future__ import annotations

import argparse
from pathlib import Path

from ophiolite.errors import PlanError, explain
from ophiolite.stages.job import Job, open_project


def add_job_arguments(parser: argparse.ArgumentParser, item: str = "", example: str = "") -> None:
    """Arguments of a command that runs for one layer, and for one block, part or merge job of it."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json, as `snakemake plan` writes it")
    parser.add_argument("--dataset", required=True, help="name of the dataset in the config")
    parser.add_argument("--layer", required=True, help="name of the layer in the config")
    if item:
        parser.add_argument(f"--{item}", required=True, dest="item", help=f"which {item}, e.g. {example}")
    parser.add_argument("--threads", type=int, default=1, help="threads to use (default 1)")
    parser.set_defaults(damaged=None)


def number(args: argparse.Namespace, item: str, count: int) -> int:
    """The item as a number below `count`; raises PlanError for any other."""
    if not args.item.isdigit() or int(args.item) >= count:
        raise PlanError(
            explain(f"--{item}", "does not exist", expected=f"0 to {count - 1}", got=args.item, do="See the plan")
        )
    return int(args.item)


def job_of(args: argparse.Namespace, rule: str) -> Job:
    """The job that parsed arguments describe; the store is the folder that holds the plan, with the bucket it names.

    `args.damaged` : where a job is run again for files of these paths, so that others stay if they are sound.
    """
    plan, store = open_project(args.plan)
    return Job(
        project=plan,
        store=store if args.damaged is None else store.healing(args.damaged),
        rule=rule,
        dataset=args.dataset,
        layer=args.layer,
        item=getattr(args, "item", ""),
        threads=args.threads,
    )
