"""What is wrong with a skeleton, told from its row of measures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

# Of the depth at the vertices, by how much radii may be off on the mean: tasks see the surface only up to their faces.
MOST_RADIUS_ERROR = 0.25
# Of an object's voxels, what the balls of its vertices hold at least: tracing by the default options leaves 3 of 1,441
# objects of cortex below it, and none of FIB-25.
LEAST_COVERAGE = 0.25
LOW = ("coverage",)
# Measure -> gravity, the limit that it must exceed (if in LOW: fall below) to be a fault, and what is said of it.
FAULTS: Mapping[str, tuple[int, float, Callable[[float], str]]] = {
    "components_split": (9, 0, lambda v: f"in {v + 1:.0f} parts where the object is one"),
    "border_broken": (9, 0, lambda v: f"broken at {v:.0f} border{'s' * (v > 1)}"),
    "loops": (8, 0, lambda v: f"{v:.0f} loop{'s' * (v > 1)}"),
    "outside_label": (8, 0, lambda v: f"{v:.0f} vertices outside the object"),
    "truth_missed": (6, 0, lambda v: f"{v:.0f} true branch{'es' * (v > 1)} missed"),
    "components_missed": (5, 0, lambda v: f"{v:.0f} part{'s' * (v > 1)} of the object without skeleton"),
    "truth_false": (4, 0, lambda v: f"{v:.0f} false branch{'es' * (v > 1)}"),
    "border_parallel": (4, 0, lambda v: f"parallel at {v:.0f} border side{'s' * (v > 1)}"),
    "border_spurs": (3, 0, lambda v: f"{v:.0f} spur{'s' * (v > 1)} to a border"),
    "border_doubled": (2, 0, lambda v: f"double at {v:.0f} border{'s' * (v > 1)}"),
    "radius_error_share": (2, MOST_RADIUS_ERROR, lambda v: f"radii {v:.0%} off".replace("%", " %")),
    "coverage": (2, LEAST_COVERAGE, lambda v: f"its radii cover {v:.0%}".replace("%", " %")),
}

# Status -> gravity and what is said of it; the others are no faults.
STATUS_FAULTS: Mapping[str, tuple[int, str]] = {
    "without skeleton": (10, "no skeleton"),
    "without voxels": (10, "a skeleton of a label without voxels"),
    "without skeleton, too large to judge": (9, "no skeleton, in a box too large to say why"),
}


def faults_of(row: Mapping[str, Any]) -> list[str]:
    """The faults of one skeleton in words, gravest first; none where nothing is wrong or measured."""
    lost = [STATUS_FAULTS[row["status"]][1]] if row.get("status") in STATUS_FAULTS else []
    return lost + [say(float(row[name])) for name, (_, _, say) in FAULTS.items() if _is_fault(row, name)]


def gravity_of(row: Mapping[str, Any]) -> int:
    """How grave the faults of one skeleton are together; 0 without any."""
    lost = STATUS_FAULTS[row["status"]][0] if row.get("status") in STATUS_FAULTS else 0
    return lost + sum(weight for name, (weight, _, _) in FAULTS.items() if _is_fault(row, name))


def _is_fault(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    if value is None or not math.isfinite(value):
        return False
    limit = FAULTS[name][1]
    return bool(value < limit if name in LOW else value > limit)
