"""What sections across skeletons cost, by our kernel and by xs3d: `python -m benchmarks.skeleton_sections` prints it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import SKELETON_DUST_VX, volumes
from benchmarks.skeleton_blocks import skeletons
from benchmarks.skeleton_quality import objects_of
from ophiolite.kernels.cross_section import TANGENT_STEPS
from ophiolite.kernels.cross_section_loops import areas, cuts

TASK_VX = 128
# The largest objects but the two that fill most of the volume, and of each at most so many cuts.
RANKS = range(2, 22)
CUTS = 200
NOWHERE = np.zeros(6, np.bool_)
Floats = NDArray[np.float64]
Measured = dict[str, tuple[float, Floats]]


def main() -> None:
    """Measure the same cuts through objects of FIB-25 with both and print a line."""
    import h5py

    dataset = next(d for d in volumes() if d.name == "fib25")
    with h5py.File(dataset.file) as file:
        labels = np.asarray(file[dataset.labels]).T
    x, y, z = map(float, dataset.resolution_nm)
    found = sorted(objects_of(labels, SKELETON_DUST_VX), key=lambda o: -int(np.count_nonzero(o.mask)))
    chosen = [found[rank] for rank in RANKS]
    traced = skeletons(np.where(np.isin(labels, [o.label for o in chosen]), labels, 0), TASK_VX, (x, y, z))
    seconds, ours, theirs = {"ophiolite": 0.0, "xs3d": 0.0}, [np.zeros(0)], [np.zeros(0)]
    for number, item in enumerate(chosen):
        vertices, edges, _ = traced[item.label]
        points = vertices.astype(np.float64) - np.array(item.start) * (x, y, z)
        got = both(np.asfortranarray(item.mask), points, edges.astype(np.int64), np.array([x, y, z]))
        if number:  # the first loads and compiles
            for name, (taken, _) in got.items():
                seconds[name] += taken
            ours.append(got["ophiolite"][1])
            theirs.append(got["xs3d"][1])
    print(line(seconds, np.concatenate(ours), np.concatenate(theirs)))


def both(mask: NDArray[np.bool_], points: Floats, edges: NDArray[np.int64], voxel_nm: Floats) -> Measured:
    """CPU seconds and areas (nm^2) of the same cuts by each: across chains, through the middles of voxels."""
    import xs3d

    normal, owner = cuts(points, np.ascontiguousarray(edges), TANGENT_STEPS)
    rows = np.unique(np.linspace(0, len(normal) - 1, CUTS).astype(np.int64))
    normal, at = normal[rows], np.floor(points[owner[rows]] / voxel_nm).astype(np.int64)
    anisotropy = voxel_nm.astype(np.float32)

    def of_ours() -> Any:
        flat, middle = mask.reshape(-1, order="F"), (at + 0.5) * voxel_nm
        return np.abs(
            areas(flat, np.array(mask.shape), np.zeros(flat.size, np.int32), middle, normal, voxel_nm, NOWHERE)
        )

    def of_theirs() -> Any:
        xs3d.set_shape(mask)  # as it says: faster where one shape is cut again and again
        pairs = zip(at, normal.astype(np.float32), strict=True)
        found = [xs3d.cross_sectional_area(mask, v, n, anisotropy, use_persistent_data=True) for v, n in pairs]
        xs3d.clear_shape()
        return np.array(found)

    return {"ophiolite": timed(of_ours), "xs3d": timed(of_theirs)}


def timed(measure: Callable[[], Any]) -> tuple[float, Floats]:
    """CPU seconds that a call takes, and what it returns."""
    started = time.process_time()
    found = measure()
    return time.process_time() - started, found


def line(seconds: dict[str, float], ours: Floats, theirs: Floats) -> str:
    """What the page says: CPU ms per cut of each, their ratio, how many areas agree to a hundredth."""
    own, other = (1000 * seconds[name] / len(ours) for name in ("ophiolite", "xs3d"))
    alike = float(np.isclose(ours, theirs, rtol=0.01).mean())
    return (
        f"{len(ours):,} sections: {own:.3g} CPU ms each, xs3d {other:.3g} ({other / own:.2f} times); "
        f"{100 * alike:.1f} % agree to 1 %"
    )


if __name__ == "__main__":
    main()
