"""The benchmark of skeletons: its measures see what is wrong, its table and figure say what was measured."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bone_shapes import Bones, bones
from test_skeleton_quality import BOX, broken, project

from ophiolite.sample.files import TRUTH_VERSION

pytest.importorskip("cloudvolume")


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    """The benchmarks are no part of the library; they run from the root of the checkout."""
    monkeypatch.syspath_prepend(str(repository))


def layer(folder: Path, second: Bones) -> Path:
    """A layer of two tubes and a cube; the second tube's skeleton is given."""
    folder.mkdir()
    whole = bones([[(0, 8, 8), (59, 8, 8)]], 40.0)
    project(folder, None, {5: whole, 2**53 + 1: second})
    return folder / "results" / "p" / "d" / "layers" / "v"


def line(dataset: str, engine: str, cpu_s: float, **more: Any) -> dict[str, str]:
    from benchmarks.skeleton import HEADER

    facts = {"dataset": dataset, "stage": "skeleton", "engine": engine, "cpu_s": cpu_s, "wall_s": 2.0, "peak_mb": 300}
    facts |= {"parts": 7, "border_broken": 0, "outside_share": 0.25, "coverage": 0.5, "ridge_mean_nm": 3} | more
    return {name: str(facts.get(name, "")) for name in HEADER}


LINES = [("igneous", 100.0), ("ophiolite_jobs", 20.0), ("ophiolite", 25.0)]


def test_quality_sees_what_is_wrong(tmp_path: Path) -> None:
    from benchmarks import skeleton_quality

    good = bones([[(0, 22, 22), (59, 22, 22)]], 40.0)
    layers = {"good": layer(tmp_path / "good", good), "bad": layer(tmp_path / "bad", broken())}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skeleton_quality, "SKELETON_DUST_VX", 100)
        found = skeleton_quality.measure_layers(layers, 0, (30, BOX[1], BOX[2]), None)
        lost = skeleton_quality.measure_layers(
            {"lost": layer(tmp_path / "lost", Bones(np.zeros((0, 3)), np.zeros((0, 2), np.int64), np.zeros(0)))},
            0,
            (30, BOX[1], BOX[2]),
            None,
        )["lost"]
    one, other = found["good"], found["bad"]
    assert (one["objects"], one["parts"], one["components"], one["skeletons"]) == (2, 2, 2, 2)
    assert (one["border_faces"], one["border_broken"], one["outside_share"], one["parts_split"]) == (2, 0, 0, 0)
    assert other["border_broken"] == 1
    assert other["outside_share"] > 0
    assert other["parts_split"] > 0
    assert other["loops"] == 1
    assert (lost["skeletons"], lost["parts_missed"]) == (1, 0)
    assert lost["border_faces"] == one["border_faces"]
    assert lost["coverage"] < one["coverage"]
    assert "truth_missed" not in one


def test_known_centrelines_lie_where_the_benchmarks_place_the_phantom(tmp_path: Path) -> None:
    from benchmarks.phantom import read_centrelines

    branch = {"points_nm": [[10, 20, 30], [20, 20, 30]], "radius_nm": [5, 6]}
    objects = [{"label": str(2**63 + 5), "branches": [branch], "junctions_nm": [[15, 20, 30]]}]
    head = {"version": TRUTH_VERSION, "voxel_offset_vx": [1, 2, 3], "resolution_nm": [10, 10, 10]}
    (tmp_path / "p.truth.json").write_text(json.dumps({**head, "objects": objects}))
    found = read_centrelines(tmp_path / "p.h5")
    assert list(found) == [2**62 + 5]
    lines, junctions = found[2**62 + 5]
    assert lines[0].points_nm.tolist() == [[0, 0, 0], [10, 0, 0]]
    assert junctions.tolist() == [[5, 0, 0]]


