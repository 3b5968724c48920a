"""The encodings of a layer: compression factor, speeds, and size against speed."""

import sys
from pathlib import Path

from ophiolite.parquet import read_frame
from ophiolite.report.compression_figures import draw_factor, draw_speed, draw_tradeoff

sys.stderr = open(snakemake.log[0], "w")
table = read_frame(Path(snakemake.input[0]))
drawings = (draw_factor, draw_speed, draw_tradeoff)
vectors = (snakemake.output.factor, snakemake.output.speed, snakemake.output.tradeoff)
for draw, vector, raster in zip(drawings, vectors, snakemake.output.rasters, strict=True):
    draw(table, Path(vector))
    draw(table, Path(raster))
