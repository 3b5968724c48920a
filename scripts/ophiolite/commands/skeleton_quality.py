"""Measure the skeletons of one merge job, as they stand in its shards, against the voxels of their labels."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of, number
from ophiolite.stages.skeleton_quality import run_skeleton_quality


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser, "job", "0")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "skeleton_quality")
    number(args, "job", job.product("skeleton").merge_jobs)
    job.say(f"done: {run_skeleton_quality(job)} labels")
