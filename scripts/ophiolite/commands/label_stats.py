"""Merge the label statistics of all blocks: voxels, box and coordinate sums of whole objects."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of, number
from ophiolite.stages.layer import reduce_statistics


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser, "part", "0")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "label_stats")
    job.finish(reduce_statistics(job, number(args, "part", job.segmentation.stats_parts)))
