"""Pieces of one label from neighbouring tasks become one mesh: seam vertices are matched by exact equality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.box import Vec
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, MeshPiece


def stitch(pieces: Sequence[tuple[Vec, MeshPiece]]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Join pieces of one label: `join` without the seam bits."""
    return join(pieces)[:2]


def join(
    pieces: Sequence[tuple[Vec, MeshPiece]],
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.bool_]]:
    """Join pieces of one label.

    Returns vertices (n, 3) int64 on the absolute 1/256-voxel lattice, faces (m, 3) uint32, seam bits (n,).

    pieces : (origin in voxels, piece); any order gives the same mesh.

    Only vertices that carry the seam bit are matched. Faces that lose a corner are dropped; of faces on the same three
    seam vertices one is kept, or none where as many look one way as the other.
    """
    # The origin decides; the rest only where two pieces share one.
    ordered = sorted(
        pieces, key=lambda p: (p[0], p[1].vertices.tobytes(), p[1].faces.tobytes()) if len(pieces) > 1 else 0
    )
    if not ordered:
        return np.empty((0, 3), np.int64), np.empty((0, 3), np.uint32), np.empty(0, np.bool_)
    vertices = np.concatenate(
        [piece.vertices.astype(np.int64) + np.array(at, np.int64) * STEPS_PER_VOXEL for at, piece in ordered]
    )
    starts = np.cumsum([0] + [len(piece.vertices) for _, piece in ordered])
    faces = np.concatenate(
        [piece.faces.astype(np.int64) + start for (_, piece), start in zip(ordered, starts[:-1], strict=True)]
    )
    seam = np.concatenate([piece.seam for _, piece in ordered])
    same = _representatives(vertices, seam)
    faces = same[faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[whole]
    faces = faces[_single(faces, seam)]
    used = np.zeros(len(vertices), np.bool_)
    used[faces] = True
    number = np.cumsum(used) - 1
    return vertices[used], number[faces].astype(np.uint32), seam[used]


def _representatives(vertices: NDArray[np.int64], seam: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each vertex the first seam vertex at its place, itself where it has no seam bit."""
    same = np.arange(len(vertices), dtype=np.int64)
    rows = np.flatnonzero(seam)
    if len(rows) == 0:
        return same
    at = vertices[rows]
    order = np.lexsort((at[:, 0], at[:, 1], at[:, 2]))
    new = np.ones(len(rows), np.bool_)
    new[1:] = (at[order[1:]] != at[order[:-1]]).any(axis=1)
    # lexsort is stable, so the head of each run is its lowest row.
    same[rows[order]] = rows[order][new][np.cumsum(new) - 1]
    return same


def _single(faces: NDArray[np.int64], seam: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows to keep so that no three seam vertices carry more than one face, and none whose faces cancel."""
    keep = np.ones(len(faces), np.bool_)
    rows = np.flatnonzero(seam[faces].all(axis=1))
    if len(rows) == 0:
        return keep
    corners = faces[rows]
    turn = corners.argmin(axis=1)
    first = np.take_along_axis(corners, turn[:, None], axis=1)[:, 0]
    second = np.take_along_axis(corners, ((turn + 1) % 3)[:, None], axis=1)[:, 0]
    third = np.take_along_axis(corners, ((turn + 2) % 3)[:, None], axis=1)[:, 0]
    forward = second < third
    low, high = np.minimum(second, third), np.maximum(second, third)
    order = np.lexsort((forward, high, low, first))
    key = np.stack([first, low, high], axis=1)[order]
    start = np.flatnonzero(np.concatenate([[True], (key[1:] != key[:-1]).any(axis=1)]))
    ahead = np.add.reduceat(forward[order].astype(np.int64), start)
    count = np.diff(np.append(start, len(rows)))
    keep[rows] = False
    # Within a run the backward faces come first.
    backward_wins, forward_wins = 2 * ahead < count, 2 * ahead > count
    keep[rows[order[start[backward_wins]]]] = True
    keep[rows[order[(start + count - 1)[forward_wins]]]] = True
    return keep
