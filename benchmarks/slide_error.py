"""How far each mip of an RGB pyramid is off the exact mean of the slide's pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows of mip 0 that are held at once; a multiple of every factor.
STRIP_ROWS = 512
MIPS = 6


def pyramid_errors(slide: Path, layer: Path) -> list[dict[str, Any]]:
    """A row per mip, in grey levels over all channels: mean and largest distance from the exact mean, mean difference.

    slide : a TIFF, decoded by tifffile; layer : the folder of a layer, read by TensorStore.
    """
    import tifffile

    source = tifffile.imread(slide, key=0).transpose(1, 0, 2)
    mips = min(MIPS, len(json.loads((layer / "info").read_text())["scales"]))
    return [{"mip": mip, **_errors(source, _opened(layer, mip), 2**mip)} for mip in range(mips)]


def _opened(layer: Path, mip: int) -> Any:
    import tensorstore

    kvstore = {"driver": "file", "path": f"{layer}/"}
    spec = {"driver": "neuroglancer_precomputed", "kvstore": kvstore, "scale_index": mip}
    return tensorstore.open(spec, read=True, open=True).result()


def _errors(source: NDArray[np.uint8], layer: Any, factor: int) -> dict[str, float]:
    width, height, _ = source.shape
    expected = (-(-width // factor), -(-height // factor))
    if tuple(layer.shape[:2]) != expected:
        raise RuntimeError(f"a mip of {layer.shape[:2]} pixels where {expected} were expected")
    total, signed, largest, count = 0.0, 0.0, 0.0, 0
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        exact = means(source[:, top:bottom], factor)
        first = top // factor
        found = np.asarray(layer[:, first : first + exact.shape[1]].read().result())[:, :, 0].astype(np.float64)
        difference = found - exact
        total += float(np.abs(difference).sum())
        signed += float(difference.sum())
        largest = max(largest, float(np.abs(difference).max()))
        count += difference.size
    return {
        "deviation_mean_abs": round(total / count, 3),
        "deviation_max": round(largest, 1),
        "drift": round(signed / count, 4),
    }


def means(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.float64]:
    """Means over squares of `factor` pixels, those at the far edges over what there is."""
    x, y = (np.arange(0, n, factor) for n in pixels.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(pixels, x, axis=0, dtype=np.int64), y, axis=1)
    wide, high = (np.diff([*at, n]) for at, n in ((x, pixels.shape[0]), (y, pixels.shape[1])))
    return np.asarray(sums / (wide[:, None] * high[None])[..., None])
