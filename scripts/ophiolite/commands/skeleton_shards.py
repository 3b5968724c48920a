"""Merge the skeleton fragments of one merge job and write its shards."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of, number
from ophiolite.stages.shards import run_shards
from ophiolite.stages.skeleton import MEASURES, merge


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser, "job", "0")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "skeleton_shards")
    number(args, "job", job.product("skeleton").merge_jobs)
    written, labels = run_shards(job, "skeleton", merge(job), MEASURES)
    job.finish(written, work=labels)
