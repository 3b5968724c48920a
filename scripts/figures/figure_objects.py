"""The largest objects of a layer with mesh and skeleton, and all of them in their volume."""

import sys
from pathlib import Path

from ophiolite.report.figures import Portrait, draw_objects, draw_scene
from ophiolite.stages.figure_data import layer_figures

sys.stderr = open(snakemake.log[0], "w")
figures = layer_figures(Path(snakemake.params.plan), snakemake.wildcards.dataset, snakemake.wildcards.layer)
solids = figures.objects(int(snakemake.params.shown))
portraits = [Portrait(solid, str(label), figures.caption(label)) for label, solid in solids]
draw_objects(portraits, Path(snakemake.output.objects))
draw_scene([solid for _, solid in solids], *figures.bounds_nm(), Path(snakemake.output.scene))
