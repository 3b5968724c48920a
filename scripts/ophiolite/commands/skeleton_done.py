"""Close the skeleton folder of a layer: remove files that no receipt names, write the receipt consumers wait for."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.stages.close import close_product


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "skeleton_done")
    job.finish([], close_product(job, "skeleton"))
