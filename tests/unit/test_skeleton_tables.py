"""What the jobs of branches and of SWC write of a layer's finished skeletons."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from bone_shapes import Bones, bones
from test_skeleton_quality import project

from ophiolite.layers.objects import SkeletonReader
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.precomputed.swc import END, FORK, SOMA, UNDEFINED, decode_swc
from ophiolite.stages.close import close_product
from ophiolite.stages.job import Job
from ophiolite.stages.layer import write_layer_info
from ophiolite.stages.skeleton_graph import COLUMNS, write_skeleton_graph
from ophiolite.stages.skeleton_swc import write_skeleton_swc

SWC = {"swc": True, "soma_detect_nm": 50.0, "soma_accept_nm": 50.0}
BIG = 2**53 + 1


def skeletons() -> dict[int, Bones]:
    """A line with its thickest vertex within it, and a fork beside an apart piece."""
    line = bones([[(0, 8, 8), (59, 8, 8)]], 40.0)
    line.radius_nm[20] = 60.0
    fork = bones([[(0, 22, 22), (20, 22, 22)], [(20, 22, 22), (40, 22, 30)], [(20, 22, 22), (40, 22, 14)]], 30.0)
    apart = bones([[(50, 22, 22), (59, 22, 22)]], 30.0)
    count = len(fork.vertices_nm)
    both = [np.concatenate([getattr(fork, n), getattr(apart, n)]) for n in ("vertices_nm", "radius_nm")]
    return {5: line, BIG: Bones(both[0], np.concatenate([fork.edges, apart.edges + count]), both[1])}


def run(folder: Path, plan: ProjectPlan) -> tuple[Store, pd.DataFrame]:
    """Both jobs of every merge job of the layer; returns the store and the table."""
    store = Store(folder / "results" / "p")
    layer = plan.datasets["d"].layers["v"]
    assert isinstance(layer, VolumePlan)
    for name in layer.product("skeleton").job_names():
        for rule, function in (("skeleton_graph", write_skeleton_graph), ("skeleton_swc", write_skeleton_swc)):
            function(Job(plan, store, rule, "d", "v", name, 1))
    parts = [pq.read_table(io.BytesIO(store.read(path))) for path in store.list("d/branches/v")]
    assert all(part.schema.names == list(COLUMNS) for part in parts)
    return store, pd.concat([part.to_pandas() for part in parts])


def test_skeletons_are_read_together_as_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = run(tmp_path, project(tmp_path, SWC, {n: bones([[(0, 8, 8), (n, 8, 8)]], 9.0) for n in range(3, 43)}))
    reader = SkeletonReader(store, "d/layers/v/skeletons")
    labels = [40, *range(3, 39), 42, 39]
    alone = [reader.read(label) for label in labels]
    asked: list[str] = []
    read_ranges = Store.read_ranges

    def counting(self: Store, path: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        asked.append(path)
        return read_ranges(self, path, spans)

    monkeypatch.setattr(Store, "read_ranges", counting)
    for one, other in zip(alone, reader.read_together(labels), strict=True):
        assert one is not None
        assert np.array_equal(one.vertices_nm, other.vertices_nm)
        assert np.array_equal(one.edges, other.edges)
        assert all(np.array_equal(a, b) for a, b in zip(one.attributes, other.attributes, strict=True))
    assert len(asked) == len(set(asked)) <= reader.spec.shards
    assert reader.read_together([]) == []


def test_branches_and_trees_are_those_of_the_skeletons(tmp_path: Path) -> None:
    store, table = run(tmp_path, project(tmp_path, SWC, skeletons()))
    line = table[table.label == 5]
    assert line.from_kind.tolist() == ["root", "root"]
    assert sorted(line.length_nm) == [20 * 8, 39 * 8]
    assert line.max_radius_nm.tolist() == [60, 60]
    assert line.strahler.tolist() == [1, 1]
    fork = table[table.label == BIG]
    assert fork.groupby("tree").size().tolist() == [3, 1]
    assert (fork.dataset + "/" + fork.layer).unique().tolist() == ["d/v"]
    np.testing.assert_allclose(fork.tortuosity, 1, atol=1e-6)
    assert list(store.list("d/swc/v")) == [f"d/swc/v/{name}.swc" for name in ("5.0", f"{BIG}.0", f"{BIG}.1")]
    root = decode_swc(store.read("d/swc/v/5.0.swc"))
    assert (root.kinds[0], root.radius_nm[0]) == (SOMA, 60)
    assert root.comments["source"] == "d/v"
    tree = decode_swc(store.read(f"d/swc/v/{BIG}.0.swc"))
    assert tree.comments["label"] == str(BIG)
    assert tree.comments["tree"] == "0 of 2"
    assert sorted(set(tree.kinds.tolist())) == [UNDEFINED, FORK, END]
    cable = sum(np.linalg.norm(tree.points_nm[1:] - tree.points_nm[tree.parent[1:]], axis=1))
    assert cable == pytest.approx(fork[fork.tree == 0].length_nm.sum(), rel=1e-6)


def test_a_second_run_writes_the_same_bytes_and_removes_what_is_no_more(tmp_path: Path) -> None:
    plan = project(tmp_path, SWC, skeletons())
    store, _ = run(tmp_path, plan)
    first = {path: store.read(path) for folder in ("branches", "swc") for path in store.list(f"d/{folder}/v")}
    store.write("d/swc/v/5.1.swc", b"of a longer skeleton")
    store.write("d/swc/v/77.0.swc", b"of a label that has none now")
    store.write("d/branches/v/12.parquet", b"of a plan with more merge jobs")
    store.write("d/swc/v/notes.txt", b"somebody's own")
    run(tmp_path, plan)
    assert store.read("d/swc/v/notes.txt") == b"somebody's own"
    store.delete("d/swc/v/notes.txt")
    assert {path: store.read(path) for f in ("branches", "swc") for path in store.list(f"d/{f}/v")} == first


def test_a_broken_loop_is_said(tmp_path: Path) -> None:
    ring = bones([[(9, 8, 8), (19, 8, 8), (19, 18, 8), (9, 18, 8), (9, 8, 8)]], 20.0)
    store, table = run(tmp_path, project(tmp_path, SWC, {5: ring}))
    assert decode_swc(store.read("d/swc/v/5.0.swc")).comments["loops broken"] == "1"
    assert set(table.to_kind) == {"cut"}


def test_no_skeletons_are_an_empty_table(tmp_path: Path) -> None:
    store, table = run(tmp_path, project(tmp_path, SWC, {}))
    assert len(table) == 0
    assert list(store.list("d/swc/v")) == []


def test_files_go_with_their_option_and_with_the_skeletons(tmp_path: Path) -> None:
    store, _ = run(tmp_path, project(tmp_path, SWC, skeletons()))
    off = project(tmp_path, {"swc": False}, skeletons())
    layer = off.datasets["d"].layers["v"]
    assert isinstance(layer, VolumePlan)
    assert "skeleton_swc" not in layer.digests
    none = off.model_copy(deep=True)
    none.datasets["d"].layers["v"] = layer.model_copy(update={"skeleton": None})
    for name in layer.product("skeleton").job_names():
        Job(off, store, "skeleton_shards", "d", "v", name, 1).finish([])
    Job(off, store, "skeleton_index", "d", "v", "", 1).finish([])
    close_product(Job(off, store, "skeleton_done", "d", "v", "", 1), "skeleton")
    assert list(store.list("d/swc")) == []
    assert list(store.list("d/branches")) != []
    write_layer_info(Job(none, store, "layer_info", "d", "v", "", 1))
    assert list(store.list("d/branches")) == []
