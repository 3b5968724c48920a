"""Edge collapse by quadric error in double precision, which keeps the topology of what it simplifies.

Garland & Heckbert 1997, "Surface simplification using quadric error metrics", planes weighted by area; the link
condition of Dey et al. 1999, "Topology preserving edge contraction", so that a watertight mesh stays watertight and no
part of it vanishes; collapses that turn a face over or make a sliver are refused. Vertices on edges without exactly two
opposite faces never move. What costs next to nothing (the many flat triangles of marching cubes) is merged first, in
clusters without any order of prices; of what is left, edges go in sweeps along the rows, each up to a higher price,
instead of from a heap: nearly the same order, no sifting, and neighbours lie close in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.kernels.cluster_loops import cluster
from ophiolite.kernels.judge_loops import altered, faces_at
from ophiolite.kernels.lattice_loops import about, box_of
from ophiolite.kernels.quadrics import odd_ends, quadrics
from ophiolite.kernels.simplify_loops import collapse, survivors

# Clusters are made of clusters while they leave less than this share of the faces, and a face is smaller than so many
# times the largest mean squared distance: where errors count, what is put in order loses fewer faces but gains as much.
_WORTH = 0.6
_FACE = 3.0
# What clusters leave of the faces, at best. Without order, they must not be what stops at the target, nor come near.
_LEFT = 0.3
_SPARE = 2.0


@dataclass(frozen=True)
class Simplified:
    """What is left of a mesh.

    vertices : (k, 3) float64. faces : (l, 3) uint32. rows : (k,) one of the vertices that each stands for. still : (k,)
    whether that was locked and lies where it did. into : (n,) the row of `vertices` that stands for each there was.
    changed : (k,) whether it, what it stands for, or the faces around it may be other than in the result before.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.uint32]
    rows: NDArray[np.int32]
    still: NDArray[np.bool_]
    into: NDArray[np.int32]
    changed: NDArray[np.bool_]


@dataclass(frozen=True)
class _Stage:
    """A mesh (vertices, faces, quadrics, normals, still), the row that stands for each first vertex, a row of each."""

    mesh: tuple[Any, ...]
    into: NDArray[np.int32]
    rows: NDArray[np.int32]

    def follow(self, *out: Any) -> _Stage:
        """The stage after clusters were made, from what `cluster` returns."""
        *mesh, number, rows = out
        return _Stage(tuple(mesh), number[self.into], self.rows[rows])


def simplify(
    vertices: ArrayLike,
    faces: ArrayLike,
    target_faces: int,
    max_rms: float = np.inf,
    locked: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.uint32], NDArray[np.int32]]:
    """Collapse edges, cheapest first, until `target_faces` are left or no collapse is allowed.

    vertices : (n, 3) in nm. faces : (m, 3), no face with a corner twice.
    max_rms : refuse collapses whose root mean square distance from the planes they stand for is larger, in nm.
    locked : (n,) vertices that must stay where they are, besides those of open edges.
    Returns vertices, faces and, for each vertex, a row of `vertices` that it stands for.
    """
    done = Simplifier(vertices, faces, locked).run(target_faces, max_rms)
    return done.vertices, done.faces, done.rows


class Simplifier:
    """A mesh to simplify, once or, where the result is too far off, again.

    Arguments as `simplify`'s. sound : open edges, if any, are known to lie between locked vertices.
    """

    def __init__(
        self, vertices: ArrayLike, faces: ArrayLike, locked: NDArray[np.bool_] | None = None, sound: bool = False
    ) -> None:
        given = np.asarray(vertices, np.float64).reshape(-1, 3)
        corners = np.asarray(faces)
        # Rows are far below 2**31, and nothing is written here: no copy.
        corners = corners.view(np.int32) if corners.dtype == np.uint32 else corners
        f = np.ascontiguousarray(corners, np.int32).reshape(-1, 3)
        low, high = box_of(given) if len(given) else (np.zeros(3), np.zeros(3))
        self._centre = (low + high) / 2
        v = about(given, self._centre)
        still = np.zeros(len(v), np.bool_) if locked is None else locked.copy()
        if not sound:
            still |= odd_ends(f, len(v))
        q, normals = quadrics(v, f)
        self._far = np.zeros(len(v), np.bool_)
        self._raw = self._merged = _Stage((v, f, q, normals, still), *2 * (np.arange(len(v), dtype=np.int32),))

    def run(self, target_faces: int, max_rms: float = np.inf) -> Simplified:
        """As `simplify`."""
        self._raw.mesh[4][self._far] = True
        stage, faces = self._raw, np.inf
        while np.isfinite(max_rms) and len(stage.mesh[1]) < _WORTH * faces:
            faces = len(stage.mesh[1])
            v, f, q, normals, still = stage.mesh
            # Three corners hold the area of each face.
            if stage is not self._raw and q[:, 10].sum() > 3 * faces * _FACE * max_rms**2:
                break
            if _LEFT * faces < _SPARE * target_faces:
                break
            merged = stage.follow(*cluster(v, f, q, normals, still, max_rms**2))
            if len(merged.mesh[1]) < _SPARE * target_faces:
                break
            stage = merged
        self._merged = stage
        count = len(stage.mesh[0])
        self._record = np.full((count, 2), -1, np.int32), np.empty((count, 3))
        self._last: tuple[Any, ...] | None = None
        self._repeated = self._settled = False
        self._asked = target_faces, max_rms
        return self._collapsed(np.zeros(count, np.bool_))

    def again(self, far: NDArray[np.bool_]) -> Simplified:
        """As the last `run`, with what stands for the vertices `far` (n,) after the clusters locked from now on.

        Elsewhere all is done as it was. From the second time on what is around it is locked too; and where all that
        was before, they are themselves.
        """
        _, f, _, _, still = self._merged.mesh
        held = np.zeros(len(still), np.bool_)
        held[self._merged.into[far]] = True
        self._far |= far
        # Or else what bends around it may be to blame time after time.
        if self._repeated or still[held].all():
            held[f[faces_at(f, held)]] = True
        self._repeated = True
        if self._merged is self._raw or still[held].all():
            self._far |= held[self._merged.into]
            return self.run(*self._asked)
        still |= held
        return self._collapsed(held)

    def _collapsed(self, held: NDArray[np.bool_]) -> Simplified:
        stage, (target_faces, max_rms) = self._merged, self._asked
        v, f, q, _, still = stage.mesh
        further, left = np.arange(len(v), dtype=np.int32), np.ones(len(f), np.bool_)
        if len(f) > target_faces:
            v, f, q = v.copy(), f.copy(), q.copy()
            most = float(max_rms) ** 2
            left, self._settled = collapse(
                v, f, q, still, further, target_faces, most, *self._record, held, self._settled
            )
        now = v, f, left, further
        changed = np.ones(len(v), np.bool_) if self._last is None else altered(self._last, now)
        self._last = now
        vertices, faces, rows, stay, into, used = survivors(
            v, f, left, further, self._centre, stage.rows, stage.into, self._raw.mesh[4]
        )
        return Simplified(vertices, faces, rows, stay, into, changed[used])
