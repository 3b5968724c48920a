"""Run after both engines: how their mips drift from mip 0, as CloudVolume reads both.

python -m benchmarks.pyramids < REQUEST prints JSON; see `measure_layers`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box
from ophiolite.stages.pyramid_quality_table import volume_changes
from ophiolite.stages.pyramid_walk import MipSums, Pyramid, measure

LABEL_MEASURES = ("labels", "labels_lost", "volume_change_median", "volume_change_p5", "volume_change_p95")


def measure_layers(layers: dict[str, dict[str, Path]]) -> list[dict[str, Any]]:
    """Rows for (kind -> engine -> layer), kinds `images` and `labels`; one per mip above 0.

    Images: mean_value and its drift from mip 0, in grey levels, every voxel weighed by what it covers; deviation_* from
    the exact mean of mip 0; inexact_share of voxels that are not it, rounded. Labels: changed_share of the mip-0 voxels
    have another label at this mip; labels_lost; volume_change_* of whole objects, relative to mip 0.
    """
    rows = []
    for kind, engines in layers.items():
        for engine, layer in engines.items():
            pyramid = _pyramid(layer, kind == "labels")
            sums = measure(pyramid, pyramid.boxes[-1])
            for mip in range(1, len(sums)):
                facts = _labels(sums, mip) if pyramid.labels else _greys(sums, mip)
                rows.append({"kind": kind.removesuffix("s"), "engine": engine, "mip": mip, **facts})
    return rows


def _pyramid(layer: Path, labels: bool) -> Pyramid:
    from cloudvolume import CloudVolume

    def opened(mip: int) -> Any:
        return CloudVolume(f"file://{layer}", mip=mip, progress=False, fill_missing=False, bounded=True)

    mips = [opened(mip) for mip in range(len(opened(0).scales))]
    finest = np.array(mips[0].resolution)

    def read(mip: int, box: Box) -> NDArray[Any]:
        return np.asfortranarray(mips[mip][box.slices()])

    factors = [[round(float(r)) for r in np.array(m.resolution) / finest] for m in mips]
    return Pyramid(
        data_type=str(mips[0].dtype),
        method="mode" if labels else "mean",
        sparse=False,
        labels=labels,
        boxes=tuple(Box(_triple(m.bounds.minpt), _triple(m.bounds.maxpt)) for m in mips),
        factors=tuple((f[0], f[1], f[2]) for f in factors),
        read=read,
        followed=lambda found: np.ones(len(found), bool),
        recode=lambda mip, voxels: None,
    )


def _triple(values: Any) -> tuple[int, int, int]:
    x, y, z = (int(v) for v in values)
    return x, y, z


def _greys(sums: list[MipSums], mip: int) -> dict[str, Any]:
    mean, mean_0 = (s.value_sum / s.weight for s in (sums[mip], sums[0]))
    return {
        "mean_value": round(mean, 4),
        "drift": round(mean - mean_0, 4),
        "deviation_mean": round(sums[mip].deviation_sum / sums[mip].voxels, 4),
        "deviation_max": round(sums[mip].deviation_max, 3),
        "inexact_share": round(sums[mip].wrong / sums[mip].voxels, 5),
    }


def _labels(sums: list[MipSums], mip: int) -> dict[str, Any]:
    changes = volume_changes(sums[0].volume_vx(), sums[mip], 0, None)
    changed = round(sums[mip].changed_vx / sums[0].voxels, 5)
    return {"changed_share": changed, **{name: round(changes[name], 5) for name in LABEL_MEASURES}}


if __name__ == "__main__":
    request = json.load(sys.stdin)
    paths = {kind: {engine: Path(p) for engine, p in request[kind].items()} for kind in ("images", "labels")}
    json.dump(measure_layers(paths), sys.stdout)
