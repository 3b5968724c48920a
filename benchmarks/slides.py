"""RGB pyramids of slides: tiles copied against encoded again, and next to Igneous; what each mip is off the exact mean.

Writes `benchmarks/results/slides.csv` (cost) and `slides_error.csv` (error per mip, as TensorStore reads both, which
decodes as Neuroglancer does). The slides are a phantom's tiles over and over, of a side that is no multiple of theirs,
and CMU-1-Small-Region where it is at hand.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets import REPOSITORY, RESULTS, WORK, data_folder
from benchmarks.engine_igneous import BINARIES
from benchmarks.measure import Cost, run, weight
from benchmarks.run import say, write_csv
from benchmarks.slide_error import pyramid_errors

FOLDER = WORK / "slides"
SIDES_PX = (8292, 30_100)
# Igneous's import holds the slide several times in memory.
IGNEOUS_PX = 100_000_000
BLOCK_PX = 2048
MPP = 0.5
COST = (
    "slide", "mpx", "engine", "cpu_s", "wall_s", "mpx_per_cpu_s", "peak_mb", "bytes", "files", "copied", "reencoded",
)  # fmt: skip
ERROR = ("slide", "engine", "mip", "deviation_mean_abs", "deviation_max", "drift")
Rows = list[dict[str, Any]]


def main() -> None:
    """Run all and write both tables after each slide."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", nargs="*", type=int, default=SIDES_PX, help="sides of the phantom slides, in pixels")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the tables")
    args = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    costs: Rows = []
    errors: Rows = []
    for name, path in slides(args.sides):
        for engine, layer, row in engines(name, path):
            costs.append(row)
            say(f"{name}, {engine}: {row['mpx_per_cpu_s']} Mpx per CPU second, {row['peak_mb']} MB")
            if row["mpx"] * 1e6 <= IGNEOUS_PX:
                errors += [{"slide": name, "engine": engine, **e} for e in apart(pyramid_errors, path, layer)]
        write_csv(args.output / "slides.csv", COST, [[row.get(c, "") for c in COST] for row in costs])
        write_csv(args.output / "slides_error.csv", ERROR, [[row[c] for c in ERROR] for row in errors])
        shutil.rmtree(FOLDER / name)


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, called in a process of its own: memory that this one took would count for its children."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def slides(sides: list[int]) -> Iterator[tuple[str, Path]]:
    """The slides, made as they are asked for."""
    real = data_folder() / "slides" / "CMU-1-Small-Region.svs"
    if real.exists():
        yield "CMU-1-Small-Region", real
    for side in sides:
        name = f"phantom-{side}"
        path = FOLDER / name / "slide.tiff"
        apart(write_repeated, path, side)
        yield name, path


def write_repeated(path: Path, side: int) -> None:
    """A square slide of tiled JPEG (YCbCr 4:2:0): one block of a phantom, as often as it takes."""
    import tifffile

    from ophiolite.sample.slide_files import TILE_PX, encode
    from ophiolite.sample.slide_paint import paint
    from ophiolite.sample.slide_scene import make_scene

    scene = make_scene((BLOCK_PX * MPP, BLOCK_PX * MPP), 1)
    rows = np.ascontiguousarray(paint(scene, MPP, (0, 0), (BLOCK_PX, BLOCK_PX)).rgb.transpose(1, 0, 2))
    per_block, tiles = BLOCK_PX // TILE_PX, -(-side // TILE_PX)
    parts = [
        [encode(rows[y : y + TILE_PX, x : x + TILE_PX], "ycbcr") for x in range(0, BLOCK_PX, TILE_PX)]
        for y in range(0, BLOCK_PX, TILE_PX)
    ]
    data = (parts[y % per_block][x % per_block] for y in range(tiles) for x in range(tiles))
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(
        path,
        data,
        shape=(side, side, 3),
        dtype="uint8",
        tile=(TILE_PX, TILE_PX),
        compression="jpeg",
        photometric="ycbcr",
        subsampling=(2, 2),
        resolution=(1e4 / MPP, 1e4 / MPP),
        resolutionunit="CENTIMETER",
        metadata=None,
        bigtiff=True,
    )


