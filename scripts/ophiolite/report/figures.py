"""Figures of the report: plain arrays and tables in, one PNG or SVG file out, the same bytes each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.report.figure_style import ACCENT, DPI, INK, LIGHT, QUIET, SERIES, canvas, save
from ophiolite.report.render import Solid, clearest_camera, label_colours, principal_camera, render

if TYPE_CHECKING:
    import pandas as pd

TILE_PX = (460, 340)
SCENE_PX = (1380, 900)
ROUND_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class SlicePanel:
    """One slice at one mip.

    image : (x, y) or (x, y, 3) voxels. labels : (x, y), or None where there are none.
    pixel_nm : size of a pixel along the two axes. contrast : values shown black and white, or None for 8-bit colour.
    """

    title: str
    image: NDArray[Any]
    labels: NDArray[np.unsignedinteger] | None
    pixel_nm: tuple[float, float]
    contrast: tuple[float, float] | None = None


@dataclass(frozen=True)
class Portrait:
    """One object and what to write under it."""

    solid: Solid
    title: str
    caption: str


def draw_slices(panels: Sequence[SlicePanel], ranked: Sequence[int], path: Path) -> None:
    """PNG: a column per panel (mip), above the image, below it with its labels over it, each with a scale bar.

    ranked : labels that get the colours of the palette, as in the pictures of objects.
    """
    overlaid = any(panel.labels is not None for panel in panels)
    rows = 2 if overlaid else 1
    extents = [(p.image.shape[0] * p.pixel_nm[0], p.image.shape[1] * p.pixel_nm[1]) for p in panels]
    aspect = max(height / width for width, height in extents)
    bar_nm = round_length(max(width for width, _ in extents) / 4.5)
    side = 11.0 / max(2, len(panels))
    with canvas((side * len(panels), rows * (side * min(aspect, 1.6) + 0.05) + 0.3), dark=True) as figure:
        grid = figure.subplots(rows, len(panels), squeeze=False)
        figure.subplots_adjust(
            left=0, right=1, bottom=0, top=1 - 0.3 / figure.get_figheight(), wspace=0.02, hspace=0.02
        )
        for column, (panel, extent) in enumerate(zip(panels, extents, strict=True)):
            grey = _to_rgb(panel.image, panel.contrast)
            grid[0, column].set_title(f"  {panel.title}", color=LIGHT, fontweight="normal", fontsize=10, pad=5)
            for row in range(rows):
                axes = grid[row, column]
                shown = _overlay(grey, panel.labels, ranked) if row and panel.labels is not None else grey
                axes.imshow(
                    shown.swapaxes(0, 1), extent=(0, extent[0], extent[1], 0), interpolation="nearest", aspect="equal"
                )
                axes.set_axis_off()
                scale_bar(axes, extent, bar_nm)
        save(figure, path)


def draw_objects(portraits: Sequence[Portrait], path: Path, columns: int = 3) -> None:
    """PNG: a grid of objects, each along its principal axes with its skeleton shining through, and a scale bar."""
    rows = max(-(-len(portraits) // columns), 1)
    across = min(columns, max(len(portraits), 1))
    caption_px = 58
    size = (across * TILE_PX[0] / DPI, rows * (TILE_PX[1] + caption_px) / DPI)
    with canvas(size, dark=True) as figure:
        if not portraits:
            figure.text(0.5, 0.5, "no objects", color=LIGHT, ha="center", va="center", size=9.5)
        for number, portrait in enumerate(portraits):
            row, column = divmod(number, columns)
            camera = principal_camera(portrait.solid.points_nm, TILE_PX)
            top = 1 - row / rows
            box = (column / across, top - TILE_PX[1] / DPI / size[1], 1 / across, TILE_PX[1] / DPI / size[1])
            axes = figure.add_axes(box)
            extent = (TILE_PX[0] / camera.scale, TILE_PX[1] / camera.scale)
            axes.imshow(render([portrait.solid], camera), extent=(0, extent[0], extent[1], 0), interpolation="none")
            axes.set_axis_off()
            scale_bar(axes, extent, round_length(extent[0] / 4.5))
            left, below = (column + 0.035) / across, box[1]
            figure.text(
                left, below - 0.16 / size[1], portrait.title, color=portrait.solid.colour, va="center", size=9.5
            )
            figure.text(left, below - 0.34 / size[1], portrait.caption, color=LIGHT, va="center", size=8.5, alpha=0.8)
        save(figure, path)


def draw_scene(solids: Sequence[Solid], start_nm: Sequence[float], stop_nm: Sequence[float], path: Path) -> None:
    """PNG: all solids together in the frame of their volume, from the side where they hide each other least."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)
    edges = [(i, j) for i in range(8) for j in range(i + 1, 8) if (corners[i] != corners[j]).sum() == 1]
    corners = np.asarray(start_nm) + corners * (np.asarray(stop_nm) - np.asarray(start_nm))
    frame = corners[np.ravel(edges)]
    picture = render(solids, clearest_camera(solids, corners, SCENE_PX), bones=False, frame_nm=frame)
    with canvas((SCENE_PX[0] / DPI, SCENE_PX[1] / DPI), dark=True) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(picture, interpolation="none")
        axes.set_axis_off()
        save(figure, path)


