"""Trace somata and named labels again from whole objects, in place of what was traced task by task."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of, number
from ophiolite.kernels.allocator import tame_page_faults
from ophiolite.stages.skeleton_objects import run_objects


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser, "job", "0")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "skeleton_objects")
    number(args, "job", job.product("skeleton").object_jobs)
    tame_page_faults()
    written, facts, mvx = run_objects(job)
    job.finish(written, facts, work=mvx)
