"""Tissue on a thumbnail of a stained slide: what has colour and is neither glass, nor black padding, nor ink.

Otsu's threshold of the saturation (N. Otsu, IEEE Trans. SMC 9, 1979) is held between bounds, since a picture may show
tissue alone, or none. Ink of pens is told from stain by its hue, blue to green, at a saturation that stains do not
reach at this scale, or by having no colour. Red ink passes for tissue: picrosirius red is as red.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The scale of thumbnails that the bounds were chosen at, and the pixels of one at most.
UM_PER_PX, THUMBNAIL_PX = 8.0, 4_000_000
# Pixels whose colours are measured together, some 60 bytes of memory each.
BAND_PX = 500_000
# White glass has a saturation of 0.00-0.02; half of a weakly stained kidney lies below 0.08.
SATURATION = (0.025, 0.035)
# The brightest hundredth is glass, whose tint is taken off, where it is as bright and as pale as this.
GLASS_SHARE, GLASS_VALUE, GLASS_SATURATION = 0.01, 215, 0.05
# Levels of the brightest colour: padding is not above the first, black ink not above the second.
PADDING, BLACK_INK = 24, 110
# Levels between the brightest colour and the darkest, below which a dark pixel has none.
NO_COLOUR = 25
# Blue and green inks: hues in degrees, least saturation. Haematoxylin begins at 245; Masson's stains are paler.
INK_HUES, INK_SATURATION = (70.0, 243.0), 0.55
# So far around ink, paler pixels of its hues are its rim.
RIM_UM = 40.0
# Specks (dust), and holes in tissue (lumens, tears), up to these areas count as what surrounds them.
SPECK_UM2, HOLE_UM2 = 4_000.0, 12_000.0


def tissue_mask(rgb: NDArray[np.uint8], um_per_px: float = UM_PER_PX) -> NDArray[np.bool_]:
    """Where a thumbnail `(x, y, 3)` shows tissue, `(x, y)`.

    um_per_px : its scale, best near 8; left out where nobody knows it.
    """
    from scipy import ndimage

    if not rgb.size:
        return np.zeros(rgb.shape[:2], dtype=bool)
    # Grain, and the blocks of JPEG, would be coloured specks; the median leaves edges where they are.
    smooth = ndimage.median_filter(rgb, size=(3, 3, 1), mode="nearest")
    white = np.float32(255) / _glass(smooth)
    saturation = np.empty(rgb.shape[:2], dtype=np.float32)
    strokes, of_ink = np.empty(rgb.shape[:2], dtype=bool), np.empty(rgb.shape[:2], dtype=bool)
    for band in _bands(rgb.shape):
        saturation[band] = _saturation(smooth[band] * white)
        # Lines of a pixel's width would not outlive the median.
        strokes[band], of_ink[band] = _ink(rgb[band] * white)
    rim = ndimage.binary_dilation(strokes, iterations=max(1, round(RIM_UM / um_per_px)))
    excluded = (rgb.max(axis=2) <= PADDING) | strokes | (rim & of_ink)
    coloured = (saturation > _threshold(saturation[~excluded])) & ~excluded
    solid = _without_small(coloured, SPECK_UM2 / um_per_px**2)
    filled = ~_without_small(~solid, HOLE_UM2 / um_per_px**2)
    out: NDArray[np.bool_] = filled & ~excluded
    return out


def _bands(shape: tuple[int, ...]) -> list[slice]:
    """Parts of the first axis, so that what is worked out per pixel does not stand in memory for all at once."""
    step = max(1, BAND_PX // shape[1])
    return [slice(first, first + step) for first in range(0, shape[0], step)]


def _glass(smooth: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Red, green and blue of glass; white where the picture may show none."""
    value = smooth.max(axis=2)
    glass = np.median(smooth[value >= np.quantile(value, 1 - GLASS_SHARE)], axis=0)
    pale = glass.max() >= GLASS_VALUE and 1 - glass.min() / glass.max() <= GLASS_SATURATION
    out: NDArray[np.float32] = (glass if pale else np.full(3, 255.0)).astype(np.float32)
    return out


def _threshold(saturation: NDArray[np.float32]) -> float:
    """Otsu's threshold, within the bounds."""
    from skimage.filters import threshold_otsu

    if not saturation.size or saturation.min() == saturation.max():
        return SATURATION[0]
    return float(np.clip(threshold_otsu(saturation), *SATURATION))  # type: ignore[no-untyped-call]


def _saturation(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    value = rgb.max(axis=2)
    out: NDArray[np.float32] = (value - rgb.min(axis=2)) / np.maximum(value, 1)
    return out


def _ink(rgb: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where strokes of ink are, and where pixels have its hues, as their rim has."""
    value = rgb.max(axis=2)
    chroma = value - rgb.min(axis=2)
    hue = _hue(rgb, value, chroma)
    of_ink = (hue > INK_HUES[0]) & (hue < INK_HUES[1])
    black = (value <= BLACK_INK) & (chroma < NO_COLOUR)
    return (of_ink & (_saturation(rgb) > INK_SATURATION)) | black, of_ink


def _hue(rgb: NDArray[np.float32], value: NDArray[np.float32], chroma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Degrees on the colour wheel, 0 where there is no colour."""
    red, green, blue = np.moveaxis(rgb, 2, 0)
    span = np.maximum(chroma, 1e-6)
    sixths = np.where(
        value == red,
        ((green - blue) / span) % 6,
        np.where(value == green, (blue - red) / span + 2, (red - green) / span + 4),
    )
    out: NDArray[np.float32] = np.where(chroma > 0, 60 * sixths, 0)
    return out


def _without_small(mask: NDArray[np.bool_], least_px: float) -> NDArray[np.bool_]:
    """The parts of a mask, connected by sides, of at least so many pixels."""
    from scipy import ndimage

    parts, count = ndimage.label(mask)
    sizes = np.zeros(count + 1, dtype=np.int64)
    for band in _bands(parts.shape):
        sizes += np.bincount(parts[band].ravel(), minlength=count + 1)
    kept = sizes >= least_px
    kept[0] = False
    out = np.empty(mask.shape, dtype=bool)
    for band in _bands(parts.shape):
        out[band] = kept[parts[band]]
    return out
