"""A skeleton against known centrelines, such as those that a phantom was drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ophiolite.kernels.skeleton_graph_loops import contract
from ophiolite.kernels.skeleton_measure import Bones, Floats

# A branch of which less than this share is followed is missed.
FOLLOWED = 0.5


@dataclass(frozen=True)
class Centreline:
    """One unbranched true centreline: points_nm (n, 3) in order, radius_nm (n,)."""

    points_nm: Floats
    radius_nm: Floats


@dataclass(frozen=True)
class TruthMeasures:
    """distance_nm : (n,) of each vertex to the nearest true centreline. branches, missed, false : counts."""

    distance_nm: Floats
    branches: int
    missed: int
    false: int


def truth_measures(bones: Bones, lines: Sequence[Centreline], junctions_nm: Floats, voxel_nm: Floats) -> TruthMeasures:
    """Measure against the centrelines of one object, whose children begin at `junctions_nm` (k, 3).

    A point of a centreline is followed where the skeleton passes within its radius and a voxel. A centreline is missed
    where less than half of it, outside the balls of the branches it leaves from, is followed. A terminal chain of the
    skeleton is false where its end lies further than two radii of the line there and two voxels from every true end.
    Lines that lie whole within others' balls are no branches of their own.
    """
    from scipy.spatial import cKDTree

    slack = float(np.linalg.norm(voxel_nm))
    points = np.concatenate([line.points_nm for line in lines])
    radius = np.concatenate([line.radius_nm for line in lines])
    owner = np.repeat(np.arange(len(lines)), [len(line.points_nm) for line in lines])
    tree = cKDTree(points)
    dense, own, wide = _dense(lines, slack / 4)
    gap = cKDTree(_along(bones, slack / 4)).query(dense)[0]
    free = np.ones(len(dense), np.bool_)
    for row, near in enumerate(tree.query_ball_point(dense, float(radius.max()))):
        rows = np.array(near, np.int64)
        others = rows[owner[rows] < own[row]]
        if len(others):
            free[row] = bool((np.linalg.norm(points[others] - dense[row], axis=1) > radius[others]).all())
    followed = gap <= wide + slack
    real = [line for line in range(len(lines)) if free[own == line].any()]
    missed = sum(followed[(own == line) & free].mean() < FOLLOWED for line in real)
    return TruthMeasures(
        distance_nm=np.asarray(cKDTree(dense).query(bones.vertices_nm)[0]),
        branches=len(real),
        missed=int(missed),
        false=_false(bones, lines, junctions_nm, slack),
    )


def _dense(lines: Sequence[Centreline], step_nm: float) -> tuple[Floats, np.ndarray, Floats]:
    """Points (n, 3) of all lines at most `step_nm` apart, the line of each and its radius there."""
    points, owner, radius = [], [], []
    for number, line in enumerate(lines):
        walked = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line.points_nm, axis=0), axis=1))])
        at = np.linspace(0, walked[-1], int(np.ceil(walked[-1] / step_nm)) + 1)
        points.append(np.stack([np.interp(at, walked, line.points_nm[:, d]) for d in range(3)], axis=1))
        radius.append(np.interp(at, walked, line.radius_nm))
        owner.append(np.full(len(at), number))
    return np.concatenate(points), np.concatenate(owner), np.concatenate(radius)


def _along(bones: Bones, step_nm: float) -> Floats:
    """The vertices and points of the edges at most `step_nm` apart."""
    a, b = bones.vertices_nm[bones.edges[:, 0]], bones.vertices_nm[bones.edges[:, 1]]
    parts = np.maximum(np.ceil(np.linalg.norm(b - a, axis=1) / step_nm).astype(np.int64), 1)
    row = np.repeat(np.arange(len(parts)), parts)
    share = (np.arange(len(row)) - np.repeat(np.cumsum(parts) - parts, parts)) / parts[row]
    return np.concatenate([bones.vertices_nm, a[row] + share[:, None] * (b - a)[row]])


def _false(bones: Bones, lines: Sequence[Centreline], junctions_nm: Floats, slack: float) -> int:
    """Terminal chains that leave the skeleton where no true branch ends."""
    from scipy.spatial import cKDTree

    _, _, ends = contract(len(bones.vertices_nm), bones.edges)
    degree = bones.degree
    tips = ends[(degree[ends] == 1).any(axis=1) & (degree[ends] > 2).any(axis=1)]
    tips = np.where(degree[tips[:, 0]] == 1, tips[:, 0], tips[:, 1])
    truth = np.concatenate([line.points_nm[[0, -1]] for line in lines])
    wide = np.concatenate([line.radius_nm[[0, -1]] for line in lines])
    if len(junctions_nm):
        outer = cKDTree(junctions_nm).query(truth)[0] > 1
        truth, wide = truth[outer], wide[outer]
    if len(tips) == 0 or len(truth) == 0:
        return len(tips)
    apart = np.linalg.norm(bones.vertices_nm[tips][:, None] - truth[None], axis=2)
    return int((apart > 2 * wide[None] + 2 * slack).all(axis=1).sum())
