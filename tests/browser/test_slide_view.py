"""A slide in the real client: its pixels as decoded by the client, its objects, its outlines; a picture to look at."""

from __future__ import annotations

import numpy as np
import pytest
import tensorstore
from numpy.typing import NDArray

from ophiolite.plan.model import AnnotationPlan
from ophiolite.report.results import read_views
from ophiolite.report.viewer_state import viewer_state
from slide_layers import SlideProject, command, make_slide_project

from .harness import NeuroglancerBrowser, serve

pytestmark = pytest.mark.browser

# One whose tiles are copied, and one whose file holds RGB tiles, which are encoded again.
SLIDES = {"12_101": "12-101", "11_202": "11-202"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SlideProject:
    made = make_slide_project(tmp_path_factory.mktemp("slides"), tuple(SLIDES.values()))
    plan = made.folder / "plan.json"
    for dataset in SLIDES:
        here = ("--plan", plan, "--dataset", dataset)
        command("slide_objects", *here, "--layer", "objects")
        for layer in ("mask", "objects"):
            for part in range(made.volume(dataset, layer).stats_parts):
                command("label_stats", *here, "--layer", layer, "--part", part)
                command("object_table", *here, "--layer", layer, "--part", part)
            command("segment_properties", *here, "--layer", layer)
        for layer, planned in made.plan.datasets[dataset].layers.items():
            if isinstance(planned, AnnotationPlan):
                command("annotation_layer", *here, "--layer", layer)
    return made


def stored(project: SlideProject, dataset: str, layer: str) -> NDArray[np.generic]:
    """(x, y, c) of mip 0, by TensorStore."""
    kvstore = {"driver": "file", "path": f"{project.layer(dataset, layer)}/"}
    opened = tensorstore.open({"driver": "neuroglancer_precomputed", "kvstore": kvstore}, read=True, open=True)
    return np.asarray(opened.result().read().result())[:, :, 0]


@pytest.mark.parametrize("dataset", SLIDES)
def test_the_client_shows_a_slide(browser: NeuroglancerBrowser, project: SlideProject, dataset: str) -> None:
    truth = project.truths[SLIDES[dataset]]
    place = truth.scene.objects[2]
    x, y = (round(c / truth.mpp) for c in place.centre_um)
    with serve(project.folder) as server:
        state = viewer_state(read_views(project.folder, dataset=dataset), server.url)
        report = browser.load_layers(state, server.url)
        picture = browser.screenshot(f"slide_{dataset}").astype(int)
        report.check()
        start = (x - 20, y - 20, 0)
        shown = browser.voxels("slide", 0, start, (40, 40, 1), "uint8", 3)[:, :, 0]
        labels = browser.voxels("objects", 0, start, (40, 40, 1), "uint32")[:, :, 0, 0]
    here = (slice(x - 20, x + 20), slice(y - 20, y + 20))
    difference = np.abs(shown.astype(int) - stored(project, dataset, "slide")[here])
    # Decoders of JPEG round, and spread halved colours, each in its own way.
    assert difference.max() <= 16
    assert difference.mean() < 1.5
    np.testing.assert_array_equal(labels, stored(project, dataset, "objects")[here][..., 0])
    assert set(np.unique(labels)) > {0}, "the object with the hole is in the middle"
    assert state["layout"] == "xy"
    assert not state["showAxisLines"]
    # Glass is nearly white and tissue pink: red and blue above green.
    panel = picture[60:-20, 20:1000]
    red, green, blue = panel[..., 0], panel[..., 1], panel[..., 2]
    assert ((panel > 225).all(2)).mean() > 0.05, "glass"
    assert ((red > green + 20) & (blue > green + 10) & (green > 60)).mean() > 0.1, "tissue"
