"""Run one job again whose files were found damaged, by the command of its rule."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ophiolite.commands._arguments import add_job_arguments
from ophiolite.errors import PlanError, explain
from ophiolite.stages.job import open_project
from ophiolite.stages.verify import read_damage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    add_job_arguments(parser)
    parser.add_argument("--rule", required=True, help="the rule that made what is damaged")
    parser.add_argument(
        "--item", default="", help="its block, part or merge job; left out where it runs once per layer"
    )
    parser.add_argument("--output", type=Path, required=True, help="empty file that says it is done")


def run(args: argparse.Namespace) -> None:
    """Run this command; raises PlanError for a rule that leaves no receipt."""
    _, store = open_project(args.plan)
    args.damaged = [fault.path for fault in read_damage(store)]
    _command(args.rule)(args)
    args.output.touch()


def _command(rule: str) -> Callable[[argparse.Namespace], None]:
    from ophiolite.commands import (
        annotation_layer,
        label_stats,
        layer_done,
        layer_info,
        mask_objects,
        mesh_done,
        mesh_fragments,
        mesh_index,
        mesh_shards,
        object_table,
        pyramid_blocks,
        segment_properties,
        skeleton_done,
        skeleton_fragments,
        skeleton_graph,
        skeleton_index,
        skeleton_objects,
        skeleton_shards,
        skeleton_swc,
        slide_contours,
        slide_images,
        slide_objects,
        slide_ome_tiff,
        slide_ome_zarr,
        slide_patches,
    )

    commands = (
        annotation_layer,
        label_stats,
        layer_done,
        layer_info,
        mask_objects,
        mesh_done,
        mesh_fragments,
        mesh_index,
        mesh_shards,
        object_table,
        pyramid_blocks,
        segment_properties,
        skeleton_done,
        skeleton_fragments,
        skeleton_graph,
        skeleton_index,
        skeleton_objects,
        skeleton_shards,
        skeleton_swc,
        slide_contours,
        slide_images,
        slide_objects,
        slide_ome_tiff,
        slide_ome_zarr,
        slide_patches,
    )
    known: dict[str, Callable[[argparse.Namespace], None]] = {
        command.__name__.rpartition(".")[2]: command.run for command in commands
    }
    if rule not in known:
        raise PlanError(explain("--rule", "leaves no receipt", expected=", ".join(known), got=rule, do="Name another"))
    return known[rule]
