"""Skeletons at borders and against known centrelines; the table, page and figures; skeletons broken on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from bone_shapes import NM, ORIGIN, bones, ring, tubes

from ophiolite.config.load import parse_config
from ophiolite.errors import FormatError
from ophiolite.kernels.skeleton_borders import BorderMeasures, border_measures
from ophiolite.kernels.skeleton_measure import Bones, component_measures, distance_field
from ophiolite.kernels.skeleton_truth import Centreline, truth_measures
from ophiolite.layers.store import Store
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.precomputed.sharding import ShardingSpec, build_shard, locate, shard_name
from ophiolite.precomputed.skeleton import encode_skeleton
from ophiolite.report import skeleton_quality_figures as figures
from ophiolite.report.skeleton_faults import FAULTS, faults_of, gravity_of
from ophiolite.stages import skeleton_quality
from ophiolite.stages.job import Job
from ophiolite.stages.layer import reduce_statistics, write_layer_info
from ophiolite.stages.pyramid_block import run_pyramid_block
from ophiolite.stages.skeleton import write_info
from ophiolite.stages.skeleton_quality import read_truth, run_skeleton_quality
from ophiolite.stages.skeleton_quality_section import paragraphs, skeleton_section
from ophiolite.stages.skeleton_quality_table import COLUMNS, TABLE

BOX = (60, 31, 31)
PLANE = ([30], [], [])
TUBE = tubes(BOX, [[(-20, 15, 15), (80, 15, 15)]], 40.0)
AXIS = [(0, 15, 15), (59, 15, 15)]


def at_border(line: Bones, mask: Any = TUBE) -> BorderMeasures:
    return border_measures(line, mask, distance_field(mask, NM), ORIGIN, NM, PLANE)


def test_one_clean_crossing() -> None:
    assert at_border(bones([AXIS], 40.0)) == BorderMeasures(faces=1)


def test_a_jump_across_the_plane_is_a_crossing() -> None:
    far = bones([[(20, 15, 15), (27, 15, 15)], [(33, 15, 15), (40, 15, 15)]], 40.0)
    ends = [int(np.argmin(np.abs(far.vertices_nm[:, 0] - 8 * (x + 0.5)))) for x in (27, 33)]
    joined = Bones(far.vertices_nm, np.concatenate([far.edges, [ends]]), far.radius_nm)
    assert at_border(joined) == BorderMeasures(faces=1)
    assert at_border(far) == BorderMeasures(faces=1, uncrossed=1, broken=1)


@pytest.mark.parametrize(
    ("lines", "spurs"),
    [([[(0, 15, 15), (30, 15, 15)]], 1), ([[(0, 15, 15), (28, 15, 15)], [(31, 15, 15), (59, 15, 15)]], 0)],
)
def test_a_gap_at_the_border_is_broken(lines: Any, spurs: int) -> None:
    assert at_border(bones(lines, 40.0)) == BorderMeasures(faces=1, uncrossed=1, broken=1, spurs=spurs)


def test_an_end_at_the_border_of_what_goes_round_by_another_way_is_not_broken() -> None:
    mask = tubes(BOX, [[(5, 8, 15), (55, 8, 15), (55, 22, 15), (5, 22, 15), (5, 8, 15)]], 24.0)
    found = at_border(bones([[(30, 8, 15), (5, 8, 15), (5, 22, 15), (55, 22, 15)]], 24.0), mask)
    assert found == BorderMeasures(faces=2, uncrossed=1, spurs=1)


def test_a_spur_to_a_grazed_border_is_counted() -> None:
    short = TUBE.copy()
    short[31:] = False
    assert at_border(bones([[(0, 15, 15), (30, 15, 15)]], 40.0), short) == BorderMeasures(spurs=1)


def test_two_traces_through_one_face_are_doubled_and_parallel() -> None:
    beside = [[(0, 15, 15), (15, 15, 15)], [(15, 15, 15), (15, 18, 15), (45, 18, 15), (45, 15, 15)]]
    found = at_border(bones([*beside, AXIS], 40.0))
    assert found == BorderMeasures(faces=1, doubled=1, parallel=2)


def test_where_four_tasks_meet_in_a_face_each_two_may_join_once() -> None:
    beside = [[(0, 15, 15), (15, 15, 15)], [(15, 15, 15), (15, 18, 15), (45, 18, 15), (45, 15, 15)]]
    lines = bones([*beside, AXIS], 40.0)

    def at(plane: int) -> int:
        field = distance_field(TUBE, NM)
        return border_measures(lines, TUBE, field, ORIGIN, NM, [*PLANE[:1], [plane], []]).doubled

    assert [at(plane) for plane in (17, 18, 25)] == [0, 0, 1]


def test_a_trace_doubled_on_one_side_only_is_parallel_there() -> None:
    found = at_border(bones([AXIS, [(30, 15, 15), (30, 18, 15), (59, 18, 15)]], 40.0))
    assert found == BorderMeasures(faces=1, parallel=1)


def test_a_fork_at_the_border_is_no_parallel() -> None:
    arms = [[(0, 15, 15), (28, 15, 15)], [(28, 15, 15), (40, 27, 15)], [(28, 15, 15), (40, 3, 15)]]
    mask = tubes(BOX, [[(-20, 15, 15), (28, 15, 15)], [(28, 15, 15), (48, 35, 15)], [(28, 15, 15), (48, -5, 15)]], 24.0)
    found = at_border(bones(arms, 24.0), mask)
    assert (found.faces, found.broken, found.parallel) == (1, 0, 0)


def test_a_ring_cut_open_at_a_border_is_not_broken() -> None:
    mask = np.pad(ring((41, 41, 13), 14, 3), ((10, 9), (0, 0), (0, 0)))
    turns = np.linspace(0.3, 2 * np.pi - 0.1, 150) + np.pi / 2
    at = np.unique(np.rint(np.stack([30 + 14 * np.cos(turns), 20 + 14 * np.sin(turns), 6 + 0 * turns], 1)), axis=0)
    order = np.argsort((np.arctan2(at[:, 1] - 20, at[:, 0] - 30) - np.pi / 2 - 0.2) % (2 * np.pi))
    edges = np.stack([order[:-1], order[1:]], axis=1)
    found = at_border(Bones((at + 0.5) * NM, edges, np.full(len(at), 24.0)), mask)
    assert found == BorderMeasures(faces=2, uncrossed=1)


def test_what_ends_at_the_plane_or_lies_off_it_is_no_face() -> None:
    short = TUBE.copy()
    short[33:] = False
    assert at_border(bones([[(0, 15, 15), (32, 15, 15)]], 40.0), short) == BorderMeasures()
    assert border_measures(bones([AXIS]), TUBE, distance_field(TUBE, NM), ORIGIN, NM, ([0, 59, 70], [], [])).faces == 0


STEM = Centreline((np.array(np.linspace((6, 20, 10), (34, 20, 10), 60)) + 0.5) * NM, np.full(60, 20.0))
TWIG = Centreline((np.array(np.linspace((20, 20, 10), (20, 36, 10), 30)) + 0.5) * NM, np.full(30, 16.0))
FORK = TWIG.points_nm[:1]


def test_the_true_centreline_has_no_fault() -> None:
    found = truth_measures(bones([[(6, 20, 10), (34, 20, 10)], [(20, 20, 10), (20, 36, 10)]]), (STEM, TWIG), FORK, NM)
    assert (found.branches, found.missed, found.false) == (2, 0, 0)
    assert found.distance_nm.max() < 2


def test_missed_and_false_branches_and_distances_are_flagged() -> None:
    beside = bones([[(6, 21, 10), (34, 21, 10)], [(12, 21, 10), (12, 36, 10)]])
    found = truth_measures(beside, (STEM, TWIG), FORK, NM)
    assert (found.branches, found.missed, found.false) == (2, 1, 1)
    assert np.median(found.distance_nm[:28]) == pytest.approx(8, abs=0.1)


def test_faults_are_told_gravest_first() -> None:
    assert faults_of(dict.fromkeys(FAULTS) | {"loops": np.nan}) == []
    row = {"components_split": 2, "loops": 0, "radius_error_share": 0.4, "border_doubled": 1}
    assert faults_of(row) == ["in 3 parts where the object is one", "double at 1 border", "radii 40 % off"]
    assert gravity_of(row) == 13
    assert gravity_of({"radius_error_share": 0.2}) == 0


def project(
    folder: Path, settings: dict[str, Any] | None = None, bones_of: dict[int, Bones] | None = None, hollow: Any = None
) -> ProjectPlan:
    """Two tubes and a cube, across two tasks; skeletons of the tubes, the second one broken in every way."""
    labels = np.zeros(BOX, np.uint64)
    labels[tubes(BOX, [[(-20, 8, 8), (80, 8, 8)]], 40.0)] = 5
    labels[tubes(BOX, [[(-20, 22, 22), (80, 22, 22)]], 40.0)] = 2**53 + 1
    labels[2:6, 20:24, 2:6] = 9
    if hollow is not None:
        labels[hollow] = 0
    with h5py.File(folder / "s.h5", "w") as file:
        file["v"] = labels.T
    layer = {
        "type": "segmentation",
        "source": f"{folder}/s.h5:/v",
        "resolution_nm": NM.tolist(),
        "skeleton": {"mip": 0, "task_vx": [32, 32, 32], "dust_vx": 0, "min_cable_nm": 100} | (settings or {}),
    }
    config = {"project": "p", "store": str(folder / "results"), "datasets": {"d": {"layers": {"v": layer}}}}
    plan = make_plan(parse_config(config, "test"), Path(), Speeds())
    volume, store = plan.datasets["d"].layers["v"], Store(folder / "results" / "p")
    assert isinstance(volume, VolumePlan), volume
    assert volume.skeleton is not None
    write_layer_info(Job(plan, store, "layer_info", "d", "v", "", 1))
    for block in volume.rounds[0].block_names():
        job = Job(plan, store, "pyramid_blocks", "d", "v", f"r0.{block}", 1)
        job.finish(run_pyramid_block(job, 0, block)[0])
    for part in range(volume.stats_parts):
        reduce_statistics(Job(plan, store, "label_stats", "d", "v", str(part), 1), part)
    write_info(Job(plan, store, "skeleton_shards", "d", "v", "", 1))
    spec = ShardingSpec.from_json(volume.skeleton.sharding, "test")
    depth = distance_field(labels == 5, NM)[20, 8, 8]
    found = {5: bones([[(0, 8, 8), (59, 8, 8)]], depth), 2**53 + 1: broken()} if bones_of is None else bones_of
    for shard in range(spec.shards):
        entries = [
            (label, b"", encode_skeleton(b.vertices_nm.astype("f4"), b.edges.astype("u4"), [b.radius_nm.astype("f4")]))
            for label, b in found.items()
            if locate(spec, np.array([label], np.uint64))[0][0] == shard
        ]
        path = f"d/layers/v/{volume.skeleton.folder}/{shard_name(spec, shard)}"
        store.write(path, build_shard(spec, shard, entries))
    return plan


def broken() -> Bones:
    """A gap at the border, a vertex outside, a loop and a wrong radius."""
    square = [(40, 22, 22), (44, 22, 22), (44, 24, 22), (40, 24, 22), (40, 22, 22)]
    return bones([[(0, 22, 22), (30, 22, 22)], [(36, 22, 22), (59, 22, 22)], square, [(0, 22, 22), (0, 30, 30)]], 90.0)


def test_a_layers_skeletons_are_measured_where_they_stand(tmp_path: Path) -> None:
    plan = project(tmp_path)
    store = Store(tmp_path / "results" / "p")
    volume = plan.datasets["d"].layers["v"]
    assert isinstance(volume, VolumePlan)
    assert volume.skeleton is not None
    for name in volume.skeleton.job_names():
        run_skeleton_quality(Job(plan, store, "skeleton_quality", "d", "v", name, 1))
    assert TABLE.write(plan, store) == 3
    table = pd.read_parquet(store.local("tables/skeleton_quality.parquet")).set_index("label", drop=False)
    good, bad = table.loc[5], table.loc[2**53 + 1]
    assert good["faults"] == ""
    assert good["status"] == "measured"
    assert good["cable_um"] == pytest.approx(59 * 0.008, rel=1e-5)
    assert (good["terminals"], good["lee_terminals"], good["object_components"]) == (2, 2, 1)
    assert good["radius_error_mean_nm"] == pytest.approx(0, abs=1e-3)
    assert (good["ridge_mean_nm"], good["outside_label"]) == (0, 0)
    assert 0.9 < good["coverage"] <= 1
    assert good["border_faces"] == bad["border_faces"] == 1
    assert (bad["components_split"], bad["border_broken"], bad["loops"]) == (1, 1, 1)
    assert bad["outside_label"] > 0
    assert bad["radius_error_share"] > 0.5
    assert "broken at 1 border" in bad["faults"]
    header = store.read("tables/skeleton_quality.csv").decode().splitlines()[0]
    assert [name.strip('"') for name in header.split(",")] == list(COLUMNS)
    section = skeleton_section(plan, store)
    text = " ".join(section.text)
    assert "d/v: 2 of 3 objects have a skeleton: 1 short. 2 were measured." in text
    assert "d/v: const_nm 10 (the paper's: 50)." in str(section.tables[0].note)
    assert "1 are broken" in text
    assert section.figures[-1].links[0] == (str(2**53 + 1), f"object?dataset=d&layer=v&label={2**53 + 1}")
    first = store.read(TABLE.part_paths(plan, "d", "v")[0])
    run_skeleton_quality(Job(plan, store, "skeleton_quality", "d", "v", volume.skeleton.job_names()[0], 1))
    assert store.read(TABLE.part_paths(plan, "d", "v")[0]) == first
    table["status"] = "too large"
    for draw in (figures.draw_lee, figures.draw_centring, figures.draw_borders, figures.draw_components):
        for rows in (table, table.head(0)):
            twice = [tmp_path / "a.svg", tmp_path / "b.svg"]
            for path in twice:
                draw(rows, path)
            assert twice[0].read_bytes() == twice[1].read_bytes()


def test_what_is_too_large_is_counted_and_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = project(tmp_path)
    store = Store(tmp_path / "results" / "p")
    monkeypatch.setattr(skeleton_quality, "_BYTES_PER_VX", 10**9)
    table = measured(plan, store).reset_index(drop=True)
    assert table["status"].tolist() == ["too large", "without skeleton, too large to judge", "too large"]
    assert table["cable_um"].notna().tolist() == [True, False, True]
    assert table["coverage"].isna().all()
    text = " ".join(paragraphs("d/v", table))
    assert text == (
        "d/v: 2 of 3 objects have a skeleton: 1 without skeleton, too large to judge. 0 were measured (2 too large)."
    )


def measured(plan: ProjectPlan, store: Store) -> pd.DataFrame:
    volume = plan.datasets["d"].layers["v"]
    assert isinstance(volume, VolumePlan)
    assert volume.skeleton is not None
    for name in volume.skeleton.job_names():
        run_skeleton_quality(Job(plan, store, "skeleton_quality", "d", "v", name, 1))
    table: pd.DataFrame = TABLE.read(store, TABLE.part_paths(plan, "d", "v")).to_pandas()
    return table.set_index("label", drop=False)


LINE = [[(0, 8, 8), (59, 8, 8)]]


def test_a_lost_skeleton_is_named_and_one_of_nothing_too(tmp_path: Path) -> None:
    plan = project(tmp_path, bones_of={5: bones(LINE, 40.0), 77: bones(LINE)})
    store = Store(tmp_path / "results" / "p")
    table = measured(plan, store)
    assert table["status"].to_dict() == {
        5: "measured", 9: "short", 77: "without voxels", 2**53 + 1: "without skeleton",
    }  # fmt: skip
    assert table.loc[2**53 + 1, "faults"] == "no skeleton"
    assert table.loc[77, "faults"] == "a skeleton of a label without voxels"
    assert table["gravity"].tolist() == [0, 0, 10, 10]
    section = skeleton_section(plan, store)
    assert "1 of 3 objects have a skeleton: 1 short, 1 without skeleton, 1 without voxels." in section.text[0]
    assert any(str(2**53 + 1) in row for row in section.tables[1].rows)


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"dust_vx": 100}, "dust"),
        ({"exclude_labels": [9]}, "not asked for"),
        ({"labels": [5]}, "not asked for"),
        ({"min_cable_nm": 40}, "short"),
    ],
)
def test_what_has_no_skeleton_by_the_settings_is_no_fault(
    tmp_path: Path, settings: dict[str, Any], status: str
) -> None:
    row = measured(project(tmp_path, settings), Store(tmp_path / "results" / "p")).loc[9]
    assert (row["status"], row["faults"], row["gravity"]) == (status, "", 0)


HOLLOW = tubes(BOX, [[(4, 8, 8), (27, 8, 8)]], 16.0)


def test_a_hollow_tube_is_measured_as_it_was_filled(tmp_path: Path) -> None:
    for fill in (False, True):
        folder = tmp_path / str(fill)
        folder.mkdir()
        row = measured(project(folder, {"fill_holes": fill}, hollow=HOLLOW), Store(folder / "results" / "p")).loc[5]
        assert row["filled_vx"] == (int(HOLLOW.sum()) if fill else 0)
        assert (row["outside_label"] == 0) == fill
        assert ("outside the object" in row["faults"]) != fill


def test_nuclei_merged_into_somata_are_not_outside(tmp_path: Path) -> None:
    plan, store = project(tmp_path, {"fix_avocados": True}, hollow=HOLLOW), Store(tmp_path / "results" / "p")
    table = measured(plan, store)
    assert table["outside_label"].isna().all()
    assert not table["faults"].str.contains("outside the object").any()
    assert "not judged where nuclei" in skeleton_section(plan, store).text[1]


def test_the_papers_settings_are_called_so(tmp_path: Path) -> None:
    plan, store = project(tmp_path, {"scale": 3, "const_nm": 50}), Store(tmp_path / "results" / "p")
    measured(plan, store)
    assert "d/v: the same settings." in str(skeleton_section(plan, store).tables[0].note)


def test_small_parts_without_skeleton_are_no_fault() -> None:
    mask = TUBE.copy()
    mask[:, 0:2, 0:2] = False
    mask[10:13, 1:3, 1:3] = True
    found = component_measures(bones([AXIS]), mask, ORIGIN, NM, 5, 200.0)
    assert (found.objects, found.missed, found.short) == (2, 0, 1)
    assert component_measures(bones([AXIS]), mask, ORIGIN, NM, 5, 20.0).missed == 1


def test_a_complaint_without_ridge_says_so() -> None:
    row = {"faults": "", "outside_mesh_share": 0.0, "ridge_p95_nm": float("nan")}
    assert figures.complaint(row) == "no fault; its distance to the middle cannot be measured"


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write("a.parquet", TABLE.part([]))
    assert TABLE.read(store, ["a.parquet"]).column_names == list(COLUMNS)
    assert TABLE.read(store, []).column_names == list(COLUMNS)


def test_truth_lies_beside_a_sample_and_nowhere_else(tmp_path: Path) -> None:
    assert read_truth(f"{tmp_path}/s.h5:/v") == {}
    assert read_truth("https://example.org/s.n5") == {}
    branch = {"points_nm": [[0, 0, 0], [8, 0, 0]], "radius_nm": [3, 3]}
    data: dict[str, Any] = {
        "version": 1,
        "objects": [{"label": "7", "branches": [branch], "junctions_nm": []}, {"label": "8"}],
    }
    (tmp_path / "s.truth.json").write_text(json.dumps(data))
    found = read_truth(f"{tmp_path}/s.h5:/v")
    assert list(found) == [7]
    assert found[7].lines[0].points_nm.tolist() == branch["points_nm"]
    data["version"] = 99
    (tmp_path / "s.truth.json").write_text(json.dumps(data))
    with pytest.raises(FormatError, match="another version"):
        read_truth(f"{tmp_path}/s.h5:/v")
