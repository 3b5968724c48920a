"""Skeleton layers as other people's programs see them: CloudVolume reads ours, kimimaro cleans like ours."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from ophiolite.geometry.box import Box
from ophiolite.geometry.grid import Grid
from ophiolite.kernels.skeleton_merge import CleanOptions, clean_skeleton, skeleton_measures, stitch_skeletons
from ophiolite.kernels.skeletonize import skeletonize_labels
from ophiolite.precomputed.sharding import ShardingSpec, build_shard, hashed_sharding, locate, shard_name
from ophiolite.precomputed.skeleton import CROSS_SECTIONAL_AREA, RADIUS, SkeletonInfo, encode_skeleton
from ophiolite.precomputed.skeleton_fragment import decode_skeleton_piece, encode_skeleton_piece

cloudvolume = pytest.importorskip("cloudvolume")
kimimaro = pytest.importorskip("kimimaro")
osteoid = pytest.importorskip("osteoid")

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def skeletons() -> dict[int, Arrays]:
    """Random trees under labels of every size; far from the origin, as real ones are."""
    r = np.random.default_rng(5)
    labels = [1, 2, 77, 2**32 + 1, 2**53 + 1, 2**63 + 9, 2**64 - 1, *r.integers(1, 2**63, 60).tolist()]
    out = {}
    for label in labels:
        n = int(r.integers(2, 40))
        edges = np.array([(r.integers(0, i), i) for i in range(1, n)], np.uint32)
        vertices = (r.random((n, 3)) * 1e5 + 3e5).astype(np.float32)
        out[label] = (vertices, edges, r.random(n).astype(np.float32), r.random(n).astype(np.float32))
    return out


def write_layer(folder: Path, info: SkeletonInfo, sharding: ShardingSpec | None, entries: dict[int, bytes]) -> str:
    scale = {
        "key": "10_10_10",
        "size": [64, 64, 64],
        "resolution": [10, 10, 10],
        "voxel_offset": [0, 0, 0],
        "chunk_sizes": [[64, 64, 64]],
        "encoding": "raw",
    }
    root = {"@type": "neuroglancer_multiscale_volume", "type": "segmentation", "data_type": "uint64", "num_channels": 1}
    (folder / "skeletons").mkdir()
    (folder / "info").write_text(json.dumps(root | {"scales": [scale], "skeletons": "skeletons"}))
    (folder / "skeletons" / "info").write_bytes(info.to_json())
    if sharding is None:
        for label, data in entries.items():
            (folder / "skeletons" / str(label)).write_bytes(data)
    else:
        shards, _ = locate(sharding, np.array(list(entries), np.uint64))
        for shard in range(sharding.shards):
            own = [(k, b"", entries[k]) for k, s in zip(entries, shards.tolist(), strict=True) if s == shard]
            (folder / "skeletons" / shard_name(sharding, shard)).write_bytes(build_shard(sharding, shard, own))
    return f"file://{folder}"


@pytest.mark.parametrize("area", [False, True], ids=["radius", "radius and area"])
@pytest.mark.parametrize(
    "sharding",
    [
        None,
        hashed_sharding(67),
        ShardingSpec(0, "murmurhash3_x86_128", 2, 3, "gzip", "gzip"),
        ShardingSpec(1, "identity", 1, 2, "raw", "raw"),
    ],
    ids=["unsharded", "planned", "many shards", "raw"],
)
def test_cloudvolume_reads_what_was_written(tmp_path: Path, sharding: ShardingSpec | None, area: bool) -> None:
    written = skeletons()
    info = SkeletonInfo((RADIUS, CROSS_SECTIONAL_AREA) if area else (RADIUS,), sharding and sharding.to_json(), mip=0)
    entries = {
        label: encode_skeleton(vertices, edges, [radius, size] if area else [radius])
        for label, (vertices, edges, radius, size) in written.items()
    }
    layer = cloudvolume.CloudVolume(write_layer(tmp_path, info, sharding, entries), progress=False, cache=False)
    read = {int(s.id): s for s in layer.skeleton.get(list(written))}
    assert set(read) == set(written)
    for label, (vertices, edges, radius, size) in written.items():
        np.testing.assert_array_equal(read[label].vertices, vertices)
        np.testing.assert_array_equal(read[label].edges, edges)
        np.testing.assert_array_equal(read[label].radius, radius)
        if area:
            np.testing.assert_array_equal(read[label].cross_sectional_area, size)
        assert read[label].space == "physical"


@pytest.fixture(scope="module")
def stitched(data_dir: Path) -> dict[int, Arrays]:
    """Cortical neurites traced in eight tasks, through the fragment bytes: nm vertices, edges, radius."""
    side, resolution = 128, (16.0, 16.0, 40.0)
    with h5py.File(data_dir / "em" / "pinky40_512.h5") as file:
        labels = np.asfortranarray(file["main"][-side:, -side:, -side:].T)
    grid = Grid(Box.of((0, 0, 0), labels.shape), (side // 2,) * 3)
    pieces: dict[int, list] = {}
    for index in grid:
        core = grid.cell(index)
        low, high = tuple(i > 0 for i in index), tuple(i == 0 for i in index)
        seen = core.grow((0, 0, 0), tuple(map(int, high)))
        part = np.asfortranarray(labels[seen.slices()])
        for label, piece in skeletonize_labels(part, resolution, core.shape, low, high):
            pieces.setdefault(label, []).append((core.start, decode_skeleton_piece(encode_skeleton_piece(piece))))
    out = {}
    for label, own in pieces.items():
        skeleton = stitch_skeletons(own)
        out[label] = (
            (skeleton.vertices / 256 * np.array(resolution)).astype(np.float32),
            skeleton.edges,
            skeleton.radius_nm,
        )
    return out


@pytest.mark.data
@pytest.mark.parametrize("tick", [0.0, 300.0])
def test_kimimaro_cleans_to_about_the_same_skeletons(stitched: dict[int, Arrays], tick: float) -> None:
    ours, theirs = [], []
    for label, (vertices, edges, radius) in stitched.items():
        ours.append(skeleton_measures(*clean_skeleton(vertices, edges, radius, CleanOptions(tick_nm=tick))))
        other = osteoid.Skeleton(vertices.copy(), edges.copy(), radius.copy(), segid=label)
        clean = kimimaro.postprocess(other, dust_threshold=1000, tick_threshold=tick)
        theirs.append(skeleton_measures(clean.vertices, clean.edges.astype(np.uint32), clean.radii))
    assert sum(m.cable_nm > 0 for m in ours) == sum(m.cable_nm > 0 for m in theirs) > 10
    for name, bound in (("cable_nm", 0.03), ("vertices", 0.03), ("terminals", 0.06)):
        a, b = (sum(getattr(m, name) for m in every) for every in (ours, theirs))
        assert abs(a - b) <= bound * b, f"{name}: {a} and {b}"
    # kimimaro asks only the closest vertices of two parts whether their balls touch, we ask any two; and it lets some
    # parts fall apart again when it prunes ticks.
    a, b = (sum(m.components for m in every if m.cable_nm > 0) for every in (ours, theirs))
    assert (0.95 * b if tick == 0 else 0) < a <= b, f"{a} and {b}"
