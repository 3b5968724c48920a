"""Write one part of a layer's object table: statistics, mesh and skeleton measures of each label."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of, number
from ophiolite.stages.objects import write_objects


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser, "part", "0")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "object_table")
    written, labels = write_objects(job, number(args, "part", job.segmentation.stats_parts))
    job.finish(written, {"objects": labels}, work=labels)
