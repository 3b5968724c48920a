"""What extracts surfaces of labels, on shapes that are known: `python -m benchmarks.extractors` writes results/extractors.csv.

Engines: `marching` (ours), `zmesh`, and `serra` (surface nets), the packages as they are. `python -m
benchmarks.extractor_volumes` compares them on real volumes, as the workflow calls them.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.kernels.marching import surfaces
from ophiolite.kernels.mesh_measure import area, signed_volume
from ophiolite.kernels.mesh_topology import topology

SIDE_VX = 96
RESOLUTIONS_NM = ((10.0, 10.0, 10.0), (16.0, 16.0, 40.0))
OUT = Path(__file__).parent / "results" / "extractors.csv"

Mesh = tuple[NDArray[np.float64], NDArray[Any]]
Labels = NDArray[np.uint32]


def marching(labels: Labels, resolution: NDArray[np.float64]) -> dict[int, Mesh]:
    """Our marching cubes; nm, voxel (0, 0, 0) centred at half a voxel."""
    wanted = np.arange(int(labels.max()) + 1) > 0
    return {n: ((v / STEPS_PER_VOXEL + 0.5) * resolution, f) for n, v, f in surfaces(labels, wanted)}


def zmesh(labels: Labels, resolution: NDArray[np.float64]) -> dict[int, Mesh]:
    """zmesh's marching cubes, without its simplifier."""
    import zmesh as package

    mesher = package.Mesher((1.0, 1.0, 1.0))
    mesher.mesh(labels)
    found = {int(n): mesher.get(n) for n in mesher.ids()}
    return {n: ((np.asarray(m.vertices, np.float64) + 0.5) * resolution, m.faces) for n, m in found.items()}


def serra(labels: Labels, resolution: NDArray[np.float64]) -> dict[int, Mesh]:
    """serra-mesh's surface nets without relaxation, on one thread."""
    import serra_mesh as package

    mesher = package.Mesher(voxel_resolution=resolution.tolist(), threads=1)
    mesher.mesh(labels, close=True)
    found = {int(n): mesher.get(int(n)) for n in mesher.ids() if n}
    return {n: (np.asarray(m.vertices, np.float64) + resolution / 2, np.asarray(m.faces)) for n, m in found.items()}


ENGINES: tuple[Callable[[Labels, NDArray[np.float64]], dict[int, Mesh]], ...] = (marching, zmesh, serra)


def shapes(resolution: NDArray[np.float64]) -> Iterator[tuple[str, Labels, Callable[[Any], Any], float, float]]:
    """Name, labels, signed distance in nm from points (n, 3), true area nm², true volume nm³."""
    size = SIDE_VX * resolution
    middle, reach = size / 2 + 0.3 * resolution, float(size.min())
    points = (np.indices((SIDE_VX,) * 3).reshape(3, -1).T + 0.5) * resolution

    def ball(p: Any) -> Any:
        return np.linalg.norm(p - middle, axis=1) - 0.4 * reach

    def torus(p: Any) -> Any:
        at = p - middle
        return np.hypot(np.hypot(at[:, 0], at[:, 1]) - 0.3 * reach, at[:, 2]) - 0.12 * reach

    def capsule(p: Any) -> Any:
        at, along = p - middle, np.array([0.6, 0.64, 0.48])
        t = np.clip(at @ along, -0.3 * reach, 0.3 * reach)
        return np.linalg.norm(at - t[:, None] * along, axis=1) - 0.08 * reach

    r, big, small = 0.4 * reach, 0.3 * reach, 0.12 * reach
    c, length = 0.08 * reach, 0.6 * reach
    truths = {
        "ball": (ball, 4 * np.pi * r**2, 4 / 3 * np.pi * r**3),
        "torus": (torus, 4 * np.pi**2 * big * small, 2 * np.pi**2 * big * small**2),
        "tube": (capsule, 4 * np.pi * c**2 + 2 * np.pi * c * length, 4 / 3 * np.pi * c**3 + np.pi * c**2 * length),
    }
    for name, (distance, of_area, of_volume) in truths.items():
        inside = (distance(points) < 0).reshape((SIDE_VX,) * 3)
        yield name, np.asfortranarray(inside.astype(np.uint32)), distance, of_area, of_volume


def touching() -> Labels:
    """Two labels that share a wall."""
    labels = np.zeros((SIDE_VX,) * 3, np.uint32, order="F")
    x, y, z = np.indices(labels.shape)
    inside = (x - 48) ** 2 + (y - 48) ** 2 + (z - 48) ** 2 < 40**2
    labels[inside] = np.where((x + y + z)[inside] < 140, 1, 2)
    return labels


def shared_wall(found: dict[int, Mesh]) -> float:
    """The share of the first label's vertices at the wall that the second has as well, to the bit."""
    first, second = (set(map(tuple, found[n][0].tolist())) for n in (1, 2))
    near = {p for p in first if abs(sum(p) - 141) < 1.5}
    return len(near & second) / len(near)


def main() -> None:
    """Measure every engine."""
    rows = []
    for engine in ENGINES:
        wall = shared_wall(engine(touching(), np.ones(3)))
        for resolution in map(np.array, RESOLUTIONS_NM):
            for name, labels, distance, of_area, of_volume in shapes(resolution):
                start = time.process_time()
                v, f = engine(labels, resolution)[1]
                seconds = time.process_time() - start
                away = distance(v)
                t = topology(v, f)
                rows.append(
                    {
                        "engine": engine.__name__,
                        "shape": name,
                        "voxel_nm": "x".join(f"{r:g}" for r in resolution),
                        "faces": len(f),
                        "cpu_us_per_face": round(1e6 * seconds / len(f), 3),
                        "is_volume": t.is_volume,
                        "genus": t.genus,
                        "area_ratio": round(area(v, f) / of_area, 4),
                        "volume_ratio": round(signed_volume(v, f) / of_volume, 4),
                        "volume_voxels_ratio": round(t.volume_nm3 / float(labels.sum() * resolution.prod()), 4),
                        "distance_mean_nm": round(float(np.abs(away).mean()), 2),
                        "distance_p95_nm": round(float(np.percentile(np.abs(away), 95)), 2),
                        "distance_bias_nm": round(float(away.mean()), 2),
                        "wall_shared": round(wall, 3),
                    }
                )
    with OUT.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
