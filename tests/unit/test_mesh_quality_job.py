"""The job that measures meshes, on a small layer made by the commands: every label accounted for, damage found."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ophiolite.__main__ import main
from ophiolite.errors import StoreError
from ophiolite.geometry import Box
from ophiolite.kernels.lod import LodOptions
from ophiolite.kernels.octree import mesh_entry
from ophiolite.layers.label_masks import LabelMasks
from ophiolite.layers.objects import MeshReader
from ophiolite.layers.store import Store
from ophiolite.layers.volume import VolumeReader
from ophiolite.precomputed.fragment_file import Fragment, encode_fragment_file
from ophiolite.precomputed.sharding import ShardingSpec, ShardReader, build_shard, locate, shard_name
from ophiolite.stages import mesh_quality
from ophiolite.stages.fragment_index import INDEX
from ophiolite.stages.fragments import _largest
from ophiolite.stages.mesh_pieces import MERGE_BYTES_PER_FACE
from ophiolite.stages.shards import block_fragments

BALL, LARGE, TWIN, SINGLE, DUST, LEFT_OUT = 7, 2**64 - 1, 2**53 + 1, 12, 13, 14


def labels() -> NDArray[np.uint64]:
    """A ball, a slab that fills one side of the volume, two cubes of one label, one voxel, dust, an excluded bar."""
    out = np.zeros((48, 40, 36), np.uint64, order="F")
    at = np.indices(out.shape) - np.array([14, 14, 14]).reshape(3, 1, 1, 1)
    out[(at**2).sum(axis=0) < 100] = BALL
    out[30:, :, 20:] = LARGE
    out[32:36, 4:8, 4:8] = out[36:40, 8:12, 8:12] = TWIN
    out[44, 36, 4] = SINGLE
    out[40:42, 30, 4] = DUST
    out[4:20, 36:39, 30:33] = LEFT_OUT
    return out


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("meshes")
    with h5py.File(folder / "v.h5", "w") as file:
        file["v"] = labels().T
    mesh = {"mip": 0, "exclude_labels": [LEFT_OUT, DUST], "max_error_nm": 10, "task_vx": [32, 32, 32]}
    layer = {"type": "segmentation", "source": f"{folder}/v.h5:/v", "resolution_nm": [8, 8, 10], "mesh": mesh}
    layer["pyramid"] = {"chunk_vx": [16, 16, 16]}
    config = {"project": "p", "store": str(folder / "results"), "datasets": {"d": {"layers": {"v": layer}}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["make_plan", "--config", str(folder / "config.yaml")]) == 0
    root = folder / "results" / "p"
    volume = plan_of(root)
    command(root, "layer_info")
    for block in names(volume["rounds"][0]):
        command(root, "pyramid_blocks", "--block", f"r0.{block}")
    command(root, "label_stats", "--part", "0")
    command(root, "layer_done")
    for block in names(volume["mesh"]):
        command(root, "mesh_fragments", "--block", block)
    command(root, "mesh_index")
    for job in range(volume["mesh"]["merge_jobs"]):
        command(root, "mesh_shards", "--job", str(job))
    return root


def plan_of(root: Path) -> Any:
    return json.loads((root / "plan.json").read_text())["datasets"]["d"]["layers"]["v"]


def names(grid: dict[str, Any]) -> list[str]:
    counts = [-(-n // b) for n, b in zip(grid["tasks"], grid["block_tasks"], strict=True)]
    assert max(counts) < 11
    return ["-".join(map(str, index)) for index in np.ndindex(*counts)]


def command(root: Path, name: str, *more: str) -> None:
    assert main([name, "--plan", str(root / "plan.json"), "--dataset", "d", "--layer", "v", *more]) == 0


def measured(root: Path) -> pd.DataFrame:
    for job in range(plan_of(root)["mesh"]["merge_jobs"]):
        command(root, "mesh_quality", "--job", str(job))
    assert main(["mesh_quality_table", "--plan", str(root / "plan.json")]) == 0
    return pd.read_parquet(root / "tables" / "mesh_quality.parquet").set_index("label")


@pytest.fixture(scope="module")
def table(project: Path) -> pd.DataFrame:
    return measured(project)


def test_the_index_knows_the_memory_of_each_merge_job(project: Path) -> None:
    receipts, plan = project / "d" / "receipts" / "v", plan_of(project)["mesh"]
    facts = json.loads((receipts / "mesh_index.json").read_bytes())["facts"]
    index = np.load(project / "d" / "work" / "v" / "mesh_index.npy")
    assert len(facts["memory_mb"]) == plan["merge_jobs"]
    wanted = 2 * np.bincount(index["merge_job"], weights=index["size"], minlength=plan["merge_jobs"])
    for block in names(plan):
        of_block = json.loads((receipts / "mesh_fragments" / f"{block}.json").read_bytes())["facts"]
        jobs = [job for job, _ in of_block["largest_object_bytes"]]
        assert jobs == [job for job, *_ in of_block["ranges"]]
        for job, size in of_block["largest_object_bytes"]:
            assert size % MERGE_BYTES_PER_FACE == 0
            wanted[job] += size
    assert facts["memory_mb"] == [300 + int(size) // 10**6 for size in wanted]


def test_the_largest_object_of_a_merge_job_counts_whole() -> None:
    pieces = [(0, 7, 10), (0, 8, 25), (1, 9, 4), (0, 7, 20)]
    fragments = [Fragment(job, job, label, (n, 0, 0), bytes(size)) for n, (job, label, size) in enumerate(pieces)]
    assert _largest(fragments, len) == [[0, 30], [1, 4]]


def test_a_merge_job_of_many_small_objects_takes_no_more_memory_than_the_index_says() -> None:
    """The index counts what is read twice: the sections, and the pieces cut out of them."""
    pieces = [Fragment(0, 0, label, (0, 0, 0), bytes(20000)) for label in range(1, 300)]
    content, ranges = encode_fragment_file("mesh", pieces)
    table = io.BytesIO()
    np.save(table, np.array([(block, 0, *ranges[0]) for block in range(2)], INDEX))
    job: Any = SimpleNamespace(
        product=lambda product: SimpleNamespace(block_names=lambda: ["0", "1"]),
        paths=SimpleNamespace(fragment_index=lambda product: "index", fragments=lambda product, block: block),
        read_work=lambda *_: table.getvalue(),
        read_blocks=lambda spans, *_: [bytes(bytearray(content[offset : offset + size])) for _, offset, size in spans],
    )
    tracemalloc.start()
    held = list(block_fragments(job, "mesh", 0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = sum(len(fragment.data) for fragment in held)
    assert peak < 2.1 * size


def test_every_label_is_accounted_for(table: pd.DataFrame) -> None:
    assert table["status"].to_dict() == {
        BALL: "measured",
        SINGLE: "measured",
        DUST: "not asked for",
        LEFT_OUT: "not asked for",
        TWIN: "measured",
        LARGE: "measured",
    }
    assert (table["faults"] == "").all()
    assert list(table.columns[:2]) == ["dataset", "layer"]
    found, count = np.unique(labels(), return_counts=True)
    assert table["voxels"].to_dict() == dict(zip(found[1:].tolist(), count[1:].tolist(), strict=True))


def test_measures_are_those_of_the_shapes(table: pd.DataFrame) -> None:
    assert table.loc[SINGLE, "volume_ratio"] == pytest.approx(1 / 6, rel=1e-3)
    assert 0.97 < table.loc[BALL, "volume_ratio"] < 1
    assert 0.97 < table.loc[LARGE, "volume_ratio"] < 1
    assert table["at_edge"].to_dict() == {
        BALL: False, SINGLE: False, DUST: False, LEFT_OUT: False, TWIN: False, LARGE: True
    }  # fmt: skip
    # Cubes that touch at a corner: two for zmesh, which keeps apart what no face joins.
    assert (table.loc[TWIN, "components"], table.loc[TWIN, "raw_components"]) == (2, 2)
    shown = table[table["status"] == "measured"]
    assert shown["is_volume"].all()
    assert (shown["centroid_vx"] < 0.3).all()
    assert (shown["distance_max_nm"] < 10 * 1.25).all()
    assert [len(v) for v in shown["lod_faces"]] == [len(v) for v in shown["lod_scale_nm"]]


def test_the_csv_says_the_same(project: Path, table: pd.DataFrame) -> None:
    text = pd.read_csv(project / "tables" / "mesh_quality.csv", dtype={"label": "uint64", "lod_faces": str})
    assert text["label"].tolist() == table.index.tolist() == sorted(table.index)
    np.testing.assert_allclose(text["volume_ratio"], table["volume_ratio"])
    lods = [";".join(map(str, v)) for v in table["lod_faces"].dropna()]
    assert text["lod_faces"].dropna().tolist() == lods


def test_a_rerun_gives_the_same_bytes(project: Path, table: pd.DataFrame) -> None:
    files = [project / "tables/mesh_quality.csv", *sorted((project / "d/quality/v/mesh_quality").iterdir())]
    before = [file.read_bytes() for file in files]
    measured(project)
    assert [file.read_bytes() for file in files] == before


def rewrite(project: Path, change: dict[int, Any]) -> None:
    """Shards with the meshes that `change` maps to (vertices, faces), and without those it maps to None."""
    store, plan = Store(project), plan_of(project)["mesh"]
    folder = f"d/layers/v/{plan['folder']}"
    reader = MeshReader(store, folder)
    spec = ShardingSpec.from_json(plan["sharding"], "plan")
    meshes = {int(key): reader.read(int(key)) for key in reader.keys().tolist()} | change
    entries = {k: mesh_entry(*m, LodOptions(max_lods=1)).stored for k, m in sorted(meshes.items()) if m is not None}
    shard_of = {k: int(locate(spec, np.array([k], np.uint64))[0][0]) for k in entries}
    for number in range(spec.shards):
        here = [(k, *entries[k]) for k in entries if shard_of[k] == number]
        store.write(f"{folder}/{shard_name(spec, number)}", build_shard(spec, number, here))


def test_damage_in_the_shards_is_found(project: Path, table: pd.DataFrame) -> None:
    reader = MeshReader(Store(project), f"d/layers/v/{plan_of(project)['mesh']['folder']}")
    ball, slab, twin = (reader.read(label) for label in (BALL, LARGE, TWIN))
    assert ball is not None
    assert slab is not None
    assert twin is not None
    whole = {label: reader.read(label) for label in (BALL, LARGE, TWIN, SINGLE)}
    middle = ball[0].mean(axis=0)
    shrunken = ((ball[0] - middle) * 0.8 + middle, ball[1])
    try:
        rewrite(project, {BALL: shrunken, LARGE: (slab[0], slab[1][1:]), TWIN: twin, SINGLE: None, 99: ball})
        found = measured(project)
    finally:
        rewrite(project, whole | {99: None})
    assert found["status"].to_dict() == {
        BALL: "measured", SINGLE: "lost", DUST: "not asked for", LEFT_OUT: "not asked for", 99: "without voxels",
        TWIN: "measured", LARGE: "measured",
    }  # fmt: skip
    assert found["gravity"].to_dict() == {BALL: 2, SINGLE: 4, DUST: 0, LEFT_OUT: 0, 99: 4, TWIN: 0, LARGE: 3}
    assert "below the unsimplified mesh's" in found.loc[BALL, "faults"]
    assert "nm off, 10 allowed" in found.loc[BALL, "faults"]
    assert found.loc[LARGE, "faults"].startswith("3 open edges")


def damage(path: Path, start: int, size: int) -> None:
    data = bytearray(path.read_bytes())
    data[start : start + size] = bytes(size)
    path.write_bytes(data)


def test_a_fragment_that_cannot_be_decoded_is_named_by_its_label(project: Path, table: pd.DataFrame) -> None:
    folder = f"d/layers/v/{plan_of(project)['mesh']['folder']}"
    reader = MeshReader(Store(project), folder)
    (path, shard), manifest = reader.shard(TWIN), reader.manifest(TWIN)
    at = shard.location(TWIN)
    assert at is not None
    assert manifest is not None
    size = sum(int(s.sum()) for s in manifest.sizes)
    file = project / path
    whole = file.read_bytes()
    try:
        damage(file, at[0] - size, size)
        found = measured(project)
    finally:
        file.write_bytes(whole)
    assert found.loc[TWIN, ["status", "gravity", "voxels"]].tolist() == ["cannot be read", 4, 128]
    assert f"mesh of object {TWIN}, level 0: cannot be decoded" in found.loc[TWIN, "faults"]
    others = [label for label in table.index if label != TWIN]
    assert found.loc[others, "status"].tolist() == table.loc[others, "status"].tolist()


@pytest.mark.parametrize("broken", [TypeError("points without faces"), StoreError("ends inside the range"), None])
def test_whatever_decoding_raises_stays_with_the_label(project: Path, broken: Exception | None) -> None:
    def read(self: MeshReader, label: int, lod: int = 0) -> Any:
        if label == BALL and broken:
            raise broken
        vertices, faces = whole(self, label, lod)  # type: ignore[misc]
        return vertices, faces + np.uint32(len(vertices)) if label == BALL else faces

    whole = MeshReader.read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MeshReader, "read", read)
        found = measured(project)
    states = found["status"].to_dict()
    assert {label for label, status in states.items() if status == "cannot be read"} == {BALL}
    assert str(broken or "a corner beyond its") in found.loc[BALL, "faults"]


def test_a_mesh_without_voxels_at_its_mip_is_reported(project: Path) -> None:
    read = LabelMasks.read

    def emptied(self: LabelMasks, label: int, box: Box) -> NDArray[np.uint8]:
        return np.zeros_like(read(self, label, box)) if label == BALL else read(self, label, box)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LabelMasks, "read", emptied)
        found = measured(project)
    assert found.loc[BALL, ["status", "gravity"]].tolist() == ["without voxels at the mesh mip", 4]
    assert found.loc[LARGE, "status"] == "measured"


def test_damaged_voxels_are_reported_with_every_label_in_them(project: Path) -> None:
    spec = ShardingSpec.from_json(plan_of(project)["scales"][0]["sharding"], "plan")
    file = project / f"d/layers/v/8_8_10/{shard_name(spec, 0)}"
    whole = file.read_bytes()
    at = ShardReader(spec, lambda offset, size: whole[offset : offset + size], file.name).location(0)
    assert at is not None
    try:
        damage(file, *at)
        found = measured(project)
    finally:
        file.write_bytes(whole)
    # The first chunk holds a part of the ball.
    assert found.loc[BALL, ["status", "gravity"]].tolist() == ["cannot be read", 4]
    assert found.loc[LARGE, "status"] == "measured"


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [("_most_vx", 10**4, "box too large"), ("_most_bytes", 10**6, "surface too large"),
     ("_most_bytes", 10**3, "surface too large")],
)  # fmt: skip
def test_which_limit_struck_is_said(project: Path, name: str, value: int, status: str) -> None:
    made = mesh_quality._Measure.__init__

    def small(self: Any, job: Any) -> None:
        made(self, job)
        setattr(self, name, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mesh_quality._Measure, "__init__", small)
        found = measured(project)
    assert found.loc[LARGE, ["status", "gravity"]].tolist() == [status, 0]
    assert (found.loc[SINGLE, "status"] == "measured") == (value > 10**3)


boxes = st.tuples(*[st.integers(-5, 50)] * 6)


@settings(max_examples=30)
@given(corners=boxes, label=st.sampled_from([BALL, LARGE, TWIN, 99]), cache_bytes=st.sampled_from([0, 10**6]))
def test_masks_are_those_of_the_volume(project: Path, corners: Any, label: int, cache_bytes: int) -> None:
    low, high = np.minimum(corners[:3], corners[3:]), np.maximum(corners[:3], corners[3:])
    box = Box((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2])))
    around = np.pad((labels() == label).astype(np.uint8), 60)
    masks = LabelMasks(VolumeReader(Store(project), "d/layers/v", 0), cache_bytes)
    np.testing.assert_array_equal(masks.read(label, box), around[box.slices((-60, -60, -60))])
