"""Commands called by hand with names that do not fit the plan: one sentence each, exit code 1."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from workspace import run

from ophiolite.__main__ import main


def test_the_environment_that_make_sets_up_knows_the_commands(tmp_path: Path) -> None:
    """`python -m ophiolite` by hand, without the PYTHONPATH that make and the rules set."""
    done = run([sys.executable, "-m", "ophiolite", "--help"], tmp_path)
    assert done.code == 0, done.text
    assert "make_plan" in done.text


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("by_hand")
    with h5py.File(folder / "v.h5", "w") as file:
        file["raw"] = np.zeros((10, 20, 30), np.uint8)
        file["labels"] = np.ones((10, 20, 30), np.uint64)
    (folder / "points.csv").write_text("x,y,z\n1,2,3\n")
    common = {"resolution_nm": [8, 8, 8]}
    layers = {
        "em": {"type": "image", "source": f"{folder}/v.h5:/raw", **common},
        "cells": {"type": "segmentation", "source": f"{folder}/v.h5:/labels", "mesh": {}, **common},
        "points": {"type": "annotations", "source": f"{folder}/points.csv", "kind": "point"},
    }
    config = {"project": "p", "store": str(folder / "results"), "datasets": {"d": {"layers": layers}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["make_plan", "--config", str(folder / "config.yaml")]) == 0
    return folder / "results" / "p" / "plan.json"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("refuse --dataset nope --layer em", "d/cells, d/em, d/points"),
        ("refuse --dataset d --layer em", "was not refused, it is planned as image"),
        ("layer_info --dataset d --layer nope", "is not in the plan"),
        ("pyramid_blocks --dataset d --layer em --block r0.9-0-0", "outside the grid"),
        ("pyramid_blocks --dataset d --layer em --block r7.0-0-0", "r7.0-0-0: expected rN.x-y-z"),
        ("pyramid_blocks --dataset d --layer em --block 0-0-0", "expected rN.x-y-z"),
        ("pyramid_blocks --dataset d --layer points --block r0.0-0-0", "is a layer of annotations"),
        ("mesh_fragments --dataset d --layer em --block 0-0-0", "has no mesh in the plan. Add `mesh:`"),
        ("mesh_fragments --dataset d --layer cells --block middle", "expected three numbers as x-y-z"),
        ("mesh_shards --dataset d --layer cells --job 9", "Expected 0 to 0. Got 9"),
        ("mesh_index --dataset d --layer cells", "cannot be read"),
        ("skeleton_done --dataset d --layer cells", "has no skeleton in the plan"),
        ("skeleton_objects --dataset d --layer cells --job 0", "has no skeleton in the plan"),
        ("label_stats --dataset d --layer cells --part x", "Expected 0 to 0. Got x"),
        ("label_stats --dataset d --layer em --part 0", "is an image, label_stats needs labels"),
        ("object_table --dataset d --layer em --part 0", "is an image, object_table needs labels"),
        ("segment_properties --dataset d --layer em", "is an image, segment_properties needs labels"),
        ("annotation_layer --dataset d --layer em", "is no layer of annotations"),
    ],
)
def test_a_name_that_does_not_fit_is_said(
    plan: Path, command: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *arguments = command.split()
    before = sorted(plan.parent.rglob("*"))
    assert main([name, "--plan", str(plan), *arguments]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"ophiolite {name}: ")
    assert said in message
    assert sorted(plan.parent.rglob("*")) == before


def test_a_plan_of_another_version_is_said(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.json").write_text('{"version": 99}')
    assert main(["plan", "--plan", str(tmp_path / "plan.json")]) == 1
    assert "is no plan of this version" in capsys.readouterr().err
    assert main(["layer_info", "--plan", "absent.json", "--dataset", "d", "--layer", "em"]) == 1
    assert "Run `snakemake plan` first" in capsys.readouterr().err


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["meshes"]) == 2
    assert "no command 'meshes'" in capsys.readouterr().err
    assert main([]) == 2
    assert main(["--help"]) == 0
