"""Volume, centroids and distances of a layer's meshes, and the worst of them."""

import sys
from pathlib import Path

from ophiolite.report.figures import draw_objects
from ophiolite.report.mesh_quality_figures import draw_centroid, draw_distance, draw_volume
from ophiolite.stages.job import open_project
from ophiolite.stages.mesh_quality_gallery import worst_portraits
from ophiolite.stages.mesh_quality_table import TABLE

sys.stderr = open(snakemake.log[0], "w")
plan, store = open_project(Path(snakemake.params.plan))
dataset, layer = snakemake.wildcards.dataset, snakemake.wildcards.layer
table = TABLE.read(store, TABLE.part_paths(plan, dataset, layer)).to_pandas(use_threads=False)
for name, draw in (("volume", draw_volume), ("centroid", draw_centroid), ("distance", draw_distance)):
    for ending in ("svg", "png"):
        draw(table, Path(snakemake.output[f"{name}_{ending}"]))
draw_objects(worst_portraits(store, dataset, layer, table), Path(snakemake.output.worst), columns=2)
