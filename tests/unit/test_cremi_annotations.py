"""CREMI synapses: z, y, x nm plus offset become lines in x, y, z nm, related to the segments at their ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ophiolite.errors import SourceError
from ophiolite.precomputed.annotation import AnnotationType
from ophiolite.sample import make_phantom, write_cremi
from ophiolite.sources.cremi_annotations import read_cremi_partners

TYPES = ["presynaptic_site", "postsynaptic_site", "presynaptic_site", "postsynaptic_site", "postsynaptic_site"]


def cremi(tmp_path: Path, change: Callable[[h5py.Group], None] = lambda group: None) -> Path:
    """Five sites, two pairs and one site alone, as cremi_python writes them."""
    path = tmp_path / "sample.hdf"
    with h5py.File(path, "w") as file:
        group = file.create_group("annotations")
        group.attrs["offset"] = (40.0, 400.0, 4000.0)
        group["ids"] = np.array([20, 10, 40, 30, 50], np.uint64)
        group.create_dataset("types", data=TYPES, dtype=h5py.string_dtype(), compression="gzip")
        group["locations"] = np.arange(15, dtype=np.float64).reshape(5, 3)
        group["presynaptic_site/partners"] = np.array([[20, 10], [40, 30]], np.uint64)
        change(group)
    return path


def test_pairs_become_lines_in_xyz_with_the_offset(tmp_path: Path) -> None:
    table = read_cremi_partners(cremi(tmp_path))
    assert table.kind is AnnotationType.LINE
    assert table.ids.tolist() == [1, 2]
    assert table.geometry_nm.tolist() == [
        [[4002, 401, 40], [4005, 404, 43]],
        [[4008, 407, 46], [4011, 410, 49]],
    ]
    names = table.properties[0].enum_labels
    assert [names[i] for i in table.columns["pre_type"]] == ["presynaptic_site"] * 2
    assert [names[i] for i in table.columns["post_type"]] == ["postsynaptic_site"] * 2
    assert table.columns["pre_id"].tolist() == [20, 40]
    assert table.columns["post_id"].tolist() == [10, 30]
    assert not table.relationships


def test_segments_at_the_ends_are_related(tmp_path: Path) -> None:
    asked = []

    def labels_at(points: np.ndarray) -> np.ndarray:
        asked.append(points.tolist())
        return np.array([2**63, 0] if len(asked) == 1 else [7, 8], np.uint64)

    table = read_cremi_partners(cremi(tmp_path), labels_at=labels_at)
    assert asked == [[[4002, 401, 40], [4008, 407, 46]], [[4005, 404, 43], [4011, 410, 49]]]
    pre, post = table.relationships["pre_segment"], table.relationships["post_segment"]
    assert (pre.offsets.tolist(), pre.labels.tolist()) == ([0, 1, 1], [2**63])
    assert (post.offsets.tolist(), post.labels.tolist()) == ([0, 1, 2], [7, 8])


def test_the_sample_s_synapses_lie_where_its_truth_says(tmp_path: Path) -> None:
    phantom = make_phantom((96, 96, 64), 1)
    write_cremi(phantom, tmp_path / "sample.h5")

    def labels_at(points_nm: np.ndarray) -> np.ndarray:
        voxel = np.floor(points_nm / phantom.resolution_nm).astype(int) - phantom.voxel_offset_vx
        return phantom.labels[tuple(voxel.T)]

    table = read_cremi_partners(tmp_path / "sample.h5", labels_at=labels_at)
    assert len(table) == len(phantom.synapses) > 1
    for row, synapse in enumerate(phantom.synapses):
        np.testing.assert_array_equal(table.geometry_nm[row], np.float32([synapse.pre_nm, synapse.post_nm]))
    pre, post = table.relationships["pre_segment"], table.relationships["post_segment"]
    assert pre.labels.tolist() == [s.pre_label for s in phantom.synapses]
    assert post.labels.tolist() == [s.post_label for s in phantom.synapses]


def replace(name: str, value: object) -> Callable[[h5py.Group], None]:
    def change(group: h5py.Group) -> None:
        del group[name]
        if value is not None:
            group[name] = value

    return change


def test_no_offset_is_zero_and_ids_beyond_int32_are_left_out(tmp_path: Path) -> None:
    def change(group: h5py.Group) -> None:
        del group.attrs["offset"]
        replace("ids", np.array([2**40, 10, 40, 30, 50], np.uint64))(group)
        replace("presynaptic_site/partners", np.array([[2**40, 10]], np.uint64))(group)

    table = read_cremi_partners(cremi(tmp_path, change))
    assert table.geometry_nm.tolist() == [[[2, 1, 0], [5, 4, 3]]]
    assert [p.id for p in table.properties] == ["pre_type", "post_type"]


def test_no_pairs_are_no_lines(tmp_path: Path) -> None:
    path = cremi(tmp_path, replace("presynaptic_site/partners", np.zeros((0, 2), np.uint64)))
    assert len(read_cremi_partners(path, labels_at=lambda points: np.zeros(len(points), np.uint64))) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replace("presynaptic_site/partners", np.array([[20, 10], [40, 11]])), ["partners, row 1", "[40, 11]"]),
        (replace("presynaptic_site/partners", np.array([20, 10])), ["partners", "2 axes"]),
        (replace("presynaptic_site", None), ["presynaptic_site/partners", "ids", "locations", "types"]),
        (replace("ids", np.array([20, 10, 40, 30, 30])), ["ids", "twice", "30"]),
        (replace("ids", np.array([20, 10, 40, 30])), ["belong together", "(4,)"]),
        (replace("locations", np.full((5, 3), np.nan)), ["pair 0"]),
        (replace("locations", "far away"), ["locations", "2 axes"]),
        (replace("types", np.zeros(5)), ["cannot be read"]),
    ],
)
def test_errors_say_where(change: Callable[[h5py.Group], None], words: list[str], tmp_path: Path) -> None:
    path = cremi(tmp_path, change)
    with pytest.raises(SourceError) as error:
        read_cremi_partners(path)
    for word in (str(path), *words):
        assert word in str(error.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = cremi(tmp_path)
    with pytest.raises(SourceError, match=r"no such group.*annotations"):
        read_cremi_partners(path, "synapses")
    with pytest.raises(SourceError, match="cannot be read"):
        read_cremi_partners(tmp_path / "absent.hdf")
    (tmp_path / "cut.hdf").write_bytes(path.read_bytes()[:300])
    with pytest.raises(SourceError, match="cannot be read"):
        read_cremi_partners(tmp_path / "cut.hdf")
