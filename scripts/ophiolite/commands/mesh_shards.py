"""Merge the mesh fragments of one merge job and write its shards."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of, number
from ophiolite.kernels.allocator import tame_page_faults
from ophiolite.stages.mesh import MEASURES, merge
from ophiolite.stages.shards import run_shards


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser, "job", "0")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    tame_page_faults()
    job = job_of(args, "mesh_shards")
    number(args, "job", job.product("mesh").merge_jobs)
    written, labels = run_shards(job, "mesh", merge(job), MEASURES)
    job.finish(written, work=labels)
