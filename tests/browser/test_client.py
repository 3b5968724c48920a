"""The harness on layers of known content: what is sound loads, what is broken is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ophiolite.report.results import read_views
from ophiolite.report.viewer_state import viewer_state

from .harness import NeuroglancerBrowser, serve
from .layers import HUGE, OFFSET_VX, Sample, write_sample

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write_sample(tmp_path_factory.mktemp("results"))


@pytest.fixture
def broken(sample: Sample, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample.folder, tmp_path / "broken"))


def test_every_layer_loads_and_holds_the_voxels_written(browser: NeuroglancerBrowser, sample: Sample) -> None:
    with serve(sample.folder) as server:
        state = viewer_state(read_views(sample.folder), server.url)
        report = browser.load_layers(state, server.url)
        picture = browser.screenshot("client_sample")
        report.check()
        for kind in (
            "precomputed/VolumeChunkSource",
            "mesh/FragmentSource",
            "precomputed/SkeletonSource",
            "precomputed/AnnotationSpatialIndexSource",
        ):
            assert report.chunks[kind].gpu > 0, kind
        box = (24, 40, 20)
        start = (OFFSET_VX[0] + 40, OFFSET_VX[1] + 30, OFFSET_VX[2] + 26)
        inside = tuple(slice(s - o, s - o + n) for s, o, n in zip(start, OFFSET_VX, box, strict=True))
        image = browser.voxels("em", 0, start, box, "uint8")[..., 0]
        labels = browser.voxels("cells", 0, start, box, "uint64")[..., 0]
    np.testing.assert_array_equal(image, sample.image[inside])
    np.testing.assert_array_equal(labels, sample.labels[inside])
    assert HUGE in labels
    assert (picture.max(axis=2) > 40).mean() > 0.15, "the picture is nearly black"


def test_a_truncated_chunk_is_a_failure(browser: NeuroglancerBrowser, broken: Path) -> None:
    chunk = next(path for path in sorted((broken / "d/layers/em/16_16_40").iterdir()))
    chunk.write_bytes(chunk.read_bytes()[:-7])
    with serve(broken) as server:
        state = viewer_state(read_views(broken), server.url) | {"crossSectionScale": 2.5}
        report = browser.load_layers(state, server.url, limit_s=6)
    assert not report.ready
    assert report.failed == {"precomputed/VolumeChunkSource": 1}
    assert any("16_16_40" in line or "Error retrieving chunk" in line for line in report.console)
    with pytest.raises(AssertionError, match="not ready"):
        report.check()


def test_a_missing_skeleton_is_a_failure(browser: NeuroglancerBrowser, broken: Path) -> None:
    (broken / f"d/layers/cells/skeletons/{HUGE}").unlink()
    with serve(broken) as server:
        report = browser.load_layers(viewer_state(read_views(broken), server.url), server.url, limit_s=6)
    assert report.failed == {"precomputed/SkeletonSource": 1}


def test_a_refused_attribute_is_a_data_error(browser: NeuroglancerBrowser, broken: Path) -> None:
    info = broken / "d/layers/cells/skeletons/info"
    info.write_text(info.read_text().replace('"radius", "data_type": "float32"', '"radius", "data_type": "uint8"'))
    with serve(broken) as server:
        report = browser.load_layers(viewer_state(read_views(broken), server.url), server.url, limit_s=6)
    assert any(error.startswith("cells: ") for error in report.data_errors), report


def test_voxels_of_a_missing_chunk_read_as_zero(browser: NeuroglancerBrowser, broken: Path) -> None:
    """The client takes a missing chunk for background: only the comparison of voxels can find it."""
    for path in (broken / "d/layers/em/8_8_20").iterdir():
        path.unlink()
    with serve(broken) as server:
        report = browser.load_layers(viewer_state(read_views(broken), server.url), server.url)
        values = browser.voxels("em", 0, OFFSET_VX, (4, 4, 4), "uint8")
    report.check()
    assert not values.any()


def test_a_slow_browser_keeps_every_layer(browser: NeuroglancerBrowser, sample: Sample) -> None:
    """Restoring for longer than 0.4 s makes the client drop layers when annotations are among them."""
    browser.driver.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": 12})
    try:
        with serve(sample.folder) as server:
            report = browser.load_layers(viewer_state(read_views(sample.folder), server.url), server.url, limit_s=120)
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": 1})
    report.check()
