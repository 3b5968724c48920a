"""Panels of a dataset of slides: image, mask and both, a row per slide, or images alone, without resampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.report.figure_style import DPI, LIGHT, canvas, save
from ophiolite.report.figures import round_length, scale_bar
from ophiolite.report.render import BACKGROUND

PANEL_PX = 456
GAP_PX = 6
TITLE_PX = 30
LEGEND_PX = 34
TINT = 0.4
OUTLINE = 0.9
# Of Okabe and Ito (2008), those least like haematoxylin, eosin and PAS.
STRUCTURES = ("#009e73", "#e69f00", "#56b4e9", "#f0e442", "#d55e00")
COLUMNS = ("image", "mask", "overlay")


@dataclass(frozen=True)
class SlidePanel:
    """One slide or patch.

    picture : (x, y, 3). masks : value of a structure -> (x, y) part of each pixel that it covers, 0 to 1; None where
    there is no mask. pixel_um : size of a pixel of the picture, None where the scale is not known.
    """

    title: str
    picture: NDArray[np.uint8]
    masks: Mapping[int, NDArray[np.float64]] | None
    pixel_um: float | None


def panel_px(size_px: tuple[int, int]) -> tuple[int, int]:
    """The size of a picture in a panel: its longer side fills it."""
    scale = PANEL_PX / max(size_px)
    width, height = (max(1, round(n * scale)) for n in size_px)
    return width, height


@dataclass(frozen=True)
class _Cell:
    """One picture (x, y, 3), 0 to 1, of a figure, what stands above it, and how many microns its pixels are."""

    title: str
    picture: NDArray[np.float64]
    pixel_um: float | None


def draw_slide_panels(panels: Sequence[SlidePanel], names: Mapping[int, str], path: Path) -> None:
    """PNG: a row per slide with image, mask and overlay, scale bars, and the structures' colours below.

    names : value -> structure, in the order in which they take colours. Where no slide has a mask, images stand side by
    side. Without panels the figure says so.
    """
    colours = structure_colours(names)
    masked = any(panel.masks is not None for panel in panels)
    rows = _rows(panels, colours) if masked else _rows_of_images(panels)
    heights = [max(cell.picture.shape[1] for cell in row) + TITLE_PX + GAP_PX for row in rows] or [2 * TITLE_PX]
    width = len(COLUMNS) * PANEL_PX + (len(COLUMNS) - 1) * GAP_PX
    height = sum(heights) + (LEGEND_PX if masked else 0)
    with canvas((width / DPI, height / DPI), dark=True) as figure:
        top = float(height)
        if not panels:
            figure.text(0.5, 0.6, "no slides", color=LIGHT, ha="center", va="center", size=10)
        for row, own in zip(rows, heights, strict=False):
            for column, cell in enumerate(row):
                w, h = cell.picture.shape[:2]
                first = column * (PANEL_PX + GAP_PX)
                left, below = first + (PANEL_PX - w) // 2, top - TITLE_PX - h
                place = ((first + 10) / width, (top - TITLE_PX / 2) / height)
                figure.text(*place, cell.title, color=LIGHT, va="center", size=10)
                axes = figure.add_axes((left / width, below / height, w / width, h / height))
                _show(axes, cell.picture, cell.pixel_um)
            top -= own
        if masked:
            _legend(figure, names, colours, width, height)
        save(figure, path)


def _rows(panels: Sequence[SlidePanel], colours: Mapping[int, NDArray[np.float64]]) -> list[list[_Cell]]:
    """A row per slide, its title above the first picture."""
    return [
        [
            _Cell("" if n else panel.title, picture, panel.pixel_um)
            for n, picture in enumerate(pictures_of(panel, colours))
        ]
        for panel in panels
    ]


def _rows_of_images(panels: Sequence[SlidePanel]) -> list[list[_Cell]]:
    """As many slides a row as there are columns."""
    cells = [_Cell(panel.title, panel.picture / 255, panel.pixel_um) for panel in panels]
    return [cells[first : first + len(COLUMNS)] for first in range(0, len(cells), len(COLUMNS))]


def pictures_of(panel: SlidePanel, colours: Mapping[int, NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """The pictures (x, y, 3), 0 to 1, of a row: the image, and where there is a mask the mask and both."""
    image = panel.picture / 255
    if panel.masks is None:
        return [image]
    mask = np.full(image.shape, np.array(BACKGROUND) * 0.5)
    both = image
    for value, covered in panel.masks.items():
        colour = colours[value]
        mask = mask + (colour - mask) * covered[..., None]
        strength = np.maximum(TINT * covered, OUTLINE * outline(covered >= 0.5))
        both = both + (colour - both) * strength[..., None]
    return [image, mask, both]


def outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a region (x, y) that have a neighbour along an axis outside it; the picture's end is no outside."""
    padded = np.pad(inside, 1, mode="edge")
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside & ~core


def structure_colours(names: Mapping[int, str]) -> dict[int, NDArray[np.float64]]:
    """Value -> red, green, blue, 0 to 1; none like what tissue is stained with."""
    return {value: _rgb(STRUCTURES[i % len(STRUCTURES)]) for i, value in enumerate(names)}


def _show(axes: Any, picture: NDArray[np.float64], pixel_um: float | None) -> None:
    w, h = picture.shape[:2]
    pixel_nm = 1000 * (pixel_um or 1)
    extent = (w * pixel_nm, h * pixel_nm)
    axes.imshow(picture.swapaxes(0, 1), extent=(0, extent[0], extent[1], 0), interpolation="none", aspect="auto")
    axes.set_axis_off()
    if pixel_um:
        # of one thickness whatever the shape of the picture
        scale_bar(axes, (PANEL_PX * pixel_nm, extent[1]), round_length(extent[0] / 4))


def _legend(
    figure: Any, names: Mapping[int, str], colours: Mapping[int, NDArray[np.float64]], width: int, height: int
) -> None:
    left = 10.0
    for value, name in names.items():
        text = figure.text((left + 18) / width, LEGEND_PX / 2 / height, name, color=LIGHT, va="center", size=9.5)
        figure.text(
            left / width, LEGEND_PX / 2 / height, "\N{BLACK SQUARE}", color=colours[value], va="center", size=12
        )
        left += 40 + text.get_window_extent().width


def _rgb(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
