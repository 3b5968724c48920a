"""Size distributions of a layer's objects."""

import sys
from pathlib import Path

from ophiolite.report.figures import draw_distributions
from ophiolite.stages.figure_data import layer_figures

sys.stderr = open(snakemake.log[0], "w")
figures = layer_figures(Path(snakemake.params.plan), snakemake.wildcards.dataset, snakemake.wildcards.layer)
draw_distributions(figures.distributions(), Path(snakemake.output[0]))
