"""What is wrong with a mesh, in words, from its row of the table of mesh quality; nothing where all is as it should be.

Whatever the unsimplified surface of the same voxels shows too is no fault of the mesh: a single voxel's surface holds
a sixth of its volume, an object cut by the dataset's face under `open_edges` is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Of the voxels' volume; pieces are allowed 3 % before they are joined.
VOLUME_SHARE = 0.05
# Distances are judged this much beyond what was promised: samples lie between the vertices that were judged.
_SLACK = 1.25
_GRAVEST = {
    "lost": "has voxels but no mesh",
    "without voxels": "has a mesh but no voxels",
    "without voxels at the mesh mip": "has a mesh but no voxels at the mesh mip",
    "cannot be read": "its mesh or its voxels cannot be read",
}


@dataclass(frozen=True)
class Limits:
    """What the settings promise: error_nm of level 0, 0 without simplification; voxel_nm, the longest side of one.

    alone : a label's surface does not depend on what it touches. Where it does, it may hold more than that of the label
    by itself; how much more depends on what is around it.
    """

    error_nm: float
    voxel_nm: float
    alone: bool = True


def faults_of(row: Mapping[str, Any], limits: Limits) -> tuple[int, list[str]]:
    """How grave (4 no mesh, 3 a broken surface, 2 a wrong volume, 1 another shape, 0 nothing) and every fault.

    row : of the table; `problem` in place of the words for its status, where there are better ones.
    """
    status = row["status"]
    if status in _GRAVEST:
        return 4, [row.get("problem") or _GRAVEST[status]]
    if status != "measured":
        return 0, []
    # What fill_holes fills depends on the tasks, so parts, handles and distances have no one right answer.
    kinds = (
        _shape_faults(row, limits) if not row["filled_vx"] else [],
        _volume_faults(row, limits),
        _surface_faults(row),
    )
    gravest = max((number for number, kind in enumerate(kinds, 1) if kind), default=0)
    return gravest, [fault for kind in reversed(kinds) for fault in kind]


def _surface_faults(row: Mapping[str, Any]) -> list[str]:
    counts = (
        (row["open_edges"] if not row["raw_open_edges"] else 0, "open edge", "open edges"),
        (row["crowded_edges"], "edge of more than two faces", "edges of more than two faces"),
        (row["torn_edges"], "edge where faces look opposite ways", "edges where faces look opposite ways"),
        (row["duplicate_faces"], "duplicate face", "duplicate faces"),
    )
    return [_many(*count) for count in counts if count[0]]


def _volume_faults(row: Mapping[str, Any], limits: Limits) -> list[str]:
    ratio = row.get("volume_ratio")
    if ratio is None:
        return []
    if ratio < 0:
        return ["inside out"]
    if ratio == 0:
        return ["no volume"]
    # Cavities that fill_holes left open may take from the filled volume what they hold.
    unfilled = row["filled_vx"] / (row["mesh_mip_voxels"] + row["filled_vx"])
    least = row["raw_volume_ratio"]
    off = ratio - least if limits.alone else min(ratio - least, 0.0)
    if -VOLUME_SHARE - unfilled <= off <= VOLUME_SHARE:
        return []
    return [f"volume {abs(off):.0%} of the voxels' {'below' if off < 0 else 'above'} the unsimplified mesh's"]


def _shape_faults(row: Mapping[str, Any], limits: Limits) -> list[str]:
    found = []
    for name, word in (("components", "part"), ("genus", "handle")):
        here, raw = row[name], row[f"raw_{name}"]
        if here is not None and raw is not None and here != raw:
            found.append(f"{_many(here, word)}, {raw} before simplification")
    far = row["distance_max_nm"]
    if far is not None and far > _SLACK * limits.error_nm + limits.voxel_nm / 2:
        found.append(f"{far:.0f} nm off, {limits.error_nm:.0f} allowed")
    for level in range(1, len(row["lod_scale_nm"])):
        # A level leaves out parts that are smaller than what it errs; how far from others these lay is no error.
        whole = row["lod_components"][level] == row["components"]
        gap, said = row["lod_max_nm" if whole else "lod_p95_nm"][level], row["lod_scale_nm"][level]
        if gap is not None and gap > _SLACK * said + limits.voxel_nm / 2:
            found.append(f"level {level} is {gap:.0f} nm off, says {said:.0f}")
    if not all(row["lod_watertight"][1:]) and row["watertight"]:
        found.append("coarser levels are not watertight")
    return found


def _many(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
