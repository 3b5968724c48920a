"""Middle slices of a layer at two mips, labels over the image."""

import sys
from pathlib import Path

from ophiolite.report.figures import SlicePanel, draw_slices
from ophiolite.stages.figure_data import layer_figures

sys.stderr = open(snakemake.log[0], "w")
figures = layer_figures(Path(snakemake.params.plan), snakemake.wildcards.dataset, snakemake.wildcards.layer)
slices = figures.slices()
contrast = figures.contrast(slices)
panels = [
    SlicePanel(f"mip {s.mip}, {s.resolution_nm[0]:g} nm", s.shown, s.labels, s.resolution_nm, contrast) for s in slices
]
draw_slices(panels, figures.ranked(), Path(snakemake.output[0]))
