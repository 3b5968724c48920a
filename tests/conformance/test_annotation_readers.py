"""Other people's readers find in our annotation layers what we wrote."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_defects import assert_still_defective

from annotation_samples import sample
from ophiolite.layers.annotation_layer import annotation_files
from ophiolite.precomputed.annotation import AnnotationType, Property
from ophiolite.precomputed.annotation_table import AnnotationTable, Related
from ophiolite.precomputed.sharding import ShardingSpec, ShardReader


def write(folder: Path, table: AnnotationTable, cell_limit: int) -> dict[str, bytes]:
    files = {path: data for path, data, _ in annotation_files(table, cell_limit)}
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return files


def rows_of(table: AnnotationTable, row: int) -> list[list[float]]:
    if table.points is not None:
        return table.geometry_nm[table.points[row] : table.points[row + 1]].tolist()
    return table.geometry_nm[row].reshape(-1, 3).tolist()


def by_label(table: AnnotationTable, related: Related) -> dict[int, list[int]]:
    """Sorted annotation ids of every label."""
    owner = np.repeat(table.ids, np.diff(related.offsets))
    return {int(label): sorted(owner[related.labels == label].tolist()) for label in np.unique(related.labels)}


def vectors(annotation: Any, kind: AnnotationType) -> list[list[float]]:
    names = {
        AnnotationType.POINT: ("point",),
        AnnotationType.LINE: ("point_a", "point_b"),
        AnnotationType.AXIS_ALIGNED_BOUNDING_BOX: ("point_a", "point_b"),
        AnnotationType.ELLIPSOID: ("center", "radii"),
    }
    if kind is AnnotationType.POLYLINE:
        return [list(p) for p in annotation.points]
    return [list(getattr(annotation, name)) for name in names[kind]]


@pytest.mark.parametrize("kind", AnnotationType)
def test_tensorstore_gives_every_keyed_value_back(kind: AnnotationType, tmp_path: Path) -> None:
    ts = pytest.importorskip("tensorstore")
    files = write(tmp_path, sample(kind, 500), 40)
    info = json.loads(files["info"])
    for entry in (info["by_id"], *info["relationships"], *info["spatial"]):
        store = ts.KvStore.open(
            {
                "driver": "neuroglancer_uint64_sharded",
                "metadata": entry["sharding"],
                "base": f"file://{tmp_path}/{entry['key']}/",
            }
        ).result()
        ours: dict[int, bytes] = {}
        spec = ShardingSpec.from_json(entry["sharding"], "info")
        for path, data in files.items():
            if path.startswith(entry["key"] + "/"):
                reader = ShardReader(spec, lambda at, n, data=data: data[at : at + n], path)
                ours.update({k: reader.get(k) or b"" for k in reader.keys().tolist()})
        assert sorted(store.list().result()) == sorted(struct.pack(">Q", key) for key in ours)
        for key, value in ours.items():
            assert store[struct.pack(">Q", key)] == value


@pytest.mark.parametrize("kind", AnnotationType)
def test_neuroglancer_python_reads_every_annotation(kind: AnnotationType, tmp_path: Path) -> None:
    module = pytest.importorskip("neuroglancer.read_precomputed_annotations")
    table = sample(kind, 400)
    write(tmp_path, table, 40)
    reader = module.AnnotationReader(f"file://{tmp_path}/")
    row = {str(i): n for n, i in enumerate(table.ids.tolist())}
    names = [p.id for p in reader.properties]

    def check(annotation: Any) -> None:
        n = row[annotation.id]
        assert vectors(annotation, kind) == rows_of(table, n)
        for name, value in zip(names, annotation.props, strict=True):
            prop = next(p for p in table.properties if p.id == name)
            assert np.asarray(value).tolist() == prop.cast(table.columns[name])[n].tolist()

    for key in table.ids.tolist():
        annotation = reader.by_id[key]
        check(annotation)
        for labels, related in zip(annotation.segments, table.relationships.values(), strict=True):
            n = row[annotation.id]
            assert list(labels) == related.labels[related.offsets[n] : related.offsets[n + 1]].tolist()
    for name, related in table.relationships.items():
        for label, ids in by_label(table, related).items():
            found = reader.relationships[name][label]
            assert sorted(int(a.id) for a in found) == ids
            for annotation in found:
                check(annotation)
    everything = list(reader.get_within_spatial_bounds())
    assert {a.id for a in everything} == row.keys()
    if kind is AnnotationType.POINT:
        assert len(everything) == len(row)
    for annotation in everything:
        check(annotation)


def test_neuroglancer_python_misplaces_a_second_uint32(tmp_path: Path) -> None:
    module = pytest.importorskip("neuroglancer.read_precomputed_annotations")
    two = (Property("a", "uint32"), Property("b", "uint32"))
    column = np.array([7])
    table = AnnotationTable(AnnotationType.POINT, np.ones((1, 3)), column, two, {"a": column, "b": column})
    write(tmp_path, table, 40)
    reader = module.AnnotationReader(f"file://{tmp_path}/")
    assert_still_defective("neuroglancer", "annotations with two uint32 properties", lambda: reader.by_id[7])


def cloudvolume(folder: Path) -> Any:
    module = pytest.importorskip("cloudvolume.cloudvolume")
    return module.from_cloudpath(f"precomputed://file://{folder}")


@pytest.mark.parametrize("cell_limit", [1000, 40])
def test_cloudvolume_reads_points(cell_limit: int, tmp_path: Path) -> None:
    table = sample(AnnotationType.POINT, 400)
    info = json.loads(write(tmp_path, table, cell_limit)["info"])
    layer = cloudvolume(tmp_path)
    row = {i: n for n, i in enumerate(table.ids.tolist())}

    def check(found: Any) -> list[int]:
        rows = [row[i] for i in found.ids.tolist()]
        np.testing.assert_array_equal(found.geometry, table.geometry_nm[rows])
        for prop in table.properties:
            np.testing.assert_array_equal(found.properties[prop.id], prop.cast(table.columns[prop.id])[rows])
        return sorted(found.ids.tolist())

    for key, annotation in layer.get_by_id(table.ids.tolist()).items():
        np.testing.assert_array_equal(annotation.geometry[0], table.geometry_nm[row[key]])
        for labels, related in zip(annotation.relationships.values(), table.relationships.values(), strict=True):
            n = row[key]
            assert labels.tolist() == related.labels[related.offsets[n] : related.offsets[n + 1]].tolist()
    for name, related in table.relationships.items():
        expected = by_label(table, related)
        got = layer.get_by_relationship(name, list(expected))
        assert {label: check(found) for label, found in got.items()} == expected
    levels = [check(layer.get_all(mip=mip)) for mip in range(len(info["spatial"]))]
    assert sorted(i for level in levels for i in level) == sorted(row)
    assert layer.get_all(mip=0).properties_enum["kind"] == {0: "a", 1: "b", 2: "c"}
    assert_still_defective("cloudvolume", "annotations, ids() of a sharded layer", layer.ids)

    def all_at_once() -> None:
        found = len(layer.get_all().ids)
        assert found == 400, f"get_all() found {found} of 400 annotations"

    if len(levels) == 1:
        all_at_once()
    else:
        assert_still_defective("cloudvolume", "annotations, get_all() of several levels", all_at_once)


@pytest.mark.parametrize("kind", [k for k in AnnotationType if k is not AnnotationType.POINT])
def test_cloudvolume_cannot_decode_the_other_kinds(kind: AnnotationType, tmp_path: Path) -> None:
    table = sample(kind, 20)
    write(tmp_path, table, 40)
    layer, key = cloudvolume(tmp_path), int(table.ids[0])
    assert_still_defective("cloudvolume", f"annotations {kind}", lambda: layer.get_by_id(key))
