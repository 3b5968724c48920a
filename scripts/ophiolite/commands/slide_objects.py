"""Measure the connected objects of a slide's mask: area, perimeter, eccentricity, place, mean colour."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.stages.slide_objects import write_slide_objects


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "slide_objects")
    written, count = write_slide_objects(job)
    job.finish(written, {"objects": count}, work=job.segmentation.scales[0].box.volume / 1e6)
