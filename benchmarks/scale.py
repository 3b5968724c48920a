"""How the workflow's own work grows with the volume: plan and dry run of volumes without data, up to a petavoxel.

The sources are Zarr arrays of which only the header exists, an image and a segmentation of voxels of 8 nm, planned
with image and label pyramids from mip 0 and meshes and skeletons at mip 2 (32 nm).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from benchmarks.datasets import REPOSITORY, RESULTS, WORK
from benchmarks.measure import Cost, run

FOLDER = WORK / "scale"
# Sides of the cubes: a billion voxels, a trillion, the 300 TVx of a cubic millimetre, a petavoxel.
SIDES_VX = (1000, 10_000, 67_000, 100_000)
CHUNK_VX = 128
RESOLUTION_NM = 8
PRODUCT_MIP = 2
# Objects per voxel of a cubic millimetre of cortex (minnie65: some 10^8 segments of 3 10^14 voxels).
VOXELS_PER_LABEL = 3_000_000
JOBS = {"minutes": 20, "max_jobs": 1000, "memory_mb": 8000}
COLUMNS = (
    "voxels", "tasks", "jobs", "plan_s", "dryrun_s", "peak_mb", "core_hours", "longest_job_h", "output_tb", "files",
)  # fmt: skip


def main() -> None:
    """Plan every volume and write `scale.csv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", nargs="+", type=int, default=SIDES_VX, help="sides of the volumes, in voxels")
    parser.add_argument("--output", type=Path, default=RESULTS / "scale.csv", help="table to write")
    args = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for side in args.sides:
        rows.append(measure(side))
        with open(args.output, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        print(f"{side}^3 voxels: {rows[-1]}", file=sys.stderr, flush=True)


def measure(side_vx: int) -> dict[str, Any]:
    """Plan a cube of a side, and ask for everything in a dry run."""
    folder = FOLDER / str(side_vx)
    for name, dtype in (("em", "|u1"), ("neurons", "<u8")):
        write_header(folder / f"{name}.zarr", side_vx, dtype)
    (folder / "config.json").write_text(json.dumps(config(side_vx)))
    planned = _snakemake(folder, "plan", "results/scale/plan.json")
    dry = _snakemake(folder, "dryrun", "--dry-run", "--quiet", "rules")
    plan = json.loads((folder / "results" / "scale" / "plan.json").read_text())
    layers = plan["datasets"]["volume"]["layers"].values()
    costs = [cost for layer in layers for cost in layer["costs"]]
    return {
        "voxels": side_vx**3,
        "tasks": sum(_tasks(grid) for layer in layers for grid in _grids(layer)),
        "jobs": _jobs((folder / "dryrun.log").read_text()),
        "plan_s": round(planned.wall_s, 1),
        "dryrun_s": round(dry.wall_s, 1),
        "peak_mb": round(max(planned.peak_mb, dry.peak_mb)),
        "core_hours": round(sum(c["jobs"] * c["seconds"] for c in costs) / 3600),
        "longest_job_h": round(max(c["seconds"] for c in costs) / 3600, 2),
        "output_tb": round(sum(c["output_mb"] for c in costs) / 1e6, 3),
        "files": sum(c["files"] for c in costs),
    }


def write_header(folder: Path, side_vx: int, dtype: str) -> None:
    """A Zarr array without data: a cube of a side."""
    folder.mkdir(parents=True)
    header = {
        "zarr_format": 2,
        "shape": [side_vx] * 3,
        "chunks": [CHUNK_VX] * 3,
        "dtype": dtype,
        "compressor": None,
        "filters": None,
        "fill_value": 0,
        "order": "C",
    }
    (folder / ".zarray").write_text(json.dumps(header))


def config(side_vx: int) -> dict[str, Any]:
    """Image and labels of a cube of a side, with meshes and skeletons."""
    labels = max(100, side_vx**3 // VOXELS_PER_LABEL)
    product = {"mip": PRODUCT_MIP, "expected_labels": labels, "task_vx": [512, 512, 512]}
    resolution = [RESOLUTION_NM] * 3
    return {
        "project": "scale",
        "jobs": JOBS,
        "datasets": {
            "volume": {
                "layers": {
                    "em": {"type": "image", "source": "em.zarr", "resolution_nm": resolution},
                    "neurons": {
                        "type": "segmentation",
                        "source": "neurons.zarr",
                        "resolution_nm": resolution,
                        "mesh": product,
                        "skeleton": product,
                    },
                }
            }
        },
    }


def _snakemake(folder: Path, name: str, *args: str) -> Cost:
    command = [
        "snakemake",
        *args,
        *("--snakefile", str(REPOSITORY / "workflow" / "Snakefile")),
        *("--workflow-profile", str(REPOSITORY / "profiles" / "default")),
        *("--directory", str(folder), "--configfile", str(folder / "config.json")),
    ]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return run(command, folder / f"{name}.log", environment, folder)


def _grids(layer: dict[str, Any]) -> list[dict[str, Any]]:
    return [*layer["rounds"], *(layer[p] for p in ("mesh", "skeleton") if layer[p])]


def _tasks(grid: dict[str, Any]) -> int:
    x, y, z = grid["tasks"]
    return int(x * y * z)


def _jobs(log: str) -> int:
    found = re.findall(r"^total +(\d+)", log, flags=re.MULTILINE)
    if not found:
        raise RuntimeError(f"no table of jobs in:\n{log[-2000:]}")
    return int(found[-1])


if __name__ == "__main__":
    main()
