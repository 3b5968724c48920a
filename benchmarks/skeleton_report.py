"""The table of `docs/skeleton.md`, from `skeleton.csv`."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import engines_table
from benchmarks.datasets import REPOSITORY, SKELETON_MIN_CABLE_NM
from benchmarks.engines_table import Line
from benchmarks.skeleton_quality import CLEARLY

PAGE = REPOSITORY / "docs" / "skeleton.md"
BEGIN = "<!-- benchmark: written by make benchmark-skeleton -->"
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


def with_table(page: str, lines: Sequence[Line]) -> str:
    """The page with what is between its two marks replaced by the table of these lines."""
    return engines_table.with_table(page, BEGIN, engines_table.table(lines, "skeleton", MEASURES))
