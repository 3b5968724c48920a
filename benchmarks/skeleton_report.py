"""The table of `docs/skeleton.md`, from `skeleton.csv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.datasets import REPOSITORY, SKELETON_MIN_CABLE_NM
from benchmarks.engine_ophiolite import JOBS
from benchmarks.report import markdown
from benchmarks.skeleton_quality import CLEARLY

PAGE = REPOSITORY / "docs" / "skeleton.md"
BEGIN, END = "<!-- benchmark: written by make benchmark-skeleton -->", "<!-- end of benchmark -->"
# What is said of a column; counts that are no faults stand beside those they are to be held against.
MEASURES = (
    ("peak MB of a process", "peak_mb"),
    ("connected parts above the dust limit", "parts"),
    (f"of them {CLEARLY * SKELETON_MIN_CABLE_NM / 1000:g} µm long or more", "parts_long"),
    ("components of skeletons", "components"),
    ("parts without skeleton", "parts_missed"),
    ("components beyond one per part", "parts_split"),
    ("share of voxels within the radii", "coverage"),
    ("share of voxels within true radii", "coverage_true_radii"),
    ("share of vertices outside their label", "outside_share"),
    ("mean distance to the ridge, nm", "ridge_mean_nm"),
    ("terminals", "terminals"),
    ("cable, µm", "cable_um"),
    ("faces between tasks", "border_faces"),
    ("of them broken", "border_broken"),
    ("of them crossed twice or more", "border_doubled"),
    ("sides of faces with parallel traces", "border_parallel"),
    ("terminals on task faces", "border_spurs"),
    ("true branches", "truth_branches"),
    ("true branches missed", "truth_missed"),
    ("false terminals", "truth_false"),
)
Line = Mapping[str, str]


def with_table(page: str, lines: Sequence[Line]) -> str:
    """The page with what is between its two marks replaced by the table of these lines."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table(lines)}\n{END}{tail}"


def table(lines: Sequence[Line]) -> str:
    """A table per dataset, a column per engine; empty without lines."""
    found = [line for line in lines if line["stage"] == "skeleton"]
    whole = [line for line in found if not line["engine"].endswith(JOBS)]
    jobs = {(line["dataset"], line["engine"].removesuffix(JOBS)): line for line in found if line not in whole}
    parts = []
    for dataset in dict.fromkeys(line["dataset"] for line in whole):
        columns = [line for line in whole if line["dataset"] == dataset]
        alone = [jobs.get((dataset, line["engine"]), line) for line in columns]
        rows = [["CPU s, fragments and merge", *(line["cpu_s"] for line in alone)]]
        rows += [["Igneous over it", *(ratio(columns[0], line, "cpu_s") for line in alone)]]
        rows += [["CPU s, with Snakemake", *(line["cpu_s"] for line in columns)]]
        rows += [["wall s, with Snakemake", *(line["wall_s"] for line in columns)]]
        rows += [["Igneous over it", *(ratio(columns[0], line, "wall_s") for line in columns)]]
        # Of an older run a column may lack.
        found_of = [(text, [line.get(name, "") for line in columns]) for text, name in MEASURES]
        rows += [[text, *values] for text, values in found_of if any(values)]
        parts.append(f"**{dataset}** ({columns[0]['date']}, commit {columns[0]['commit']})")
        parts.append(markdown(["", *(line["engine"] for line in columns)], rows))
    return "\n\n".join(parts)


def ratio(theirs: Line, ours: Line, column: str) -> str:
    """How many times as much the first takes."""
    return f"{float(theirs[column]) / float(ours[column]):.2f}"
