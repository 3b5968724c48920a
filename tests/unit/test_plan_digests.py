"""Whole plans: what their digests follow, what timings change of them, what their table says."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ophiolite.config.load import parse_config
from ophiolite.layers.store import Store
from ophiolite.plan.estimate import Speeds, load_speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import FragmentPlan, ProjectPlan, VolumePlan
from ophiolite.plan.table import render_plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan")
    with h5py.File(path / "v.h5", "w") as file:
        file["raw"] = np.zeros((40, 50, 60), np.uint8)
        file["labels"] = np.arange(40 * 50 * 60, dtype=np.uint64).reshape(40, 50, 60) // 7000
    (path / "points.csv").write_text("x,y,z\n1,2,3\n")
    return path


def config_of(folder: Path) -> dict[str, Any]:
    common = {"resolution_nm": [8, 8, 8], "pyramid": {"factors": [[2, 2, 2]], "chunk_vx": [16, 16, 16]}}
    product = {"task_vx": [32, 32, 32], "mip": 0}
    layers = {
        "em": {"type": "image", "source": f"{folder}/v.h5:/raw", **copy.deepcopy(common)},
        "cells": {
            "type": "segmentation",
            "source": f"{folder}/v.h5:/labels",
            "mesh": dict(product),
            "skeleton": {**product, "swc": True},
            **copy.deepcopy(common),
        },
        "points": {
            "type": "annotations",
            "kind": "point",
            "source": f"{folder}/points.csv",
            "segmentation": "cells",
        },
    }
    return {"project": "p", "store": str(folder / "results"), "datasets": {"d": {"layers": layers}}}


def planned(config: dict[str, Any], speeds: Speeds | None = None) -> ProjectPlan:
    return make_plan(parse_config(config, "test"), Path(), speeds or Speeds())


def digests(plan: ProjectPlan) -> dict[str, str]:
    """Digest of every rule, as `layer.rule`; those of figures and pages follow everything."""
    return {
        f"{name}.{rule}": value
        for name, layer in plan.datasets["d"].layers.items()
        for rule, value in layer.digests.items()  # type: ignore[union-attr]
        if rule != "figures"
    }


CODECS = {"compression_codec", "compression_figures"}
BLOCKS = {"layer_info", "pyramid_blocks", "layer_done", "pyramid_quality", "pyramid_figures"} | CODECS
MEASURED = {"mesh_quality", "skeleton_quality"}
MESH = {"mesh_fragments", "mesh_index", "mesh_shards", "mesh_done"} | MEASURED
TRACED = {"skeleton_shards", "skeleton_done", "skeleton_graph", "skeleton_swc", "skeleton_quality"}
SKELETON = {"skeleton_fragments", "skeleton_index"} | TRACED
OBJECTS = {"object_table", "segment_properties"}
CELLS = BLOCKS | {"label_stats"} | MESH | SKELETON | OBJECTS


@pytest.mark.parametrize(
    ("path", "value", "rules"),
    [
        ("em.pyramid.quality", 50, {}),
        ("em.pyramid.encoding", "jpeg", {"em": BLOCKS}),
        ("em.pyramid.mips", {1: {"encoding": "png"}}, {"em": BLOCKS}),
        ("em.voxel_offset_vx", [1, 2, 3], {"em": BLOCKS}),
        ("cells.mesh.draco_level", 1, {"cells": {"mesh_shards", "mesh_done"} | MEASURED | OBJECTS}),
        ("cells.mesh.lods", 1, {"cells": {"mesh_shards", "mesh_done"} | MEASURED | OBJECTS}),
        (
            "cells.mesh.quantization_bits",
            10,
            {"cells": {"mesh_index", "mesh_shards", "mesh_done"} | MEASURED | OBJECTS},
        ),
        ("cells.mesh.reduction", 10, {"cells": MESH | OBJECTS}),
        ("cells.mesh.dust_vx", 10, {"cells": MESH | OBJECTS}),
        ("cells.mesh.labels", [3], {"cells": MESH | OBJECTS}),
        ("cells.mesh.mip", 1, {"cells": MESH | OBJECTS}),
        ("cells.mesh", None, {"cells": {"layer_info", "skeleton_quality"} | OBJECTS}),
        ("cells.skeleton.tick_nm", 5, {"cells": TRACED | OBJECTS}),
        ("cells.skeleton.whole_labels", [3], {"cells": TRACED | OBJECTS}),
        ("cells.skeleton.swc", False, {}),
        ("cells.skeleton.cross_sectional_area", True, {"cells": {"skeleton_index"} | TRACED | OBJECTS}),
        ("cells.skeleton.scale", 5, {"cells": SKELETON | OBJECTS}),
        ("cells.properties", False, {"cells": {"layer_info", "segment_properties"}}),
        ("cells.max_inline_labels", 3, {"cells": {"segment_properties"}}),
        ("cells.pyramid.factors", [[2, 2, 1]], {"cells": CELLS, "points": {"annotation_layer"}}),
        ("points.limit", 7, {"points": {"annotation_layer"}}),
    ],
)
def test_digests_follow_the_options(folder: Path, path: str, value: Any, rules: dict[str, set[str]]) -> None:
    config = config_of(folder)
    before = digests(planned(config))
    *above, name = path.split(".")
    part = config["datasets"]["d"]["layers"]
    for key in above:
        part = part[key]
    part[name] = value
    after = digests(planned(config))
    changed = {key for key in before if key in after and after[key] != before[key]}
    assert changed == {f"{layer}.{rule}" for layer, names in rules.items() for rule in names}


@pytest.mark.parametrize(
    ("name", "value", "again"),
    [
        ("max_cable_nm", 1e6, True),
        ("soma_const_nm", 5, True),
        ("whole_labels", [3], True),
        ("tick_nm", 5, False),
        ("min_cable_nm", 5, False),
        ("swc", False, False),
    ],
)
def test_whole_objects_are_looked_at_again_where_an_option_changes_them(
    folder: Path, name: str, value: Any, again: bool
) -> None:
    config = config_of(folder)
    skeleton = config["datasets"]["d"]["layers"]["cells"]["skeleton"]
    skeleton |= {"soma_detect_nm": 100, "soma_accept_nm": 150}
    before = digests(planned(config))
    skeleton[name] = value
    after = digests(planned(config))
    assert (before["cells.skeleton_objects"] != after["cells.skeleton_objects"]) == again


@pytest.mark.parametrize("change", [{"jobs": {"memory_mb": 3000}}, {"quality": {"max_box_mvx": 512}}])
def test_what_was_too_large_is_measured_again(folder: Path, change: dict[str, Any]) -> None:
    config = config_of(folder)
    before, after = digests(planned(config)), digests(planned(config | change))
    assert {key for key in before if after[key] != before[key]} == {f"cells.{rule}" for rule in MEASURED}


def test_a_plan_is_the_same_whatever_the_order_of_its_config(folder: Path) -> None:
    config = config_of(folder)
    first = planned(config)
    assert planned(config).to_bytes() == first.to_bytes()
    assert ProjectPlan.model_validate_json(first.to_bytes()) == first
    config["datasets"]["d"]["layers"] = dict(reversed(config["datasets"]["d"]["layers"].items()))
    second = planned(config)
    assert (second.datasets, second.digests) == (first.datasets, first.digests)


def test_timings_change_estimates_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    timing = {"speed_key": "mesh_fragments", "seconds": 3600.0, "work": 0.001}
    (tmp_path / "d" / "timings" / "mesh_fragments").mkdir(parents=True)
    (tmp_path / "d" / "timings" / "mesh_fragments" / "cells.0-0-0.json").write_text(json.dumps(timing))
    (tmp_path / "d" / "timings" / "mesh_fragments" / "cells.broken.json").write_text("{")
    speeds = load_speeds(Store(tmp_path), ["d"])
    assert speeds.seconds_per_unit == {"mesh_fragments": 3_600_000.0}
    before, after = planned(config_of(folder)), planned(config_of(folder), speeds)
    assert digests(before) == digests(after)
    old, new = (p.datasets["d"].layers["cells"] for p in (before, after))
    assert isinstance(old, VolumePlan)
    assert isinstance(new, VolumePlan)
    assert new.model_copy(update={"costs": old.costs, "warnings": old.warnings}) == old
    assert new.costs != old.costs
    assert any("minutes" in warning for warning in new.warnings) == (len(new.product("mesh").blocks) * 2 > 2500)


def test_the_table_says_what_will_run(folder: Path) -> None:
    config = config_of(folder)
    config["datasets"]["d"]["layers"]["lost"] = {"type": "image", "source": f"{folder}/lost.h5:/v"}
    text = render_plan(planned(config))
    for said in (
        "d/em",
        "60 x 50 x 40",
        "compressed_segmentation + gzip",
        "mesh_shards",
        "total",
        "REFUSED",
        "lost.h5",
    ):
        assert said in text
    assert max(len(line) for line in text.splitlines() if "REFUSED" not in line) < 200


def test_the_number_of_objects_fixes_shards_and_parts() -> None:
    with tempfile.TemporaryDirectory() as name:
        with h5py.File(f"{name}/v.h5", "w") as file:
            file.create_dataset("v", shape=(64, 64, 64), dtype="u8", chunks=(32, 32, 32))
        layer = {"type": "segmentation", "source": f"{name}/v.h5:/v", "resolution_nm": [8, 8, 8]}
        config = {
            "project": "p",
            "datasets": {"d": {"layers": {"v": {**layer, "mesh": {"expected_labels": 28_000_000}}}}},
        }
        plan = planned(config).datasets["d"].layers["v"]
    assert isinstance(plan, VolumePlan)
    mesh: FragmentPlan = plan.product("mesh")
    assert plan.stats_parts == 7
    assert mesh.merge_jobs <= 2500
    assert 7_000_000 / (1 << mesh.sharding["shard_bits"]) <= 1000
