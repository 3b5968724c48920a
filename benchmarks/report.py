"""The tables of `benchmarks/results/README.md`, from the CSV files beside it."""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.datasets import PROCESSES, REPOSITORY
from benchmarks.engine_igneous import BINARIES
from benchmarks.engine_igneous import ENGINE as IGNEOUS
from benchmarks.engine_ophiolite import ENGINE as OPHIOLITE
from benchmarks.engine_ophiolite import JOBS

PEER_PACKAGES = ("igneous-pipeline", "cloud-volume", "tinybrain", "zmesh", "kimimaro", "numpy")
OUR_PACKAGES = ("snakemake", "numba", "zmesh", "kimimaro", "numpy")
PRODUCTS = ("mesh", "skeleton")
SIDE_STAGES = ("image_pyramid_files", "label_pyramid_files")

Table = dict[tuple[str, str, str], dict[str, float]]


def machine() -> dict[str, object]:
    """What the figures depend on; no names of hosts or users."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_at_end": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
        "processes": PROCESSES,
        "commit": subprocess.run(
            ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"], capture_output=True, text=True
        ).stdout.strip(),
        "igneous": _versions(str(BINARIES / "python"), PEER_PACKAGES),
        "ophiolite": _versions(sys.executable, OUR_PACKAGES),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _versions(python: str, packages: Sequence[str]) -> dict[str, str]:
    code = "import sys, json, platform; from importlib.metadata import version; "
    code += "print(json.dumps({'python': platform.python_version(), **{p: version(p) for p in sys.argv[1:]}}))"
    done = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def report(folder: Path) -> str:
    """The page: machine, ratios, all stages, what was made."""
    table = _read(folder / "stages.csv")
    facts = json.loads((folder / "machine.json").read_text())
    datasets = list(dict.fromkeys(dataset for dataset, _, _ in table))
    parts = ["# Ours against Igneous", _machine_text(facts), PROTOCOL, "## Ratios", RATIO_TEXT]
    parts.append(markdown(RATIO_HEADER, [line for dataset in datasets for line in _ratios(table, dataset)]))
    parts += ["## Parts of Igneous's stages, and our jobs without Snakemake", PARTS_TEXT]
    parts.append(markdown(PARTS_HEADER, [line for dataset in datasets for line in _parts(table, dataset)]))
    parts += ["## What was made", PRODUCTS_TEXT, _products(folder / "products.csv")]
    parts += ["## How mips drift from mip 0", PYRAMIDS_TEXT, _products(folder / "pyramid_quality.csv")]
    return "\n\n".join(parts) + "\n"


PROTOCOL = """Written by `make benchmark` from `stages.csv`, `products.csv` and `machine.json` beside this page.

* Same data, mips, chunks, encodings, task sizes and TEASAR parameters; two processes each (Igneous gets its second one
  where it has a second task: each costs it a start of 2 s).
* Each stage of Igneous is its command line (`igneous -p 2 ...`), each of ours one `snakemake` run of the target on two
  cores, with all that Snakemake itself takes. CPU and memory are the kernel's own count of the process and all its
  descendants; memory is that of the largest process. Stages of the two alternate. The source is in the page cache.
* Igneous reads no HDF5 in the order of this field; CloudVolume makes its mip 0 as `igneous image create` would, and its
  pyramid stages contain that (`*_import` below). Its sharded mip 0 is made by `image xfer`: no command imports to shards.
