"""The table of pyramid quality: a row per mip, and for labels one more per class of object sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.stages.pyramid_quality import RULE, added, is_lossless, read_part, slab_items
from ophiolite.stages.pyramid_walk import MipSums
from ophiolite.stages.tables import schema_of, table_of, write_table

# Arrow types. Grey levels: mean_value is weighed by what a voxel stands for; drift is that less mip 0's. Labels:
# changed_share of mip-0 voxels have another label at this mip; volume_change_* are (volume here / volume at mip 0) - 1.
COLUMNS = {
    "dataset": "string", "layer": "string", "kind": "string", "mip": "int32", "objects": "string",
    "encoding": "string", "method": "string", "lossless": "bool", "voxels": "int64",
    "deviation_mean": "float64", "deviation_abs_mean": "float64", "deviation_max": "float64",
    "deviation_bound": "float64", "deviation_expected": "float64", "wrong_voxels": "int64", "wrong_share": "float64",
    "mean_value": "float64", "drift": "float64",
    "changed_share": "float64", "min_object_vx": "int64", "labels": "int64", "labels_lost": "int64",
    "volume_change_median": "float64", "volume_change_p5": "float64", "volume_change_p95": "float64",
    "volume_change_min": "float64", "volume_change_max": "float64", "flag": "string",
}  # fmt: skip
WRONG = "deviates from the exact reduction by more than rounding"
WRONG_CODED = "deviates from the exact reduction by more than twice what its encoding does"
DRIFTED = "is brighter or darker than mip 0 by more than encodings do"
# Mips with a loss were made from voxels that nobody can read any more, so they are judged by the loss itself: mip 0's,
# averaged, and the rounding come on top of it.
CODED_SHARE, CODED_SLACK, CODED_DRIFT = 2.0, 1.0, 1.0
ALL = "all"


def layer_rows(dataset: str, layer: str, volume: VolumePlan, sums: list[MipSums]) -> list[dict[str, Any]]:
    """The rows of one layer; what a kind of layer lacks is left out of its rows."""
    rows: list[dict[str, Any]] = []
    finest = sums[0].volume_vx()
    for scale, of_mip in zip(volume.scales, sums, strict=True):
        place = {"dataset": dataset, "layer": layer, "kind": volume.kind, "mip": scale.mip}
        lossless = is_lossless(scale) and is_lossless(volume.scales[0])
        row = {
            **place,
            "objects": ALL,
            "encoding": " ".join(map(str, filter(None, (scale.encoding.name, scale.encoding.quality)))),
            "method": volume.method if scale.mip else "",
            "lossless": lossless,
            "voxels": of_mip.voxels,
            "wrong_voxels": of_mip.wrong,
            "wrong_share": of_mip.wrong / of_mip.voxels,
            "flag": WRONG if lossless and of_mip.wrong else "",
        }
        if volume.kind == "image":
            row |= _grey_levels(volume, sums[0], of_mip, lossless)
            rows.append(row if lossless else {**row, **_judged(row, is_lossless(scale))})
            continue
        changed = of_mip.changed_vx / sums[0].voxels
        rows.append({**row, "changed_share": changed, **volume_changes(finest, of_mip, 0, None)})
        rows += [
            {**place, "objects": name, **volume_changes(finest, of_mip, low, high)}
            for name, low, high in _sizes(finest)
        ]
    return rows


def _judged(row: dict[str, Any], only_mip_0: bool) -> dict[str, Any]:
    """The flag of a mip with a loss in its own encoding, or (`only_mip_0`) in that of mip 0 alone."""
    if row["mip"] == 0:
        return {}
    expected = row["deviation_expected"]
    if not only_mip_0 and row["deviation_abs_mean"] > CODED_SHARE * expected + CODED_SLACK:
        return {"flag": WRONG_CODED}
    drifted = row["method"] == "mean" and abs(row["drift"]) > CODED_DRIFT + expected
    return {"flag": DRIFTED if drifted else ""}


def _grey_levels(volume: VolumePlan, finest: MipSums, mip: MipSums, lossless: bool) -> dict[str, Any]:
    mean, mean_0 = (s.value_sum / max(s.weight, 1) for s in (mip, finest))
    integer_mean = volume.method == "mean" and not volume.data_type.startswith("float") and mip is not finest
    exact = {True: 0.5 if integer_mean else 0.0, False: None}
    floats = volume.data_type.startswith("float") and volume.method == "mean" and mip is not finest
    return {
        "deviation_mean": mip.deviation_sum / mip.voxels,
        "deviation_abs_mean": mip.deviation_abs_sum / mip.voxels,
        "deviation_max": mip.deviation_max,
        "deviation_bound": None if floats else exact[lossless],
        "deviation_expected": mip.expected_abs_sum / mip.voxels,
        "mean_value": mean,
        "drift": mean - mean_0,
    }


def _sizes(finest: tuple[NDArray[Any], NDArray[np.int64]]) -> Iterator[tuple[str, int, int]]:
    """Classes of object sizes, decades of mip-0 voxels, that hold objects: name, smallest, end."""
    decades = np.floor(np.log10(np.maximum(finest[1], 1))).astype(int)
    for power in sorted(set(decades.tolist())):
        yield f"{10**power:,} to {10 ** (power + 1) - 1:,} voxels", 10**power, 10 ** (power + 1)


def volume_changes(
    finest: tuple[NDArray[Any], NDArray[np.int64]], mip: MipSums, low: int, high: int | None
) -> dict[str, Any]:
    """What became of the labels whose mip-0 volume is in [low, high)."""
    labels, before = finest
    chosen = (before >= low) & (before < (before.max(initial=0) + 1 if high is None else high))
    labels, before = labels[chosen], before[chosen]
    here, volumes = mip.volume_vx()
    at = np.minimum(np.searchsorted(here, labels), max(len(here) - 1, 0))
    after = np.where(here[at] == labels, volumes[at], 0) if len(here) else np.zeros_like(before)
    out: dict[str, Any] = {"min_object_vx": low, "labels": len(labels), "labels_lost": int((after == 0).sum())}
    if len(labels):
        change = (after - before) / before
        places = np.percentile(change, (50, 5, 95, 0, 100)).tolist()
        out |= dict(zip((f"volume_change_{p}" for p in ("median", "p5", "p95", "min", "max")), places, strict=True))
    return out


def layer_sums(store: Store, dataset: str, layer: str, volume: VolumePlan) -> list[MipSums]:
    """The sums of a whole layer, from the parts that its jobs wrote; raises StoreError where one is missing."""
    paths = LayerPaths(dataset, layer)
    return added([read_part(store.read(paths.quality(RULE, item))) for item in slab_items(volume)])


def rows_of_layer(plan: ProjectPlan, store: Store, dataset: str, layer: str) -> list[dict[str, Any]]:
    """The rows of one layer of a plan; none where it has no voxels."""
    volume = plan.datasets[dataset].layers[layer]
    if not isinstance(volume, VolumePlan):
        return []
    return layer_rows(dataset, layer, volume, layer_sums(store, dataset, layer, volume))


def write_pyramid_table(plan: ProjectPlan, store: Store) -> int:
    """Write tables/pyramid_quality.csv and .parquet of a project; returns the number of rows."""
    layers = [(dataset, layer) for dataset in sorted(plan.datasets) for layer in sorted(plan.datasets[dataset].layers)]
    rows = [row for dataset, layer in layers for row in rows_of_layer(plan, store, dataset, layer)]
    write_table(store, RULE, table_of(rows, schema_of(COLUMNS)))
    return len(rows)
