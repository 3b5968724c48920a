"""What the quality page says of pyramids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan
from ophiolite.report.page import Figure, Section, Table
from ophiolite.stages.pyramid_quality_table import rows_of_layer

Rows = Sequence[Mapping[str, Any]]
CAPTIONS = {
    ("image", "deviation"): "Distance of voxels from the exact reduction of mip 0 as it is read back.",
    ("image", "drift"): "Mean grey level, every voxel weighed by the voxels of mip 0 under it.",
    ("segmentation", "deviation"): "Voxels and objects of mip 0 that a mip no longer shows.",
    ("segmentation", "drift"): "Volumes of objects over their volumes at mip 0.",
}
GREY_HEADERS = (
    "layer", "mip", "encoding", "voxels", "inexact", "mean deviation", "expected", "largest", "allowed",
    "mean", "drift", "judgement",
)  # fmt: skip
LABEL_HEADERS = (
    "layer", "mip", "encoding", "voxels", "inexact", "other label", "lost", "change", "5 % to 95 %", "judgement",
)  # fmt: skip


def pyramid_section(plan: ProjectPlan, store: Store) -> Section:
    """Paragraphs computed from the measures, a table for images and one for labels, and every layer's figures."""
    layers = {
        (dataset, layer): rows
        for dataset in sorted(plan.datasets)
        for layer in sorted(plan.datasets[dataset].layers)
        if (rows := rows_of_layer(plan, store, dataset, layer))
    }
    images = [r for rows in layers.values() for r in rows if r["kind"] == "image"]
    labels = [r for rows in layers.values() for r in rows if r["kind"] == "segmentation" and r["objects"] == "all"]
    tables = []
    if images:
        note = (
            "Inexact: voxels that are not the exact reduction of mip 0, rounded. Deviations, in grey levels, are from"
            " the reduction before it is rounded; where this mip or mip 0 is encoded with loss, they are those of"
            " encoding and rounding together, judged by what the mip's own encoding takes from the reduction"
            " (expected). Drift: mean grey level less that of mip 0."
        )
        tables.append(Table(GREY_HEADERS, [_grey(r) for r in images], (0, 2, 11), "Images", note))
    if labels:
        note = (
            "Inexact: voxels that are not the exact reduction, step by step from mip 0. Other label: voxels of mip 0"
            " that have another label here. Lost: objects without a voxel. Change: of an object's volume from mip 0,"
            " the median and the 5th to the 95th percentile; tables/pyramid_quality.csv has it by size, with extremes."
        )
        tables.append(Table(LABEL_HEADERS, [_label(r) for r in labels], (0, 2, 9), "Labels", note))
    return Section("pyramid", "Pyramids", _text(layers), tables, _figures(layers, store))


def _text(layers: Mapping[tuple[str, str], Rows]) -> list[str]:
    mips = [r for rows in layers.values() for r in rows if r["objects"] == "all" and r["mip"] > 0]
    judged = [r for r in mips if r["lossless"]]
    flagged = [r for r in judged if r["flag"]]
    lines = [
        "Every mip was read back and compared with the reduction of mip 0, made again by code that shares no"
        " reduction with the one that made the mips."
    ]
    if judged:
        voxels = sum(r["voxels"] for r in judged)
        wrong = sum(r["wrong_voxels"] for r in judged)
        lines.append(
            f"Of {len(judged)} mips without loss in their encoding, {len(judged) - len(flagged)} are exact to the"
            f" rounding; {wrong:,} of their {voxels:,} voxels are not."
        )
    for r in (r for r in mips if not r["lossless"] and r["flag"]):
        lines.append(
            f"{r['dataset']}/{r['layer']}, mip {r['mip']}: {r['flag']}: {r['deviation_abs_mean']:.3g} grey levels,"
            f" expected {r['deviation_expected']:.3g}, drift {r['drift']:+.3g}."
        )
    for r in flagged:
        voxels = f"{r['wrong_voxels']:,} voxel{'s' * (r['wrong_voxels'] != 1)}"
        lines.append(f"{r['dataset']}/{r['layer']}, mip {r['mip']}: {r['flag']} at {voxels}.")
    greys = [r for r in mips if r["kind"] == "image"]
    if greys:
        worst = max(greys, key=lambda r: abs(r["drift"]))
        lines.append(
            f"The mean grey level drifts by at most {abs(worst['drift']):.2g} grey levels"
            f" ({worst['dataset']}/{worst['layer']}, mip {worst['mip']})."
        )
    for (dataset, layer), rows in layers.items():
        top = rows[-1]["mip"]
        last = [r for r in rows if r["mip"] == top and r["kind"] == "segmentation"]
        if top and last:
            lines.append(_lost(f"{dataset}/{layer}", last))
    return lines


def _lost(name: str, rows: Rows) -> str:
    """One sentence on what the coarsest mip of a layer of labels lost."""
    whole, *classes = rows
    kept = [r for r in classes if not r["labels_lost"]]
    gone = f"{whole['labels_lost']:,} of {whole['labels']:,} objects have no voxel left at mip {whole['mip']} of {name}"
    if not whole["labels_lost"] or not kept or kept[-1] is not classes[-1]:
        return gone + "."
    first = next(r for i, r in enumerate(classes) if not any(c["labels_lost"] for c in classes[i:]))
    return f"{gone}, none of those with {first['min_object_vx']:,} voxels or more."


def _figures(layers: Mapping[tuple[str, str], Rows], store: Store) -> list[Figure]:
    found = []
    for (dataset, layer), rows in layers.items():
        for name in ("deviation", "drift"):
            path = store.local(f"figures/{dataset}.{layer}.pyramid_{name}.svg")
            found.append(Figure(f"{dataset}/{layer}: {name} over mips", CAPTIONS[rows[0]["kind"], name], path))
    return found


def _grey(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        *_place(row),
        f"{row['deviation_abs_mean']:.3f}",
        "" if row["lossless"] else f"{row['deviation_expected']:.3f}",
        f"{row['deviation_max']:.3g}",
        "" if row["deviation_bound"] is None else f"{row['deviation_bound']:g}",
        f"{row['mean_value']:.3f}",
        f"{row['drift']:+.4f}",
        _judgement(row),
    )


def _label(row: Mapping[str, Any]) -> tuple[str, ...]:
    changes = [row.get(f"volume_change_{name}", 0.0) for name in ("median", "p5", "p95")]
    median, low, high = (f"{100 * c:+.1f}".replace("-0.0", "0.0").replace("+0.0", "0.0") for c in changes)
    return (
        *_place(row),
        f"{100 * row['changed_share']:.2f} %",
        f"{row['labels_lost']:,} of {row['labels']:,}",
        f"{median} %",
        f"{low} to {high} %",
        _judgement(row),
    )


def _place(row: Mapping[str, Any]) -> tuple[str, ...]:
    wrong = f"{row['wrong_voxels']:,} ({100 * row['wrong_share']:.3g} %)"
    return f"{row['dataset']}/{row['layer']}", str(row["mip"]), row["encoding"], f"{row['voxels']:,}", wrong


def _judgement(row: Mapping[str, Any]) -> str:
    if row["mip"] == 0:
        return ""
    return row["flag"] or ("exact" if row["lossless"] else "as its encoding")
