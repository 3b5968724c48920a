"""Figures and text of mesh quality: what they say follows from the table, whatever little is in it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ophiolite.config.load import parse_config
from ophiolite.kernels.lod import LodOptions
from ophiolite.kernels.octree import mesh_entry
from ophiolite.layers.store import Store
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.precomputed.multilod import MeshInfo
from ophiolite.precomputed.sharding import ShardingSpec, build_shard, shard_name
from ophiolite.report import mesh_quality_figures
from ophiolite.report.mesh_quality_figures import complaint, draw_centroid, draw_distance, draw_volume, worst
from ophiolite.report.page import render_sections
from ophiolite.stages.mesh_quality_gallery import worst_portraits
from ophiolite.stages.mesh_quality_section import mesh_section
from ophiolite.stages.mesh_quality_table import TABLE
from ophiolite.stages.quality_page import build_quality_page

DRAWINGS = {"mesh_volume": draw_volume, "mesh_centroid": draw_centroid, "mesh_distance": draw_distance}
NOTHING = b"\x89PNG\r\n\x1a\n"


def row(label: int, voxels: int, **more: Any) -> dict[str, Any]:
    shape = {"is_volume": True, "watertight": True, "components": 1, "raw_components": 1, "genus": 0, "raw_genus": 0}
    distances = {
        f"{kind}_{m}_nm": n + 1.0 for kind in ("distance", "lewiner") for n, m in enumerate(("mean", "p95", "max"))
    }
    lods = {f"lod_{m}_nm": [n + 1.0, 10.0 * (n + 1)] for n, m in enumerate(("mean", "p95", "max"))}
    ratios = {"volume_ratio": 0.95, "raw_volume_ratio": 0.97, "lewiner_volume_ratio": 0.96}
    centroids = {"centroid_vx": 0.2, "raw_centroid_vx": 0.1, "lewiner_centroid_vx": 0.1}
    counts = {"faces": 10, "raw_faces": 60, "lewiner_faces": 61, "duplicate_faces": 0, "flat_faces": 0, "filled_vx": 0}
    own = {
        "dataset": "d",
        "layer": "v",
        "label": label,
        "status": "measured",
        "gravity": 0,
        "faults": "",
        "voxels": voxels,
    }
    levels = {"lod_scale_nm": [5.0, 50.0], "lod_components": [1, 1], "open_by_design": False}
    return own | shape | distances | lods | ratios | centroids | counts | levels | more


ROWS = [
    row(2**64 - 1, 50_000, volume_ratio=0.9, faults="3 open edges; 9 nm off, 5 allowed", gravity=3, watertight=False,
        is_volume=False),
    row(7, 20, volume_ratio=0.4, distance_max_nm=2.5),
    row(8, 900, distance_max_nm=4.5),
    row(9, 20_000, volume_ratio=0.8, faults="volume 17% of ...", gravity=2),
    {"dataset": "d", "layer": "v", "label": 10, "status": "lost", "gravity": 4, "faults": "none", "voxels": 5},
    {"dataset": "d", "layer": "v", "label": 11, "status": "dust", "gravity": 0, "faults": "", "voxels": 2},
]  # fmt: skip


def table_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    found: pd.DataFrame = pq.read_table(io.BytesIO(TABLE.part(rows))).to_pandas()
    return found


def test_the_worst_come_by_gravity_then_distance() -> None:
    found = worst(table_of(ROWS))
    assert found["label"].tolist() == [2**64 - 1, 9, 8, 7]
    assert worst(table_of(ROWS), 2)["label"].tolist() == [2**64 - 1, 9]
    said = [complaint(r) for r in found.to_dict("records")]
    assert said[0] == "3 open edges; 9 nm off, 5 allowed"
    assert said[2] == "no fault; at most 4.5 nm off its unsimplified surface"


@pytest.mark.parametrize("name", DRAWINGS)
def test_figures_are_the_same_bytes_each_time(name: str, tmp_path: Path) -> None:
    for ending in ("svg", "png"):
        files = [tmp_path / f"{n}.{ending}" for n in (1, 2)]
        for file in files:
            DRAWINGS[name](table_of(ROWS), file)
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize(("rows", "empty"), [(ROWS[:1], False), (ROWS[4:], True), ([], True)])
def test_figures_of_little_or_nothing(name: str, rows: list[dict[str, Any]], empty: bool, tmp_path: Path) -> None:
    shown: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            mesh_quality_figures, "save", lambda figure, path: shown.extend(t.get_text() for t in figure.texts)
        )
        DRAWINGS[name](table_of(rows), tmp_path / "figure.svg")
    assert ("no objects were measured" in shown) == empty


def test_a_cloud_of_points_stays_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = ("volume_ratio", "raw_volume_ratio", "lewiner_volume_ratio")
    many = pd.DataFrame({"voxels": rng.integers(1, 10**6, 20_000)} | {name: rng.random(20_000) for name in names})
    draw_volume(many, tmp_path / "v.svg")
    assert (tmp_path / "v.svg").stat().st_size < 1_500_000


@pytest.fixture
def plan(tmp_path: Path) -> ProjectPlan:
    np.save(tmp_path / "v.npy", np.ones((8, 8, 8), np.uint64))
    layer = {"type": "segmentation", "source": str(tmp_path / "v.npy"), "resolution_nm": [8, 8, 8], "mesh": {}}
    config = {"project": "p", "store": str(tmp_path / "results"), "datasets": {"d": {"layers": {"v": layer}}}}
    made = make_plan(parse_config(config, "test"), Path(), Speeds())
    assert isinstance(made.datasets["d"].layers["v"], VolumePlan), made
    return made


def section_text(plan: ProjectPlan, store: Store, rows: list[dict[str, Any]]) -> tuple[Any, str]:
    paths = TABLE.part_paths(plan, "d", "v")
    for number, path in enumerate(paths):
        store.write(path, TABLE.part(rows if number == 0 else []))
    for name, draw in DRAWINGS.items():
        store.make_folder("figures")
        draw(table_of(rows), store.local(f"figures/d.v.{name}.svg"))
    store.write("figures/d.v.mesh_worst.png", NOTHING)
    section = mesh_section(plan, store)
    return section, render_sections("p", "test", [], [section])


def test_the_section_says_what_the_table_holds(plan: ProjectPlan, tmp_path: Path) -> None:
    section, page = section_text(plan, Store(tmp_path), ROWS)
    text = " ".join(section.text)
    assert "d/v: 4 of 6 objects were measured (1 dust, 1 lost)." in text
    assert "3 of 4 (75.00%) of their meshes are watertight" in text
    assert "3 show a fault." in text
    assert "from 40.0% (object 7, 20 voxels) to 95.0% (object 8, 900 voxels)" in text
    assert "make view RESULTS=" in text
    measures = {r[0]: r[1:] for r in section.tables[0].rows}
    assert measures["objects measured"] == ("4", "37,366")
    assert measures["volume over voxels, large objects, median %"][0] == "85"
    assert measures["centroid distance, mean, voxels"] == ("0.2", "4.9")
    assert [r[1:] for r in section.tables[1].rows] == [("dust", "1", "11"), ("lost", "1", "10")]
    assert f'href="object?dataset=d&amp;layer=v&amp;label={2**64 - 1}"' in page
    assert page.count('href="object?') == 4


def test_voxels_stay_whole_where_a_row_has_none(plan: ProjectPlan, tmp_path: Path) -> None:
    lost = {"dataset": "d", "layer": "v", "label": 3, "status": "without voxels", "gravity": 4, "faults": "none"}
    section, page = section_text(plan, Store(tmp_path), [row(7, 12_345, open_by_design=True), lost])
    text = " ".join(section.text)
    assert "12,345 voxels" in text
    assert ".0 voxel" not in page
    assert "1 shows a fault." in text
    assert "1 is open at the dataset's faces, as open_edges asks; its volume is not compared." in text


def test_the_page_says_what_would_measure_the_rest(plan: ProjectPlan, tmp_path: Path) -> None:
    states = ("box too large", "surface too large", "cannot be read", "without voxels at the mesh mip")
    keys = ("quality.max_box_mvx", "jobs.memory_mb", "tables/mesh_quality.csv", "remake the layer")
    for state, key in zip(states, keys, strict=True):
        rows = [row(7, 20), {"dataset": "d", "layer": "v", "label": 3, "status": state, "gravity": 4, "faults": "x"}]
        section, page = section_text(plan, Store(tmp_path), rows)
        assert [r[1:] for r in section.tables[1].rows] == [(state, "1", "3")]
        assert [k for k in keys if k in page] == [key]


def test_parts_that_no_layer_has_any_more_are_left_out(plan: ProjectPlan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for kind in ("mesh", "skeleton"):
        store.write(f"tables/{kind}_quality.parquet", b"of an earlier run")
    section_text(plan, store, ROWS)
    page = build_quality_page(plan, store)
    assert 'id="meshes"' in page
    assert 'id="skeletons"' not in page


def test_the_section_of_nothing_stands(plan: ProjectPlan, tmp_path: Path) -> None:
    section, page = section_text(plan, Store(tmp_path), [])
    assert "0 of 0 objects were measured" in section.text[0]
    assert "object?" not in page


def test_portraits_show_the_mesh_and_what_is_wrong(plan: ProjectPlan, tmp_path: Path) -> None:
    volume = plan.datasets["d"].layers["v"]
    assert isinstance(volume, VolumePlan)
    assert volume.mesh is not None
    spec = ShardingSpec.from_json(volume.mesh.sharding, "plan")
    store, folder = Store(tmp_path), "d/layers/v/mesh"
    store.write(f"{folder}/info", MeshInfo(vertex_quantization_bits=16, sharding=volume.mesh.sharding).to_json())
    corners = np.array([[0.0, 0, 0], [80, 0, 0], [0, 80, 0], [0, 0, 80]])
    entry = mesh_entry(corners, [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], LodOptions()).stored
    measured = [r for r in ROWS if r["status"] == "measured"]
    assert spec.shards == 1
    store.write(f"{folder}/{shard_name(spec, 0)}", build_shard(spec, 0, [(r["label"], *entry) for r in measured]))
    found = worst_portraits(store, "d", "v", table_of(ROWS))
    assert [p.title.split()[0] for p in found] == [str(2**64 - 1), "9", "8", "7"]
    assert found[0].caption == "3 open edges; 9 nm off, 5 allowed"
    assert all(len(p.solid.faces) == 4 for p in found)
    long = table_of([measured[0] | {"faults": "x" * 200}])
    assert len(worst_portraits(store, "d", "v", long)[0].caption) < 80
