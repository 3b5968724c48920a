"""Skeletons through Igneous and through the workflow: what they cost and what they are worth.

Writes `benchmarks/results/skeleton.csv` with its figure, and the table of `docs/skeleton.md`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import engine_igneous, engine_ophiolite
from benchmarks.datasets import REPOSITORY, RESULTS, SKELETON_SCALE, WORK, Dataset, volumes
from benchmarks.engine_igneous import Igneous
from benchmarks.engine_ophiolite import Ophiolite
from benchmarks.measure import Row
from benchmarks.report import machine
from benchmarks.run import STAGE_COLUMNS, cells, read_csv, say, write_csv
from benchmarks.skeleton_figure import draw
from benchmarks.skeleton_quality import COLUMNS
from benchmarks.skeleton_report import PAGE, with_table

KIMIMARO = "ophiolite_kimimaro"
HEADER = (*STAGE_COLUMNS, *COLUMNS, "date", "commit")
TABLE = RESULTS / "skeleton.csv"
# Where kimimaro runs inside our workflow too; on the largest it would take as long as all of Igneous's stages.
WITH_KIMIMARO = ("phantom", "fib25")
# Voxels of one task, all at mip 0.
TASKS_VX = {"phantom": (128, 128, 128), "fib25": (128, 128, 128), "pinky40": (256, 256, 256)}


@dataclass(frozen=True)
class WithKimimaro(Ophiolite):
    """The workflow with kimimaro as the kernel of its fragments."""

    engine: str = KIMIMARO

    def _config(self, project: str) -> dict[str, Any]:
        data = super()._config(project)
        layer = data["datasets"][engine_ophiolite.DATASET]["layers"][engine_ophiolite.LAYERS["label"]]
        layer["skeleton"] |= {"engine": "kimimaro", "scale": SKELETON_SCALE[engine_igneous.ENGINE]}
        return data


def main() -> None:
    """Run all datasets, or one; rows of others stay in the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", choices=sorted(TASKS_VX), help="run this one alone; all where left out")
    parser.add_argument("--table", type=Path, default=TABLE, help="where the table goes, its figure beside it")
    args = parser.parse_args()
    table: Path = args.table
    for dataset in chosen(args.dataset):
        lines = [line for line in read_csv(table) if line["dataset"] != dataset.name]
        lines += run(dataset)
        order = list(TASKS_VX)
        lines.sort(key=lambda line: order.index(line["dataset"]))
        table.parent.mkdir(parents=True, exist_ok=True)
        write_csv(table, HEADER, [[line.get(name, "") for name in HEADER] for line in lines])
        draw(read_csv(table), table.with_suffix(""))
        if table == TABLE:
            PAGE.write_text(with_table(PAGE.read_text(), read_csv(table)))
        say(f"{table}: {dataset.name} done")


def chosen(name: str | None) -> list[Dataset]:
    """The datasets to run: labels alone, one coarser mip for both engines, skeletons at mip 0."""
    found = [d for d in volumes() if name in (None, d.name)]
    if not found:
        sys.exit(f"{name}: its file is not there; set OPHIOLITE_DATA to the folder of real data")
    return [replace(d, image=None, mips=1, product_mip=0, task_vx=TASKS_VX[d.name]) for d in found]


def run(dataset: Dataset) -> list[dict[str, Any]]:
    """Both engines on one dataset, one right after the other, then what their skeletons are worth."""
    engines: dict[str, Igneous | Ophiolite] = {engine_igneous.ENGINE: Igneous(dataset)}
    engines[engine_ophiolite.ENGINE] = Ophiolite(dataset)
    if dataset.name in WITH_KIMIMARO:
        engines[KIMIMARO] = WithKimimaro(dataset)
    for engine in engines.values():
        engine.clear()
    dataset.file.read_bytes()  # the source is in the page cache for all
    rows: list[Row] = []
    for name, engine in engines.items():
        if isinstance(engine, Ophiolite):
            rows += told(dataset, name, "set-up", engine.set_up)
        told(dataset, name, "labels", lambda e=engine: e.pyramid("label"))
    for name, engine in engines.items():
        rows += told(dataset, name, "skeletons", engine.skeleton)
    quality = measured(dataset, engines)
    facts = machine()
    lines = [line_of(row) | {"date": facts["date"], "commit": facts["commit"]} for row in rows]
    for line in lines:
        if line["stage"] == "skeleton" and line["engine"] in quality:
            line |= quality[line["engine"]]
    for name in engines:
        shutil.rmtree(WORK / name / dataset.name)
    return lines


def told(dataset: Dataset, engine: str, what: str, stage: Callable[[], list[Row]]) -> list[Row]:
    """Run a stage and say what it cost."""
    rows = stage()
    cost = next(row.cost for row in reversed(rows) if row.engine == engine)
    say(
        f"{dataset.name:8} {engine:20} {what:10} {cost.cpu_s:8.1f} s CPU {cost.wall_s:8.1f} s wall {cost.peak_mb:6.0f} MB"
    )
    return rows


def measured(dataset: Dataset, engines: dict[str, Igneous | Ophiolite]) -> dict[str, dict[str, Any]]:
    """What each engine's skeletons are worth, measured in a process of its own: this one stays small."""
    request = {
        "layers": {name: str(engine.layer("label")) for name, engine in engines.items()},
        "mip": dataset.product_mip,
        "task_vx": dataset.task_vx,
        "truth": str(dataset.file) if dataset.name == "phantom" else None,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.skeleton_quality"],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def line_of(row: Row) -> dict[str, Any]:
    """A line of the table, as in `stages.csv`."""
    return dict(zip(STAGE_COLUMNS, cells(row), strict=True))


if __name__ == "__main__":
    main()
