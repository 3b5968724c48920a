"""Tissue on drawn and on real thumbnails: stain yes; glass, padding, ink and dust no."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ophiolite.kernels.area_means import area_means
from ophiolite.kernels.patch_grid import covered_fractions
from ophiolite.kernels.tissue import tissue_mask
from ophiolite.sample.slide_paint import paint
from ophiolite.sample.slide_scene import make_scene

GLASS, PALE, PAS = (244, 243, 246), (232, 218, 228), (200, 140, 180)
SLIDES = Path(os.environ.get("OPHIOLITE_DATA", "../shared/data")).resolve() / "slides"


def picture(seed: int = 0, **boxes: tuple[tuple[int, int, int, int], tuple[int, int, int]]) -> np.ndarray:
    rgb = np.full((120, 100, 3), GLASS, dtype=float)
    for (x, y, w, h), colour in boxes.values():
        rgb[x : x + w, y : y + h] = colour
    return np.clip(rgb + np.random.default_rng(seed).normal(0, 3, rgb.shape), 0, 255).astype(np.uint8)


def inside(mask: np.ndarray, box: tuple[int, int, int, int], margin: int = 0) -> float:
    x, y, w, h = box
    return float(mask[x - margin : x + w + margin, y - margin : y + h + margin].mean())


@pytest.mark.parametrize("colour", [PALE, PAS, (96, 62, 132), (180, 130, 90), (120, 150, 190)])
def test_stained_tissue_is_found_to_its_edge(colour: tuple[int, int, int]) -> None:
    box = (30, 20, 40, 50)
    mask = tissue_mask(picture(tissue=(box, colour)))
    assert inside(mask, (31, 21, 38, 48)) == 1
    assert not mask[:28].any()
    assert not mask[72:].any()


def test_glass_alone_has_none_and_tissue_alone_is_all() -> None:
    assert not tissue_mask(picture()).any()
    assert tissue_mask(picture(tissue=((0, 0, 120, 100), PALE))).all()


def test_the_tint_of_glass_is_none() -> None:
    tinted = picture(glass=((0, 0, 120, 100), (243, 241, 234)), tissue=((30, 20, 40, 50), PALE))
    mask = tissue_mask(tinted)
    assert inside(mask, (31, 21, 38, 48)) == 1
    assert mask.sum() <= 42 * 52


def test_black_padding_is_background() -> None:
    """Slides of the KPIs challenge are black around the tissue."""
    mask = tissue_mask(picture(black=((0, 0, 120, 100), (0, 0, 0)), tissue=((40, 30, 40, 40), PAS)))
    assert inside(mask, (41, 31, 38, 38)) == 1
    assert mask.sum() <= 42 * 42
    assert not tissue_mask(np.zeros((50, 50, 3), np.uint8)).any()


@pytest.mark.parametrize("ink", [(28, 58, 176), (20, 140, 80), (30, 130, 170), (45, 42, 48), (70, 66, 72)])
def test_ink_is_no_tissue_not_even_its_rim(ink: tuple[int, int, int]) -> None:
    tissue, stroke = (70, 20, 40, 60), (20, 10, 9, 80)
    rgb = picture(tissue=(tissue, PAS), ink=(stroke, ink))
    # Scaled down, the border of ink is part glass.
    for edge in (19, 29):
        rgb[edge, 10:90] = (np.array(ink) * 0.4 + np.array(GLASS) * 0.6).astype(np.uint8)
    mask = tissue_mask(rgb)
    assert not mask[:60].any()
    assert inside(mask, (71, 21, 38, 58)) == 1


@pytest.mark.parametrize("colour", [(0, 0, 0), (28, 58, 176)])
def test_padding_and_ink_within_tissue_are_no_holes_to_fill(colour: tuple[int, int, int]) -> None:
    spot = (60, 40, 8, 8)
    mask = tissue_mask(picture(tissue=((20, 10, 80, 80), PAS), spot=(spot, colour)))
    assert inside(mask, spot) == 0
    assert mask.sum() > 80 * 80 - 14 * 14


def test_dust_is_dropped_and_lumens_are_filled_by_their_size_in_microns() -> None:
    dust, lumen, gap = (10, 10, 6, 6), (50, 40, 9, 9), (50, 60, 25, 25)
    rgb = picture(dust=(dust, PAS), tissue=((40, 20, 60, 70), PAS), lumen=(lumen, GLASS), gap=(gap, GLASS))
    mask = tissue_mask(rgb)
    assert inside(mask, dust, 2) == 0
    assert inside(mask, lumen) == 1
    assert inside(mask, (53, 63, 19, 19)) == 0
    coarse = tissue_mask(rgb, 32.0)
    assert inside(coarse, (11, 11, 4, 4)) == 1
    assert inside(coarse, (52, 42, 5, 5)) == 0


@pytest.mark.parametrize("name", ["C1", "C2"])
def test_a_field_of_kidney_is_tissue(name: str) -> None:
    path = SLIDES / "glomeruli" / f"R22_VEGF_2_15.0x{name}.jpg"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    from PIL import Image

    rgb = np.asarray(Image.open(path).reduce(8)).transpose(1, 0, 2)
    assert tissue_mask(rgb).mean() > 0.9


def test_a_scanned_region_has_tissue_and_glass() -> None:
    path = SLIDES / "CMU-1-Small-Region.svs"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    import openslide

    slide = openslide.OpenSlide(path)
    rgb = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB").reduce(16)).transpose(1, 0, 2)
    mask = tissue_mask(rgb, 16 * 0.499)
    white = rgb.min(axis=2) > 238
    assert 0.3 < mask.mean() < 0.75
    assert (mask & white).sum() < 0.1 * mask.sum()
    assert (~mask & (rgb.min(axis=2) < 200)).sum() < 0.03 * mask.sum()


@pytest.mark.parametrize(("seed", "padded"), [(1, False), (2, True), (5, False)])
def test_patches_of_the_phantom_are_judged_as_its_painter_would(seed: int, padded: bool) -> None:
    """Stained tissue, a tear, pen strokes, black padding: fractions off by few hundredths, decisions right."""
    painted = paint(make_scene((2000.0, 1504.0), seed, padded), 2.0, (0, 0), (1000, 752))
    rgb = area_means(painted.rgb, (250, 188))
    exact = painted.tissue.reshape(250, 4, 188, 4).mean(axis=(1, 3))
    mask = tissue_mask(rgb, 8.0)
    pen = (rgb[..., 2].astype(int) - rgb[..., 0]) > 60
    assert pen.sum() > 200
    assert not (mask & pen).any()
    boxes = np.array([(x, y, x + 32, y + 32) for x in range(0, 218, 8) for y in range(0, 156, 8)], dtype=float)
    found = covered_fractions(mask, boxes)
    truth = np.array([exact[int(x) : int(u), int(y) : int(v)].mean() for x, y, u, v in boxes])
    assert np.abs(found - truth).max() < 0.1
    assert abs(mask.mean() - exact.mean()) < 0.02
    clear = np.abs(truth - 0.5) > 0.1
    assert clear.sum() > 450
    assert np.array_equal(found[clear] >= 0.5, truth[clear] >= 0.5)


def test_an_empty_picture_has_none() -> None:
    assert tissue_mask(np.zeros((0, 5, 3), np.uint8)).shape == (0, 5)
