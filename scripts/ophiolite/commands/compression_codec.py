"""Measure what every encoding costs on a layer: bytes, time to write and read, what is lost."""

from __future__ import annotations

import argparse

from ophiolite.commands._arguments import add_job_arguments, job_of
from ophiolite.stages.compression_codec import benchmark_layer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    benchmark_layer(job_of(args, "compression_codec"))
