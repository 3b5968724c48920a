"""What the workflow leaves on the tiny config: every product, read by others, against the sample's truth."""

from __future__ import annotations

import json
import struct
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from workspace import Workspace, files_below, unfinished

from ophiolite.geometry import Box
from ophiolite.geometry.pyramid import coarse_box
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Store

OFFSET_VX = (37, 101, 11)
RESOLUTION_NM = (12, 12, 40)
STEPS = ((2, 2, 1), (2, 2, 2))
DUST_VX = 300

pytestmark = pytest.mark.slow


def read_mip(workspace: Workspace, layer: str, mip: int) -> tuple[Box, NDArray[Any]]:
    """A whole mip as TensorStore reads it, (x, y, z)."""
    import tensorstore as ts

    store = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": f"file://{workspace.layers / layer}/",
            "scale_index": mip,
        }
    ).result()
    start, stop = store.domain.inclusive_min[:3], store.domain.exclusive_max[:3]
    return Box(tuple(map(int, start)), tuple(map(int, stop))), store[..., 0].read().result()


def sharded_keys(workspace: Workspace, folder: str, sharding: dict[str, Any]) -> set[int]:
    """Every key that TensorStore lists in the shards of a folder."""
    import tensorstore as ts

    base = f"file://{workspace.layers / folder}/"
    store = ts.KvStore.open({"driver": "neuroglancer_uint64_sharded", "metadata": sharding, "base": base}).result()
    return {struct.unpack(">Q", key)[0] for key in store.list().result()}