def engines(name: str, path: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """(engine, finished layer, its row) of every way to make the pyramid."""
    size = (0, 0)
    for engine, copy in (("ophiolite, tiles copied", True), ("ophiolite, all encoded", False)):
        layer, cost, facts, size = ours(name, path, copy)
        yield engine, layer, {**described(name, size, engine, cost, layer), **facts}
    if size[0] * size[1] > IGNEOUS_PX or not BINARIES.exists():
        return
    pixels = FOLDER / name / "pixels.h5"
    apart(write_pixels, path, pixels)
    for encoding in ("jpeg", "raw"):
        layer = FOLDER / name / f"igneous_{encoding}"
        engine = f"igneous, {encoding}"
        yield engine, layer, described(name, size, engine, igneous(pixels, layer, encoding), layer)


def described(name: str, size: tuple[int, int], engine: str, cost: Cost, layer: Path) -> dict[str, Any]:
    """The columns of a row that every engine has."""
    mpx = size[0] * size[1] / 1e6
    found = weight(file for folder in layer.iterdir() if folder.name[0].isdigit() for file in folder.rglob("*"))
    return {
        "slide": name,
        "mpx": round(mpx, 2),
        "engine": engine,
        "cpu_s": round(cost.cpu_s, 2),
        "wall_s": round(cost.wall_s, 2),
        "mpx_per_cpu_s": round(mpx / cost.cpu_s, 2),
        "peak_mb": round(cost.peak_mb),
        "bytes": found[0],
        "files": found[1],
    }


def ours(name: str, path: Path, copy: bool) -> tuple[Path, Cost, dict[str, int], tuple[int, int]]:
    """Our pyramid by the workflow's commands: layer, cost of the jobs, tiles copied and not, size of the slide."""
    folder = FOLDER / name / ("copied" if copy else "encoded")
    folder.mkdir(parents=True)
    (folder / "slides.tsv").write_text(f"slide_id\tcase_id\tgroup\timage\tmask\tmpp\ns\ts\tg\t{path}\t\t{MPP}\n")
    slides = {"sheet": str(folder / "slides.tsv"), "pyramid": {"copy_tiles": copy}, "force_mpp": True}
    config = {"project": "p", "store": str(folder / "results"), "slides": slides}
    project = folder / "results" / "p"
    _command(folder, "make_plan", "--config-json", json.dumps(config))
    plan = json.loads((project / "plan.json").read_text())
    volume = plan["datasets"]["s"]["layers"]["slide"]
    here = ("--plan", str(project / "plan.json"), "--dataset", "s", "--layer", "slide")
    _command(folder, "layer_info", *here)
    cost = Cost(0, 0, 0)
    for block in block_names(volume):
        cost += _command(folder, "pyramid_blocks", *here, "--block", block)
    facts = [json.loads(p.read_text())["facts"] for p in (project / "s/receipts/slide/pyramid_blocks").iterdir()]
    counts = {
        name: sum(f.get(key, 0) for f in facts) for name, key in (("copied", "n_copied"), ("reencoded", "n_reencoded"))
    }
    width, height, _ = volume["scales"][0]["size_vx"]
    return project / "s/layers/slide", cost, counts, (width, height)


def block_names(volume: dict[str, Any]) -> list[str]:
    """The jobs of a pyramid, rounds in turn."""
    from ophiolite.plan.model import VolumePlan

    rounds = VolumePlan.model_validate(volume).rounds
    return [f"r{r.number}.{block}" for r in rounds for block in r.block_names()]


def _command(folder: Path, name: str, *arguments: str) -> Cost:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "scripts")}
    return run([sys.executable, "-m", "ophiolite", name, *arguments], folder / "logs" / f"{name}.log", environment)


def write_pixels(path: Path, target: Path) -> None:
    """The slide's pixels for Igneous's import, as other software decodes them: (channel, z, y, x)."""
    import h5py
    import tifffile

    with h5py.File(target, "w") as file:
        file["pixels"] = tifffile.imread(path, key=0).transpose(2, 0, 1)[:, None]


def igneous(pixels: Path, layer: Path, encoding: str) -> Cost:
    """Igneous's pyramid: mip 0 by CloudVolume, as it would import it, the others by its command line."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    url, log = f"file://{layer}", layer.parent / "logs"
    import_mip_0 = [str(BINARIES / "python"), str(REPOSITORY / "benchmarks/import_hdf5.py"), str(pixels), "pixels", url]
    import_mip_0 += ["--encoding", encoding, "--type", "image", "--chunk", "512", "512", "1"]
    import_mip_0 += ["--resolution", *(str(round(1000 * MPP)),) * 2, "4000"]
    downsample = [str(BINARIES / "igneous"), "image", "downsample", url, "--num-mips", "5", "--compress", "none"]
    downsample += ["--encoding", encoding]
    imported = run(import_mip_0, log / f"import_{encoding}.log", environment)
    return imported + run(downsample, log / f"downsample_{encoding}.log", environment)


if __name__ == "__main__":
    main()
