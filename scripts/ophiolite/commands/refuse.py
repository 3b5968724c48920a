"""Say why a layer was refused, and fail: the target of every layer that cannot be planned."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.errors import PlanError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "refuse")
    raise PlanError(f"{job.dataset}/{job.layer}: was not refused, it is planned as {job.planned.kind}.")