* Differences that settings cannot remove: `max_error` 40 is nm for us and no length for Igneous; its dust threshold counts
  what lies within one task, ours the whole object; its levels of detail follow an object's shortest side
  (`--nlod 2 --min-chunk-size 64,64,64` here, its default gives none at this size), ours face count and longest side."""
RATIO_TEXT = """Igneous over ours: above 1 we are cheaper. `whole` is the sum of sharded pyramids, meshes and skeletons, with
Snakemake's own time; `first time` adds the plan of the project (some 3 CPU s, once per project) and the compiling of our
kernels (once per store and machine)."""
PARTS_TEXT = (
    """`ophiolite_jobs` are the sums over the jobs of their own counts: wall is that of all jobs one after another."""
)
PRODUCTS_TEXT = """Read back by CloudVolume. `mip0_same`, `mips_same`: share of label voxels equal to Igneous's at mip 0 and the coarsest
mip; `image_bias`: mean of the coarsest mip less that of mip 0, in grey levels; `volume`: of all meshes over all voxels;
`levels`: levels of detail of all meshes together."""
PYRAMIDS_TEXT = """Read back by CloudVolume, from `pyramid_quality.csv`. Grey levels: `drift` of the mean from mip 0, every voxel weighed by
what it covers; `deviation_mean`, `deviation_max` from the exact mean; `inexact_share` of voxels that are not it, rounded.
Labels: `changed_share` of mip-0 voxels have another label at the mip; `volume_change_*` of objects, relative to mip 0."""
RATIO_HEADER = (
    "dataset", "stage", "CPU s, Igneous", "CPU s, ours", "CPU ratio", "wall ratio", "peak MB, Igneous", "peak MB, ours",
    "bytes ratio", "files, Igneous", "files, ours",
)  # fmt: skip
PARTS_HEADER = ("dataset", "stage", "engine", "CPU s", "wall s", "peak MB")


def _read(path: Path) -> Table:
    with open(path, newline="") as file:
        return {
            (row["dataset"], row["stage"], row["engine"]): {
                name: float(row[name]) for name in ("cpu_s", "wall_s", "peak_mb", "bytes", "files")
            }
            for row in csv.DictReader(file)
        }


def _ratios(table: Table, dataset: str) -> list[list[str]]:
    """A line for each stage that both engines have, and one for the whole."""
    stages = [s for d, s, e in table if d == dataset and e == OPHIOLITE and (d, s, IGNEOUS) in table]
    lines = [_ratio(dataset, s, table[dataset, s, IGNEOUS], table[dataset, s, OPHIOLITE]) for s in stages]
    whole = [s for s in stages if s not in SIDE_STAGES]
    theirs = _sum([table[dataset, s, IGNEOUS] for s in whole])
    ours = _sum([table[dataset, s, OPHIOLITE] for s in whole])
    first = _sum([table[dataset, "set_up", OPHIOLITE], ours])
    return [*lines, _ratio(dataset, "**whole**", theirs, ours), _ratio(dataset, "**whole, first time**", theirs, first)]


def _sum(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: (max if name == "peak_mb" else sum)(row[name] for row in rows) for name in rows[0]}


def _ratio(dataset: str, stage: str, theirs: dict[str, float], ours: dict[str, float]) -> list[str]:
    return [
        dataset,
        stage,
        f"{theirs['cpu_s']:.1f}",
        f"{ours['cpu_s']:.1f}",
        f"{theirs['cpu_s'] / ours['cpu_s']:.2f}",
        f"{theirs['wall_s'] / ours['wall_s']:.2f}",
        f"{theirs['peak_mb']:.0f}",
        f"{ours['peak_mb']:.0f}",
        f"{theirs['bytes'] / ours['bytes']:.2f}",
        f"{theirs['files']:.0f}",
        f"{ours['files']:.0f}",
    ]


def _parts(table: Table, dataset: str) -> list[list[str]]:
    """Lines of the stages that are not in the table of ratios."""
    lines = []
    for (name, stage, engine), row in table.items():
        both = (name, stage, IGNEOUS) in table and (name, stage, OPHIOLITE) in table
        if name == dataset and not (both and not engine.endswith(JOBS)):
            lines.append([name, stage, engine, f"{row['cpu_s']:.1f}", f"{row['wall_s']:.1f}", f"{row['peak_mb']:.0f}"])
    return sorted(lines, key=lambda line: line[1])


def _products(path: Path) -> str:
    with open(path, newline="") as file:
        header, *lines = csv.reader(file)
    return markdown(header, lines)


def _machine_text(facts: dict[str, object]) -> str:
    lines = [f"* {name}: {_fact(value)}" for name, value in facts.items()]
    return "\n".join(lines)


def _fact(value: object) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
