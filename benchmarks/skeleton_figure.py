"""The figure of `skeleton.csv`: what skeletons take, and what is wrong with them, by dataset and engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ophiolite.report.figure_style import SERIES, canvas, save

ENGINES = {"igneous": SERIES[1], "ophiolite": SERIES[0], "ophiolite_kimimaro": SERIES[4]}
COSTS = (("CPU s", "cpu_s"), ("wall s", "wall_s"))
FAULTS = (
    ("parts without skeleton", "parts_missed"),
    ("components beyond one per part", "parts_split"),
    ("broken crossings", "border_broken"),
    ("doubled crossings", "border_doubled"),
    ("parallel traces at faces", "border_parallel"),
    ("terminals on faces", "border_spurs"),
    ("missed branches", "truth_missed"),
    ("false terminals", "truth_false"),
)
PLACES = (
    ("vertices outside, %", "outside_share"),
    ("voxels not covered, %", "coverage"),
    ("to the ridge, nm", "ridge_mean_nm"),
)
Line = Mapping[str, str]


def draw(lines: Sequence[Line], path: Path) -> None:
    """Write `<path>.svg` and `<path>.png`, a row of charts per dataset."""
    whole = [line for line in lines if line["stage"] == "skeleton" and line["engine"] in ENGINES]
    datasets = list(dict.fromkeys(line["dataset"] for line in whole))
    with canvas((9.6, 0.7 + 2.5 * len(datasets))) as figure:
        rows = figure.subplots(len(datasets), 3, squeeze=False, gridspec_kw={"width_ratios": (2, 3, 2)})
        for dataset, axes in zip(datasets, rows, strict=True):
            of = {line["engine"]: line for line in whole if line["dataset"] == dataset}
            _bars(axes[0], of, COSTS, f"{dataset}: what it takes")
            _bars(axes[1], of, FAULTS, "faults, how many", logarithmic=True)
            _bars(axes[2], of, PLACES, "where it lies")
        bars, names = rows[0][0].get_legend_handles_labels()
        figure.legend(bars, names, frameon=False, fontsize=8, loc="upper left", ncols=len(ENGINES))
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.4 / figure.get_figheight()))
        for ending in (".svg", ".png"):
            save(figure, path.with_suffix(ending))


def value_of(line: Line, column: str) -> float:
    """A number to draw: shares as percents, coverage as what is left of it."""
    value = float(line[column])
    return {"coverage": 100 * (1 - value), "outside_share": 100 * value}.get(column, value)


def _bars(
    axes: Any, of: Mapping[str, Line], measures: Sequence[tuple[str, str]], title: str, logarithmic: bool = False
) -> None:
    """Horizontal bars, a group per measure and one per engine, each with its number."""
    known = [m for m in measures if all(line[m[1]] for line in of.values())]
    engines = [engine for engine in ENGINES if engine in of]
    thick = 0.8 / max(len(engines), 1)
    for k, engine in enumerate(engines):
        values = [value_of(of[engine], column) for _, column in known]
        places = [row + (k - (len(engines) - 1) / 2) * thick for row in range(len(known))]
        bars = axes.barh(places, values, thick * 0.9, color=ENGINES[engine], label=engine)
        axes.bar_label(bars, [f"{v:.3g}" if v < 1000 else f"{v:.0f}" for v in values], size=7, padding=2)
    axes.set_yticks(range(len(known)), [text for text, _ in known])
    axes.invert_yaxis()
    if logarithmic:
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xticks([])  # every bar has its number
    axes.margins(x=0.2)
    axes.set_xlim(left=0)
    axes.set_title(title)
