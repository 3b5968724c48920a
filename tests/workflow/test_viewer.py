"""The real Neuroglancer client opens what the workflow wrote: every layer, no failed chunk, the right voxels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from workspace import Workspace

from browser.harness import NeuroglancerBrowser, headless_chromium, missing_tool, serve
from ophiolite.report.results import read_views
from ophiolite.report.viewer_state import viewer_state

MULTISCALE_MESHES = "precomputed/MultiscaleMeshSource"
SKELETONS = "precomputed/SkeletonSource"
ANNOTATIONS = "precomputed/AnnotationSpatialIndexSource"
VOLUMES = "precomputed/VolumeChunkSource"


@pytest.mark.browser
def test_the_client_loads_every_layer_and_reads_the_labels_back(
    finished: Workspace, labels: NDArray[np.uint64], tmp_path: Path
) -> None:
    reason = missing_tool()
    if reason is not None:
        pytest.skip(reason)
    state: dict[str, Any]
    with headless_chromium(tmp_path) as driver, serve(finished.project) as server:
        browser = NeuroglancerBrowser(driver)
        views = read_views(finished.project)
        state = viewer_state(views, server.url)
        assert [layer["type"] for layer in state["layers"]] == ["image", "segmentation", "annotation"]
        report = browser.load_layers(state, server.url, 120)
        browser.screenshot("workflow")
        report.check()
        for source in (MULTISCALE_MESHES, SKELETONS, ANNOTATIONS, VOLUMES):
            assert report.chunks[source].gpu > 0, report
        start, size = views[1].start_vx, views[1].size_vx  # type: ignore[union-attr]
        found = browser.voxels("neurons", 0, start, size, "uint64")
    np.testing.assert_array_equal(found[..., 0], labels)
