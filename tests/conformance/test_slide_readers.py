"""TensorStore and CloudVolume read the layers of slides back: image, structures, objects, every mip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import tensorstore
import tifffile
from cloudvolume import CloudVolume
from known_defects import assert_still_defective
from numpy.typing import NDArray

from ophiolite.sample.slide_paint import structure_mask
from slide_layers import SlideProject, make_slide_project

COPIED, RECODED, RGB = "12_101", "12_103", "11_202"
SLIDES = {COPIED: "12-101", RECODED: "12-103", RGB: "11-202"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SlideProject:
    return make_slide_project(tmp_path_factory.mktemp("slides"), tuple(SLIDES.values()))


def read_tensorstore(folder: Path, mip: int = 0) -> NDArray[Any]:
    """(x, y, c)."""
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "scale_index": mip,
    }
    return np.asarray(tensorstore.open(spec, read=True, open=True).result().read().result())[:, :, 0]


def read_cloudvolume(folder: Path, mip: int = 0) -> NDArray[Any]:
    """(x, y, c)."""
    return np.asarray(CloudVolume(f"file://{folder}", mip=mip, progress=False)[:])[:, :, 0]


def source_pixels(project: SlideProject, dataset: str) -> NDArray[np.uint8]:
    """What other software decodes of the slide's file, (x, y, 3)."""
    truth = project.truths[SLIDES[dataset]]
    path = project.slides / "images" / f"{truth.kind.slide_id}{truth.kind.suffix}"
    return np.asarray(tifffile.imread(path, key=0)).transpose(1, 0, 2)


@pytest.mark.parametrize("dataset", SLIDES)
def test_tensorstore_reads_the_slide(project: SlideProject, dataset: str) -> None:
    read, source = read_tensorstore(project.layer(dataset, "slide")), source_pixels(project, dataset)
    assert read.shape == source.shape
    difference = np.abs(read.astype(int) - source)
    if dataset == COPIED:
        tile = 256
        whole = (read.shape[0] // tile * tile, read.shape[1] // tile * tile)
        assert whole[0] * whole[1] > 0.5 * read.shape[0] * read.shape[1]
        assert difference[: whole[0], : whole[1]].max() == 0, "copied tiles decode to what the source decodes to"
    assert difference.mean() < 3


def test_tiles_are_the_very_bytes_of_the_source(project: SlideProject) -> None:
    """The chunk that TensorStore decodes is the JPEG of the file: equal to its pixels by another decoder."""
    truth = project.truths[SLIDES[COPIED]]
    with tifffile.TiffFile(project.slides / "images" / f"{truth.kind.slide_id}{truth.kind.suffix}") as file:
        page = file.pages.first
        offset, size = page.dataoffsets[1], page.databytecounts[1]
        data = Path(file.filehandle.path).read_bytes()[offset : offset + size]
    shards = b"".join(path.read_bytes() for path in sorted((project.layer(COPIED, "slide")).rglob("*.shard")))
    assert data in shards
    read = read_tensorstore(project.layer(COPIED, "slide"))
    assert (read[256:512, :256].transpose(1, 0, 2) == simplejpeg.decode_jpeg(data)).all()


@pytest.mark.parametrize("dataset", SLIDES)
def test_every_mip_is_the_mean_of_mip_0(project: SlideProject, dataset: str) -> None:
    layer = project.layer(dataset, "slide")
    scales = json.loads((layer / "info").read_text())["scales"]
    finest = read_tensorstore(layer).astype(np.float64)
    mpp = project.truths[SLIDES[dataset]].mpp
    for mip, scale in enumerate(scales):
        assert scale["resolution"] == [mpp * 1000 * 2**mip, mpp * 1000 * 2**mip, 4000]
        size = [-(-n // 2**mip) for n in finest.shape[:2]]
        assert scale["size"] == [*size, 1]
        read = read_tensorstore(layer, mip)
        steps = [np.arange(0, n, 2**mip) for n in finest.shape[:2]]
        sums, counts = (
            np.add.reduceat(np.add.reduceat(of, steps[0], axis=0), steps[1], axis=1)
            for of in (finest, np.ones((*finest.shape[:2], 1)))
        )
        exact = sums / counts
        assert np.abs(read - exact).mean() < (0.5 if mip == 0 else 3), f"mip {mip}"
        assert abs(read.mean() - exact.mean()) < 0.5, f"mip {mip} is brighter or darker"
    assert len(scales) > 1


def test_cloudvolume_still_mixes_the_channels_up(project: SlideProject) -> None:
    expected = read_tensorstore(project.layer(COPIED, "slide"))

    def read() -> None:
        np.testing.assert_array_equal(read_cloudvolume(project.layer(COPIED, "slide")), expected)

    assert_still_defective("cloudvolume", "encoding jpeg, uint8, 3 channels", read)


@pytest.mark.parametrize("read", [read_tensorstore, read_cloudvolume])
@pytest.mark.parametrize("dataset", SLIDES)
def test_structures_and_objects_are_those_painted(project: SlideProject, dataset: str, read: Any) -> None:
    truth = project.truths[SLIDES[dataset]]
    mask = structure_mask(truth.scene, truth.owner)
    np.testing.assert_array_equal(read(project.layer(dataset, "mask"))[..., 0], mask)
    objects = read(project.layer(dataset, "objects"))[..., 0]
    assert ((objects > 0) == (mask > 0)).all()
    assert len(np.unique(objects)) - 1 == len(truth.scene.objects)
    for place in range(1, len(truth.scene.objects) + 1):
        assert len(np.unique(objects[truth.owner == place])) == 1, "an object has one label"
    first = [int(np.flatnonzero(objects.T.ravel() == label)[0]) for label in range(1, len(truth.scene.objects) + 1)]
    assert first == sorted(first), "labels go by first pixels"


@pytest.mark.parametrize("dataset", SLIDES)
def test_coarser_structures_are_modes(project: SlideProject, dataset: str) -> None:
    layer = project.layer(dataset, "mask")
    fine = read_tensorstore(layer)[..., 0]
    for mip in range(1, len(json.loads((layer / "info").read_text())["scales"])):
        coarse = read_tensorstore(layer, mip)[..., 0]
        np.testing.assert_array_equal(read_cloudvolume(layer, mip)[..., 0], coarse)
        inner = fine[: fine.shape[0] // 2 * 2, : fine.shape[1] // 2 * 2]
        blocks = inner.reshape(inner.shape[0] // 2, 2, inner.shape[1] // 2, 2).transpose(0, 2, 1, 3).reshape(-1, 4)
        here = coarse[: inner.shape[0] // 2, : inner.shape[1] // 2].ravel()
        votes = (blocks == here[:, None]).sum(1)
        best = np.max([(blocks == value).sum(1) for value in (0, 1, 2)], axis=0)
        assert (votes == best).all()
        fine = coarse
