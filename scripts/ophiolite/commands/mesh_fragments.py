"""Make the mesh fragments of one block: every task of it, every label, into one fragment file."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.kernels.allocator import tame_page_faults
from ophiolite.stages.fragments import run_fragments
from ophiolite.stages.mesh_pieces import extractor_of, merge_bytes, pieces_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser, "block", "0-0-0")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    tame_page_faults()
    job = job_of(args, "mesh_fragments")
    halo_vx = extractor_of(job).halo_vx
    written, facts, mvx = run_fragments(job, "mesh", args.item, pieces_of(job), halo_vx, merge_bytes)
    job.finish(written, facts, work=mvx)
