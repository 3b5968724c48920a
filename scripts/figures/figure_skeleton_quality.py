"""Skeletons of a layer against thinning, the middle of their objects, borders and components, and the worst of them."""

import sys
from pathlib import Path

from ophiolite.report.figures import draw_objects
from ophiolite.report.skeleton_quality_figures import draw_borders, draw_centring, draw_components, draw_lee
from ophiolite.stages.job import open_project
from ophiolite.stages.skeleton_quality_gallery import worst_portraits
from ophiolite.stages.skeleton_quality_table import TABLE

sys.stderr = open(snakemake.log[0], "w")
plan, store = open_project(Path(snakemake.params.plan))
dataset, layer = snakemake.wildcards.dataset, snakemake.wildcards.layer
table = TABLE.read(store, TABLE.part_paths(plan, dataset, layer)).to_pandas(use_threads=False)
charts = {"lee": draw_lee, "centring": draw_centring, "borders": draw_borders, "components": draw_components}
for name, draw in charts.items():
    for ending in ("svg", "png"):
        draw(table, Path(snakemake.output[f"{name}_{ending}"]))
draw_objects(worst_portraits(plan, store, dataset, layer, table), Path(snakemake.output.worst), columns=2)