def test_the_table_says_the_numbers_and_their_ratio() -> None:
    from benchmarks.engines_table import END
    from benchmarks.skeleton_report import BEGIN, with_table

    lines = [line("t", engine, cpu_s) for engine, cpu_s in LINES]
    page = with_table(f"before\n{BEGIN}\nold\n{END}\nafter\n", lines)
    assert page.startswith("before\n")
    assert page.endswith(f"{END}\nafter\n")
    assert "old" not in page
    assert "| CPU s, fragments and merge | 100.0 | 20.0 |" in page
    assert "| Igneous over it | 1.00 | 5.00 |" in page
    assert "| CPU s, with Snakemake | 100.0 | 25.0 |" in page
    assert "true branches" not in page
    assert with_table(page, lines) == page


def test_a_column_that_older_runs_lack_is_an_empty_cell() -> None:
    from benchmarks.engines_table import table
    from benchmarks.skeleton_report import MEASURES

    old, new = line("t", "igneous", 100.0), line("t", "ophiolite", 25.0, parts_long=5)
    del old["parts_long"]
    row = "of them 1.2 µm long or more"
    assert f"| {row} |  | 5 |" in table([old, new], "skeleton", MEASURES)
    assert row not in table([old], "skeleton", MEASURES)


def test_long_parts_are_those_that_are_to_have_a_skeleton(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import skeleton_quality

    monkeypatch.setattr(skeleton_quality, "SKELETON_MIN_CABLE_NM", 100)
    mask = np.zeros((20, 20, 20), bool, order="F")
    mask[2:14, 3:6, 3:6] = True  # 12 voxels of 10 nm
    mask[2:13, 10:13, 3:6] = True
    mask[2:19, 17, 17] = True  # fewer voxels than asked for
    assert skeleton_quality.parts_of(mask, np.full(3, 10.0), 50) == (2, 1)
    assert skeleton_quality.parts_of(mask, np.full(3, 10.0), 0) == (3, 2)


def test_the_figure_is_drawn_alike_twice(tmp_path: Path) -> None:
    from benchmarks.skeleton_figure import draw, value_of

    lines = [line("t", engine, cpu_s) for engine, cpu_s in LINES]
    draw(lines, tmp_path / "a")
    draw(lines, tmp_path / "b")
    assert {p.name for p in tmp_path.iterdir()} == {"a.svg", "a.png", "b.svg", "b.png"}
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert value_of(lines[0], "coverage") == 50
    assert value_of(lines[0], "outside_share") == 25


def test_rows_of_other_datasets_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import skeleton
    from benchmarks.datasets import Dataset

    table = tmp_path / "skeleton.csv"
    of: dict[str, list[float]] = {"fib25": [1, 2, 3], "phantom": [4, 5, 6]}
    data = {name: Dataset(name, table, None, "l", (1, 1, 1), (1, 1, 1), (2, 2, 2), 1, 0, (1, 1, 1), 1) for name in of}
    monkeypatch.setattr(skeleton, "volumes", lambda: list(data.values()))
    monkeypatch.setattr(
        skeleton, "run", lambda d: [line(d.name, e, c) for (e, _), c in zip(LINES, of[d.name], strict=True)]
    )
    for arguments in ([], ["--dataset", "fib25"]):
        monkeypatch.setattr("sys.argv", ["skeleton", "--table", str(table), *arguments])
        skeleton.main()
        of["fib25"] = [7, 8, 9]
    with open(table, newline="") as file:
        rows = [(row["dataset"], float(row["cpu_s"])) for row in csv.DictReader(file)]
    assert rows == [("phantom", 4), ("phantom", 5), ("phantom", 6), ("fib25", 7), ("fib25", 8), ("fib25", 9)]
    assert (tmp_path / "skeleton.svg").exists()


def test_the_page_holds_the_table_that_was_measured() -> None:
    from benchmarks.run import read_csv
    from benchmarks.skeleton import TABLE
    from benchmarks.skeleton_report import PAGE, with_table

    assert with_table(PAGE.read_text(), read_csv(TABLE)) == PAGE.read_text()
