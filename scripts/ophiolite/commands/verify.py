"""Read back everything that receipts name; print, and write to a table, what is missing, cut short or altered."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ophiolite.errors import LayerError
from ophiolite.stages.job import open_project
from ophiolite.stages.verify import TABLE, record, table_bytes, verify


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--plan", type=Path, required=True, help="plan.json, as `snakemake plan` writes it")
    parser.add_argument("--threads", type=int, default=1, help="files read at a time (default 1)")


def run(args: argparse.Namespace) -> None:
    """Run this command; raises LayerError where anything is damaged."""
    plan, store = open_project(args.plan)
    found = verify(store, plan, args.threads, lambda text: print(text, file=sys.stderr, flush=True))
    store.write(TABLE, table_bytes(found))
    record(store, plan, found)
    print(
        f"{found.files} files, {found.size_bytes / 1e6:.1f} MB, of {found.receipts} receipts:"
        f" {len(found.faults)} faults; {found.cleaned} intermediate files removed by clean_work,"
        f" {found.waiting} jobs not run yet"
    )
    for layer in found.refused:
        print(f"  {layer}: not looked at, the plan refuses it")
    for fault in found.faults:
        detail = f" ({fault.detail})" if fault.detail else ""
        print(f"  {fault.path}: {fault.fault}{detail}; made by {fault.rule} {fault.item}".rstrip())
    if found.faults:
        raise LayerError(
            f"{store.place(TABLE)}: {len(found.faults)} faults of {len(found.jobs)} jobs."
            " Run `snakemake heal` to run these jobs again, and no others."
        )