def draw_distributions(columns: Mapping[str, NDArray[Any]], path: Path) -> None:
    """SVG: a histogram with logarithmic bins for each column (title -> values); zeros and NaN are counted apart."""
    with canvas((min(11.0, 3.7 * len(columns)), 2.7)) as figure:
        figure.subplots_adjust(left=0.52 / figure.get_figwidth(), right=0.99, bottom=0.16, top=0.8, wspace=0.24)
        for axes, (title, values) in zip(
            figure.subplots(1, len(columns), squeeze=False)[0], columns.items(), strict=True
        ):
            finite = np.asarray(values, dtype=np.float64)
            usable = finite[np.isfinite(finite) & (finite > 0)]
            axes.set_title(title, pad=17)
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(_decade)
            axes.xaxis.set_minor_formatter(lambda *_: "")
            axes.margins(x=0.01)
            notes = []
            if len(usable):
                axes.hist(usable, bins=_log_bins(usable), color=ACCENT, edgecolor="none", rwidth=0.9)
                middle = float(np.median(usable))
                axes.axvline(middle, color=INK, linewidth=1, linestyle=(0, (3, 2)))
                notes.append(f"median {_count(middle)}")
            if len(finite) > len(usable):
                notes.append(f"{len(finite) - len(usable):,} without")
            axes.annotate("    ".join(notes), (0, 1.03), xycoords="axes fraction", size=8, color=QUIET)
            axes.yaxis.get_major_locator().set_params(integer=True)
            axes.set_axisbelow(True)
            axes.grid(axis="y", color=QUIET, alpha=0.25, linewidth=0.6)
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        figure.axes[0].set_ylabel("objects")
        save(figure, path)


