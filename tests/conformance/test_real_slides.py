"""Layers made of real slides by the commands of the workflow, read back by TensorStore: an SVS and an OME-TIFF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import tifffile
from numpy.typing import NDArray

from slide_layers import SlideProject, make_layer, plan_slides

SLIDES = {"cmu": "CMU-1-Small-Region.svs", "os": "OS-1-detail.ome.tif"}


@pytest.fixture(scope="module")
def project(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> SlideProject:
    """The layer `slide` of each."""
    images = {name: data_dir / "slides" / file for name, file in SLIDES.items()}
    absent = [str(image) for image in images.values() if not image.is_file()]
    if absent:
        pytest.skip(f"real slides are absent: {', '.join(absent)}")
    folder = tmp_path_factory.mktemp("real")
    rows = [f"{name}\t{name}\treal\t{image}" for name, image in images.items()]
    (folder / "slides.tsv").write_text("\n".join(["slide_id\tcase_id\tgroup\timage", *rows]) + "\n")
    made = plan_slides(folder, folder / "slides.tsv", {})
    for dataset in SLIDES:
        make_layer(made, dataset, "slide")
    return made


def stored(project: SlideProject, dataset: str, mip: int) -> tuple[NDArray[np.float64], Any]:
    """A mip (x, y, 3) as TensorStore decodes it, and its domain."""
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{project.layer(dataset, 'slide')}/"},
        "scale_index": mip,
    }
    opened = tensorstore.open(spec, read=True, open=True).result()
    return np.asarray(opened.read().result())[:, :, 0].astype(float), opened.dimension_units


def decoded(data_dir: Path, dataset: str) -> NDArray[np.float64]:
    """Level 0 (x, y, 3) as tifffile decodes it."""
    pixels = np.asarray(tifffile.imread(data_dir / "slides" / SLIDES[dataset], key=0))
    return pixels.transpose(1, 0, 2).astype(float)


@pytest.mark.parametrize("dataset", SLIDES)
def test_tensorstore_reads_the_pixels_of_a_real_slide(project: SlideProject, data_dir: Path, dataset: str) -> None:
    source, (read, units) = decoded(data_dir, dataset), stored(project, dataset, 0)
    assert read.shape == source.shape
    difference = np.abs(read - source)
    # What JPEG at quality 90 loses; pixels a row off, or red taken for blue, differ far more.
    assert difference.mean() < 1.5
    assert np.abs((read - source).mean((0, 1))).max() < 0.5
    assert np.abs(np.roll(read, 1, 0) - source).mean() > 2 * difference.mean()
    mpp = project.plan.slides.rows[list(SLIDES).index(dataset)].mpp if project.plan.slides else None
    assert mpp is not None
    assert [unit.multiplier for unit in units[:2]] == pytest.approx([1000 * side for side in mpp])


@pytest.mark.parametrize("dataset", SLIDES)
def test_mips_of_a_real_slide_are_means(project: SlideProject, data_dir: Path, dataset: str) -> None:
    source = decoded(data_dir, dataset)
    for mip in range(1, len(project.volume(dataset, "slide").scales)):
        side = 2**mip
        whole = source[: source.shape[0] // side * side, : source.shape[1] // side * side]
        means = whole.reshape(whole.shape[0] // side, side, -1, side, 3).mean((1, 3))
        read = stored(project, dataset, mip)[0][: means.shape[0], : means.shape[1]]
        difference = np.abs(read - means).mean()
        assert difference < 6
        assert np.abs(np.roll(read, 1, 0) - means).mean() > 2 * difference
        assert np.abs((read - means).mean((0, 1))).max() < 0.5
