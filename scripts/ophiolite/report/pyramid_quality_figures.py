"""Charts of pyramid quality, from the rows of its table: grey levels of an image, volumes of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ophiolite.report.figure_style import INK, QUIET, SERIES, canvas, save

Rows = Sequence[Mapping[str, Any]]
SIZE_INCHES = (9.0, 3.2)
LEAST_SPAN_GREY = 0.1
LEAST_DRIFT_GREY = 5e-5
HALF = 0.5
DARK_PERCENT = 60
MINUS = "\N{MINUS SIGN}"
PREFIXES = ((1e6, "M"), (1e3, "k"), (1, ""))


def draw_deviation(rows: Rows, path: Path) -> None:
    """How far the mips of one layer lie from the exact reduction of mip 0; for labels, what they no longer show."""
    with canvas(SIZE_INCHES) as figure:
        if rows[0]["kind"] == "image":
            _grey_deviation(figure, _coarse(rows))
        else:
            _label_losses(figure, rows)
        save(figure, path)


def draw_drift(rows: Rows, path: Path) -> None:
    """How the mean grey level of one layer changes over its mips; for labels, the volumes of objects by their size."""
    with canvas(SIZE_INCHES if rows[0]["kind"] == "image" else (9.0, 3.6)) as figure:
        if rows[0]["kind"] == "image":
            _grey_drift(figure, [r for r in rows if r["objects"] == "all"])
        else:
            _volume_drift(figure, rows)
        save(figure, path)


def _coarse(rows: Rows) -> list[Mapping[str, Any]]:
    return [r for r in rows if r["objects"] == "all" and r["mip"] > 0]


def _grey_deviation(figure: Any, rows: Rows) -> None:
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.16, top=0.86, wspace=0.26)
    mips = [r["mip"] for r in rows]
    for axes, name, title, colour in zip(
        figure.subplots(1, 2),
        ("deviation_abs_mean", "deviation_max"),
        ("Mean deviation of a voxel", "Largest deviation of a voxel"),
        SERIES,
        strict=False,
    ):
        values = [r[name] for r in rows]
        axes.bar(mips, values, width=0.6, color=colour)
        for mip, value in zip(mips, values, strict=True):
            _over(axes, mip, value, f"{value:.3g}", INK)
        bound = {r["deviation_bound"] for r in rows} - {None}
        axes.set_ylim(0, max([*values, *bound, HALF]) * 1.18)
        if bound == {HALF} and name == "deviation_max":
            axes.axhline(HALF, color=INK, linewidth=1, linestyle=(0, (3, 2)))
            title = "Largest deviation (dashed: rounding)"
        _mips(axes, mips, title, "grey levels")


def _grey_drift(figure: Any, rows: Rows) -> None:
    figure.subplots_adjust(left=0.12, right=0.98, bottom=0.16, top=0.88)
    axes = figure.subplots()
    mips, drift = [r["mip"] for r in rows], [r["drift"] for r in rows]
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.plot(mips, drift, color=SERIES[0], marker="o", markersize=5, linewidth=1.6)
    for mip, value in zip(mips, drift, strict=True):
        text = f"{value:+.4f}".replace("-", MINUS)
        _over(axes, mip, value, text if abs(value) >= LEAST_DRIFT_GREY else "0", INK)
    span = 1.3 * max(LEAST_SPAN_GREY, *np.abs(drift))
    axes.set_ylim(-span, span)
    _mips(axes, mips, f"Mean grey level less that of mip 0 ({rows[0]['mean_value']:.2f})", "grey levels")


def _label_losses(figure: Any, rows: Rows) -> None:
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.16, top=0.86, wspace=0.52)
    left, right = figure.subplots(1, 2)
    mips = [r["mip"] for r in _coarse(rows)]
    shares = [100 * r["changed_share"] for r in _coarse(rows)]
    left.bar(mips, shares, width=0.6, color=SERIES[0])
    for mip, share in zip(mips, shares, strict=True):
        _over(left, mip, share, f"{share:.1f} %", INK)
    left.set_ylim(0, max([*shares, 1]) * 1.15)
    _mips(left, mips, "Voxels of mip 0 under another label", "% of all voxels")
    classes = _classes(rows)
    lost = np.array([[100 * r["labels_lost"] / r["labels"] for r in _of_class(rows, low)][1:] for low in classes])
    # squares, not a picture: the page takes no SVG that holds one
    right.pcolormesh(lost.reshape(len(classes), len(mips)), cmap="cividis", vmin=0, vmax=130)
    right.invert_yaxis()
    for (row, column), share in np.ndenumerate(lost):
        light = share < DARK_PERCENT
        right.text(
            column + 0.5,
            row + 0.5,
            _percent(share),
            ha="center",
            va="center",
            size=8,
            color="white" if light else "black",
        )
    right.set_yticks(np.arange(len(classes)) + 0.5, [_class(low) for low in classes], size=8)
    right.set_xticks(np.arange(len(mips)) + 0.5, mips)
    right.tick_params(length=0)
    right.set_xlabel("mip")
    right.set_ylabel("voxels at mip 0")
    right.set_title("% of objects without a voxel")
    for side in ("left", "bottom"):
        right.spines[side].set_visible(False)


def _volume_drift(figure: Any, rows: Rows) -> None:
    figure.subplots_adjust(left=0.1, right=0.98, bottom=0.24, top=0.88)
    axes = figure.subplots()
    classes, mips = _classes(rows), [r["mip"] for r in _coarse(rows)]
    axes.axhline(0, color=INK, linewidth=0.8)
    step = 0.8 / max(len(mips), 1)
    for number, mip in enumerate(mips):
        of_mip = [r for r in rows if r["mip"] == mip and r["objects"] != "all"]
        middle = 100 * np.array([r["volume_change_median"] for r in of_mip])
        low, high = (100 * np.array([r[f"volume_change_p{p}"] for r in of_mip]) for p in (5, 95))
        places = np.arange(len(of_mip)) + (number - (len(mips) - 1) / 2) * step
        axes.errorbar(
            places, middle, [middle - low, high - middle], fmt="o", markersize=4, linewidth=1.4,
            color=_shade(number, len(mips)), label=f"mip {mip}",
        )  # fmt: skip
    counts = [_of_class(rows, low)[0]["labels"] for low in classes]
    axes.set_xticks(
        range(len(classes)),
        [f"{_class(c)}\n{n:,} object{'s' * (n != 1)}" for c, n in zip(classes, counts, strict=True)],
        size=8,
    )
    axes.set_ylim(-105, 105)
    axes.set_xlabel("voxels at mip 0")
    axes.set_ylabel("% of the volume at mip 0")
    axes.set_title("Change of object volumes: median, and bars from the 5th to the 95th percentile")
    if mips:
        axes.legend(ncols=6, frameon=False, fontsize=8, loc="upper right")
    _grid(axes)


def _classes(rows: Rows) -> list[int]:
    """The smallest size of each class of objects, ascending."""
    return sorted({r["min_object_vx"] for r in rows if r["objects"] != "all"})


def _of_class(rows: Rows, low: int) -> list[Mapping[str, Any]]:
    return [r for r in rows if r["objects"] != "all" and r["min_object_vx"] == low]


def _class(low: int) -> str:
    """1 – 10, 10 k – 100 k: from the smallest size of a class to that of the next."""
    return f"{_size(low)} – {_size(10 * low)}"


def _percent(share: float) -> str:
    """0, < 1, 45: whole numbers, but none that hides that there are some."""
    return "0" if share == 0 else "< 1" if share < 1 else "> 99" if 99 < share < 100 else f"{share:.0f}"


def _size(voxels: int) -> str:
    """1, 100, 10 k, 1 M."""
    unit, prefix = next((u, p) for u, p in PREFIXES if voxels >= u)
    return f"{voxels / unit:g} {prefix}".strip()


def _shade(number: int, count: int) -> Any:
    """Colours in the order of what they stand for, from dark to light, also in grey print."""
    import matplotlib as mpl

    return mpl.colormaps["viridis"](0.88 * number / max(count - 1, 1))


def _over(axes: Any, x: float, y: float, text: str, colour: str) -> None:
    axes.annotate(text, (x, y), (0, 6), textcoords="offset points", ha="center", size=8, color=colour)


def _mips(axes: Any, mips: Sequence[int], title: str, unit: str) -> None:
    axes.set_xticks(mips)
    axes.set_xlabel("mip")
    axes.set_ylabel(unit)
    axes.set_title(title)
    _grid(axes)


def _grid(axes: Any) -> None:
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=QUIET, alpha=0.25, linewidth=0.6)
    axes.tick_params(axis="both", length=0)