def draw_stages(stages: pd.DataFrame, path: Path) -> None:
    """SVG: core-hours of each rule as bars, coloured by stage, in the order of a `rule_table`."""
    hours = stages["core_hours"].to_numpy(dtype=np.float64)
    total = max(float(hours.sum()), 1e-12)
    unit, factor = ("core-hours", 1.0) if hours.max(initial=0) >= 1 else ("core-minutes", 60.0)
    if hours.max(initial=0) * 60 < 1:
        unit, factor = "core-seconds", 3600.0
    with canvas((9.4, 0.30 * len(stages) + 0.65)) as figure:
        height = figure.get_figheight()
        figure.subplots_adjust(left=0.15, right=0.88, bottom=0.12 / height, top=1 - 0.42 / height)
        axes = figure.subplots()
        places = np.arange(len(stages))
        groups = list(dict.fromkeys(stages["stage"]))
        for colour, group in zip(SERIES, groups, strict=False):
            own = (stages["stage"] == group).to_numpy()
            axes.barh(places[own], hours[own] * factor, height=0.62, color=colour, label=group)
        axes.set_yticks(places, stages["rule"].tolist())
        if groups:
            axes.legend(frameon=False, fontsize=8, loc="lower right")
        axes.invert_yaxis()
        for place, value in zip(places, hours, strict=True):
            share = value / total
            for text, gap, colour in (
                (_short(value * factor), 5, INK),
                ("< 1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %"), 48, QUIET),
            ):
                axes.annotate(
                    text,
                    (value * factor, place),
                    xytext=(gap, 0),
                    textcoords="offset points",
                    va="center",
                    size=8.5,
                    color=colour,
                )
        axes.set_title(unit)
        axes.set_xticks([])
        axes.tick_params(axis="y", length=0)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        save(figure, path)


def _to_rgb(image: NDArray[Any], contrast: tuple[float, float] | None) -> NDArray[np.float64]:
    """(x, y, 3) in [0, 1]."""
    low, high = contrast if contrast is not None else (0.0, 255.0)
    shown = np.clip((image.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
    return shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=2)


def _overlay(
    grey: NDArray[np.float64], labels: NDArray[np.unsignedinteger], ranked: Sequence[int]
) -> NDArray[np.float64]:
    """(x, y, 3) labels over the image, background left as it is; borders between labels a little stronger."""
    found, inverse = np.unique(labels, return_inverse=True)
    colour = label_colours(found, ranked)[inverse.reshape(labels.shape)]
    border = np.zeros(labels.shape, dtype=bool)
    border[:-1] |= labels[:-1] != labels[1:]
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    strength = np.where(labels == 0, 0.0, np.where(border, 0.75, 0.45))[..., None]
    return np.asarray(grey * (1 - strength) + colour * strength)


def scale_bar(axes: Any, extent_nm: tuple[float, float], length: float) -> None:
    """A bar of `length` nm in the lower left corner of a panel."""
    left, bottom = 0.035 * extent_nm[0], extent_nm[1] - 0.035 * extent_nm[0]
    thick = 0.011 * extent_nm[0]
    for grow, colour in ((0.3 * thick, "black"), (0.0, "white")):
        axes.fill(
            [left - grow, left + length + grow, left + length + grow, left - grow],
            [bottom - thick - grow, bottom - thick - grow, bottom + grow, bottom + grow],
            color=colour,
            linewidth=0,
            alpha=0.6 if grow else 1.0,
        )
    from matplotlib.patheffects import withStroke

    axes.text(
        left,
        bottom - 2.2 * thick,
        f"{length / 1000:g} µm" if length >= 1000 else f"{length:g} nm",
        color="white",
        size=9,
        path_effects=[withStroke(linewidth=2, foreground="black", alpha=0.6)],
    )


def round_length(wanted: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `wanted`."""
    power = float(10.0 ** np.floor(np.log10(wanted)))
    return max(step * power for step in ROUND_STEPS if step * power <= wanted * (1 + 1e-9))


def _log_bins(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges of bins of equal width in the logarithm, four to eight per decade."""
    low, high = float(values.min()), float(values.max())
    decades = max(np.log10(high / low), 0.25)
    count = int(np.clip(np.ceil(decades * 6), 8, 40))
    return np.geomspace(low, max(high, low * 10**0.25), count + 1)


def _count(value: float) -> str:
    """A number for reading: 12, 3,400, 1.2 million."""
    return f"{value / 1e6:,.2g} million" if value >= 1e6 else f"{float(f'{value:.2g}'):,g}"


def _short(value: float) -> str:
    """About three digits: 0.05, 4.25, 25.1, 312."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _decade(value: float, _: int) -> str:
    """The label of a tick at a power of ten: 0.01, 1, 100, 10k, 1M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
