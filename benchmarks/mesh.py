"""Meshes at mip 0 through Igneous and through the workflow, what both made, and error against triangles against time.

Writes `benchmarks/results/mesh.csv`, `mesh_curve.csv` and its figure `mesh_curve.svg` and `.png`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import Any

from benchmarks import engine_igneous, engine_ophiolite
from benchmarks.datasets import REPOSITORY, RESULTS, WORK, Dataset, datasets
from benchmarks.engine_igneous import Igneous
from benchmarks.engine_ophiolite import Ophiolite
from benchmarks.measure import Row
from benchmarks.run import STAGE_COLUMNS, cells, say, write_csv

# The quality of a product stands in the row of its whole stage.
WHOLE = {("mesh", engine_igneous.ENGINE), ("mesh", engine_ophiolite.ENGINE)}


def main() -> None:
    """Run all, writing the table after each dataset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="datasets to run, or `curve`; all where left out")
    args = parser.parse_args()
    rows: list[tuple[Row, dict[str, Any]]] = []
    for dataset in mesh_datasets():
        if args.only and dataset.name not in args.only:
            continue
        rows += run_dataset(dataset)
        names = list(dict.fromkeys(name for _, quality in rows for name in quality))
        lines = [[*cells(row), *(quality.get(name, "") for name in names)] for row, quality in rows]
        RESULTS.mkdir(parents=True, exist_ok=True)
        write_csv(RESULTS / "mesh.csv", (*STAGE_COLUMNS, *names), lines)
        say(f"{(RESULTS / 'mesh.csv').relative_to(REPOSITORY)}")
        for engine in (engine_igneous.ENGINE, engine_ophiolite.ENGINE):
            shutil.rmtree(WORK / engine)
    if not args.only or "curve" in args.only:
        subprocess.run([sys.executable, "-m", "benchmarks.mesh_curve", str(RESULTS)], check=True, cwd=REPOSITORY)


def mesh_datasets() -> list[Dataset]:
    """The real volumes, meshed at mip 0; the phantom where there are none."""
    found = [d for d in datasets(quick=False) if d.products]
    real = [d for d in found if d.name != "phantom"] or found
    return [replace(d, product_mip=0, mips=1, image=None) for d in real]


def run_dataset(dataset: Dataset) -> list[tuple[Row, dict[str, Any]]]:
    """Both engines one after the other, then what they made."""
    peer, ours = Igneous(dataset), Ophiolite(dataset)
    for engine in (peer, ours):
        engine.clear()
    dataset.file.read_bytes()  # the source is in the page cache for both
    say(f"{dataset.name}: labels for both engines")
    ours.set_up()
    peer.labels()
    ours.pyramid("label")
    rows: list[Row] = []
    for name, stage in (("igneous", peer.mesh), ("ophiolite", ours.mesh)):
        say(f"{dataset.name}: {name}")
        found = stage()
        rows += found
        for row in found:
            cost = row.cost
            spent = f"{cost.cpu_s:8.1f} s CPU {cost.wall_s:8.1f} s wall {cost.peak_mb:6.0f} MB"
            say(f"  {row.engine:15} {row.stage:15} {spent}")
    say(f"{dataset.name}: measuring what was made")
    quality = products(dataset, {"igneous": str(peer.meshes()), "ophiolite": str(ours.meshes())})
    for engine, facts in quality.items():
        say(f"  {engine:15} {facts}")
    return [(row, quality[row.engine] if (row.stage, row.engine) in WHOLE else {}) for row in rows]


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
