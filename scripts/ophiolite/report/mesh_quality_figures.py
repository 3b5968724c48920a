"""Charts of mesh quality: volume against voxels, centroids, distances of surfaces; and which objects are worst."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.report.figure_style import INK, QUIET, SERIES, canvas, save

if TYPE_CHECKING:
    import pandas as pd

WORST = 10
PAPER_CENTROID_VX = 4.9
PAPER_VOLUME = (0.90, 0.95)
# Distances below are drawn here: rounding of coordinates, which no eye tells from nothing.
LEAST_NM = 0.1
LEAST_VX = 1e-3
# More objects than these are thinned out evenly in the clouds of points; lines and histograms count them all.
POINTS = 4000
_SIZES = (1, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, np.inf)
_BINS = 28


@dataclass(frozen=True)
class _Kind:
    """One of the surfaces that are compared: prefix of its columns, name, colour and dashes of its line."""

    prefix: str
    name: str
    colour: str
    dashes: Any


KINDS = (
    _Kind("", "as stored", SERIES[0], "solid"),
    _Kind("raw_", "before simplification", SERIES[1], (0, (4, 2))),
    _Kind("lewiner_", "scikit-image (Lewiner)", SERIES[2], (0, (1, 1.2))),
)


def worst(table: pd.DataFrame, count: int = WORST) -> pd.DataFrame:
    """The rows of the `count` worst measured objects: by the gravity of their faults, then by distance, then label."""
    found = table[table["status"] == "measured"]
    return found.sort_values(
        ["gravity", "distance_max_nm", "label"], ascending=[False, False, True], na_position="first"
    ).head(count)


def complaint(row: Any) -> str:
    """What is wrong with an object, in words; its largest distance where nothing is."""
    if row["faults"]:
        return str(row["faults"])
    return f"no fault; at most {row['distance_max_nm']:.3g} nm off its unsimplified surface"


def draw_volume(table: pd.DataFrame, path: Path) -> None:
    """Volume of meshes over that of their voxels: against size, and histograms by class of size.

    table : columns `voxels`, `volume_ratio`, `raw_volume_ratio`, `lewiner_volume_ratio`; null where not measured.
    """
    shown = table[table["volume_ratio"].notna()]
    voxels = shown["voxels"].to_numpy(np.float64)
    classes = _classes(voxels)
    with canvas((9.4, 6.0)) as figure:
        grid = figure.add_gridspec(2, max(len(classes), 1), height_ratios=(1.25, 1))
        figure.subplots_adjust(left=0.07, right=0.985, bottom=0.085, top=0.93, hspace=0.42, wspace=0.3)
        axes = figure.add_subplot(grid[0, :])
        axes.axhspan(*PAPER_VOLUME, color=QUIET, alpha=0.18, linewidth=0)
        axes.axhline(1, color=QUIET, linewidth=0.8)
        _against_size(axes, voxels, {k.prefix: shown[f"{k.prefix}volume_ratio"].to_numpy() for k in KINDS})
        axes.set_ylabel("volume of mesh / of voxels")
        axes.set_title("Volume by size of object")
        axes.annotate(
            "large objects in Silversmith et al. 2022", (0.995, PAPER_VOLUME[0]), xycoords=("axes fraction", "data"),
            xytext=(0, 2), textcoords="offset points", ha="right", size=7.5, color=QUIET,
        )  # fmt: skip
        _legend(axes, loc="lower right")
        for column, (title, rows) in enumerate(classes):
            panel = figure.add_subplot(grid[1, column])
            values = {k.prefix: shown[f"{k.prefix}volume_ratio"].to_numpy()[rows] for k in KINDS}
            _steps(panel, values, np.linspace(*_range(values), _BINS + 1))
            panel.set_title(title, size=8.5, fontweight="normal")
            panel.annotate(f"{rows.sum():,}", (0.03, 0.97), xycoords="axes fraction", va="top", size=8, color=QUIET)
            panel.tick_params(labelsize=7.5)
            panel.xaxis.set_major_locator(_few_ticks())
            if column == 0:
                panel.set_ylabel("objects")
        figure.text(0.53, 0.015, "volume of mesh / of voxels, by voxels of the object", ha="center", color=INK)
        _note_empty(figure, shown)
        save(figure, path)


def draw_centroid(table: pd.DataFrame, path: Path) -> None:
    """Distance of the meshes' centroids from those of their voxels, in voxels: a histogram, and against size.

    table : columns `voxels`, `centroid_vx`, `raw_centroid_vx`, `lewiner_centroid_vx`.
    """
    shown = table[table["centroid_vx"].notna()]
    values = {k.prefix: np.maximum(shown[f"{k.prefix}centroid_vx"].to_numpy(np.float64), LEAST_VX) for k in KINDS}
    with canvas((9.4, 3.4)) as figure:
        figure.subplots_adjust(left=0.07, right=0.985, bottom=0.15, top=0.89, wspace=0.2)
        left, right = figure.subplots(1, 2)
        high = max([PAPER_CENTROID_VX * 1.6, *(float(np.nanmax(v)) * 1.2 for v in values.values() if len(v))])
        _steps(left, values, np.geomspace(LEAST_VX, high, 41))
        left.set_xscale("log")
        left.set_xlabel("distance of centroids, voxels")
        left.set_ylabel("objects")
        left.axvline(PAPER_CENTROID_VX, color=INK, linewidth=1, linestyle=(0, (3, 2)))
        left.annotate(
            f"dashed: mean of Silversmith et al. 2022, {PAPER_CENTROID_VX:g}",
            (1, 1.02),
            xycoords="axes fraction",
            ha="right",
            size=7.5,
            color=QUIET,
        )
        left.set_title("Centroids")
        _against_size(right, shown["voxels"].to_numpy(np.float64), values)
        right.set_yscale("log")
        right.set_ylabel("distance of centroids, voxels")
        right.set_title("By size of object")
        _plain_logs(left.xaxis, right.yaxis)
        _legend(right, loc="upper left")
        _note_empty(figure, shown)
        save(figure, path)


def draw_distance(table: pd.DataFrame, path: Path) -> None:
    """Distance in nm of every level of detail from the unsimplified surface, over objects that simplification moved.

    table : columns `lod_mean_nm`, `lod_p95_nm`, `lod_max_nm`, `lod_scale_nm` (lists by level), `lewiner_mean_nm`,
    `lewiner_p95_nm`, `lewiner_max_nm`; `status`, `distance_max_nm`.
    """
    measured = table[table["status"] == "measured"]
    shown = measured[measured["distance_max_nm"] >= LEAST_NM]
    levels = max((len(v) for v in shown["lod_mean_nm"]), default=0)
    groups = [(f"level {n}", _of_level(shown, n)) for n in range(levels)]
    groups.append(("level 0 to Lewiner's", [shown[f"lewiner_{m}_nm"].dropna().to_numpy() for m in _MEASURES]))
    with canvas((9.4, 3.8)) as figure:
        figure.subplots_adjust(left=0.08, right=0.985, bottom=0.14, top=0.91)
        axes = figure.subplots()
        for place, (_, measures) in enumerate(groups):
            for n, values in enumerate(measures):
                _box(axes, place + (n - 1) * 0.26, values, SERIES[n])
        for level in range(levels):
            said = [v[level] for v in shown["lod_scale_nm"] if len(v) > level]
            axes.hlines(
                float(np.median(said)), level - 0.42, level + 0.42, color=INK, linestyle=(0, (3, 2)), linewidth=1
            )
        axes.set_yscale("log")
        names = [f"{name}\n{n:,} object{'s' * (n != 1)}" for name, n in ((name, len(m[0])) for name, m in groups)]
        axes.set_xticks(range(len(groups)), names, size=8.5)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel("distance of surfaces, nm")
        axes.set_title("Distance from the surface before simplification")
        _plain_logs(axes.yaxis)
        _grid(axes)
        _key(axes, list(zip(("mean", "95th percentile", "largest"), SERIES, strict=False)))
        _note_empty(figure, shown)
        save(figure, path)


_MEASURES = ("mean", "p95", "max")


def _of_level(table: pd.DataFrame, level: int) -> list[NDArray[np.float64]]:
    out = []
    for measure in _MEASURES:
        found = [v[level] for v in table[f"lod_{measure}_nm"] if len(v) > level and v[level] is not None]
        values = np.array(found, np.float64)
        out.append(values[np.isfinite(values)])
    return out


def _box(axes: Any, place: float, values: NDArray[np.float64], colour: str) -> None:
    """Median, quartiles, 5th and 95th percentile of objects, and the farthest."""
    if not len(values):
        return
    low, first, middle, third, high = np.maximum(np.percentile(values, (5, 25, 50, 75, 95)), LEAST_NM)
    axes.vlines(place, low, high, color=colour, linewidth=1.2)
    axes.vlines(place, first, third, color=colour, linewidth=9, alpha=0.55)
    axes.plot([place - 0.08, place + 0.08], [middle, middle], color=INK, linewidth=1.4)
    axes.plot(place, max(float(values.max()), LEAST_NM), marker="o", markersize=3.2, color=colour)


def _classes(voxels: NDArray[np.float64]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Title and rows of every class of size that has objects."""
    found = []
    for low, high in itertools.pairwise(_SIZES):
        rows = (voxels >= low) & (voxels < high)
        title = f"from {_count(low)}" if np.isinf(high) else f"{_count(low)} to {_count(high)}"
        if rows.any():
            found.append((title, rows))
    return found


