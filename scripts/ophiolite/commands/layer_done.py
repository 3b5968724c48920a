"""Close a layer's pyramid: remove files that no receipt names, and write the receipt its consumers wait for."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.layers.paths import FOLDERS, PROPERTIES_FOLDER
from ophiolite.stages.close import close_folder, sweep_rules


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "layer_done")
    paths, volume = job.paths, job.volume
    blocks = [f"r{r.number}.{name}" for r in volume.rounds for name in r.block_names()]
    receipts = [paths.receipt("pyramid_blocks", b) for b in blocks]
    keep = ("info", "provenance", *(f"{folder}/" for folder in (*FOLDERS.values(), PROPERTIES_FOLDER)))
    files, digest = close_folder(job, paths.layer_folder, receipts, keep)
    sweep_rules(job, "pyramid_blocks", "carry", "statistics", "label_stats")
    job.finish([], {"files": files, "receipts": digest})
