"""Make one block of one round of a pyramid: image or label shards of several mips in one pass."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.errors import PlanError
from ophiolite.stages.pyramid_block import run_pyramid_block


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser, "block", "r0.0-0-0: round 0, block 0-0-0")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    job = job_of(args, "pyramid_blocks")
    text, _, block = args.item.partition(".")
    if not (text[:1] == "r" and text[1:].isdigit() and int(text[1:]) < len(job.volume.rounds)):
        raise PlanError(f"--block {args.item}: expected rN.x-y-z with N below {len(job.volume.rounds)}.")
    written, mvx, facts = run_pyramid_block(job, int(text[1:]), block)
    job.finish(written, facts, work=mvx, speed_key=f"pyramid_blocks.{job.volume.kind}")
