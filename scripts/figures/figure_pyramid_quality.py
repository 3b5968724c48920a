"""How far the mips of a layer lie from the exact reduction of mip 0, and how grey levels or volumes drift."""

import sys
from pathlib import Path

from ophiolite.report.pyramid_quality_figures import draw_deviation, draw_drift
from ophiolite.stages.job import open_project
from ophiolite.stages.pyramid_quality_table import rows_of_layer

sys.stderr = open(snakemake.log[0], "w")
plan, store = open_project(Path(snakemake.params.plan))
rows = rows_of_layer(plan, store, snakemake.wildcards.dataset, snakemake.wildcards.layer)
for name, draw in (("deviation", draw_deviation), ("drift", draw_drift)):
    for ending in ("svg", "png"):
        draw(rows, Path(snakemake.output[f"{name}_{ending}"]))
