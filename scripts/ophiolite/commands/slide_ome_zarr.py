"""Write a finished slide as OME-Zarr, a pyramid that other programs open."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.stages.slide_ome_zarr import write_ome_zarr


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "slide_ome_zarr")
    written, facts = write_ome_zarr(job)
    job.finish(written, facts, work=sum(scale.box.volume for scale in job.volume.scales) / 1e6)
