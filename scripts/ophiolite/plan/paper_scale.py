"""What the plan's model says of the largest work the paper reports, from the speeds measured here.

The paper is Silversmith et al. 2022, section 3.3. This is an extrapolation over five orders of magnitude: it says what
this code would take if a voxel and a label there cost what they cost here, on processors like these.
"""

from __future__ import annotations

from dataclasses import dataclass

from ophiolite.plan.costs import SECONDS_PER_LABEL, SECONDS_PER_MVX
from ophiolite.plan.estimate import SKELETON_MB_PER_MVX, Speeds
from ophiolite.plan.fragments import LABELS_PER_SHARD
from ophiolite.precomputed.sharding import hashed_sharding

PAPER_SKELETONS = 397_770_063
PAPER_TVX = 298
# The paper names neither volume nor mip with these rows. S1 was meshed at 24 x 24 x 30 nm out of 6 x 6 x 30.
MIP_0_VOXELS_PER_VOXEL = 16


@dataclass(frozen=True)
class ScaleRow:
    """One quantity of the paper and what the plan's model makes of the same size; None where the paper has no number.

    work : what it is taken to be done on. speed : processor seconds per million voxels or per label; `measured` in this
    project, else the plan's constant; None where no speed is in it.
    """

    quantity: str
    unit: str
    paper: float | None
    estimate: float
    work: str
    speed: float | None
    measured: bool


def paper_scale(speeds: Speeds) -> list[ScaleRow]:
    """The paper's rows for minnie65, each next to the estimate."""
    mvx = PAPER_TVX * 1e6 / MIP_0_VOXELS_PER_VOXEL
    voxels = f"{PAPER_TVX} TVx, 1 in {MIP_0_VOXELS_PER_VOXEL} at the mip used"
    labels = f"{PAPER_SKELETONS:,} objects"
    spec = hashed_sharding(PAPER_SKELETONS, max_labels_per_shard=LABELS_PER_SHARD)
    size = ScaleRow("skeletons, bytes", "GB", 747.6, mvx * SKELETON_MB_PER_MVX / 1000, voxels, None, False)
    shards = ScaleRow("skeletons, shards", "files", 524_288, float(1 << spec.shard_bits), labels, None, False)
    return [
        _hours("mesh fragments", "mesh_fragments", 99_800, mvx, SECONDS_PER_MVX, voxels, speeds),
        _hours("mesh merge", "mesh_shards", 2_450, PAPER_SKELETONS, SECONDS_PER_LABEL, labels, speeds),
        _hours("skeleton fragments", "skeleton_fragments", 91_000, mvx, SECONDS_PER_MVX, voxels, speeds),
        _hours("skeleton merge", "skeleton_shards", None, PAPER_SKELETONS, SECONDS_PER_LABEL, labels, speeds),
        size,
        shards,
    ]


def _hours(
    name: str, rule: str, paper: float | None, units: float, defaults: dict[str, float], work: str, speeds: Speeds
) -> ScaleRow:
    speed = speeds.of(rule, defaults[rule])
    return ScaleRow(name, "core-hours", paper, units * speed / 3600, work, speed, rule in speeds.seconds_per_unit)
