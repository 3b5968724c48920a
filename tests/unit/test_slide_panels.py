"""Panels: the pixels of the pictures stand in the figure as they are, in the same bytes each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ophiolite.report.slide_panels import (
    GAP_PX,
    PANEL_PX,
    TITLE_PX,
    SlidePanel,
    draw_slide_panels,
    outline,
    panel_px,
    pictures_of,
    structure_colours,
)

NAMES = {1: "glomerulus", 3: "tubule"}


def panel(width: int, height: int, seed: int = 0) -> SlidePanel:
    draw = np.random.default_rng(seed)
    picture = draw.integers(0, 256, (width, height, 3), dtype=np.uint8)
    covered = np.zeros((width, height))
    covered[10:60, 20:50] = 1
    return SlidePanel("a", picture, {1: covered, 3: np.zeros((width, height))}, 2.0)


def read(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).swapaxes(0, 1)


@pytest.mark.parametrize("size", [(PANEL_PX, 301), (PANEL_PX, PANEL_PX), (227, PANEL_PX)])
def test_pictures_are_not_resampled(tmp_path: Path, size: tuple[int, int]) -> None:
    shown = panel(*size)
    draw_slide_panels([shown], NAMES, tmp_path / "a.png")
    figure = read(tmp_path / "a.png")
    width, height = size
    left = (PANEL_PX - width) // 2
    scale_bar_px = 60
    for column, picture in enumerate(pictures_of(shown, structure_colours(NAMES))):
        start = column * (PANEL_PX + GAP_PX) + left
        here = figure[start : start + width, TITLE_PX : TITLE_PX + height - scale_bar_px].astype(int)
        wanted = np.round(picture[:, : height - scale_bar_px] * 255)
        assert np.abs(here - wanted).max() <= 1


def test_slides_without_masks_stand_side_by_side(tmp_path: Path) -> None:
    """Four make two rows, without a legend of structures that nobody sees."""
    plain = [SlidePanel("a", panel(PANEL_PX, h, h).picture, None, None) for h in (300, 400, 200, 100)]
    draw_slide_panels(plain, NAMES, tmp_path / "a.png")
    figure = read(tmp_path / "a.png").astype(int)
    assert figure.shape[1] == (400 + TITLE_PX + GAP_PX) + (100 + TITLE_PX + GAP_PX)
    for n, shown in enumerate(plain):
        left, top = n % 3 * (PANEL_PX + GAP_PX), TITLE_PX + n // 3 * (400 + TITLE_PX + GAP_PX)
        here = figure[left : left + PANEL_PX, top : top + shown.picture.shape[1]]
        assert np.abs(here - shown.picture).max() <= 1


def test_the_same_panels_are_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        draw_slide_panels([panel(200, 100), panel(300, PANEL_PX, 1)], NAMES, tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_scale_bar_is_as_long_as_it_says(tmp_path: Path) -> None:
    """456 pixels of 2 um are 912 um, of which a quarter holds 200 um: 100 pixels, white, at the lower left."""
    dark = SlidePanel("a", np.zeros((PANEL_PX, 300, 3), np.uint8), None, 2.0)
    draw_slide_panels([dark], NAMES, tmp_path / "a.png")
    figure = read(tmp_path / "a.png")[:PANEL_PX, TITLE_PX : TITLE_PX + 300]
    white = (figure.min(axis=2) > 200).sum(axis=0)
    assert abs(int(white.max()) - 100) <= 1


def test_without_a_scale_there_is_no_bar(tmp_path: Path) -> None:
    dark = SlidePanel("a", np.zeros((PANEL_PX, 300, 3), np.uint8), None, None)
    draw_slide_panels([dark], NAMES, tmp_path / "a.png")
    assert read(tmp_path / "a.png")[:PANEL_PX, TITLE_PX : TITLE_PX + 300].max() == 0


def test_without_slides_the_figure_says_so(tmp_path: Path) -> None:
    draw_slide_panels([], NAMES, tmp_path / "a.png")
    assert read(tmp_path / "a.png").max() > 150


def test_mask_and_overlay_show_the_structure_where_it_is() -> None:
    shown = panel(100, 80)
    assert shown.masks is not None
    image, mask, both = pictures_of(shown, structure_colours(NAMES))
    inside = shown.masks[1] > 0
    assert np.allclose(mask[inside], structure_colours(NAMES)[1])
    assert len(np.unique(mask[~inside].round(6), axis=0)) == 1
    assert np.array_equal(both[~inside], image[~inside])
    assert (np.abs(both - image).max(axis=2)[inside] > 0).mean() > 0.99


def test_the_overlay_is_tinted_and_its_outline_nearly_of_the_colour() -> None:
    shown = panel(100, 80)
    assert shown.masks is not None
    colour = structure_colours(NAMES)[1]
    image, _, both = pictures_of(shown, structure_colours(NAMES))
    edge = outline(shown.masks[1] > 0)
    core = (shown.masks[1] > 0) & ~edge
    assert edge.sum() == 2 * 50 + 2 * 28
    for where, strength in ((edge, 0.9), (core, 0.4)):
        assert np.allclose(both[where], image[where] + strength * (colour - image[where]))


def test_outlines_lie_inside_and_do_not_follow_the_picture_s_end() -> None:
    region = np.zeros((7, 6), bool)
    region[0:5, 1:5] = True
    edge = outline(region)
    expected = region.copy()
    expected[0:4, 2:4] = False
    assert np.array_equal(edge, expected)


@pytest.mark.parametrize(
    ("size", "expected"), [((912, 456), (456, 228)), ((10, 20), (228, 456)), ((100000, 3), (456, 1))]
)
def test_the_longer_side_fills_its_panel(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert panel_px(size) == expected
