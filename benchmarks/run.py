"""Run the same work through Igneous and through the workflow, and write `benchmarks/results/`."""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import engine_igneous, engine_ophiolite
from benchmarks.datasets import REPOSITORY, RESULTS, WORK, Dataset, datasets
from benchmarks.engine_igneous import Igneous
from benchmarks.engine_ophiolite import Ophiolite
from benchmarks.measure import Row
from benchmarks.report import machine, report

STAGE_COLUMNS = ("dataset", "stage", "engine", "cpu_s", "wall_s", "peak_mb", "bytes", "files")


def main() -> None:
    """Run all, writing stages.csv, products.csv, pyramid_quality.csv, machine.json and README.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of datasets to run; all where left out")
    parser.add_argument(
        "--quick", action="store_true", help="the phantom only, small tasks, into benchmarks/work/quick"
    )
    args = parser.parse_args()
    rows: list[Row] = []
    products: list[dict[str, Any]] = []
    pyramids: list[dict[str, Any]] = []
    folder = WORK / "quick" if args.quick else RESULTS
    for dataset in datasets(args.quick):
        if args.only and dataset.name not in args.only:
            continue
        rows += run_dataset(dataset)
        products += [{"dataset": dataset.name, "engine": e, **facts} for e, facts in read(dataset, "products").items()]
        pyramids += [{"dataset": dataset.name, **row} for row in read(dataset, "pyramids")]
        write_results(folder, rows, {"products": products, "pyramid_quality": pyramids})
        shutil.rmtree(WORK / engine_igneous.ENGINE)
        shutil.rmtree(WORK / engine_ophiolite.ENGINE)


def write_results(folder: Path, rows: Sequence[Row], tables: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    """Write what is measured so far; called after each dataset, so that a run that is stopped leaves those it finished."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "stages.csv", STAGE_COLUMNS, [cells(row) for row in rows])
    for table, lines in tables.items():
        names = list(dict.fromkeys(name for line in lines for name in line))
        write_csv(folder / f"{table}.csv", names, [[line.get(name, "") for name in names] for line in lines])
    (folder / "machine.json").write_text(json.dumps(machine(), indent=1) + "\n")
    (folder / "README.md").write_text(report(folder))
    say(f"{folder.relative_to(REPOSITORY)}/README.md")


def run_dataset(dataset: Dataset) -> list[Row]:
    """Stage by stage, one engine right after the other, so that whatever else the machine does meets both."""
    peer, ours = Igneous(dataset), Ophiolite(dataset)
    for engine in (peer, ours):
        engine.clear()
    dataset.file.read_bytes()  # the source is in the page cache for both
    stages: list[tuple[str, Callable[[], list[Row]]]] = [("ophiolite: set-up", ours.set_up)]
    for kind in ("image", "label") if dataset.image else ("label",):
        for engine in (peer, ours):
            name = type(engine).__name__.lower()
            stages.append((f"{name}: {kind} pyramid", lambda e=engine, k=kind: e.pyramid(k)))
            stages.append((f"{name}: {kind} pyramid of files", lambda e=engine, k=kind: e.pyramid_of_files(k)))
    if dataset.products:
        stages += [("igneous: mesh", peer.mesh), ("ophiolite: mesh", ours.mesh)]
        stages += [("igneous: skeleton", peer.skeleton), ("ophiolite: skeleton", ours.skeleton)]
    rows: list[Row] = []
    for name, stage in stages:
        found = stage()
        rows += found
        cost = next(row.cost for row in reversed(found) if not row.engine.endswith(engine_ophiolite.JOBS))
        say(f"{dataset.name:12} {name:36} {cost.cpu_s:8.1f} s CPU {cost.wall_s:8.1f} s wall {cost.peak_mb:7.0f} MB")
    return rows


def read(dataset: Dataset, module: str) -> Any:
    """What each engine made, read by `benchmarks.<module>` in a process of its own: this one stays small, or its memory
    would count as theirs."""
    layers = {"igneous": Igneous(dataset).layer, "ophiolite": Ophiolite(dataset).layer}
    request = {
        "labels": {engine: str(layer("label")) for engine, layer in layers.items()},
        "images": {engine: str(layer("image")) for engine, layer in layers.items()} if dataset.image else {},
        "mip": dataset.product_mip if dataset.products else None,
    }
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}"],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    return json.loads(done.stdout)


def write_csv(path: Path, header: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """A table as CSV."""
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *lines])


def read_csv(path: Path) -> Sequence[dict[str, str]]:
    """The lines of a table by column; none where there is none yet."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def cells(row: Row) -> list[Any]:
    """A row of `stages.csv`."""
    cost = row.cost
    numbers = [f"{cost.cpu_s:.2f}", f"{cost.wall_s:.2f}", f"{cost.peak_mb:.0f}"]
    return [row.dataset, row.stage, row.engine, *numbers, row.bytes, row.files]


def say(text: str) -> None:
    """Progress, on the terminal."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
