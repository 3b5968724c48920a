"""The table of `docs/mesh.md`, from `mesh.csv`."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.datasets import REPOSITORY
from benchmarks.engines_table import Line, table, with_table

PAGE = REPOSITORY / "docs" / "mesh.md"
BEGIN = "<!-- benchmark: written by make benchmark-mesh -->"
MEASURES = (
    ("peak MB of a process", "peak_mb"),
    ("`--max-error`, `max_error_nm`", "max_error"),
    ("mean distance to the unsimplified surface, nm", "distance_mean_nm"),
    ("95 % of distances, nm", "distance_p95_nm"),
    ("largest, nm", "distance_max_nm"),
    ("triangles of level 0", "triangles"),
    ("bytes of the shards", "bytes"),
    ("objects", "objects"),
    ("of them present", "present"),
    ("levels stored", "levels"),
    ("closed at level 0", "is_volume_lod0"),
    ("closed at level 1", "is_volume_lod1"),
    ("volume over voxels", "volume"),
    ("most triangles in a fragment", "most_in_fragment"),
)


def with_meshes(page: str, lines: Sequence[Line]) -> str:
    """The page with what is between its two marks replaced by the table of these lines."""
    return with_table(page, BEGIN, table(lines, "mesh", MEASURES))
