"""CSV and Parquet tables become annotations, or an error that names file, row and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.errors import SourceError
from ophiolite.layers.annotation_layer import annotation_files
from ophiolite.precomputed.annotation import AnnotationType
from ophiolite.sources.annotation_tables import property_id, read_annotation_table

POINT = AnnotationType.POINT


def csv(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def parquet(tmp_path: Path, **columns: Any) -> Path:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def labels_of(table: Any, name: str) -> list[list[int]]:
    related = table.relationships[name]
    return [related.labels[a:b].tolist() for a, b in zip(related.offsets, related.offsets[1:], strict=False)]


def test_points_with_everything(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "id,x,y,z,Cell Type,score,n,big,flag,segment\n"
        "7,1,2.5,-3,axon,0.5,1,70000,true,18446744073709551615\n"
        '9,4,5,6e3,"soma, big",,2,-1,false,\n'
        "3,0,0,0,axon,1,3,5,true,0\n",
    )
    table = read_annotation_table(path, POINT, label_columns=["segment"])
    assert table.ids.tolist() == [7, 9, 3]
    assert table.geometry_nm.tolist() == [[1, 2.5, -3], [4, 5, 6000], [0, 0, 0]]
    kinds = {p.id: p for p in table.properties}
    assert {i: p.type for i, p in kinds.items()} == {
        "cell_type": "uint8",
        "score": "float32",
        "n": "uint8",
        "big": "int32",
        "flag": "uint8",
    }
    assert kinds["cell_type"].enum_labels == ("axon", "soma, big")
    assert kinds["cell_type"].description == "Cell Type"
    assert kinds["flag"].enum_labels == ("false", "true")
    assert table.columns["cell_type"].tolist() == [0, 1, 0]
    assert table.columns["flag"].tolist() == [1, 0, 1]
    np.testing.assert_array_equal(table.columns["score"], [0.5, np.nan, 1])
    assert labels_of(table, "segment") == [[2**64 - 1], [], []]
    assert [path for path, *_ in annotation_files(table)][-1] == "info"


def test_rows_without_ids_are_numbered_from_one(tmp_path: Path) -> None:
    assert read_annotation_table(csv(tmp_path, "x,y,z\n1,2,3\n4,5,6\n"), POINT).ids.tolist() == [1, 2]


@pytest.mark.parametrize("kind", [AnnotationType.LINE, AnnotationType.AXIS_ALIGNED_BOUNDING_BOX])
def test_lines_and_boxes(kind: AnnotationType, tmp_path: Path) -> None:
    path = csv(tmp_path, "x1\tx0\ty0\tz0\ty1\tz1\n4\t1\t2\t3\t5\t6\n", "t.tsv")
    assert read_annotation_table(path, kind).geometry_nm.tolist() == [[[1, 2, 3], [4, 5, 6]]]


def test_ellipsoids(tmp_path: Path) -> None:
    path = csv(tmp_path, "x,y,z,rx,ry,rz\n1,2,3,4,5,0\n")
    assert read_annotation_table(path, AnnotationType.ELLIPSOID).geometry_nm.tolist() == [[[1, 2, 3], [4, 5, 0]]]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = csv(tmp_path, "\ufeffx,y,z\n1,2,3\n")
    assert read_annotation_table(path, POINT).geometry_nm.tolist() == [[1, 2, 3]]


def test_an_empty_table_is_no_annotations(tmp_path: Path) -> None:
    assert len(read_annotation_table(csv(tmp_path, "x,y,z,name\n"), POINT)) == 0


def test_parquet_lists_are_several_labels(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        x=[1.0, 2, 3],
        y=[1, 2, 3],
        z=pa.array([1, 2, 3], pa.float32()),
        near=pa.array([[5, 2**63], None, [0, 6]], pa.list_(pa.uint64())),
        with_gaps=pa.array([4.0, None, 0.0], pa.float64()),
        kind=pa.array(["a", None, "a"]).dictionary_encode(),
        __index_level_0__=[3, 4, 5],
    )
    table = read_annotation_table(path, POINT, label_columns=["near", "with_gaps"])
    assert labels_of(table, "near") == [[5, 2**63], [], [6]]
    assert labels_of(table, "with_gaps") == [[4], [], []]
    (kind,) = table.properties
    assert kind.enum_labels == ("", "a")
    assert table.columns["kind"].tolist() == [1, 0, 1]


@given(st.lists(st.tuples(*[st.floats(-1e7, 1e7)] * 3, st.integers(0, 2**64 - 1)), min_size=1, max_size=8))
def test_csv_and_parquet_say_the_same(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("tables")
    text = "x,y,z,label\n" + "".join(f"{x!r},{y!r},{z!r},{label}\n" for x, y, z, label in rows)
    x, y, z, label = zip(*rows, strict=True)
    one = read_annotation_table(csv(folder, text), POINT, label_columns=["label"])
    other = read_annotation_table(
        parquet(folder, x=x, y=y, z=z, label=pa.array(label, pa.uint64())), POINT, label_columns=["label"]
    )
    np.testing.assert_array_equal(one.geometry_nm, np.float32([row[:3] for row in rows]))
    np.testing.assert_array_equal(one.geometry_nm, other.geometry_nm)
    assert labels_of(one, "label") == labels_of(other, "label") == [[v] if v else [] for v in label]


def test_whole_numbers_take_the_narrowest_type(tmp_path: Path) -> None:
    columns = {
        "a": [0, 255],
        "b": [-1, 127],
        "c": [0, 256],
        "d": [-129, 0],
        "e": [0, 65536],
        "f": [0, 2**31],
        "g": [-(2**31), 0],
    }
    path = parquet(tmp_path, x=[1, 2], y=[1, 2], z=[1, 2], **columns)
    got = {p.id: p.type for p in read_annotation_table(path, POINT).properties}
    assert got == {"a": "uint8", "b": "int8", "c": "uint16", "d": "int16", "e": "int32", "f": "uint32", "g": "int32"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,y\n1,2\n", ["no column 'z'", "'x', 'y'"]),
        ("x,x,y,z\n1,1,2,3\n", ["2 columns 'x'"]),
        ("x,y,z\n1,2,3\n4,five,6\n", ["row 2", "column 'y'", "'five'"]),
        ("x,y,z\n1,2,3\n4,5,\n", ["row 2", "column 'z'", "nothing"]),
        ("x,y,z\n1,2,inf\n", ["row 1", "column 'z'"]),
        ("x,y,z\n1,2,3\n4,5\n", ["row 2", "Expected 3", "4,5"]),
        ("id,x,y,z\n4,1,2,3\n5,1,2,3\n4,1,2,3\n", ["row 3", "column 'id'"]),
        ("id,x,y,z\n4,1,2,3\n,1,2,3\n", ["row 2", "column 'id'", "nothing"]),
        ("id,x,y,z\n-4,1,2,3\n", ["row 1", "column 'id'", "'-4'"]),
        ("x,y,z,seg\n1,2,3,5\n1,2,3,1.5\n", ["row 2", "column 'seg'", "'1.5'"]),
        ("x,y,z,seg\n1,2,3,18446744073709551616\n", ["row 1", "column 'seg'"]),
        ("x,y,z,seg,wide\n1,2,3,1,4294967296\n", ["column 'wide'", "label_columns"]),
        ("x,y,z,seg,A b,a_b\n1,2,3,1,1,1\n", ["'a_b'", "same property id"]),
        ("x,y,z,seg,123\n1,2,3,1,1\n", ["'123'", "no letter"]),
        ("x,y,z\n1e39,2,3\n", ["t.csv", "row 0 is no place"]),
        ("", ["cannot be read"]),
    ],
)
def test_errors_name_file_row_and_column(text: str, words: list[str], tmp_path: Path) -> None:
    path = csv(tmp_path, text)
    columns = ["seg"] if "seg" in text else []
    with pytest.raises(SourceError) as error:
        read_annotation_table(path, POINT, label_columns=columns)
    for word in (str(path), *words):
        assert word in str(error.value)


def test_too_many_texts_are_refused(tmp_path: Path) -> None:
    path = parquet(
        tmp_path, x=range(5000), y=range(5000), z=range(5000), note=[f"n{i}" for i in range(5000)], n=[1] * 5000
    )
    with pytest.raises(SourceError, match=r"column 'note'.*4096"):
        read_annotation_table(path, POINT)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"seg": pa.array([-1.0])}, "column 'seg'"),
        ({"seg": pa.array([2.0**53])}, "column 'seg'"),
        ({"seg": pa.array([[-1]])}, "column 'seg'"),
        ({"seg": pa.array([5]), "when": pa.array([0], pa.timestamp("s"))}, "column 'when'"),
        ({"seg": pa.array([5]), "nested": pa.array([[1]])}, "column 'nested'"),
    ],
)
def test_columns_of_other_types_are_refused(columns: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=words):
        read_annotation_table(parquet(tmp_path, x=[1], y=[1], z=[1], **columns), POINT, label_columns=["seg"])


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no more")
    csv(tmp_path, "x", "t.xlsx")
    for name, words in (("broken.parquet", "cannot be read"), ("t.xlsx", "unknown"), ("absent.csv", "cannot be read")):
        with pytest.raises(SourceError, match=words):
            read_annotation_table(tmp_path / name, POINT)
    with pytest.raises(SourceError, match="polylines"):
        read_annotation_table(csv(tmp_path, "x,y,z\n"), AnnotationType.POLYLINE)


@given(st.text(max_size=12))
def test_property_ids_are_of_the_format(name: str) -> None:
    got = property_id(name)
    assert got == "" or (got.isascii() and got.isidentifier() and got[0].islower() and property_id(got) == got)
