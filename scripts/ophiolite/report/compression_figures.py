"""Figures of the benchmark of encodings of one layer: compression factor, speeds, and size against speed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ophiolite.report.compression_paper import NAME, paper_values
from ophiolite.report.figure_style import INK, QUIET, SERIES, canvas, save

if TYPE_CHECKING:
    import pandas as pd

MARKERS = ("o", "s", "D", "^", "v", "P", "X")
GROUP_WIDTH = 0.86
LOG_FROM = 15
LOWEST_FACTOR = 0.8
TITLES = {"compressed_segmentation": "compressed\nsegmentation"}
SPEEDS = (("encode_mvx_s", "encoding"), ("decode_mvx_s", "decoding"))
READERS = ("cloudvolume", "neuroglancer", "tensorstore")


def draw_factor(table: pd.DataFrame, path: Path) -> None:
    """How many times smaller than raw bytes each encoding is with each second stage; a panel per chunk size."""
    chunks = list(table["chunk"].unique())
    with canvas((10, 0.55 + 3.3 * len(chunks))) as figure:
        rows = figure.subplots(len(chunks), 1, squeeze=False)[:, 0]
        for axes, chunk in zip(rows, chunks, strict=True):
            shown = table[table["chunk"] == chunk]
            spread = float(shown["ratio"].max()) > LOG_FROM
            _bars(axes, shown, "ratio", log=spread)
            axes.axhline(1, color=QUIET, linewidth=0.8, zorder=1)
            axes.set_ylabel("compression factor")
            axes.set_title(f"chunks of {_voxels(chunk)}")
        _legend(figure, rows[0], table)
        save(figure, path)


def draw_speed(table: pd.DataFrame, path: Path) -> None:
    """How fast each encoding writes and reads with each second stage; two panels per chunk size."""
    chunks = list(table["chunk"].unique())
    with canvas((10, 0.65 + 6.0 * len(chunks))) as figure:
        rows = figure.subplots(2 * len(chunks), 1, squeeze=False)[:, 0]
        for number, axes in enumerate(rows):
            chunk, (column, label) = chunks[number // 2], SPEEDS[number % 2]
            shown = table[table["chunk"] == chunk]
            _bars(axes, shown, column, log=True)
            axes.set_ylabel("million voxels per second")
            axes.set_title(f"{label}, chunks of {_voxels(chunk)}")
        _legend(figure, rows[0], table)
        save(figure, path)


def draw_tradeoff(table: pd.DataFrame, path: Path) -> None:
    """Compression factor against speed of decoding; a line joins those that no other beats in both."""
    chunks = list(table["chunk"].unique())
    codecs, seconds = list(table["codec"].unique()), list(table["second_stage"].unique())
    with canvas((9, 0.4 + 5.2 * len(chunks))) as figure:
        rows = figure.subplots(len(chunks), 1, squeeze=False)[:, 0]
        for axes, chunk in zip(rows, chunks, strict=True):
            shown = table[(table["chunk"] == chunk) & (table["fault"] == "")]
            best = front(shown)
            axes.plot(best["ratio"], best["decode_mvx_s"], color=QUIET, linewidth=1.2, zorder=1)
            for row in shown.to_dict("records"):
                colour = SERIES[codecs.index(row["codec"]) % len(SERIES)]
                everywhere = all(row[reader] != "no" for reader in READERS)
                axes.plot(
                    row["ratio"],
                    row["decode_mvx_s"],
                    marker=MARKERS[seconds.index(row["second_stage"]) % len(MARKERS)],
                    markersize=7,
                    color=colour,
                    markerfacecolor=colour if everywhere else "none",
                    linestyle="none",
                    zorder=2,
                )
            axes.set_xlabel("compression factor")
            axes.set_ylabel("decoding (million voxels per second)")
            axes.set_title(f"chunks of {_voxels(chunk)}")
            if shown.empty:
                _nothing(axes)
                continue
            _name_front(axes, best)
            axes.set_xscale("log" if float(shown["ratio"].max()) > LOG_FROM else "linear")
            axes.set_yscale("log")
            axes.margins(x=0.06, y=0.08)
            _make_room(axes, float(shown["ratio"].min()), float(shown["ratio"].max()))
            _plain(axes.xaxis)
            _plain(axes.yaxis)
        _tradeoff_legend(figure, codecs, seconds)
        save(figure, path)


def front(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that no other beats both in `ratio` and in `decode_mvx_s`, from the fastest to the smallest."""
    ranked = rows.sort_values(["decode_mvx_s", "ratio"], ascending=False, kind="stable")
    return ranked[ranked["ratio"] > ranked["ratio"].cummax().shift(fill_value=0)]


def _make_room(axes: Any, low: float, high: float) -> None:
    """Leave a third of the axis free on the right, for what is written there."""
    axes.set_xlim(right=high * (high / low) ** 0.4 if axes.get_xscale() == "log" else high + 0.4 * (high - low))


