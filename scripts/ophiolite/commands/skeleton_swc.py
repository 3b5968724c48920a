"""Write the skeletons of one export job as SWC files, one per tree."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of, number
from ophiolite.stages.skeleton_swc import write_skeleton_swc


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser, "job", "0")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "skeleton_swc")
    number(args, "job", job.product("skeleton").export_jobs)
    files, loops = write_skeleton_swc(job)
    job.finish(files, {"trees": len(files), "loops_broken": loops}, work=len(files))
