"""Tables of a documentation page from what a benchmark of all engines measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.engine_ophiolite import JOBS
from benchmarks.report import markdown

END = "<!-- end of benchmark -->"
Line = Mapping[str, str]
# What is said of a column of the table, and its name.
Measures = Sequence[tuple[str, str]]


def with_table(page: str, begin: str, text: str) -> str:
    """The page with what is between the mark `begin` and the next `END` replaced by the text."""
    head, _, rest = page.partition(begin)
    _, _, tail = rest.partition(END)
    return f"{head}{begin}\n{text}\n{END}{tail}"


def table(lines: Sequence[Line], stage: str, measures: Measures) -> str:
    """A table per dataset of what a stage took and gave, a column per engine; empty without lines."""
    found = [line for line in lines if line["stage"] == stage]
    whole = [line for line in found if not line["engine"].endswith(JOBS)]
    jobs = {(line["dataset"], line["engine"].removesuffix(JOBS)): line for line in found if line not in whole}
    parts = []
    for dataset in dict.fromkeys(line["dataset"] for line in whole):
        columns = [line for line in whole if line["dataset"] == dataset]
        alone = [jobs.get((dataset, line["engine"]), line) for line in columns]
        rows = [["CPU s, fragments and merge", *(line["cpu_s"] for line in alone)]]
        rows += [["Igneous over it", *(ratio(columns[0], line, "cpu_s") for line in alone)]]
        rows += [["CPU s, with Snakemake", *(line["cpu_s"] for line in columns)]]
        rows += [["Igneous over it", *(ratio(columns[0], line, "cpu_s") for line in columns)]]
        rows += [["wall s, with Snakemake", *(line["wall_s"] for line in columns)]]
        rows += [["Igneous over it", *(ratio(columns[0], line, "wall_s") for line in columns)]]
        # Of an older run a column may lack.
        found_of = [(text, [line.get(name, "") for line in columns]) for text, name in measures]
        rows += [[text, *values] for text, values in found_of if any(values)]
        runs = int(columns[0].get("runs") or 1)
        medians = f", medians of {runs} runs" if runs > 1 else ""
        parts.append(f"**{dataset}** ({columns[0]['date']}, commit {columns[0]['commit']}{medians})")
        parts.append(markdown(["", *(line["engine"] for line in columns)], rows))
    return "\n\n".join(parts)


def ratio(theirs: Line, ours: Line, column: str) -> str:
    """How many times as much the first takes."""
    return f"{float(theirs[column]) / float(ours[column]):.2f}"
