"""A soma whose nucleus is a label of its own, cut by the planes of tasks: repaired where it is seen whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from soma_shapes import MIDDLE, RADIUS_VX, SIDE_VX, VOXEL_NM, WAYS, ball, soma
from test_skeleton_objects import bones, degrees_in_soma, facts, run, write

from ophiolite.geometry import Box
from ophiolite.kernels.label_stats import label_stats
from ophiolite.kernels.skeleton_measure import graph_measures
from ophiolite.layers.objects import SkeletonReader
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.receipts import read_receipt, write_receipt
from ophiolite.layers.store import Store
from ophiolite.stages.job import Job, load_plan
from ophiolite.stages.skeleton_candidates import can_hold_ball, lie_within
from ophiolite.stages.skeleton_quality import run_skeleton_quality
from ophiolite.stages.skeleton_quality_table import TABLE

SOMA, NUCLEUS, SPECK, FAR = 7, 13, 17, 19
NUCLEUS_VX = 13


def labels() -> NDArray[np.uint64]:
    """A soma, in it an envelope that is no label, a nucleus and a speck; a far label."""
    shape = (SIDE_VX,) * 3
    out = np.where(soma(), SOMA, 0).astype(np.uint64)
    out[ball(shape, MIDDLE, NUCLEUS_VX + 1.5)] = 0
    out[ball(shape, MIDDLE, NUCLEUS_VX)] = NUCLEUS
    out[43:46, 48:51, 51:54] = SPECK
    out[2:8, 2:40, 2:8] = FAR
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project traced task by task and looked at whole."""
    path = tmp_path_factory.mktemp("nuclei")
    with h5py.File(path / "v.h5", "w") as file:
        file["labels"] = labels().T
    write(path, fix_avocados=True)
    run(path, "layer_info", "pyramid_blocks", "label_stats", "layer_done", "skeleton_fragments", "skeleton_index")
    run(path, "skeleton_objects")
    return path


def job_of(folder: Path, rule: str) -> Job:
    return Job(load_plan(folder / "results/p/plan.json"), Store(folder / "results" / "p"), rule, "d", "cells", "0", 1)


def stored(folder: Path) -> list[int]:
    found: list[int] = SkeletonReader(Store(folder / "results" / "p"), "d/layers/cells/skeletons").keys().tolist()
    return sorted(found)


def test_a_soma_cut_by_planes_is_one_with_its_nucleus(folder: Path) -> None:
    run(folder, "skeleton_shards")
    said = facts(folder)
    assert said["nuclei"] == [str(NUCLEUS), str(SPECK)]
    assert said["objects"][str(SOMA)]["somata"] == 1
    assert stored(folder) == [SOMA, FAR]
    found = bones(folder, SOMA)
    assert degrees_in_soma(found) == [len(WAYS)]
    graph = graph_measures(found)
    assert (graph.components, graph.loops) == (1, 0)
    root = np.bincount(found.edges.ravel()).argmax()
    assert np.linalg.norm(found.vertices_nm[root] / VOXEL_NM - 0.5 - np.array(MIDDLE)) < 2
    job = job_of(folder, "skeleton_quality")
    run_skeleton_quality(job)
    table = TABLE.read(job.store, TABLE.part_paths(job.project, "d", "cells")).to_pandas().set_index("label")
    assert table["status"].to_dict() == {SOMA: "measured", NUCLEUS: "nucleus", SPECK: "dust", FAR: "measured"}
    assert table["gravity"].to_dict()[NUCLEUS] == 0


def test_without_it_tasks_leave_the_nucleus_apart(folder: Path) -> None:
    store, path = Store(folder / "results" / "p"), LayerPaths("d", "cells").receipt("skeleton_objects", "0")
    sound = read_receipt(store, path)
    write_receipt(store, path, replace(sound, facts={"ranges": [], "nuclei": []}))
    run(folder, "skeleton_shards")
    write_receipt(store, path, sound)
    assert stored(folder) == [SOMA, NUCLEUS, FAR]
    assert degrees_in_soma(bones(folder, SOMA)) != [len(WAYS)]


def test_a_label_that_goes_on_elsewhere_is_no_nucleus(folder: Path) -> None:
    x, y, z = (int(m) for m in MIDDLE)
    around = Box((x - 15, y - 15, z - 15), (x + 16, y + 16, z + 16))
    found = lie_within(job_of(folder, "skeleton_objects"), {NUCLEUS: around, SPECK: around, FAR: around, 999: around})
    assert found == [NUCLEUS, SPECK]


def test_the_shell_about_a_nucleus_can_be_a_soma() -> None:
    shape = (SIDE_VX,) * 3
    shell = ball(shape, MIDDLE, RADIUS_VX) & ~ball(shape, MIDDLE, NUCLEUS_VX + 1.5)
    of = label_stats(shell.astype(np.uint64), (0, 0, 0))
    volume, radius_nm = Box((0, 0, 0), shape), VOXEL_NM[0] * RADIUS_VX
    assert not can_hold_ball(of, volume, VOXEL_NM, radius_nm).any()
    assert can_hold_ball(of, volume, VOXEL_NM, radius_nm, 0.5).all()


def test_a_named_soma_is_traced_with_its_nucleus(folder: Path) -> None:
    write(folder, fix_avocados=True, whole_labels=[SOMA])
    run(folder, "skeleton_objects", "skeleton_shards")
    assert facts(folder)["nuclei"] == [str(NUCLEUS), str(SPECK)]
    assert stored(folder) == [SOMA, FAR]
    assert degrees_in_soma(bones(folder, SOMA)) == [len(WAYS)]
