"""Write what the viewer lists of each segment: numbers and tags from the object table."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.stages.objects import write_segment_properties


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "segment_properties")
    written, facts = write_segment_properties(job)
    job.finish(written, facts)
