"""Make the skeleton fragments of one block: every task of it, every label, into one fragment file."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.kernels.allocator import tame_page_faults
from ophiolite.kernels.skeletonize import HALO_HIGH_VX, HALO_LOW_VX
from ophiolite.stages.fragments import run_fragments
from ophiolite.stages.skeleton_pieces import pieces_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser, "block", "0-0-0")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "skeleton_fragments")
    tame_page_faults()
    written, facts, mvx = run_fragments(
        job, "skeleton", args.item, pieces_of(job), (HALO_LOW_VX, HALO_HIGH_VX), tasks_at_once=job.threads
    )
    job.finish(written, facts, work=mvx)
