"""Viewer states: what they open, where they look, and links that survive the trip."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.errors import LayerError
from ophiolite.report.results import read_views
from ophiolite.report.viewer_state import (
    AnnotationView,
    ObjectView,
    VolumeView,
    largest_segments,
    viewer_link,
    viewer_state,
)

BASE = "http://127.0.0.1:9000"
EM = VolumeView("t2", "em", "t2/layers/em", "image", (8.0, 8.0, 40.0), (100, -20, 7), (512, 256, 100), 1, (30.0, 210.0))
CELLS = replace(EM, layer="cells", path="t2/layers/cells", kind="segmentation", contrast=None, selected=(2**63 + 11, 5))
SYNAPSES = AnnotationView("t2", "synapses", "t2/layers/synapses", "LINE", {"pre": "cells", "post": "cells"})


def test_the_view_is_centred_and_shows_the_whole_volume() -> None:
    state = viewer_state([EM, CELLS, SYNAPSES], BASE)
    assert state["dimensions"] == {"x": [8e-9, "m"], "y": [8e-9, "m"], "z": [4e-8, "m"]}
    assert state["position"] == [356.0, 108.0, 57.0]
    assert state["layout"] == "4panel"
    assert state["crossSectionBackgroundColor"] == "#000000"
    scale = state["crossSectionScale"]
    assert 512 / scale <= 600
    assert max(256, 100 * 5) / scale <= 380
    assert [layer["name"] for layer in state["layers"]] == ["em", "cells", "synapses"]
    assert [layer["source"] for layer in state["layers"]] == [
        f"precomputed://{BASE}/t2/layers/{name}" for name in ("em", "cells", "synapses")
    ]


def test_an_object_stands_in_the_middle_of_its_own_dataset() -> None:
    other = replace(CELLS, dataset="t1", path="t1/layers/cells", start_vx=(0, 0, 0))
    shown = ObjectView("t2", "cells", 2**64 - 1, (1604.0, -80.0, 400.0), (800.0, 80.0, 40.0))
    state = viewer_state([other, EM, CELLS], BASE, shown)
    assert state["position"] == [200.5, -10.0, 10.0]
    assert state["projectionScale"] < viewer_state([EM, CELLS], BASE)["projectionScale"]
    assert state["projectionScale"] * 8 > 800
    assert [layer.get("segments") for layer in state["layers"]] == [
        ["9223372036854775819", "5"], None, ["18446744073709551615"],
    ]  # fmt: skip
    assert [layer.get("visible", True) for layer in state["layers"]] == [False, True, True]


def test_labels_are_decimal_strings() -> None:
    cells = viewer_state([EM, CELLS], BASE)["layers"][1]
    assert cells["segments"] == ["9223372036854775819", "5"]


def test_relationships_link_to_the_segmentation() -> None:
    synapses = viewer_state([EM, CELLS, SYNAPSES], BASE)["layers"][2]
    assert synapses["linkedSegmentationLayer"] == {"pre": "cells", "post": "cells"}


def test_contrast_of_grey_and_colour() -> None:
    grey = viewer_state([EM], BASE)["layers"][0]
    assert grey["shaderControls"] == {"normalized": {"range": [30.0, 210.0]}}
    assert "emitGrayscale" in grey["shader"]
    colour = VolumeView("s", "slide", "s/layers/slide", "image", (499, 499, 1), (0, 0, 0), (9, 9, 1), 3)
    rgb = viewer_state([colour], BASE)["layers"][0]
    assert "emitRGB(vec3(red(), green(), blue()))" in rgb["shader"]
    assert "shaderControls" not in rgb
    two = VolumeView("s", "f", "s/layers/f", "image", (1, 1, 1), (0, 0, 0), (9, 9, 9), 2, (1.0, 9.0))
    layer = viewer_state([two], BASE)["layers"][0]
    assert layer["shaderControls"] == {"channel0": {"range": [1.0, 9.0]}, "channel1": {"range": [1.0, 9.0]}}


def test_further_datasets_are_there_but_hidden() -> None:
    other = VolumeView("t9", "em", "t9/layers/em", "image", (8, 8, 8), (0, 0, 0), (5, 5, 5))
    layers = viewer_state([EM, CELLS, SYNAPSES, other], BASE)["layers"]
    assert [layer["name"] for layer in layers] == ["t2/em", "t2/cells", "t2/synapses", "t9/em"]
    assert [layer.get("visible", True) for layer in layers] == [True, True, True, False]
    assert layers[2]["linkedSegmentationLayer"] == {"pre": "t2/cells", "post": "t2/cells"}


SLIDE = VolumeView("c1", "slide", "c1/layers/slide", "image", (250.0, 250.0, 4e3), (0, 0, 0), (40_000, 30_000, 1), 3)


def test_a_slide_is_opened_alone_in_one_panel_without_axis_lines() -> None:
    mask = replace(SLIDE, layer="mask", path="c1/layers/mask", kind="segmentation", channels=1)
    objects = replace(mask, layer="objects", path="c1/layers/objects")
    lines = AnnotationView("c1", "contours", "c1/layers/contours", "POLYLINE", {"objects": "objects"})
    boxes = AnnotationView("c1", "boxes", "c1/layers/boxes", "AXIS_ALIGNED_BOUNDING_BOX", {"objects": "objects"})
    state = viewer_state([SLIDE, mask, objects, lines, boxes, replace(SLIDE, dataset="c2")], BASE)
    assert (state["layout"], state["showAxisLines"], state["showScaleBar"]) == ("xy", False, True)
    assert state["dimensions"] == {"x": [2.5e-7, "m"], "y": [2.5e-7, "m"], "z": [4e-6, "m"]}
    assert state["position"] == [20_000.0, 15_000.0, 0.5]
    assert state["crossSectionScale"] == max(40_000 / 1100, 30_000 / 650)
    assert [(layer["name"], layer.get("visible", True)) for layer in state["layers"]] == [
        ("slide", True), ("mask", False), ("objects", True), ("contours", True), ("boxes", False),
    ]  # fmt: skip
    assert "setPolyEndpointMarkerSize(0.0)" in state["layers"][3]["shader"]
    assert [layer.get("visible", True) for layer in viewer_state([SLIDE, mask], BASE)["layers"]] == [True, True]


def test_an_object_of_a_slide_is_centred_in_its_own_slide() -> None:
    mask = replace(SLIDE, dataset="c2", layer="objects", kind="segmentation", channels=1)
    shown = ObjectView("c2", "objects", 7, (250_000.0, 500_000.0, 2000.0), (55_000.0, 13_000.0, 4000.0))
    state = viewer_state([SLIDE, replace(SLIDE, dataset="c2"), mask], BASE, shown)
    assert state["position"] == [1000.0, 2000.0, 0.5]
    assert [layer["name"] for layer in state["layers"]] == ["slide", "objects"]
    assert state["crossSectionScale"] == pytest.approx(1.3 * 220 / 1100)


def test_nothing_to_look_at_is_an_error() -> None:
    with pytest.raises(LayerError, match="Run the workflow first"):
        viewer_state([SYNAPSES], BASE)


@given(st.text(min_size=1, max_size=12), st.integers(0, 2**64 - 1))
def test_a_link_carries_any_state(name: str, label: int) -> None:
    state = {"layers": [{"name": name, "segments": [str(label)], "shader": "void main() {\n  f(100%);\n}"}]}
    link = viewer_link(state, f"{BASE}/neuroglancer/")
    head, fragment = link.split("#!", 1)
    assert head == f"{BASE}/neuroglancer/"
    assert not set(fragment) & set(' "#<>\\^`|\n')
    assert json.loads(unquote(fragment)) == state


def properties(voxels: Sequence[float] = (), tags: Sequence[Sequence[int]] = ()) -> dict[str, object]:
    listed: list[dict[str, object]] = [{"id": "label", "type": "label", "values": ["a", "b", "c", "d"]}]
    if voxels:
        listed.append({"id": "voxels", "type": "number", "values": voxels})
    if tags:
        listed.append({"id": "tags", "type": "tags", "tags": ["at_border", "has_mesh", "has_skeleton"], "values": tags})
    return {"inline": {"ids": ["7", "18446744073709551615", "3", "4"], "properties": listed}}


def test_the_largest_segments_come_first() -> None:
    sized = properties([5, 90, 5, 20])
    assert largest_segments(sized, 3) == (2**64 - 1, 4, 3)
    assert largest_segments(sized, 9) == (2**64 - 1, 4, 3, 7)
    assert largest_segments(properties(), 3) == ()


def test_segments_without_mesh_or_skeleton_are_passed_over() -> None:
    """The viewer waits for ever for a selected segment that has none."""
    assert largest_segments(properties([5, 90, 5, 20], [[1, 2], [2], [0, 1, 2], [1]]), 3) == (3, 7)


def write_info(folder: Path, info: dict[str, object]) -> None:
    folder.mkdir(parents=True)
    (folder / "info").write_text(json.dumps(info))


def test_layers_are_read_from_a_results_folder(tmp_path: Path) -> None:
    import tensorstore as ts

    rng = np.random.default_rng(3)
    image = rng.integers(60, 180, (20, 16, 12), dtype=np.uint8)
    image[:5] = 0
    volume = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{tmp_path}/d/layers/em/"},
            "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 1},
            "scale_metadata": {
                "resolution": [8, 8, 40],
                "size": [20, 16, 12],
                "voxel_offset": [-3, 0, 9],
                "chunk_size": [8, 8, 8],
                "encoding": "raw",
            },
        },
        create=True,
    ).result()
    volume[..., 0] = image
    scale = {"resolution": [8, 8, 40], "size": [20, 16, 12], "voxel_offset": [-3, 0, 9]}
    write_info(
        tmp_path / "d/layers/cells",
        {"type": "segmentation", "num_channels": 1, "scales": [scale], "segment_properties": "segment_properties"},
    )
    write_info(tmp_path / "d/layers/cells/segment_properties", properties([5, 90, 5, 20]))
    write_info(
        tmp_path / "d/layers/synapses",
        {"@type": "neuroglancer_annotations_v1", "annotation_type": "line", "relationships": [{"id": "pre"}]},
    )
    write_info(tmp_path / "d/layers/other", {"type": "segmentation", "num_channels": 1, "scales": [scale]})
    assert read_views(tmp_path)[-1] == AnnotationView("d", "synapses", "d/layers/synapses", "LINE", {})
    plan = {"datasets": {"d": {"layers": {"synapses": {"kind": "annotations", "segmentation": "cells"}}}}}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    em, cells, _, synapses = read_views(tmp_path, selected=2)
    assert em == VolumeView("d", "em", "d/layers/em", "image", (8, 8, 40), (-3, 0, 9), (20, 16, 12), 1, (60.0, 179.0))
    assert isinstance(cells, VolumeView)
    assert cells.selected == (2**64 - 1, 4)
    assert synapses == AnnotationView("d", "synapses", "d/layers/synapses", "LINE", {"pre": "cells"})


def test_a_broken_info_is_named(tmp_path: Path) -> None:
    write_info(tmp_path / "d/layers/em", {"type": "image", "scales": []})
    with pytest.raises(LayerError, match="em/info"):
        read_views(tmp_path)
    (tmp_path / "d/layers/em/info").write_text("{")
    with pytest.raises(LayerError, match=r"em/info.*JSON"):
        read_views(tmp_path)
