"""What `mesh.extractor` chooses, on real volumes: `python -m benchmarks.extractor_volumes` writes extractor_volumes.csv.

Each volume is one task, closed at its faces, extracted alone and simplified as the pieces of tasks are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import RESULTS, Dataset, volumes
from benchmarks.run import say, write_csv
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, MeshPiece
from ophiolite.kernels.extractor import Extractor
from ophiolite.kernels.label_surface import Triangles, surface_samples
from ophiolite.kernels.mesh import MeshOptions, mesh_labels
from ophiolite.kernels.mesh_measure import Surface
from ophiolite.kernels.mesh_topology import topology
from ophiolite.kernels.seams import FRAGMENT_SHARE
from ophiolite.stages.mesh_pieces import EXTRACTORS

MAX_ERROR_NM = 40 * FRAGMENT_SHARE
# The middle of each volume, of so many voxels a side, and the errors allowed in nm.
CUTS = (("pinky40", 128, (MAX_ERROR_NM, 28.0)), ("pinky40", 257, (MAX_ERROR_NM,)), ("fib25", 250, (MAX_ERROR_NM,)))
SAMPLES_PER_FACE = 1 / 50
REPEATS = 2
COLUMNS = (
    "volume", "side_vx", "extractor", "labels", "faces", "extraction_s", "max_error_nm", "simplified_s", "triangles",
    "unsimplified", "is_volume", "own_mean_nm", "own_p95_nm", "zmesh_mean_nm", "zmesh_p95_nm",
)  # fmt: skip


@dataclass(frozen=True)
class _Cut:
    """Labels (x, y, z), and the voxel in nm."""

    labels: NDArray[Any]
    resolution_nm: tuple[float, float, float]

    def pieces(self, extractor: Extractor, max_error_nm: float = 0) -> tuple[float, dict[int, MeshPiece]]:
        """CPU seconds, the best of some runs, and the piece of each label; 0 nm for unsimplified ones."""
        yes, no = (True, True, True), (False, False, False)
        x, y, z = self.labels.shape
        options, seconds = MeshOptions(simplify=max_error_nm > 0, max_error_nm=max_error_nm), np.inf
        for _ in range(REPEATS):
            start = time.process_time()
            found = dict(mesh_labels(self.labels, self.resolution_nm, (x, y, z), yes, no, no, options, extractor))
            seconds = min(seconds, time.process_time() - start)
        return seconds, found

    def nm(self, piece: MeshPiece) -> Triangles:
        """A piece in nm from the corner."""
        return piece.vertices * (np.array(self.resolution_nm) / STEPS_PER_VOXEL), piece.faces.astype(np.int64)


def main() -> None:
    """Measure every extractor on every cut that lies here."""
    rows: list[list[Any]] = []
    there = {data.name: data for data in volumes()}
    for name, side, errors in CUTS:
        if name not in there:
            continue
        cut = _cut(there[name], side)
        reference = cut.pieces(EXTRACTORS["zmesh"])[1]
        for extractor in EXTRACTORS:
            for row in _measured(cut, EXTRACTORS[extractor], errors, reference):
                rows.append([name, side, extractor, *row])
                say(" ".join(map(str, rows[-1])))
    write_csv(RESULTS / "extractor_volumes.csv", COLUMNS, rows)


def _cut(data: Dataset, side: int) -> _Cut:
    slices = [slice(max(0, (n - side) // 2), max(0, (n - side) // 2) + side) for n in data.size_vx]
    with h5py.File(data.file, "r") as file:
        labels = np.array(file[data.labels][slices[2], slices[1], slices[0]]).T
    x, y, z = (float(r) for r in data.resolution_nm)
    return _Cut(np.asfortranarray(labels), (x, y, z))


def _measured(
    cut: _Cut, extractor: Extractor, errors: Sequence[float], reference: dict[int, MeshPiece]
) -> Iterator[list[Any]]:
    small = _Cut(np.asfortranarray(cut.labels[:48, :48, :48]), cut.resolution_nm)
    small.pieces(extractor, MAX_ERROR_NM)  # compiled before it is timed
    extraction, raw = cut.pieces(extractor)
    yield [*_sizes(raw), f"{extraction:.2f}", "", "", "", "", *_quality(cut, raw, raw, reference)]
    for error in errors:
        seconds, made = cut.pieces(extractor, error)
        same = sum(len(made[label].faces) == len(raw[label].faces) for label in raw)
        sizes = [f"{error:g}", f"{seconds:.2f}", _sizes(made)[1], same]
        yield [*_sizes(raw), f"{extraction:.2f}", *sizes, *_quality(cut, made, raw, reference)]


def _sizes(pieces: dict[int, MeshPiece]) -> list[int]:
    return [len(pieces), sum(len(piece.faces) for piece in pieces.values())]


def _quality(
    cut: _Cut, made: dict[int, MeshPiece], raw: dict[int, MeshPiece], reference: dict[int, MeshPiece]
) -> list[str]:
    closed, own, others = 0, [np.zeros(0)], [np.zeros(0)]
    for label, piece in made.items():
        mesh = cut.nm(piece)
        apart = len(np.unique(piece.vertices, axis=0)) == len(piece.vertices)
        closed += apart and topology(*mesh).is_volume
        surface = Surface(*mesh)
        own.append(_distances(mesh, surface, cut.nm(raw[label])))
        others.append(_distances(mesh, surface, cut.nm(reference[label])))
    away = [np.concatenate(found) for found in (own, others)]
    numbers = [f"{v:.2f}" for found in away for v in (found.mean(), np.percentile(found, 95))]
    return [f"{closed / len(reference):.4f}", *numbers]


def _distances(mesh: Triangles, surface: Surface, other: Triangles) -> NDArray[np.float64]:
    """Of points spread evenly over either mesh, from the other."""
    count = max(64, int(len(other[1]) * SAMPLES_PER_FACE))
    there, back = surface_samples(*other, count), surface_samples(*mesh, count)
    return np.concatenate([surface.distance(there), Surface(*other).distance(back)])


if __name__ == "__main__":
    main()
