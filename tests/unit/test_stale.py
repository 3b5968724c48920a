"""A new plan removes what an older one left to be mistaken for done, and refuses annotations of a refused layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from ophiolite.__main__ import main
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan, Refused, VolumePlan
from ophiolite.stages.job import load_plan
from ophiolite.stages.stale import planned_jobs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["v"] = np.random.default_rng(0).integers(0, 256, (40, 40, 40), dtype=np.uint8)
    return tmp_path


def plan(folder: Path, layers: dict[str, Any], blocks: int) -> ProjectPlan:
    config = {
        "project": "p",
        "store": str(folder / "results"),
        "jobs": {"min_blocks": blocks},
        "datasets": {"d": {"layers": layers}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["make_plan", "--config", str(folder / "config.yaml")]) == 0
    return load_plan(folder / "results" / "p" / "plan.json")


def image(folder: Path, encoding: str) -> dict[str, Any]:
    pyramid = {"chunk_vx": [8, 8, 8], "task_vx": [16, 16, 16], "encoding": encoding}
    return {"em": {"type": "image", "source": f"{folder}/raw.h5:/v", "resolution_nm": [8, 8, 8], "pyramid": pyramid}}


def run_blocks(folder: Path, plan: ProjectPlan) -> set[str]:
    volume = plan.datasets["d"].layers["em"]
    assert isinstance(volume, VolumePlan)
    arguments = ["--plan", str(folder / "results" / "p" / "plan.json"), "--dataset", "d", "--layer", "em"]
    done = set()
    for rule, item in planned_jobs(volume):
        if rule == "pyramid_blocks":
            assert main([rule, *arguments, "--block", item]) == 0
            done.add(f"d/receipts/em/{rule}/{item}.json")
    return done


def receipts(folder: Path) -> set[str]:
    return set(Store(folder / "results" / "p").list("d/receipts/em"))


def test_receipts_of_older_settings_do_not_come_back_to_life(folder: Path) -> None:
    first = run_blocks(folder, plan(folder, image(folder, "raw"), 8))
    assert receipts(folder) == first
    assert len(first) > 1
    again = plan(folder, image(folder, "raw"), 8)
    assert receipts(folder) == first, "the same plan keeps what is done"
    assert run_blocks(folder, again) == first
    second = run_blocks(folder, plan(folder, image(folder, "png"), 1))
    assert receipts(folder) == second
    plan(folder, image(folder, "raw"), 8)
    assert receipts(folder) == set(), "nothing of either may count as done"
    assert list(Store(folder / "results" / "p").list("d/timings")) == sorted(
        f"d/timings/pyramid_blocks/em.{Path(p).name}" for p in first & second
    )


def test_a_receipt_whose_file_is_gone_is_not_closed_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_blocks(folder, plan(folder, image(folder, "raw"), 8))
    next((folder / "results" / "p" / "d" / "layers" / "em").rglob("*.shard")).unlink()
    arguments = ["--plan", str(folder / "results" / "p" / "plan.json"), "--dataset", "d", "--layer", "em"]
    assert main(["layer_done", *arguments]) == 1
    assert "is not what its receipt says" in capsys.readouterr().err


def test_annotations_of_a_refused_segmentation_are_refused_with_it(folder: Path) -> None:
    (folder / "points.csv").write_text("x,y,z\n1,2,3\n")
    layers = {
        **image(folder, "raw"),
        "seg": {"type": "segmentation", "source": str(folder / "absent.h5:/v")},
        "points": {"type": "annotations", "source": str(folder / "points.csv"), "kind": "point", "segmentation": "seg"},
    }
    made = plan(folder, layers, 1).datasets["d"].layers
    assert isinstance(made["em"], VolumePlan)
    assert isinstance(made["points"], Refused)
    assert "seg" in made["points"].error
    assert "absent.h5" in made["points"].error


@pytest.mark.parametrize(("method", "dtype", "channels"), [("mode", "u1", 3), ("mode", "f4", 1), ("mean", "u8", 1)])
def test_methods_without_a_meaning_for_the_voxels_are_refused(
    tmp_path: Path, method: str, dtype: str, channels: int
) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["v"] = np.zeros((20, 20, 20, channels), dtype=dtype)
    layers = image(tmp_path, "raw")
    layers["em"]["pyramid"]["method"] = method
    made = plan(tmp_path, layers, 1).datasets["d"].layers["em"]
    assert isinstance(made, Refused), made
