"""Measure how far the mips of a layer, or of a slab of it, lie from the exact reduction of mip 0."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.stages.pyramid_quality import RULE, measure_slab


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser, "slab", "0-1 for the only one, 1-4 for the second of four")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    measure_slab(job_of(args, RULE))
