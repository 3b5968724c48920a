"""Labels renamed as they are read: the fast look-up against a dictionary, tables of every kind, and the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ophiolite.config.load import parse_config
from ophiolite.errors import SourceError
from ophiolite.geometry import Box
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import Refused, VolumePlan
from ophiolite.sources import relabel
from ophiolite.sources.relabel import RelabelTable, read_relabel_table
from ophiolite.stages.volume_input import open_planned

LARGE = 2**63 + 12345
few = st.sampled_from([0, 1, 2, 3, 7, 2**32 + 1, 2**53 + 1, LARGE, 2**64 - 1])


def table_of(pairs: dict[int, int]) -> RelabelTable:
    return RelabelTable("t", np.array(list(pairs), np.uint64), np.array(list(pairs.values()), np.uint64))


@given(
    labels=hnp.arrays(np.uint64, hnp.array_shapes(min_dims=4, max_dims=4, max_side=6), elements=few),
    pairs=st.dictionaries(few.filter(lambda v: v > 0), few),
    fortran=st.booleans(),
)
def test_every_voxel_is_renamed_as_a_dictionary_would(
    labels: NDArray[np.uint64], pairs: dict[int, int], fortran: bool
) -> None:
    labels = np.asfortranarray(labels) if fortran else labels
    slow = np.array([pairs.get(v, v) for v in labels.ravel().tolist()], np.uint64).reshape(labels.shape)
    fast = table_of(pairs).apply(labels)
    np.testing.assert_array_equal(fast, slow)
    assert fast.flags.f_contiguous
    assert fast.dtype == np.uint64


def test_runs_that_cross_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relabel, "PIECE_VX", 7)
    labels = np.asfortranarray(np.repeat(np.arange(12, dtype=np.uint8), 5).reshape(10, 6))
    np.testing.assert_array_equal(
        table_of({3: LARGE, 4: 0}).apply(labels),
        np.where(labels == 3, np.uint64(LARGE), np.where(labels == 4, 0, labels)),
    )


def test_narrow_labels_are_not_cut_by_the_table() -> None:
    labels = np.array([[250, 3]], np.uint8)
    assert table_of({3: LARGE}).apply(labels).tolist() == [[250, LARGE]]


def test_pairs_are_applied_once() -> None:
    assert table_of({1: 2, 2: 3}).apply(np.array([[1, 2, 3]], np.uint16)).tolist() == [[2, 3, 3]]


def write_table(folder: Path, kind: str, before: list[int], after: list[int]) -> str:
    if kind == "h5":
        with h5py.File(folder / "t.h5", "w") as file:
            file["transforms"] = np.array([before, after], np.uint64).T
        return "t.h5:/transforms"
    if kind == "csv":
        rows = "\n".join(f"{a},x,{b}" for a, b in zip(before, after, strict=True))
        (folder / "t.csv").write_text(f"from,note,to\n{rows}\n")
        return "t.csv"
    columns = {"to": pa.array(after, pa.uint64()), "from": pa.array(before, pa.uint64())}
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return "t.parquet"


@pytest.mark.parametrize("kind", ["h5", "csv", "parquet"])
def test_tables_of_every_kind_are_one(tmp_path: Path, kind: str) -> None:
    text = write_table(tmp_path, kind, [9, 4, 4, LARGE], [1, 2, 2, 2**64 - 1])
    table = read_relabel_table(text, tmp_path)
    assert dict(zip(table.before.tolist(), table.after.tolist(), strict=True)) == {4: 2, 9: 1, LARGE: 2**64 - 1}
    assert table.fingerprint() == table_of({9: 1, 4: 2, LARGE: 2**64 - 1}).fingerprint()
    assert table.fingerprint() != table_of({9: 1, 4: 3, LARGE: 2**64 - 1}).fingerprint()


def write_bad(folder: Path) -> None:
    with h5py.File(folder / "bad.h5", "w") as file:
        file["wide"] = np.zeros((4, 3), np.uint64)
        file["floats"] = np.zeros((4, 2))
        file["signed"] = np.array([[1, -2]])
        file["torn"] = np.array([[5, 6], [5, 7]])
        file["void"] = np.array([[0, 7]])
    (folder / "names.csv").write_text("old,new\n1,2\n")
    (folder / "words.csv").write_text("from,to\n1,two\n")
    (folder / "holes.csv").write_text("from,to\n1,\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bad.h5:/gone", r"bad\.h5 has no dataset /gone. Got floats, signed, torn, void, wide"),
        ("bad.h5:/wide", r"is no table of pairs. Expected shape \(n, 2\). Got \(4, 3\)"),
        ("bad.h5:/floats", "'from' holds no whole numbers. Expected labels. Got float64"),
        ("bad.h5:/signed", "'to' holds negative labels.*Got -2"),
        ("bad.h5:/torn", "label 5 is given two new labels. Expected one. Got 6 and 7"),
        ("bad.h5:/void", "background .0. would become an object. Got 0 to 7"),
        ("bad.h5", "is no table of labels. Expected file.h5:/path"),
        ("gone.h5:/t", "the table cannot be read"),
        ("gone.csv", "the table cannot be read"),
        ("names.csv", "has no column 'from'. Expected columns from, to. Got old, new"),
        ("words.csv", "the table cannot be read .*two"),
        ("holes.csv", "column 'to' has empty cells"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    write_bad(tmp_path)
    with pytest.raises(SourceError, match=message):
        read_relabel_table(text, tmp_path)


def plan_of(folder: Path, layer: dict[str, Any]) -> VolumePlan | Refused:
    config = {"project": "p", "datasets": {"d": {"layers": {"v": {"type": "segmentation", **layer}}}}}
    plan = make_plan(parse_config(config, "test"), Path(), Speeds()).datasets["d"].layers["v"]
    assert isinstance(plan, VolumePlan | Refused)
    return plan


def test_a_layer_is_planned_and_read_with_its_table(tmp_path: Path) -> None:
    labels = np.random.default_rng(3).integers(1, 9, (13, 11, 7)).astype(np.uint32)
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["stack"] = labels.T
        file["transforms"] = np.array([[a, LARGE + a // 4] for a in range(1, 9)], np.uint64)
    layer = {"source": f"{tmp_path}/raw.h5:/stack", "resolution_nm": [10, 10, 10], "pad_vx": [2, 0, 0]}
    bare = plan_of(tmp_path, layer)
    plan = plan_of(tmp_path, {**layer, "relabel": f"{tmp_path}/raw.h5:/transforms", "mesh": {}})
    assert isinstance(bare, VolumePlan)
    assert isinstance(plan, VolumePlan)
    assert plan.source.dtype == "uint64"
    assert plan.mesh is not None
    assert plan.mesh.expected_labels == 3
    assert plan.source.fingerprint != bare.source.fingerprint
    assert plan.digests["pyramid_blocks"] != bare.digests["pyramid_blocks"]
    source = open_planned(plan)
    assert source.box == Box((-2, 0, 0), (15, 11, 7))
    read = source.read(source.box)[..., 0]
    assert not read[:2].any()
    np.testing.assert_array_equal(read[2:15], labels // 4 + np.uint64(LARGE))


def test_a_changed_table_stops_jobs_of_an_old_plan(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["stack"] = np.ones((4, 4, 4), np.uint8)
    table = tmp_path / "bodies.csv"
    table.write_text("from,to\n1,5\n")
    layer = {"source": f"{tmp_path}/raw.h5:/stack", "resolution_nm": [1, 1, 1], "relabel": str(table)}
    plan = plan_of(tmp_path, layer)
    assert isinstance(plan, VolumePlan)
    assert np.unique(open_planned(plan).read(Box((0, 0, 0), (4, 4, 4)))).tolist() == [5]
    table.write_text("from,to\n1,6\n")
    with pytest.raises(SourceError, match="has changed since the plan was made"):
        open_planned(plan)


def test_a_missing_table_refuses_its_layer(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["stack"] = np.ones((4, 4, 4), np.uint8)
    layer = {"source": f"{tmp_path}/raw.h5:/stack", "resolution_nm": [1, 1, 1], "relabel": "gone.parquet"}
    plan = plan_of(tmp_path, layer)
    assert isinstance(plan, Refused)
    assert "gone.parquet: the table cannot be read" in plan.error
