"""How far the mips of a layer lie from the exact reduction of mip 0, and how grey levels or volumes drift."""

import sys
from pathlib import Path

from ophiolite.layers.store import Store
from ophiolite.report.pyramid_quality_figures import draw_deviation, draw_drift
from ophiolite.stages.job import load_plan
from ophiolite.stages.pyramid_quality_table import rows_of_layer

sys.stderr = open(snakemake.log[0], "w")
plan = Path(snakemake.params.plan)
rows = rows_of_layer(load_plan(plan), Store(plan.parent), snakemake.wildcards.dataset, snakemake.wildcards.layer)
for name, draw in (("deviation", draw_deviation), ("drift", draw_drift)):
    for ending in ("svg", "png"):
        draw(rows, Path(snakemake.output[f"{name}_{ending}"]))
