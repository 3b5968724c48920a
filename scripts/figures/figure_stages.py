"""Core-hours of every rule of the project, by stage."""

import sys
from pathlib import Path

from ophiolite.parquet import read_frame
from ophiolite.report.figures import draw_stages
from ophiolite.report.tables import rule_table

sys.stderr = open(snakemake.log[0], "w")
timings = read_frame(Path(snakemake.input[0])).to_dict("records")
draw_stages(rule_table(timings), Path(snakemake.output[0]))
