"""The annotation layer as a whole: every index holds every annotation it should, under the right key."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_samples import sample
from ophiolite.errors import FormatError
from ophiolite.geometry import morton
from ophiolite.layers.annotation_layer import annotation_files
from ophiolite.precomputed.annotation import AnnotationType, Property
from ophiolite.precomputed.annotation_records import decode_list, decode_single
from ophiolite.precomputed.annotation_table import AnnotationTable, Related
from ophiolite.precomputed.sharding import ShardingSpec, ShardReader


def values(files: dict[str, bytes], entry: dict[str, Any]) -> dict[int, bytes]:
    """Every key and value below one index entry of `info`."""
    spec = ShardingSpec.from_json(entry["sharding"], "info")
    found: dict[int, bytes] = {}
    for path, data in files.items():
        if path.startswith(entry["key"] + "/"):
            reader = ShardReader(spec, lambda at, n, data=data: data[at : at + n], path, len(data))
            for key in reader.keys().tolist():
                found[key] = reader.get(key) or b""
    return found


def rows_of(table: AnnotationTable, row: int) -> list[list[float]]:
    if table.points is not None:
        return table.geometry_nm[table.points[row] : table.points[row + 1]].tolist()
    return table.geometry_nm[row].reshape(-1, 3).tolist()


@pytest.mark.parametrize("kind", AnnotationType)
def test_every_annotation_is_in_every_index(kind: AnnotationType) -> None:
    table = sample(kind, 700)
    files = {path: data for path, data, _ in annotation_files(table, cell_limit=40)}
    info = json.loads(files["info"])
    properties = [Property.from_json(p) for p in info["properties"]]
    assert [p.id for p in properties] == ["score", "level", "kind", "colour"]
    row = {int(i): n for n, i in enumerate(table.ids)}

    singles = values(files, info["by_id"])
    assert singles.keys() == row.keys()
    for key, data in singles.items():
        one, related = decode_single(data, kind, properties, 2)
        assert one.geometry.reshape(-1, 3).tolist() == rows_of(table, row[key])
        for prop in table.properties:
            assert one.columns[prop.id][0].tolist() == prop.cast(table.columns[prop.id])[row[key]].tolist()
        for labels, entry in zip(related, table.relationships.values(), strict=True):
            assert labels == entry.labels[entry.offsets[row[key]] : entry.offsets[row[key] + 1]].tolist()

    for entry, relation in zip(info["relationships"], table.relationships.items(), strict=True):
        name, related = relation
        assert entry["id"] == name
        expected: dict[int, set[int]] = {}
        for n, i in enumerate(table.ids.tolist()):
            for label in related.labels[related.offsets[n] : related.offsets[n + 1]].tolist():
                expected.setdefault(label, set()).add(i)
        got = {k: decode_list(v, kind, properties).ids.tolist() for k, v in values(files, entry).items()}
        assert {k: set(v) for k, v in got.items()} == expected
        assert all(len(set(v)) == len(v) for v in got.values())

    seen: dict[int, int] = {}
    assert len(info["spatial"]) >= 2
    lower = np.array(info["lower_bound"])
    for number, level in enumerate(info["spatial"]):
        for key, data in values(files, level).items():
            cell = decode_list(data, kind, properties)
            assert 0 < len(cell.ids) <= level["limit"]
            low = lower + morton.decode([key], tuple(level["grid_shape"]))[0] * level["chunk_size"]
            for n, i in enumerate(cell.ids.tolist()):
                assert seen.setdefault(i, number) == number
                if kind is AnnotationType.POINT:
                    assert (cell.geometry[n, 0] >= low).all()
                    assert (cell.geometry[n, 0] < low + level["chunk_size"]).all()
    assert seen.keys() == row.keys()


def test_same_annotations_in_another_order_are_the_same_cells_and_a_rerun_the_same_bytes() -> None:
    table = sample(AnnotationType.LINE, 300)
    files = {path: data for path, data, _ in annotation_files(table, 40)}
    assert files == {path: data for path, data, _ in annotation_files(table, 40)}
    turn = np.random.default_rng(0).permutation(300)
    turned = AnnotationTable(
        table.kind, table.geometry_nm[turn], table.ids[turn], PROPERTIES_ONLY, {"score": table.columns["score"][turn]}
    )
    plain = AnnotationTable(
        table.kind, table.geometry_nm, table.ids, PROPERTIES_ONLY, {"score": table.columns["score"]}
    )
    assert list(annotation_files(turned, 40)) == list(annotation_files(plain, 40))


PROPERTIES_ONLY = (Property("score", "float32"),)


def test_info_comes_last_so_that_a_broken_write_is_no_layer() -> None:
    assert [path for path, *_ in annotation_files(sample(AnnotationType.POINT, 50))][-1] == "info"


@pytest.mark.parametrize("kind", AnnotationType)
def test_no_annotations_are_a_layer_too(kind: AnnotationType) -> None:
    files = {path: data for path, data, _ in annotation_files(sample(kind, 0))}
    info = json.loads(files["info"])
    assert values(files, info["by_id"]) == {}
    (cell,) = values(files, info["spatial"][0]).values()
    assert len(decode_list(cell, kind, [Property.from_json(p) for p in info["properties"]]).ids) == 0


def point(**changes: Any) -> AnnotationTable:
    fields: dict[str, Any] = {"kind": AnnotationType.POINT, "geometry_nm": [[1, 2, 3]], "ids": [1]}
    return AnnotationTable(**{**fields, **changes})


LINES = [[0, 0, 0], [1, 1, 1], [2, 2, 2]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"geometry_nm": [[1, 2]]}, "wrong shape"),
        ({"geometry_nm": [[1, 2, 3], [1, 2, 3]]}, "wrong shape"),
        ({"kind": AnnotationType.LINE}, "wrong shape"),
        ({"geometry_nm": [[1, np.nan, 3]]}, "row 0"),
        ({"geometry_nm": [[1, 2, 1e39]]}, "row 0"),
        ({"kind": AnnotationType.ELLIPSOID, "geometry_nm": [[[1, 2, 3], [1, -1, 1]]]}, "radii"),
        ({"geometry_nm": [[1, 2, 3]] * 2, "ids": [4, 4]}, "ids repeat"),
        ({"kind": AnnotationType.POLYLINE, "geometry_nm": LINES}, "wrong shape"),
        ({"kind": AnnotationType.POLYLINE, "geometry_nm": LINES, "points": np.array([0, 1, 3]), "ids": [1, 2]}, "cut"),
        ({"kind": AnnotationType.POLYLINE, "geometry_nm": LINES, "points": np.array([0, 2])}, "cut"),
        ({"relationships": {"a": Related(np.array([0]), np.array([], np.uint64))}}, "another length"),
        ({"relationships": dict.fromkeys(("a b", "a.b"), Related.of_columns(np.array([1], np.uint64)))}, "file names"),
        ({"properties": (Property("a", "uint8"), Property("a", "int8"))}, "twice"),
    ],
)
def test_tables_the_format_cannot_hold_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        point(**changes)


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), max_size=8))
def test_related_columns_drop_background_and_repetitions(rows: list[list[int]]) -> None:
    table = np.array(rows, np.uint64).reshape(-1, 3)
    related = Related.of_columns(*table.T)
    got = [related.labels[a:b].tolist() for a, b in zip(related.offsets, related.offsets[1:], strict=False)]
    assert got == [[v for v in dict.fromkeys(row) if v] for row in rows]
