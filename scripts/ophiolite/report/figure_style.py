"""The one style of all figures: colours safe for the colour-blind, thin axes, no dates or names of software inside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ophiolite.report.render import BACKGROUND

# The page turns this very colour into that of its text, so that charts follow its light or dark theme.
INK = "#33404d"
QUIET = "#8794a1"
ACCENT = "#2f6fde"
LIGHT = "#e8edf2"
DPI = 100
# Okabe and Ito (2008), https://jfly.uni-koeln.de/color/, in the order in which series take them.
SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7d7d7d")
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "xtick.minor.width": 0.4,
    "svg.hashsalt": "ophiolite",
    "svg.fonttype": "path",
    "path.simplify": False,
    "text.parse_math": False,
}


@contextmanager
def canvas(size_inches: tuple[float, float], dark: bool = False) -> Iterator[Any]:
    """A figure in the style of the report, drawn by Agg whatever the user's own settings; dark for pictures."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=size_inches, dpi=DPI, facecolor=BACKGROUND if dark else "none")
        FigureCanvasAgg(figure)
        yield figure


def save(figure: Any, path: Path) -> None:
    """Write a figure as SVG or PNG, by the ending of its path; the same figure is the same bytes."""
    for axes in figure.axes:
        axes.set_facecolor("none")
    # Without names and dates of the software the same figure is the same bytes.
    metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
    figure.savefig(path, dpi=DPI, metadata=metadata, facecolor=figure.get_facecolor())
