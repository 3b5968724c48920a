"""The shaders of images compile in the client and show the colours they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ophiolite.report.results import read_views
from ophiolite.report.viewer_state import viewer_state

from .harness import NeuroglancerBrowser, serve

pytestmark = pytest.mark.browser

# What each channel holds, and the colour (red, green, blue brightest first) that must fill the picture.
CASES = {
    "grey16": ("uint16", (40_000,), "grey"),
    "grey_float": ("float32", (0.25,), "grey"),
    "rgb": ("uint8", (220, 40, 90), "rbg"),
    "rgb16": ("uint16", (2_000, 9_000, 60_000), "bgr"),
    "two_channels": ("uint8", (200, 0), "magenta"),
    "four_channels": ("uint8", (0, 200, 0, 0), "green"),
}


def write_image(layer: Path, dtype: str, values: tuple[float, ...]) -> None:
    """A field of one colour whose first half is dark, so that there is contrast to be found."""
    import tensorstore as ts

    field = np.empty((64, 64, 64, len(values)), dtype=dtype)
    field[:] = values
    field[:32] = (field[:32] * np.float32(0.1)).astype(dtype) + (np.dtype(dtype).kind == "u")
    ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{layer}/"},
            "multiscale_metadata": {"type": "image", "data_type": dtype, "num_channels": len(values)},
            "scale_metadata": {
                "resolution": [8, 8, 8],
                "size": [64, 64, 64],
                "chunk_size": [64, 64, 64],
                "encoding": "raw",
            },
        },
        create=True,
    ).result()[:] = field


@pytest.mark.parametrize("name", sorted(CASES))
def test_images_show_their_colours(browser: NeuroglancerBrowser, tmp_path: Path, name: str) -> None:
    dtype, values, colour = CASES[name]
    write_image(tmp_path / "d/layers" / name, dtype, values)
    with serve(tmp_path) as server:
        report = browser.load_layers(viewer_state(read_views(tmp_path), server.url), server.url)
        picture = browser.screenshot(f"shader_{name}").astype(int)
    report.check()
    # Right of the middle of the x-y panel, above the axis lines.
    red, green, blue = picture[200, 420]
    shown = {
        "grey": red == green == blue > 200,
        "rbg": red > blue > green,
        "bgr": blue > green > red,
        "magenta": red == blue > 100 > green,
        "green": green > 100 > max(red, blue),
    }
    assert shown[colour], (red, green, blue)
