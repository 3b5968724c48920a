"""The error of RGB pyramids that the benchmark of slides reports, on pyramids whose errors are planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorstore
import tifffile
from numpy.typing import NDArray

SIZE = (77, 601)


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    """The benchmarks are no part of the library; they run from the root of the checkout."""
    monkeypatch.syspath_prepend(str(repository))


def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


def write_layer(folder: Path, mips: list[NDArray[np.uint8]]) -> None:
    for mip, pixels in enumerate(mips):
        scale = {"resolution": [2**mip, 2**mip, 1], "size": [*pixels.shape[:2], 1], "chunk_size": [64, 64, 1]}
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{folder}/"},
            "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 3},
            "scale_metadata": {**scale, "encoding": "raw", "voxel_offset": [0, 0, 0]},
        }
        tensorstore.open(spec, create=True).result()[:] = pixels[:, :, None]


@pytest.mark.parametrize("factor", [1, 2, 8])
def test_means_are_those_of_squares_cut_off_at_the_edge(factor: int) -> None:
    from benchmarks.slide_error import means

    pixels = picture()
    found = means(pixels, factor)
    for x in range(found.shape[0]):
        for y in range(0, found.shape[1], 7):
            square = pixels[x * factor : (x + 1) * factor, y * factor : (y + 1) * factor].astype(float)
            assert found[x, y] == pytest.approx(square.mean((0, 1)))


def test_planted_errors_are_reported(tmp_path: Path) -> None:
    from benchmarks.slide_error import means, pyramid_errors

    pixels = picture()
    tifffile.imwrite(tmp_path / "slide.tif", pixels.transpose(1, 0, 2), photometric="rgb")
    exact = [np.rint(means(pixels, 2**mip)).astype(np.uint8) for mip in range(3)]
    exact[1][5, 300, 2] += np.uint8(40 if exact[1][5, 300, 2] < 200 else -40)
    exact[2] = exact[2][:, :, ::-1]
    write_layer(tmp_path / "layer", exact)
    found = pyramid_errors(tmp_path / "slide.tif", tmp_path / "layer")
    assert found[0] == {"mip": 0, "deviation_mean_abs": 0, "deviation_max": 0, "drift": 0}
    assert 39 < found[1]["deviation_max"] < 41
    assert found[1]["deviation_mean_abs"] < 0.5
    assert found[2]["deviation_mean_abs"] > 10, "channels in the wrong order"
    assert abs(found[2]["drift"]) < 0.1


def test_a_mip_of_another_size_is_no_measurement(tmp_path: Path) -> None:
    from benchmarks.slide_error import pyramid_errors

    pixels = picture()
    tifffile.imwrite(tmp_path / "slide.tif", pixels.transpose(1, 0, 2), photometric="rgb")
    write_layer(tmp_path / "layer", [pixels[:-1]])
    with pytest.raises(RuntimeError, match="were expected"):
        pyramid_errors(tmp_path / "slide.tif", tmp_path / "layer")
