"""Charts of skeleton quality: against thinning, in the middle of objects, at borders, against components and truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ophiolite.report.figure_style import INK, QUIET, SERIES, canvas, save

if TYPE_CHECKING:
    import pandas as pd

# Of Silversmith et al. 2022: the share of vertices outside the mesh.
PAPER_OUTSIDE_SHARE = 0.003
WORST = 10
_DASHED = (0, (3, 2))
# Distances and shares below are drawn here: nothing and next to nothing look alike on an axis of logarithms.
_LEAST = {"nm": 0.1, "vx": 0.01, "share": 1e-4}
BORDERS = (
    ("crossed once", SERIES[0]),
    ("crossed twice or more", SERIES[1]),
    ("not crossed, joined elsewhere", SERIES[4]),
    ("broken", SERIES[5]),
)


def worst(table: pd.DataFrame, count: int = WORST) -> pd.DataFrame:
    """The rows of the `count` worst measured skeletons: by gravity of their faults, share outside the mesh, label."""
    found = table[table["status"] == "measured"]
    return found.sort_values(
        ["gravity", "outside_mesh_share", "ridge_p95_nm", "label"], ascending=[False, False, False, True]
    ).head(count)


def complaint(row: Any) -> str:
    """What is wrong with a skeleton, in words; where nothing is, how much lies outside the mesh, or off the middle."""
    if row["faults"]:
        return str(row["faults"])
    if row["outside_mesh_share"] > 0:
        return (
            f"{100 * row['outside_mesh_share']:.2g} % outside its mesh, by {row['outside_mesh_max_nm']:.3g} nm at most"
        )
    if not np.isfinite(row["ridge_p95_nm"]):
        return "no fault; its distance to the middle cannot be measured"
    return f"no fault; 95 % of it within {row['ridge_p95_nm']:.3g} nm of the middle"


def draw_lee(table: pd.DataFrame, path: Path) -> None:
    """Cable, terminals and centroids against thinning (Lee et al. 1994), and the share of vertices outside.

    table : columns `cable_um`, `lee_cable_um`, `cable_ratio`, `terminals`, `lee_terminals`, `centroid_lee_vx`,
    `outside_mesh_share`, `outside_label_share`; null where not measured.
    """
    shown = table[table["lee_cable_um"].notna()]
    with canvas((9.4, 6.6)) as figure:
        figure.subplots_adjust(left=0.075, right=0.97, bottom=0.075, top=0.95, hspace=0.34, wspace=0.2)
        (cable, terminals), (centroid, outside) = figure.subplots(2, 2)
        _pairs(cable, shown["lee_cable_um"], shown["cable_um"], note="")
        if len(shown):
            _note(cable, f"in the median object {shown['cable_ratio'].median():.0%} of thinning".replace("%", " %"))
        _labels(cable, "Cable length", "of thinning, µm", "of the skeleton, µm")
        _pairs(terminals, shown["lee_terminals"], shown["terminals"])
        _labels(terminals, "Terminals", "of thinning", "of the skeleton")
        _histogram(centroid, [("", shown["centroid_lee_vx"], SERIES[0])], _LEAST["vx"])
        _labels(centroid, "Distance of centroids", "skeleton to thinning, voxels", "objects")
        kinds = [
            ("outside the mesh", table["outside_mesh_share"], SERIES[0]),
            ("outside the voxels", table["outside_label_share"], SERIES[1]),
        ]
        _ascending(outside, kinds)
        outside.axhline(PAPER_OUTSIDE_SHARE, color=INK, linewidth=1, linestyle=_DASHED)
        outside.annotate(
            "mesh, Silversmith et al. 2022", (0.01, PAPER_OUTSIDE_SHARE),
            xycoords=("axes fraction", "data"), xytext=(0, 2), textcoords="offset points", size=7.5, color=QUIET,
        )  # fmt: skip
        _labels(outside, "Vertices outside", "share of objects", "share of vertices")
        save(figure, path)


def draw_centring(table: pd.DataFrame, path: Path) -> None:
    """How far vertices lie from the middle, how far their radii are off, and how much of the object they cover.

    table : columns `ridge_mean_nm`, `ridge_p95_nm`, `radius_error_mean_nm`, `radius_error_p95_nm`, `coverage`.
    """
    shown = table[table["coverage"].notna()]
    with canvas((9.4, 3.1)) as figure:
        figure.subplots_adjust(left=0.065, right=0.985, bottom=0.165, top=0.89, wspace=0.24)
        ridge, radius, coverage = figure.subplots(1, 3)
        for axes, stem in ((ridge, "ridge"), (radius, "radius_error")):
            kinds = [
                ("mean of an object", shown[f"{stem}_mean_nm"], SERIES[0]),
                ("its 95th percentile", shown[f"{stem}_p95_nm"], SERIES[1]),
            ]
            _histogram(axes, kinds, _LEAST["nm"])
        _labels(ridge, "Distance to the ridge", "of vertices, nm", "objects")
        _labels(radius, "Error of the radius", "at vertices, nm", "")
        radius.legend(frameon=False, fontsize=7.5, loc="upper right", handlelength=1.2, borderaxespad=0.1)
        edges = np.linspace(0, 1, 26)
        coverage.hist(shown["coverage"], edges, color=SERIES[0], alpha=0.75, rwidth=0.92)
        _finish(coverage)
        _labels(coverage, "Covered by the balls of vertices", "share of the object's voxels", "")
        save(figure, path)


def draw_borders(table: pd.DataFrame, path: Path) -> None:
    """What becomes of skeletons where objects cross the borders of tasks: bars of the faces of all objects.

    table : columns `border_faces`, `border_uncrossed`, `border_broken`, `border_doubled`, `border_parallel`,
    `border_spurs`, `terminals`.
    """
    faces, uncrossed, broken, doubled, parallel, spurs = (
        int(table[f"border_{name}"].sum()) for name in ("faces", "uncrossed", "broken", "doubled", "parallel", "spurs")
    )
    terminals = int(table.loc[table["border_spurs"].notna(), "terminals"].sum())
    counts = (faces - uncrossed - doubled, doubled, uncrossed - broken, broken)
    rows = [(name, count, faces, colour) for (name, colour), count in zip(BORDERS, counts, strict=True)]
    rows.append(("sides with parallel traces", parallel, 2 * faces, SERIES[3]))
    rows.append(("terminals that end on a border", spurs, terminals, SERIES[2]))
    with canvas((9.4, 2.8)) as figure:
        figure.subplots_adjust(left=0.25, right=0.86, bottom=0.06, top=0.86)
        axes = figure.subplots()
        for place, (_, count, of, colour) in enumerate(rows):
            share = count / max(of, 1)
            axes.barh(place, share, height=0.62, color=colour)
            axes.barh(place, 1, height=0.62, color=QUIET, alpha=0.12, zorder=0)
            axes.annotate(
                f"{count:,} of {of:,}", (1, place), xytext=(6, 0), textcoords="offset points", va="center", size=8.5
            )
        axes.set_yticks(range(len(rows)), [row[0] for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.set_xticks([])
        axes.tick_params(axis="y", length=0)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        title = "Where objects cross the borders of tasks" if faces else "No object crosses a border of tasks"
        axes.set_title(title)
        save(figure, path)


def draw_components(table: pd.DataFrame, path: Path) -> None:
    """Components and loops against the object's, and, where centrelines are known, distances and branches.

    table : columns `components`, `object_components`, `loops`, `lee_loops`, and those of `truth_`.
    """
    known = table[table["truth_branches"].notna()]
    with canvas((9.4 if len(known) else 6.4, 3.3)) as figure:
        width = figure.get_figwidth()
        figure.subplots_adjust(left=0.6 / width, right=1 - 0.12 / width, bottom=0.2, top=0.9, wspace=0.36)
        panels = figure.subplots(1, 3 if len(known) else 2)
        measured = table[table["object_components"].notna()]
        _pairs(panels[0], measured["object_components"], measured["components"])
        _labels(panels[0], "Components", "of the object", "of the skeleton")
        thinned = table[table["lee_loops"].notna()]
        _pairs(panels[1], thinned["lee_loops"], thinned["loops"], zero=True)
        _labels(panels[1], "Loops", "of thinning", "of the skeleton")
        if len(known):
            _truth(panels[2], known)
        save(figure, path)


def _truth(axes: Any, known: pd.DataFrame) -> None:
    order = np.argsort(known["truth_mean_nm"].to_numpy(), kind="stable")
    places = np.arange(len(known))
    mean, high = (np.maximum(known[f"truth_{m}_nm"].to_numpy()[order], _LEAST["nm"]) for m in ("mean", "p95"))
    axes.vlines(places, mean, high, color=SERIES[0], linewidth=1.2)
    axes.plot(places, mean, "o", color=SERIES[0], markersize=4, label="mean")
    axes.plot(places, high, "_", color=SERIES[1], markersize=7, markeredgewidth=2, label="95th percentile")
    axes.set_yscale("log")
    axes.set_xticks([])
    _plain(axes.yaxis)
    _finish(axes, whole=False)
    axes.legend(frameon=False, fontsize=7.5, loc="upper left")
    branches, missed, false = (int(known[f"truth_{m}"].sum()) for m in ("branches", "missed", "false"))
    axes.set_title("To the true centrelines")
    axes.set_xlabel(f"{len(known)} objects; of {branches} branches\n{missed} missed, {false} false")
    axes.set_ylabel("distance of vertices, nm")


def _pairs(axes: Any, across: Any, up: Any, zero: bool = False, note: str = "sums: {} against {}") -> None:
    """Points of two measures of the same objects on equal axes of logarithms, with the line of equals and a note."""
    x, y = np.asarray(across, np.float64), np.asarray(up, np.float64)
    axes.set_xscale("symlog" if zero else "log", **({"linthresh": 1} if zero else {}))
    axes.set_yscale("symlog" if zero else "log", **({"linthresh": 1} if zero else {}))
    positive = np.concatenate([x, y])
    positive = positive[positive > 0]
    high = max(float(positive.max(initial=0)) * 1.5, 10.0)
    low = -0.3 if zero else min(float(positive.min(initial=1)) / 1.5, 0.8)
    axes.plot([low, high], [low, high], color=QUIET, linewidth=0.9, linestyle=_DASHED, zorder=0)
    axes.plot(x, y, "o", color=SERIES[0], markersize=3.6, alpha=0.5, markeredgewidth=0, clip_on=False)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    _plain(axes.xaxis, axes.yaxis)
    _finish(axes, whole=False)
    if len(x):
        _note(axes, note.format(_count(y.sum()), _count(x.sum())))


def _note(axes: Any, text: str) -> None:
    axes.annotate(text, (0.03, 0.97), xycoords="axes fraction", va="top", size=8, color=QUIET)


def _histogram(axes: Any, kinds: Sequence[tuple[str, Any, str]], least: float) -> None:
    """Steps over bins of logarithms; values below `least` stand in a bin of their own at the left, named so."""
    values = [(name, np.asarray(v, np.float64), colour) for name, v, colour in kinds]
    values = [(name, v[np.isfinite(v)], colour) for name, v, colour in values]
    everything = np.concatenate([v for _, v, _ in values])
    high = max(least * 100, float(everything.max(initial=0)) * 1.2)
    least = max(least, float(everything.min(initial=np.inf)) / 1.5) if len(everything) else least
    edges = np.geomspace(least, high, 33)
    axes.set_xscale("log")
    for name, found, colour in values:
        counts, _ = np.histogram(np.clip(found, least, high), edges)
        axes.stairs(counts, edges, color=colour, fill=True, alpha=0.28, linewidth=0)
        axes.stairs(counts, edges, color=colour, linewidth=1.3, label=name)
        if len(found):
            axes.axvline(max(float(np.median(found)), least), color=colour, linewidth=1, linestyle=_DASHED)
    axes.set_xlim(least, high)
    lowest = everything.min(initial=np.inf) < least
    axes.xaxis.set_major_formatter(lambda v, _: "≤ " * bool(lowest and v <= least * 1.01) + _count(v))
    axes.xaxis.set_minor_formatter(lambda *_: "")
    if len(values) == 1 and len(everything):
        note = f"median {_count(float(np.median(everything)))}"
        axes.annotate(note, (1, 1.02), xycoords="axes fraction", ha="right", size=7.5, color=QUIET)
    _finish(axes)


def _ascending(axes: Any, kinds: Sequence[tuple[str, Any, str]]) -> None:
    """Shares of objects in ascending order, each kind over the share of objects that have no more."""
    axes.set_yscale("symlog", linthresh=_LEAST["share"], linscale=0.4)
    top = PAPER_OUTSIDE_SHARE
    for name, values, colour in kinds:
        found = np.sort(np.asarray(values, np.float64))
        found = found[np.isfinite(found)]
        if len(found):
            top = max(top, float(found[-1]))
            axes.plot((np.arange(len(found)) + 1) / len(found), found, color=colour, linewidth=1.8, label=name)
    axes.set_xlim(0, 1)
    axes.set_ylim(-_LEAST["share"] / 8, min(1.0, top * 2))
    axes.yaxis.set_major_formatter(lambda v, _: f"{100 * v:g} %")
    axes.yaxis.set_minor_formatter(lambda *_: "")
    axes.xaxis.set_major_formatter(lambda v, _: f"{100 * v:.0f} %")
    if axes.lines:
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    _finish(axes, whole=False)


def _labels(axes: Any, title: str, across: str, up: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(across)
    axes.set_ylabel(up)


def _finish(axes: Any, whole: bool = True) -> None:
    if whole:
        axes.yaxis.get_major_locator().set_params(integer=True, nbins=5)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=QUIET, alpha=0.25, linewidth=0.6)


def _plain(*along: Any) -> None:
    """Ticks of logarithmic axes as plain numbers."""
    for axis in along:
        axis.set_major_formatter(lambda value, _: _count(value))
        axis.set_minor_formatter(lambda *_: "")


def _count(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= 10 * size:
            return f"{value / size:.3g}\N{NARROW NO-BREAK SPACE}{unit}"
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
