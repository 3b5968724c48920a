"""Write an annotation layer: synapses of a CREMI file, or points, lines, boxes, ellipsoids of a table."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.stages.annotations import write_annotations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "annotation_layer")
    written, count = write_annotations(job)
    job.finish(written, {"annotations": count}, work=count)
