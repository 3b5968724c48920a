"""Write the branches of the skeletons of one export job: a row per branch, with length, tortuosity, radii and order."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of, number
from ophiolite.stages.skeleton_graph import write_skeleton_graph


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser, "job", "0")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "skeleton_graph")
    number(args, "job", job.product("skeleton").export_jobs)
    files, labels = write_skeleton_graph(job)
    job.finish(files, {"labels": labels}, work=labels)
