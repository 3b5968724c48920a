"""Keep what a slide's file holds beside its pixels: the colour profile, the thumbnail, photos of slide and label."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.stages.slide_images import write_slide_images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "slide_images")
    written, facts = write_slide_images(job)
    job.finish(written, facts)
