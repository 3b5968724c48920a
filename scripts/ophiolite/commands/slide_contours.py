"""Trace the outlines of a slide's objects, for annotation layers and as GeoJSON."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.errors import PlanError
from ophiolite.stages.slide_contours import write_contours


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "slide_contours")
    if job.project.slides is None:
        raise PlanError("slide_contours: the plan has no slides.")
    written, facts = write_contours(job, job.project.slides.options["mask"]["max_error_px"])
    job.finish(written, facts, work=job.segmentation.scales[0].box.volume / 1e6)
