"""The built-in sample is what its truth says it is."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import ndimage

from ophiolite.commands import make_sample
from ophiolite.errors import ConfigError, StoreError
from ophiolite.sample import Phantom, make_phantom, truth_path, write_cremi, write_truth
from ophiolite.sample.shapes import components, curve, longest_run, smooth_noise
from ophiolite.sample.truth import KINDS, kinds

SIZE = (96, 96, 64)
FULL = np.ones((3, 3, 3), bool)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(SIZE, 1)


@pytest.fixture(scope="module", params=[(SIZE, 2), ((48, 48, 48), 1), ((120, 64, 40), 3)], ids=str)
def any_phantom(request: pytest.FixtureRequest) -> Phantom:
    size, seed = request.param
    return make_phantom(size, seed)


def at(phantom: Phantom, points_nm: np.ndarray) -> np.ndarray:
    """Labels at physical points, (n, 3) to (n,)."""
    index = np.floor(np.atleast_2d(points_nm) / phantom.resolution_nm).astype(int) - phantom.voxel_offset_vx
    return phantom.labels[tuple(index.T)]


def test_arrays_follow_the_conventions(phantom: Phantom) -> None:
    assert phantom.raw.shape == phantom.labels.shape == SIZE
    assert phantom.raw.dtype == np.uint8
    assert phantom.labels.dtype == np.uint64
    assert phantom.raw.flags.f_contiguous
    assert phantom.labels.flags.f_contiguous
    assert len(set(phantom.resolution_nm)) > 1
    assert all(o % 2 == 1 for o in phantom.voxel_offset_vx)


def test_the_same_seed_gives_the_same_bytes(phantom: Phantom, tmp_path: Path) -> None:
    digests = []
    for k, made in enumerate((phantom, make_phantom(SIZE, 1))):
        write_cremi(made, tmp_path / f"{k}.h5")
        write_truth(made, tmp_path / f"{k}.json")
        digests.append([hashlib.sha256((tmp_path / f"{k}.{e}").read_bytes()).hexdigest() for e in ("h5", "json")])
        time.sleep(1.1)  # HDF5 times have a resolution of one second
    assert digests[0] == digests[1]
    assert not np.array_equal(make_phantom((48, 48, 32), 2).labels, make_phantom((48, 48, 32), 3).labels)


def test_truth_counts_every_voxel(phantom: Phantom) -> None:
    labels, counts = np.unique(phantom.labels, return_counts=True)
    assert labels[0] == 0
    assert [o.label for o in phantom.objects] == [int(v) for v in labels[1:]]
    assert [o.voxels for o in phantom.objects] == counts[1:].tolist()
    assert [o.volume_nm3 for o in phantom.objects] == [c * 12.0 * 12.0 * 40.0 for c in counts[1:].tolist()]
    assert 0.005 < counts[0] / counts.sum() < 0.25


def test_boxes_faces_and_components(phantom: Phantom) -> None:
    for item in phantom.objects:
        mask = phantom.labels == np.uint64(item.label)
        where = np.argwhere(mask)
        low, high = where.min(axis=0), where.max(axis=0) + 1
        assert item.box.start == tuple(low + phantom.voxel_offset_vx)
        assert item.box.stop == tuple(high + phantom.voxel_offset_vx)
        assert item.components_6 == ndimage.label(mask)[1]
        assert item.components_26 == ndimage.label(mask, structure=FULL)[1] == 1
        cut = {f"{n}-" for n, v in zip("xyz", low, strict=True) if v == 0}
        cut |= {f"{n}+" for n, v, s in zip("xyz", high, SIZE, strict=True) if v == s}
        assert set(item.faces) == cut


def test_every_kind_is_there(any_phantom: Phantom) -> None:
    found = kinds(any_phantom.objects)
    assert tuple(found) == KINDS
    assert found["neurite"] >= 2
    for item in any_phantom.objects:
        expected = {"voxel": (1, 1), "pair": (2, 1), "diagonal": (2, 2)}.get(item.kind)
        if expected is not None:
            assert (item.voxels, item.components_6) == expected
        else:
            assert item.components_6 == 1, (item.label, item.kind)


def test_labels_that_narrow_types_confuse(any_phantom: Phantom) -> None:
    labels = [o.label for o in any_phantom.objects]
    assert sum(2**32 < v <= 2**53 for v in labels) >= 1
    assert sum(v > 2**53 for v in labels) >= 3
    assert max(labels) > 2**63
    assert len({float(v) for v in labels}) < len(labels)
    assert len({v % 2**32 for v in labels}) < len(labels)


def test_centrelines_lie_inside_their_objects(any_phantom: Phantom) -> None:
    lines = [(o, b) for o in any_phantom.objects for b in o.branches]
    assert {o.kind for o, _ in lines} == {"neurite", "soma"}
    hits = np.concatenate([at(any_phantom, b.points_nm) == np.uint64(o.label) for o, b in lines])
    assert hits.mean() >= 0.99
    low = np.array(any_phantom.box.start) * any_phantom.resolution_nm
    high = np.array(any_phantom.box.stop) * any_phantom.resolution_nm
    for _, line in lines:
        assert np.all(line.points_nm >= low)
        assert np.all(line.points_nm <= high)
        assert len(line.radius_nm) == len(line.points_nm) >= 2
        assert line.radius_nm.min() > 40
        assert np.linalg.norm(np.diff(line.points_nm, axis=0), axis=1).max() < 40


def test_a_neurite_branches_through_the_middle_planes(any_phantom: Phantom) -> None:
    trunk = next(o for o in any_phantom.objects if o.label == 2**53)
    assert len(trunk.faces) >= 2
    assert len(trunk.branches) >= 2
    assert len(trunk.junctions_nm) == len(trunk.branches) - 1
    for child, junction in zip(trunk.branches[1:], trunk.junctions_nm, strict=True):
        assert np.array_equal(child.points_nm[0], junction)
        assert np.linalg.norm(trunk.branches[0].points_nm - junction, axis=1).min() < 1e-6
    mask = any_phantom.labels == np.uint64(trunk.label)
    for axis, size in enumerate(mask.shape):
        pair = np.take(mask, [size // 2 - 1, size // 2], axis)
        assert np.all(pair, axis=axis).any()


def test_drawn_radii_are_the_distance_to_the_wall(phantom: Phantom) -> None:
    trunk = next(o for o in phantom.objects if o.label == 2**53)
    grid = np.indices(SIZE).reshape(3, -1).T
    centres = (grid + phantom.voxel_offset_vx + 0.5) * phantom.resolution_nm
    line = trunk.branches[0]
    mine = (phantom.labels == np.uint64(trunk.label)).reshape(-1)
    for k in range(3, len(line.points_nm) - 3, 7):
        near = np.linalg.norm(centres - line.points_nm[k], axis=1) < 0.4 * line.radius_nm[k]
        assert mine[near].all()


def test_touching_neurites_share_a_wall(any_phantom: Phantom) -> None:
    labels = any_phantom.labels
    pair = np.array([2**53, 2**53 + 1], np.uint64)
    shared = 0
    for axis in range(3):
        low, high = (np.take(labels, range(a, labels.shape[axis] - 1 + a), axis) for a in (0, 1))
        shared += int(((low == pair[0]) & (high == pair[1])).sum() + ((low == pair[1]) & (high == pair[0])).sum())
    assert shared > 10


def test_the_enclosed_object_is_enclosed(any_phantom: Phantom) -> None:
    inner = next(o for o in any_phantom.objects if o.kind == "enclosed")
    soma = next(o for o in any_phantom.objects if o.kind == "soma")
    mask = any_phantom.labels == np.uint64(inner.label)
    around = ndimage.binary_dilation(mask, FULL) & ~mask
    assert set(any_phantom.labels[around].tolist()) == {soma.label}
    assert inner.faces == ()


def test_small_objects_cross_the_middle_planes(phantom: Phantom) -> None:
    crossed = set()
    for item in phantom.objects:
        if item.kind == "pair":
            start, stop = (np.array(c) - phantom.voxel_offset_vx for c in (item.box.start, item.box.stop))
            crossed |= {k for k in range(3) if start[k] < SIZE[k] // 2 < stop[k]}
    assert {0, 2} <= crossed


def test_synapses_lie_in_their_partners(any_phantom: Phantom) -> None:
    assert len(any_phantom.synapses) >= 4
    for s in any_phantom.synapses:
        assert int(at(any_phantom, np.array(s.pre_nm))[0]) == s.pre_label
        assert int(at(any_phantom, np.array(s.post_nm))[0]) == s.post_label
        assert s.pre_label != s.post_label
        assert np.linalg.norm(np.subtract(s.pre_nm, s.post_nm)) < 400
    posts = [s.post_id for s in any_phantom.synapses]
    assert len(set(posts) | {s.pre_id for s in any_phantom.synapses}) == len(posts) + len(
        {s.pre_id for s in any_phantom.synapses}
    )


def test_membranes_are_dark_and_cytoplasm_is_light(phantom: Phantom) -> None:
    labels, raw = phantom.labels, phantom.raw.astype(float)
    wall = np.zeros(SIZE, bool)
    for axis in (0, 1):
        differs = labels != np.roll(labels, 1, axis)
        wall |= differs | np.roll(differs, -1, axis)
    deep = ~ndimage.binary_dilation(wall, iterations=2)
    assert raw[wall].mean() < raw[deep].mean() - 30
    assert raw[deep].std() > 8
    # Neighbouring slices differ in brightness, but little.
    means = raw.mean(axis=(0, 1))
    assert 0.3 < np.abs(np.diff(means)).mean() < 12


def test_the_file_is_in_the_cremi_layout(phantom: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "sample.h5"
    write_cremi(phantom, path)
    assert [p.name for p in tmp_path.iterdir()] == ["sample.h5"]
    with h5py.File(path) as file:
        for name, expected in (("volumes/raw", phantom.raw), ("volumes/labels/neuron_ids", phantom.labels)):
            data = file[name]
            assert data.dtype == expected.dtype
            assert data.compression == "gzip"
            assert data.chunks is not None
            assert data.attrs["resolution"].tolist() == [40, 12, 12]
            assert data.attrs["offset"].tolist() == [11 * 40, 101 * 12, 37 * 12]
            assert np.array_equal(data[:].T, expected)
        group = file["annotations"]
        ids = group["ids"][:]
        types = dict(zip(ids.tolist(), group["types"].asstr()[:], strict=True))
        places = dict(zip(ids.tolist(), group["locations"][:] + group.attrs["offset"], strict=True))
        partners = group["presynaptic_site/partners"][:]
        assert ids.dtype == partners.dtype == np.uint64
        assert len(set(ids.tolist())) == len(ids)
        assert [tuple(p) for p in partners.tolist()] == [(s.pre_id, s.post_id) for s in phantom.synapses]
        for s in phantom.synapses:
            assert types[s.pre_id] == "presynaptic_site"
            assert types[s.post_id] == "postsynaptic_site"
            assert np.allclose(places[s.pre_id][::-1], s.pre_nm)
            assert np.allclose(places[s.post_id][::-1], s.post_nm)
        assert set(group["comments/target_ids"][:].tolist()) <= set(ids.tolist())
        assert len(group["comments/target_ids"]) == len(group["comments/comments"])


def test_the_truth_file_says_what_the_phantom_says(phantom: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "sample.truth.json"
    write_truth(phantom, path)
    truth = json.loads(path.read_text())
    assert truth["size_vx"] == list(SIZE)
    assert truth["background_voxels"] == int((phantom.labels == 0).sum())
    assert [int(o["label"]) for o in truth["objects"]] == [o.label for o in phantom.objects]
    for told, item in zip(truth["objects"], phantom.objects, strict=True):
        assert told["voxels"] == item.voxels
        assert told["box_vx"] == [list(item.box.start), list(item.box.stop)]
        assert len(told.get("branches", [])) == len(item.branches)
        for line, branch in zip(told.get("branches", []), item.branches, strict=True):
            assert np.allclose(line["points_nm"], branch.points_nm, atol=0.01)
    assert [(int(s["pre_label"]), int(s["post_label"])) for s in truth["synapses"]] == [
        (s.pre_label, s.post_label) for s in phantom.synapses
    ]


def test_the_command_writes_both_files(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    make_sample.add_arguments(parser)
    out = tmp_path / "made" / "sample.h5"
    make_sample.run(parser.parse_args([str(out), "--size-vx", "48", "48", "32", "--seed", "5"]))
    assert sorted(p.name for p in out.parent.iterdir()) == ["sample.h5", "sample.truth.json"]
    assert json.loads(truth_path(out).read_text())["seed"] == 5
    assert parser.parse_args(["x.h5"]).size_vx == (256, 256, 96)


def test_what_cannot_be_made_is_refused(phantom: Phantom, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 48 x 48 x 32"):
        make_phantom((47, 48, 32), 1)
    with pytest.raises(ConfigError, match="negative"):
        make_phantom(SIZE, -1)
    (tmp_path / "file").write_text("")
    for write in (write_cremi, write_truth):
        with pytest.raises(StoreError, match="cannot be written"):
            write(phantom, tmp_path / "file" / "sample.h5")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_components_equal_one_label_at_a_time(seed: int) -> None:
    ids = np.random.default_rng(seed).integers(0, 3, (7, 6, 5)).astype(np.int32)
    pieces, owner = components(ids)
    assert np.array_equal(owner[pieces], ids)
    for i in range(3):
        slow, count = ndimage.label(ids == i)
        assert np.count_nonzero(owner == i) == count
        inside = ids == i
        assert len(set(zip(slow[inside].tolist(), pieces[inside].tolist(), strict=True))) == count


def test_shapes_behave() -> None:
    assert longest_run(np.array([1, 0, 1, 1, 0], bool)) == (2, 4)
    assert longest_run(np.zeros(3, bool)) == (0, 0)
    line = curve(np.array([[0.0, 0, 0], [100, 50, 0], [300, 0, 90]]), 10)
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    assert np.allclose(line[[0, -1]], [[0, 0, 0], [300, 0, 90]])
    assert 9 < steps.min() <= steps.max() < 12
    noise = smooth_noise(np.random.default_rng(0), (20, 30, 10), (5, 5, 2))
    assert noise.shape == (20, 30, 10)
    assert -1 <= noise.min() < -0.3
    assert 0.3 < noise.max() <= 1
