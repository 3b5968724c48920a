"""Make the fragment index of meshes from the receipts of all blocks, and write the folder's info."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.stages.fragment_index import write_index
from ophiolite.stages.mesh_info import write_info


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "mesh_index")
    written, facts = write_index(job, "mesh")
    job.finish([*written, *write_info(job)], facts)