def _nothing(axes: Any) -> None:
    """Say in an empty panel that nothing was measured rightly."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, "every encoding has a fault", transform=axes.transAxes, ha="center", va="center", color=INK)


def _name_front(axes: Any, best: pd.DataFrame) -> None:
    """Write beside the line what its points are, once per encoding."""
    for row in best.drop_duplicates("codec").to_dict("records"):
        place = (row["ratio"], row["decode_mvx_s"])
        name = row["codec"].replace("_", " ")
        axes.annotate(name, place, (8, 5), textcoords="offset points", fontsize=8, zorder=3)


def _bars(axes: Any, rows: pd.DataFrame, column: str, log: bool) -> None:
    if rows[column].isna().all():
        _nothing(axes)
        return
    codecs, seconds = list(rows["codec"].unique()), list(rows["second_stage"].unique())
    width = GROUP_WIDTH / len(seconds)
    paper = paper_values(str(rows["kind"].iloc[0]))
    values = rows.set_index(["codec", "second_stage"])
    if log:
        axes.set_yscale("log")
    for i, codec in enumerate(codecs):
        for k, second in enumerate(seconds):
            x = i + (k + 0.5) * width - GROUP_WIDTH / 2
            row = values.loc[(codec, second)]
            axes.bar(x, row[column], width * 0.92, color=SERIES[k % len(SERIES)], zorder=2)
            if column == "decode_mvx_s":
                axes.plot(
                    [x, x], [row["decode_min_mvx_s"], row["decode_max_mvx_s"]], color=INK, linewidth=0.9, zorder=3
                )
            if column != "ratio":
                alone = row[f"codec_{column}"]
                axes.plot([x - width * 0.42, x + width * 0.42], [alone, alone], color=INK, linewidth=1.2, zorder=3)
            known = paper.get((codec, second))
            if known and getattr(known, column) is not None:
                axes.plot(x, getattr(known, column), "D", color=INK, markerfacecolor="white", markersize=5.5, zorder=5)
    best = rows.groupby("codec", sort=False)[column].max()
    axes.set_xticks(range(len(codecs)), [f"{TITLES.get(c, c)}\nbest {_short(best[c])}" for c in codecs])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, len(codecs) - 0.5)
    drawn = [column] if column == "ratio" else [column, f"codec_{column}"]
    highest = max([float(np.nanmax(rows[drawn])), *(getattr(v, column) or 0 for v in paper.values())])
    low = LOWEST_FACTOR if column == "ratio" else float(10.0 ** np.floor(np.log10(float(rows[column].min()) * 0.7)))
    axes.set_ylim(*((low, highest * 1.5) if log else (0, highest * 1.08)))
    _plain(axes.yaxis)


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:,.0f}"


def _legend(figure: Any, axes: Any, table: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    seconds = list(table["second_stage"].unique())
    handles: list[Any] = [Patch(color=SERIES[k % len(SERIES)], label=name) for k, name in enumerate(seconds)]
    handles.append(Line2D([], [], marker="D", color=INK, markerfacecolor="white", linestyle="none", label=NAME))
    if axes.get_ylabel() != "compression factor":
        handles.append(Line2D([], [], color=INK, linewidth=1.2, label="the codec alone"))
    inches = figure.get_figheight()
    figure.legend(handles=handles, ncols=5, loc="upper left", frameon=False, fontsize=8.5, bbox_to_anchor=(0.05, 1))
    figure.subplots_adjust(left=0.075, right=0.99, top=1 - 0.78 / inches, bottom=0.62 / inches, hspace=0.42)


def _tradeoff_legend(figure: Any, codecs: list[str], seconds: list[str]) -> None:
    from matplotlib.lines import Line2D

    def dot(marker: str, colour: str, label: str, filled: bool = True) -> Any:
        face = colour if filled else "none"
        return Line2D([], [], marker=marker, color=colour, markerfacecolor=face, linestyle="none", label=label)

    colours = [dot("o", SERIES[i % len(SERIES)], name.replace("_", " ")) for i, name in enumerate(codecs)]
    shapes = [dot(MARKERS[i % len(MARKERS)], INK, name) for i, name in enumerate(seconds)]
    shapes.append(dot("o", INK, "not read by all", filled=False))
    shapes.append(Line2D([], [], color=QUIET, label="beaten by none"))
    style: Any = {"loc": "upper left", "frameon": False, "fontsize": 8.5}
    inches = figure.get_figheight()
    figure.legend(handles=colours, title="encoding", bbox_to_anchor=(0.775, 1 - 0.3 / inches), **style)
    figure.legend(handles=shapes, title="second stage", bbox_to_anchor=(0.775, 1 - 2.2 / inches), **style)
    figure.subplots_adjust(left=0.085, right=0.77, top=1 - 0.35 / inches, bottom=0.55 / inches, hspace=0.25)


def _plain(axis: Any) -> None:
    """Ticks as plain numbers, whatever the scale."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def _voxels(chunk: str) -> str:
    return f"{chunk.replace('x', ' × ')} voxels"
