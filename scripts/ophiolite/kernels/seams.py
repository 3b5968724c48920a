"""Seams between tasks, gone from a joined mesh: simplified once more where they are no longer borders.

Fragments keep every vertex that neighbouring tasks share. After they are joined, the faces within a few
rings of those vertices are simplified alone; the rest has been as far as its error allows. Errors add up, so pieces
are allowed `FRAGMENT_SHARE` of the error and this step the rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.judge_loops import faces_among
from ophiolite.kernels.mesh_judge import Judge, ringed
from ophiolite.kernels.parts import part_volumes, parts_of
from ophiolite.kernels.quadrics import odd_ends
from ophiolite.kernels.simplify import Simplifier

# Of max_error_nm, what pieces of tasks may spend.
FRAGMENT_SHARE = 0.9
_RINGS = 2
_RMS_SHARE = 0.5
_ATTEMPTS = 12


def dissolve_seams(
    lattice: NDArray[np.int64],
    faces: NDArray[np.uint32],
    seam: NDArray[np.bool_],
    lattice_nm: NDArray[np.float64],
    max_error_nm: float,
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Simplify a joined mesh around its seam vertices; it errs by no more, as `Judge` judges.

    lattice : (n, 3) whole numbers of steps of `lattice_nm` (3,) nm. faces : (m, 3). seam : (n,) vertices.
    Returns vertices on the same lattice and faces. Where twelve attempts do not keep the error, or where a part would
    turn inside out, the mesh stays as it is.
    """
    near = ringed(seam, faces, _RINGS)
    band = faces_among(faces, near)
    if not seam.any() or not band.any():
        return lattice, faces
    rows = np.flatnonzero(_used(faces[band], len(lattice)))
    number = np.zeros(len(lattice), np.int64)
    number[rows] = np.arange(len(rows))
    old_faces = number[faces[band]].astype(np.uint32)
    made = _simplified(lattice[rows], old_faces, lattice_nm, max_error_nm)
    if made is None:
        return lattice, faces
    moved, new_faces, kept = made
    out = lattice.copy()
    out[rows[kept]] = moved
    every = np.concatenate([faces[~band], rows[kept][new_faces].astype(np.uint32)])
    if _turned(lattice, faces, out, every):
        return lattice, faces
    used = _used(every, len(out))
    renumber = np.cumsum(used, dtype=np.int64) - 1
    return out[used], renumber[every].astype(np.uint32)


def _turned(
    before: NDArray[np.int64], faces_before: NDArray[np.uint32], after: NDArray[np.int64], faces: NDArray[np.uint32]
) -> bool:
    """Whether a connected part, its vertices in the same rows, has lost its volume or turned inside out."""
    part = parts_of(faces_before, len(before))
    count = int(part.max()) + 1
    volumes = [
        part_volumes(place.astype(np.float64), corners, part, count)
        for place, corners in ((before, faces_before), (after, faces))
    ]
    return bool(((np.sign(volumes[0]) != np.sign(volumes[1])) & (volumes[0] != 0)).any())


def _simplified(
    lattice: NDArray[np.int64], faces: NDArray[np.uint32], lattice_nm: NDArray[np.float64], max_error_nm: float
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int32]] | None:
    """The band simplified: vertices on the lattice, faces, and the row that each vertex was; borders stay."""
    before = lattice * lattice_nm
    border = odd_ends(faces, len(lattice))
    work, judge = Simplifier(before, faces, border, sound=True), Judge(before, faces, border, max_error_nm)
    rms = max_error_nm * _RMS_SHARE
    done = work.run(0, rms)
    for _ in range(_ATTEMPTS):
        new = np.rint(done.vertices / lattice_nm).astype(np.int64)
        blamed = judge.blamed(new, new * lattice_nm, done)
        if not blamed.any():
            return new, done.faces, done.rows
        done = work.again(blamed)
    return None


def _used(faces: NDArray[np.uint32], vertices: int) -> NDArray[np.bool_]:
    used = np.zeros(vertices, np.bool_)
    used[faces] = True
    return used
