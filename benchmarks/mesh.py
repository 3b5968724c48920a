"""Meshes at mip 0 through Igneous and through the workflow, what both made, and error against triangles against time.

The engines take turns, so that a machine that others slow down slows all of them; tables hold
the medians of times and the largest peaks.
Writes `benchmarks/results/mesh.csv`, the table of `docs/mesh.md`, `mesh_curve.csv` and its figure `mesh_curve.svg` and
`.png`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.datasets import MESH_MAX_ERROR, REPOSITORY, RESULTS, WORK, Dataset, datasets
from benchmarks.engine_igneous import Igneous
from benchmarks.engine_ophiolite import Ophiolite
from benchmarks.measure import Cost, Row
from benchmarks.mesh_report import PAGE, with_meshes
from benchmarks.report import machine
from benchmarks.run import STAGE_COLUMNS, cells, read_csv, say, write_csv

# At these our meshes lie as near to the unsimplified surface as Igneous's at `--max-error 40`, which is no distance;
# found by trial, and the table says how near either lies.
NEAR = "ophiolite_near"
NEAR_ERROR_NM = {"fib25": 17.4, "pinky40": 33.8}
# The config's default: twice as many as cores, so that none waits long for another.
BLOCKS = 4
TABLE = RESULTS / "mesh.csv"


def main() -> None:
    """Run all, or some, writing the table after each dataset; rows of others stay in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="datasets to run, or `curve`; all where left out")
    parser.add_argument("--runs", type=int, default=3, help="how often each engine makes the meshes")
    args = parser.parse_args()
    for dataset in mesh_datasets():
        if args.only and dataset.name not in args.only:
            continue
        lines = [line for line in read_csv(TABLE) if line["dataset"] != dataset.name] + run_dataset(dataset, args.runs)
        header = dict.fromkeys((*STAGE_COLUMNS, *(name for line in lines for name in line)))
        RESULTS.mkdir(parents=True, exist_ok=True)
        write_csv(TABLE, tuple(header), [[line.get(name, "") for name in header] for line in lines])
        PAGE.write_text(with_meshes(PAGE.read_text(), read_csv(TABLE)))
        say(f"{TABLE.relative_to(REPOSITORY)}")
    if not args.only or "curve" in args.only:
        subprocess.run([sys.executable, "-m", "benchmarks.mesh_curve", str(RESULTS)], check=True, cwd=REPOSITORY)


def mesh_datasets() -> list[Dataset]:
    """The real volumes, meshed at mip 0; the phantom where there are none."""
    found = [d for d in datasets(quick=False) if d.products]
    real = [d for d in found if d.name != "phantom"] or found
    return [replace(d, product_mip=0, mips=1, image=None) for d in real]


def run_dataset(dataset: Dataset, runs: int) -> list[dict[str, Any]]:
    """All engines one after the other, so many times, then what they made: lines of the table."""
    engines: dict[str, Igneous | Ophiolite] = {
        "igneous": Igneous(dataset),
        "ophiolite": Ophiolite(dataset, blocks=BLOCKS),
    }
    if dataset.name in NEAR_ERROR_NM:
        engines[NEAR] = Ophiolite(dataset, NEAR, NEAR_ERROR_NM[dataset.name], BLOCKS)
    for engine in engines.values():
        engine.clear()
    dataset.file.read_bytes()  # the source is in the page cache for all
    for name, engine in engines.items():
        say(f"{dataset.name}: labels for {name}")
        if isinstance(engine, Ophiolite):
            engine.set_up()
            engine.pyramid("label")
        else:
            engine.labels()
    made: dict[str, list[list[Row]]] = {name: [] for name in engines}
    for turn in range(runs):
        for name, engine in engines.items():
            say(f"{dataset.name}: {name}, {turn + 1} of {runs}")
            engine.forget_meshes()
            found = engine.mesh()
            made[name].append(found)
            for row in found:
                cost = row.cost
                spent = f"{cost.cpu_s:8.1f} s CPU {cost.wall_s:8.1f} s wall {cost.peak_mb:6.0f} MB"
                say(f"  {row.engine:20} {row.stage:15} {spent}")
    rows = [median(same) for found in made.values() for same in zip(*found, strict=True)]
    say(f"{dataset.name}: measuring what was made")
    quality = products(dataset, {name: str(engine.meshes()) for name, engine in engines.items()})
    facts = machine()
    when = {"date": facts["date"], "commit": facts["commit"], "runs": runs}
    lines: list[dict[str, Any]] = [dict(zip(STAGE_COLUMNS, cells(row), strict=True)) | when for row in rows]
    for line in lines:
        name = line["engine"]
        if line["stage"] == "mesh" and name in engines:
            line |= {"max_error": NEAR_ERROR_NM[dataset.name] if name == NEAR else MESH_MAX_ERROR, **quality[name]}
            say(f"  {name:20} {quality[name]}")
    for name in engines:
        shutil.rmtree(WORK / name / dataset.name)
    return lines


def median(rows: Sequence[Row]) -> Row:
    """The last of the rows of all runs, whose products are there, with the median times and the largest peak."""
    costs = [row.cost for row in rows]
    middle = Cost(
        statistics.median(cost.cpu_s for cost in costs),
        statistics.median(cost.wall_s for cost in costs),
        max(cost.peak_mb for cost in costs),
    )
    return replace(rows[-1], cost=middle)


def products(dataset: Dataset, folders: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What each engine made, measured in a process of its own: this one stays small, or its memory counts as theirs."""
    request = {
        "file": str(dataset.file),
        "labels": dataset.labels,
        "resolution_nm": dataset.resolution_nm,
        "folders": folders,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.mesh_products"],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