def children(
    array: NDArray[Any], start: tuple[int, ...], step: tuple[int, int, int]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The voxels under each coarse voxel, x fastest, `(n, x, y, z)`, and which of them exist."""
    coarse = coarse_box(Box.of((start[0], start[1], start[2]), array.shape[:3]), step)
    padded = np.zeros([n * s for n, s in zip(coarse.shape, step, strict=True)], array.dtype)
    there = np.zeros(padded.shape, np.bool_)
    at = tuple(
        slice(o - c * s, o - c * s + n) for o, c, s, n in zip(start, coarse.start, step, array.shape, strict=True)
    )
    padded[at], there[at] = array, True
    cuts = [
        tuple(slice(d, None, s) for d, s in zip((x, y, z), step, strict=True))
        for z, y, x in product(*map(range, step[::-1]))
    ]
    return np.stack([padded[c] for c in cuts]), np.stack([there[c] for c in cuts])


def test_mip_0_is_the_source(finished: Workspace, raw: NDArray[np.uint8], labels: NDArray[np.uint64]) -> None:
    for layer, source in (("em", raw), ("neurons", labels)):
        box, voxels = read_mip(finished, layer, 0)
        assert box == Box.of(OFFSET_VX, source.shape)
        np.testing.assert_array_equal(voxels, source)


def test_image_mips_are_rounded_means_of_mip_0(finished: Workspace, raw: NDArray[np.uint8]) -> None:
    for mip, step in ((1, (2, 2, 1)), (2, (4, 4, 2))):
        values, there = children(raw, OFFSET_VX, step)
        means = np.rint(values.sum(axis=0, dtype=np.float64) / there.sum(axis=0))
        box, voxels = read_mip(finished, "em", mip)
        assert box == coarse_box(Box.of(OFFSET_VX, raw.shape), step)
        if mip == 1:
            np.testing.assert_array_equal(voxels, means)
        else:
            assert np.abs(voxels - means).mean() < 4


def test_label_mips_are_modes_of_the_mip_before(finished: Workspace, labels: NDArray[np.uint64]) -> None:
    below, start = labels, OFFSET_VX
    for mip, step in enumerate(STEPS, start=1):
        values, there = children(below, start, step)
        votes = np.stack([((values == v) & there).sum(axis=0) for v in values]) * there
        below = np.take_along_axis(values, votes.argmax(axis=0)[None], axis=0)[0]
        box, voxels = read_mip(finished, "neurons", mip)
        start = box.start
        np.testing.assert_array_equal(voxels, below)


def test_object_table_is_the_truth(finished: Workspace, truth: dict[str, Any]) -> None:
    import pyarrow.parquet as pq

    rows = {row["label"]: row for row in pq.read_table(finished.project / "d" / "objects" / "neurons").to_pylist()}
    expected = {int(o["label"]): o for o in truth["objects"]}
    assert any(label > 2**53 for label in expected)
    assert list(rows) == sorted(expected)
    for label, row in rows.items():
        known = expected[label]
        assert row["voxels"] == known["voxels"]
        assert row["volume_um3"] == pytest.approx(known["volume_nm3"] / 1e9)
        assert [[row[f"{end}_{axis}_vx"] for axis in "xyz"] for end in ("start", "stop")] == known["box_vx"]
        inside = np.array(known["box_vx"]) * RESOLUTION_NM
        centroid = [row[f"centroid_{axis}_nm"] for axis in "xyz"]
        assert (inside[0] <= centroid).all()
        assert (centroid <= inside[1]).all()
        assert row["mesh_faces"] > 0
        if known["voxels"] < DUST_VX:
            assert row["skeleton_vertices"] is None
        if not known["faces"] and known["components_26"] == 1:
            assert row["mesh_watertight"]


def test_every_object_has_a_mesh_that_cloudvolume_reads(
    finished: Workspace, truth: dict[str, Any], labels: NDArray[np.uint64]
) -> None:
    from cloudvolume import CloudVolume

    known = {int(o["label"]): o for o in truth["objects"]}
    info = json.loads((finished.layers / "neurons" / "mesh" / "info").read_text())
    assert sharded_keys(finished, "neurons/mesh", info["sharding"]) == known.keys()
    reader = CloudVolume(f"file://{finished.layers / 'neurons'}", progress=False, use_https=False)
    small = [label for label, o in known.items() if o["voxels"] <= 37]
    large = sorted(known, key=lambda label: -known[label]["voxels"])[:10]
    assert sum(known[label]["voxels"] == 1 for label in small) == 2
    for label in (*small, *large):
        mesh = reader.mesh.get(label)[label]
        assert len(mesh.faces) > 0
        low, high = np.array(known[label]["box_vx"]) * RESOLUTION_NM
        # Simplification moves a surface by its bound of 16 nm at most; it lies half a voxel inside the box.
        assert (mesh.vertices.min(axis=0) >= low - 16).all()
        assert (mesh.vertices.max(axis=0) <= high + 16).all()
        if label in large:
            a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
            volume = abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
            assert volume == pytest.approx(known[label]["volume_nm3"], rel=0.15)


def test_skeletons_run_inside_their_objects(
    finished: Workspace, truth: dict[str, Any], labels: NDArray[np.uint64]
) -> None:
    from cloudvolume import CloudVolume

    info = json.loads((finished.layers / "neurons" / "skeletons" / "info").read_text())
    found = sharded_keys(finished, "neurons/skeletons", info["sharding"])
    voxels = {int(o["label"]): o["voxels"] for o in truth["objects"]}
    assert all(voxels[label] >= DUST_VX for label in found)
    assert {label for label, n in voxels.items() if n > 4000} <= found
    reader = CloudVolume(f"file://{finished.layers / 'neurons'}", progress=False, use_https=False)
    inside = total = 0
    for label in sorted(found, key=lambda label: -voxels[label])[:30]:
        skeleton = reader.skeleton.get(label)
        at = np.floor(skeleton.vertices / RESOLUTION_NM).astype(int) - OFFSET_VX
        at = np.clip(at, 0, np.array(labels.shape) - 1)
        inside += int((labels[tuple(at.T)] == label).sum())
        total += len(at)
        assert skeleton.radius.dtype == np.float32
        assert (skeleton.radius >= 0).all()
    assert inside / total > 0.9


def test_branches_and_swc_are_those_of_the_skeletons(finished: Workspace) -> None:
    import pyarrow.parquet as pq
    from cloudvolume import CloudVolume, Skeleton
    from scipy.spatial import cKDTree

    reader = CloudVolume(f"file://{finished.layers / 'neurons'}", progress=False, use_https=False)
    objects = pq.read_table(finished.project / "d" / "objects" / "neurons").to_pandas().set_index("label")
    branches = pq.read_table(finished.project / "d" / "branches" / "neurons").to_pandas()
    traced = objects[objects.skeleton_vertices > 0]
    np.testing.assert_allclose(branches.groupby("label").length_nm.sum() / 1000, traced.cable_um, rtol=1e-6)
    folder = finished.project / "d" / "swc" / "neurons"
    assert len(list(folder.iterdir())) == traced.skeleton_components.sum()
    for label in traced.skeleton_vertices.nlargest(10).index:
        trees = [Skeleton.from_swc(file.read_text()) for file in folder.glob(f"{label}.*.swc")]
        known = reader.skeleton.get(label)
        points = np.concatenate([tree.vertices for tree in trees]) * 1000
        assert sum(len(tree.edges) for tree in trees) == len(known.edges)
        assert len(points) == len(known.vertices)
        assert cKDTree(points).query(known.vertices)[0].max() < 0.01


def test_segment_properties_name_every_object_in_decimal_strings(finished: Workspace, truth: dict[str, Any]) -> None:
    layer = json.loads((finished.layers / "neurons" / "info").read_text())
    inline = json.loads((finished.layers / "neurons" / layer["segment_properties"] / "info").read_text())["inline"]
    assert sorted(inline["ids"], key=int) == sorted((o["label"] for o in truth["objects"]), key=int)
    by_id = {p["id"]: dict(zip(inline["ids"], p["values"], strict=True)) for p in inline["properties"]}
    assert {o["label"]: o["voxels"] for o in truth["objects"]} == by_id["voxels"]


def test_annotations_are_the_synapses(finished: Workspace, truth: dict[str, Any]) -> None:
    folder = finished.layers / "synapses"
    info = json.loads((folder / "info").read_text())
    assert info["annotation_type"] == "LINE"
    assert len(sharded_keys(finished, f"synapses/{info['by_id']['key']}", info["by_id"]["sharding"])) == len(
        truth["synapses"]
    )
    related = {r["id"]: sharded_keys(finished, f"synapses/{r['key']}", r["sharding"]) for r in info["relationships"]}
    for side in ("pre", "post"):
        assert related[f"{side}_segment"] == {int(s[f"{side}_label"]) for s in truth["synapses"]}
    store = Store(finished.project)
    assert read_receipt(store, "d/receipts/synapses/annotation_layer.json").facts["annotations"] == len(
        truth["synapses"]
    )


def test_provenance_is_cloudvolumes(finished: Workspace) -> None:
    from cloudvolume import CloudVolume

    for layer in ("em", "neurons"):
        reader = CloudVolume(f"file://{finished.layers / layer}", progress=False, use_https=False)
        (step,) = reader.provenance.processing
        assert step["method"]["task"] == "ophiolite"
        assert reader.provenance.sources == [finished.config["datasets"]["d"]["layers"][layer]["source"]]


def test_receipts_name_every_file_and_no_work_is_left(finished: Workspace) -> None:
    assert unfinished(finished.project) == []
    store = Store(finished.project)
    named = {}
    for receipt in store.list("d/receipts"):
        named.update({f.path: f for f in read_receipt(store, receipt).files})
    for file in files_below(finished.layers):
        path = file.relative_to(finished.project).as_posix()
        if file.name != "provenance":
            assert named[path].size_bytes == file.stat().st_size
    assert all(store.exists(path) for path in named)


def test_rounds_blocks_and_tasks_were_several(finished: Workspace) -> None:
    """What the other tests of this suite rely on."""
    plan = json.loads((finished.project / "plan.json").read_text())["datasets"]["d"]["layers"]["neurons"]
    assert len(plan["rounds"]) == 2
    for grid in (plan["rounds"][0], plan["mesh"], plan["skeleton"]):
        assert grid["tasks"] != grid["block_tasks"]
        assert np.prod(grid["block_tasks"]) > 1
    assert all(a["carry"] for a, _ in pairwise(plan["rounds"]))
    assert plan["mesh"]["merge_jobs"] == 2
