"""Error against triangles against time of simplifiers, on one cut of labels: a table and a figure.

python -m benchmarks.mesh_curve FOLDER writes mesh_curve.csv, mesh_curve.svg and mesh_curve.png there.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import trimesh
from numpy.typing import NDArray

from benchmarks import mesh_peers
from benchmarks.datasets import datasets
from benchmarks.mesh_peers import Meshes, Triangles
from benchmarks.run import say, write_csv
from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.kernels.label_surface import surface_samples
from ophiolite.kernels.mesh import MeshOptions, mesh_labels
from ophiolite.kernels.mesh_measure import Surface, signed_volume
from ophiolite.report.figure_style import SERIES, canvas, save

SIDE_VX = 128
OURS_NM = (5, 10, 20, 40, 80)
ZMESH_ERRORS = (5, 10, 20, 40, 80)
FQMR_RATIOS = (4, 8, 16, 32)
# Simplifiers of the field that are measured where they are installed, as `make benchmark-mesh` does.
OTHERS = {"meshoptimizer": "meshoptimizer", "pyfqmr": "pyfqmr"}
COLUMNS = (
    "engine", "setting", "status", "cpu_s", "triangles", "distance_mean_nm", "distance_p95_nm", "is_volume", "volume",
)  # fmt: skip
SAMPLES_PER_FACE = 1 / 20


@dataclass(frozen=True)
class _Cut:
    """Small labels (x, y, z) from 1, with a layer of background around, and the voxel in nm."""

    labels: NDArray[Any]
    resolution_nm: tuple[float, float, float]
    name: str

    @property
    def count(self) -> int:
        """Labels above 0."""
        return int(self.labels.max())


def main(folder: Path) -> None:
    """Run every engine at every setting, best of two runs, and write table and figure."""
    cut = _cut()
    say(f"curve: {SIDE_VX} x {SIDE_VX} x {SIDE_VX} voxels of {cut.name}, {cut.count} labels")
    _ours(replace(cut, labels=cut.labels[:40, :40, :40]), 40)
    reference = _zmesh(cut, None)
    surfaces = {k: Surface(*mesh) for k, mesh in reference.items()}
    rows: list[list[Any]] = []
    for engine, setting, run in _runs(cut, reference):
        seconds, meshes = np.inf, {}
        for _ in range(2):
            started = time.process_time()
            meshes = run()
            seconds = min(seconds, time.process_time() - started)
        rows.append([engine, setting, "measured", f"{seconds:.2f}", *_measured(meshes, reference, surfaces)])
        say(f"  {engine:28} {setting:>8} {seconds:6.2f} s  {rows[-1][4]:>9} triangles  {rows[-1][5]} nm")
    rows += [[engine, "", "not installed", *[""] * (len(COLUMNS) - 3)] for engine in missing()]
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "mesh_curve.csv", COLUMNS, rows)
    for ending in ("svg", "png"):
        _draw(rows, folder / f"mesh_curve.{ending}")
    say(f"{folder.name}/mesh_curve.csv, .svg, .png")


def missing() -> list[str]:
    """The simplifiers that are not installed here."""
    return [engine for engine, module in OTHERS.items() if importlib.util.find_spec(module) is None]


def _cut() -> _Cut:
    """The middle of the last volume that lies here, for preference cortex."""
    import fastremap

    data = [d for d in datasets(quick=False) if d.products][-1]
    start = [max(0, (n - SIDE_VX) // 2) for n in data.size_vx]
    x, y, z = (slice(s, s + SIDE_VX) for s in start)
    with h5py.File(data.file, "r") as file:
        labels = np.array(file[data.labels][z, y, x]).T
    ids = fastremap.unique(labels)
    numbers = {int(k): n for n, k in enumerate([0, *ids[ids != 0].tolist()])}
    small = fastremap.remap(labels, numbers).astype(np.uint16)
    return _Cut(np.asfortranarray(np.pad(small, 1)), tuple(map(float, data.resolution_nm)), data.name)  # type: ignore[arg-type]


def _runs(cut: _Cut, reference: Meshes) -> Iterator[tuple[str, str, Callable[[], Meshes]]]:
    yield "zmesh, unsimplified", "", lambda: _zmesh(cut, None)
    for error in ZMESH_ERRORS:
        yield "zmesh simplifier", f"{error}", lambda e=error: _zmesh(cut, e)
    for ratio in FQMR_RATIOS:
        yield "zmesh, then its fqmr", f"1/{ratio}", lambda r=ratio: _fqmr(cut, r)
    for error in OURS_NM:
        yield "serra-mesh", f"{error}", lambda e=error: mesh_peers.serra(cut.labels, cut.resolution_nm, e)
    if "meshoptimizer" not in missing():
        for error in OURS_NM:
            yield (
                "zmesh, then meshoptimizer",
                f"{error}",
                lambda e=error: mesh_peers.meshoptimizer(_zmesh(cut, None), e),
            )
    if "pyfqmr" not in missing():
        for ratio in FQMR_RATIOS:
            yield "zmesh, then pyfqmr", f"1/{ratio}", lambda r=ratio: mesh_peers.pyfqmr(_zmesh(cut, None), r)
    yield "ophiolite, unsimplified", "", lambda: _ours(cut, None)
    for error in OURS_NM:
        yield "ophiolite", f"{error} nm", lambda e=error: _ours(cut, e)


def _zmesh(cut: _Cut, max_error: float | None) -> Meshes:
    """zmesh as Igneous calls it; its error is no length."""
    import zmesh

    mesher = zmesh.Mesher(cut.resolution_nm)
    mesher.mesh(cut.labels)
    out = {}
    for number in mesher.ids():
        reduction = {"reduction_factor": 0} if max_error is None else {"reduction_factor": 100, "max_error": max_error}
        out[number] = _arrays(mesher.get(number, **reduction), cut)
        mesher.erase(number)
    return out


def _fqmr(cut: _Cut, ratio: int) -> Meshes:
    import zmesh

    mesher = zmesh.Mesher(cut.resolution_nm)
    mesher.mesh(cut.labels)
    out = {}
    for number in mesher.ids():
        mesh = mesher.get(number, reduction_factor=0)
        out[number] = _arrays(zmesh.simplify_fqmr(mesh, max(len(mesh.faces) // ratio, 4)), cut)
        mesher.erase(number)
    return out


def _arrays(mesh: Any, cut: _Cut) -> Triangles:
    vertices = np.asarray(mesh.vertices, np.float64) + np.array(cut.resolution_nm) / 2
    return vertices, np.asarray(mesh.faces, np.int64)


def _ours(cut: _Cut, max_error_nm: float | None) -> Meshes:
    x, y, z = cut.labels.shape
    no = (False, False, False)
    options = MeshOptions(simplify=False) if max_error_nm is None else MeshOptions(max_error_nm=max_error_nm)
    scale = np.array(cut.resolution_nm) / STEPS_PER_VOXEL
    pieces = mesh_labels(cut.labels, cut.resolution_nm, (x, y, z), (True, True, True), no, no, options)
    return {k: (piece.vertices * scale, piece.faces.astype(np.int64)) for k, piece in pieces}


def _measured(meshes: Meshes, reference: Meshes, surfaces: dict[int, Surface]) -> list[Any]:
    distances, triangles, valid, volume, whole = [np.zeros(0)], 0, 0, 0.0, 0.0
    for number, mesh in reference.items():
        whole += signed_volume(*mesh)
        if number not in meshes or not len(meshes[number][1]):
            continue
        made = meshes[number]
        count = max(64, int(len(mesh[1]) * SAMPLES_PER_FACE))
        there = Surface(*made).distance(surface_samples(*mesh, count))
        distances += [there, surfaces[number].distance(surface_samples(*made, count))]
        triangles += len(made[1])
        valid += int(trimesh.Trimesh(*made, process=False).is_volume)
        volume += signed_volume(*made)
    every = np.concatenate(distances)
    p95 = float(np.percentile(every, 95))
    return [triangles, f"{every.mean():.3f}", f"{p95:.3f}", f"{valid / len(reference):.4f}", f"{volume / whole:.4f}"]


def _draw(rows: list[list[Any]], path: Path) -> None:
    """Mean distance over triangles, and over seconds, a line per engine."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    done = [row for row in rows if row[2] == "measured" and float(row[5]) > 0.05]
    done.sort(key=lambda row: row[0] != "ophiolite")  # ours in the strongest colour
    with canvas((8.0, 4.2)) as figure:
        axes = figure.subplots(1, 2, sharey=True)
        for number, engine in enumerate(dict.fromkeys(row[0] for row in done)):
            here = [row for row in done if row[0] == engine]
            errors = [float(row[5]) for row in here]
            for axis, column, unit in ((axes[0], 4, 1e3), (axes[1], 3, 1.0)):
                values = [float(row[column]) / unit for row in here]
                axis.plot(values, errors, "o-", color=SERIES[number], markersize=4, linewidth=1.2, label=engine)
            for row, error in zip(here, errors, strict=True):
                place = (float(row[4]) / 1e3, error)
                axes[0].annotate(row[1], place, xytext=(3, 3), textcoords="offset points", fontsize=6)
        axes[0].set(xlabel="thousand triangles", ylabel="mean distance to the unsimplified surface, nm", xscale="log")
        axes[1].set(xlabel="CPU seconds, extraction included")
        figure.legend(*axes[1].get_legend_handles_labels(), frameon=False, fontsize=7, loc="lower center", ncol=4)
        for axis in axes:
            axis.set_yscale("log")
        for scale in (axes[0].xaxis, axes[0].yaxis):
            # The style draws no mathematics, in which powers of ten are written otherwise.
            scale.set_major_locator(LogLocator(subs=(1, 2, 5)))
            scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            scale.set_minor_formatter(NullFormatter())
        figure.tight_layout(rect=(0, 0.11, 1, 1))
        save(figure, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
