"""Cut the patches of one slide from its finished layers, with what of each is tissue and structure."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.stages.slide_patches import write_slide_patches


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "slide_patches")
    written, facts = write_slide_patches(job)
    job.finish(written, facts, work=facts["kept"])