def _against_size(axes: Any, voxels: NDArray[np.float64], values: dict[str, NDArray[np.float64]]) -> None:
    """Points of what is stored over the size of objects, and medians of all kinds, by half decades of size."""
    axes.set_xscale("log")
    axes.set_xlabel("voxels of the object")
    every = -(-len(voxels) // POINTS) or 1
    axes.plot(voxels[::every], values[""][::every], ".", color=SERIES[0], markersize=3, alpha=0.35, markeredgewidth=0)
    half_decades = np.floor(np.log10(np.maximum(voxels, 1)) * 2).astype(np.int64)
    for kind in KINDS:
        points = [
            (float(np.median(voxels[half_decades == h])), float(np.nanmedian(values[kind.prefix][half_decades == h])))
            for h in np.unique(half_decades)
        ]
        if points:
            axes.plot(*np.array(points).T, color=kind.colour, linestyle=kind.dashes, linewidth=1.6)
    _plain_logs(axes.xaxis)
    _grid(axes)


def _steps(axes: Any, values: dict[str, NDArray[np.float64]], edges: NDArray[np.float64]) -> None:
    for kind in KINDS:
        counts, _ = np.histogram(np.clip(values[kind.prefix], edges[0], edges[-1]), edges)
        if kind.prefix == "":
            axes.stairs(counts, edges, color=kind.colour, fill=True, alpha=0.25, linewidth=0)
        axes.stairs(counts, edges, color=kind.colour, linestyle=kind.dashes, linewidth=1.3)
    axes.yaxis.get_major_locator().set_params(integer=True, nbins=4)
    _grid(axes)


def _range(values: dict[str, NDArray[np.float64]]) -> tuple[float, float]:
    everything = np.concatenate(list(values.values())).astype(np.float64)
    low, high = float(np.nanmin(everything)), float(np.nanmax(everything))
    # Round numbers at both ends, so that ticks lie on them.
    return np.floor(low * 20) / 20, max(np.ceil(high * 20) / 20, np.floor(low * 20) / 20 + 0.05)


def _legend(axes: Any, **where: Any) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=k.colour, linestyle=k.dashes, linewidth=1.6, label=k.name) for k in KINDS]
    axes.legend(handles=lines, frameon=False, fontsize=8, handlelength=2.6, **where)


def _key(axes: Any, entries: list[tuple[str, str]]) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=colour, linewidth=6, alpha=0.6, label=name) for name, colour in entries]
    lines.append(Line2D([], [], color=INK, linestyle=(0, (3, 2)), linewidth=1, label="what the mesh says of its level"))
    axes.legend(handles=lines, frameon=False, fontsize=8, ncols=2, loc="upper left", bbox_to_anchor=(0, 1))
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.25)


def _grid(axes: Any) -> None:
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=QUIET, alpha=0.25, linewidth=0.6)


def _plain_logs(*along: Any) -> None:
    """Ticks of logarithmic axes as plain numbers."""
    for axis in along:
        axis.set_major_formatter(_tick())
        axis.set_minor_formatter(lambda *_: "")


def _tick() -> Callable[[float, int], str]:
    return lambda value, _: _count(value)


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3)


def _count(value: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g} {unit}".replace(" ", "\N{NARROW NO-BREAK SPACE}")
    return f"{value:g}"


def _note_empty(figure: Any, shown: pd.DataFrame) -> None:
    if not len(shown):
        figure.text(0.5, 0.5, "no objects were measured", ha="center", va="center", color=QUIET)
