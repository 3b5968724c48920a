"""Whether a piece of a mesh keeps its promises once it is simplified, and which of its vertices are to blame if not.

A piece is judged as it will be stored, on its lattice. Of 100,000 triangles a few err as a rule; they are held, and the
rest is simplified as it was. So all but the first look is at what has changed since, and at what that may bear on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.judge_loops import astray, faces_among, faces_at, far_from_own
from ophiolite.kernels.mesh_measure import Surface
from ophiolite.kernels.parts import part_volumes, parts_of
from ophiolite.kernels.quadrics import odd_ends
from ophiolite.kernels.simplify import Simplified

# Faces so many rings around what stands for a vertex are searched for one that is near to it.
_RINGS = 3

# Vertices (n, 3) before, and the row after (n,) that stands for each.
_Points = tuple[NDArray[np.float64], NDArray[np.int32]]


class Judge:
    """A piece before it was simplified, and what was found of it.

    before : (n, 3) in nm. faces : (m, 3). rim : (n,) vertices that stay, where a piece may be open.
    bound_nm : how far vertices of either surface may be from the other, and centres of faces and middles of edges after
        from that before.
    """

    def __init__(
        self, before: NDArray[np.float64], faces: NDArray[np.uint32], rim: NDArray[np.bool_], bound_nm: float
    ) -> None:
        self._before, self._faces, self._rim, self._bound = before, faces, rim, bound_nm
        self._blamed = np.zeros(len(before), np.bool_)
        # Those that lie near to other faces than those of what stands for them: any of these may have gone since.
        self._leaning = np.zeros(len(before), np.bool_)
        self._sides: tuple[NDArray[np.int32], NDArray[np.float64]] | None = None

    def blamed(self, lattice: NDArray[Any], after: NDArray[np.float64], done: Simplified) -> NDArray[np.bool_]:
        """Which vertices (n,) before are to blame for what is not sound; none where the piece is.

        lattice, after : (k, 3) what is left, as it will be stored, and the same in nm. Results must follow each other
        as `Simplifier` made them: what one says has not `changed` is not looked at again, unless it was to blame.
        """
        changed = done.changed.copy()
        changed[done.into[self._blamed]] = True
        # What a vertex was near to may have gone from as many rings away as it was sought in.
        seen = ringed(changed, done.faces, _RINGS)
        rows = np.flatnonzero(seen[done.into] | self._leaning)
        out = np.zeros(len(self._before), np.bool_)
        own = (self._before, done.into) if len(rows) == len(out) else (self._before[rows], done.into[rows])
        faces = done.faces[faces_at(done.faces, changed)]
        out[rows] = self._far(rows, own, after, seen, done)
        out[self._strays(rows, own, after, faces, done)] = True
        out |= self._turned(lattice, done) | self._torn(faces, changed, done)
        self._blamed = out
        return out

    def _far(
        self,
        rows: NDArray[np.int64],
        of: _Points,
        after: NDArray[np.float64],
        seen: NDArray[np.bool_],
        done: Simplified,
    ) -> NDArray[np.bool_]:
        """Which of some vertices before are not within the bound, or stand for one that is not of theirs.

        rows, of : the vertices before that those after which are `seen` (k,) stand for, and some more.
        """
        points, own = of
        far: NDArray[np.bool_]
        far, lost = far_from_own(points, own, after, done.faces[faces_at(done.faces, seen)], self._bound)
        if far.any():
            near = np.zeros(len(after), np.bool_)
            near[own[far]] = True
            near = ringed(near, done.faces, _RINGS)
            some = done.faces[faces_among(done.faces, near)]
            saved = Surface(after, some).within(points[far], self._bound)
            self._leaning[rows[far]] = saved
            far[far] = ~saved
        lost &= seen
        if lost.any():
            lost[lost] = ~self._surface_at(lost[done.into]).within(after[lost], self._bound)
            far |= lost[own]
        return far

    def _strays(
        self,
        rows: NDArray[np.int64],
        of: _Points,
        after: NDArray[np.float64],
        faces: NDArray[np.uint32],
        done: Simplified,
    ) -> NDArray[np.int64]:
        """The vertices before that are nearest to a face's centre, or an edge's middle, farther than the bound.

        Where one was to blame before and is held by now, one of those too that each corner of the face stands for.
        rows, of : all vertices before that the corners of these `faces` (m, 3) stand for, and some more.
        """
        samples, nearest, face = astray(*of, after, faces, self._bound)
        if not len(samples):
            return rows[:0]
        close = np.zeros(len(self._before), np.bool_)
        close[rows[nearest]] = True
        # Farther from the faces about the nearest point is far enough, though others may be nearer.
        off = ~self._surface_at(close).within(samples, self._bound)
        strays, face = rows[nearest[off]], face[off]
        corners = done.rows[faces[face[self._blamed[strays]]]]
        out: NDArray[np.int64] = np.concatenate([strays, corners.ravel()])
        return out

    def _turned(self, lattice: NDArray[Any], done: Simplified) -> NDArray[np.bool_]:
        """Which vertices before belong to a part that is no longer closed around the same side: a cavity, or a speck.

        Parts that end at the task's faces enclose nothing by themselves. Simplifying leaves parts what they are.
        """
        if self._sides is None:
            part = parts_of(done.faces, len(lattice))
            own = part[done.into]
            self._sides = own, np.sign(part_volumes(self._before, self._faces, own, int(part.max()) + 1))
        own, signs = self._sides
        if len(signs) == 1:
            return np.zeros(len(own), np.bool_)
        volumes = part_volumes(lattice.astype(np.float64), done.faces, own[done.rows], len(signs))
        turned = np.sign(volumes) != signs
        turned[own[self._rim]] = False
        out: NDArray[np.bool_] = turned[own]
        return out

    def _torn(self, faces: NDArray[np.uint32], changed: NDArray[np.bool_], done: Simplified) -> NDArray[np.bool_]:
        """Which vertices before stand at an edge after that is not paired, and does not end at the task's faces.

        faces : all that have a corner which is `changed` (k,); of other vertices only some.
        """
        out: NDArray[np.bool_] = (odd_ends(faces, len(changed)) & changed & ~self._rim[done.rows])[done.into]
        return out

    def _surface_at(self, chosen: NDArray[np.bool_]) -> Surface:
        """The faces before with one of the `chosen` (n,) vertices."""
        return Surface(self._before, self._faces[faces_at(self._faces, chosen)])


def ringed(chosen: NDArray[np.bool_], faces: NDArray[np.uint32], rings: int) -> NDArray[np.bool_]:
    """The `chosen` (k,) vertices, and those so many rings of faces around them."""
    out = chosen.copy()
    if not out.all():
        for _ in range(rings):
            out[faces[faces_at(faces, out)]] = True
    return out
