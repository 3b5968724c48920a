"""Why JPEG tiles of red, green and blue are not copied: what the client makes of them, whatever their markers say."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tensorstore
from PIL import Image

from ophiolite.sources.slide_tiles import whole_jpeg
from slide_pictures import TILE_PX, jpeg, picture

from .harness import NeuroglancerBrowser, serve

pytestmark = pytest.mark.browser


def write_layer(folder: Path, chunk: bytes) -> None:
    """A layer of one chunk."""
    scale = {
        "key": "s",
        "size": [TILE_PX, TILE_PX, 1],
        "resolution": [500, 500, 4000],
        "voxel_offset": [0, 0, 0],
        "chunk_sizes": [[TILE_PX, TILE_PX, 1]],
        "encoding": "jpeg",
    }
    head = {"@type": "neuroglancer_multiscale_volume", "type": "image", "data_type": "uint8", "num_channels": 3}
    (folder / "s").mkdir(parents=True)
    (folder / "info").write_text(json.dumps({**head, "scales": [scale]}))
    (folder / "s" / f"0-{TILE_PX}_0-{TILE_PX}_0-1").write_bytes(chunk)


@pytest.mark.parametrize("rgb", [False, True])
def test_the_client_takes_every_jpeg_of_three_components_for_ycbcr(
    browser: NeuroglancerBrowser, tmp_path: Path, rgb: bool
) -> None:
    """TensorStore follows the Adobe marker; once the client does too, such tiles may be copied."""
    data = whole_jpeg(jpeg(picture(TILE_PX, TILE_PX), rgb=rgb, subsampling=0), b"", TILE_PX, 2 if rgb else 6)
    assert data.rgb == rgb
    write_layer(tmp_path / "a", data.jpeg)
    true = np.asarray(Image.open(io.BytesIO(data.jpeg)).convert("RGB")).transpose(1, 0, 2).astype(int)
    kvstore = {"driver": "file", "path": f"{tmp_path}/a/"}
    stored = tensorstore.open({"driver": "neuroglancer_precomputed", "kvstore": kvstore}).result().read().result()
    np.testing.assert_array_equal(stored[:, :, 0], true)
    with serve(tmp_path) as server:
        source = f"{server.url}/a/|neuroglancer-precomputed:"
        state = {"layers": [{"type": "image", "name": "a", "source": source}], "layout": "xy"}
        browser.load_layers(state, server.url).check()
        shown = browser.voxels("a", 0, (0, 0, 0), (TILE_PX, TILE_PX, 1), "uint8", 3)[:, :, 0].astype(int)
    off = np.abs(shown - true).mean()
    assert off > 20 if rgb else off < 2
