"""Find the connected objects of a slide's mask, which the layer `objects` is made of."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.stages.mask_objects import write_mask_objects


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "mask_objects")
    written, facts = write_mask_objects(job)
    job.finish(written, facts, work=job.segmentation.scales[0].box.volume / 1e6)
