"""Where one process talks to another: sites on either side of a shared wall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.box import Vec

REACH_VX = (6, 6, 2)
DEEP_NM = 50.0
APART_NM = 180.0


@dataclass(frozen=True)
class Contact:
    """A synapse in voxels of the volume: the wall between two objects and a voxel inside each."""

    pre: int
    post: int
    wall: Vec
    pre_site: Vec
    post_site: Vec


def site(ids: NDArray[np.int32], depth_nm: NDArray[np.float32], wall: Vec, ident: int) -> Vec:
    """A voxel of an object near a wall voxel, off the membrane where there is room."""
    start = [max(w - r, 0) for w, r in zip(wall, REACH_VX, strict=True)]
    window = tuple(slice(a, w + r + 1) for a, w, r in zip(start, wall, REACH_VX, strict=True))
    local = np.indices(ids[window].shape)
    away = sum((local[k] - (wall[k] - start[k])) ** 2 * (1 if k < 2 else 11) for k in range(3))
    score = np.minimum(depth_nm[window], DEEP_NM) - 5.0 * np.sqrt(away)
    score[ids[window] != ident] = -np.inf
    best = np.unravel_index(int(np.argmax(score)), score.shape)
    return (start[0] + int(best[0]), start[1] + int(best[1]), start[2] + int(best[2]))


def find_contacts(
    rng: np.random.Generator,
    ids: NDArray[np.int32],
    depth_nm: NDArray[np.float32],
    eligible: NDArray[np.bool_],
    count: int,
    resolution_nm: Vec,
) -> list[Contact]:
    """Choose up to `count` synapses on walls between eligible objects, a good distance apart.

    ids : (x, y, z) int32; depth_nm : (x, y, z) float32, distance from the nearest wall; eligible : (number of ids + 1,)
    bool. About a third of the presynaptic sites get a second partner; they appear as contacts with equal `pre_site`.
    """
    a, b = ids[:-1], ids[1:]
    candidates = np.flatnonzero((a != b) & eligible[a] & eligible[b])
    out: list[Contact] = []
    walls: list[Vec] = []
    tries = rng.permutation(len(candidates))[: 60 * count]
    for k in candidates[tries]:
        x, y, z = (int(c) for c in np.unravel_index(k, a.shape))
        near = np.array([[x, y, z]]) - np.array(walls or [(10**6,) * 3])
        if np.linalg.norm(near * np.array(resolution_nm), axis=1).min() < APART_NM:
            continue
        pre, post = int(ids[x, y, z]), int(ids[x + 1, y, z])
        if rng.uniform() < 0.5:
            pre, post = post, pre
        pre_site = site(ids, depth_nm, (x, y, z), pre)
        walls.append((x, y, z))
        out.append(Contact(pre, post, (x, y, z), pre_site, site(ids, depth_nm, (x, y, z), post)))
        if rng.uniform() < 0.35:
            window = tuple(slice(max(c - r, 0), c + r + 1) for c, r in zip((x, y, z), (8, 8, 1), strict=True))
            others = [int(i) for i in np.unique(ids[window]) if eligible[i] and i not in (pre, post)]
            if others:
                out.append(Contact(pre, others[0], (x, y, z), pre_site, nearest(ids, (x, y, z), others[0])))
        if len(walls) == count:
            break
    return out


def nearest(ids: NDArray[np.int32], wall: Vec, ident: int) -> Vec:
    """The voxel of an object nearest to a wall voxel, among those within ten voxels of it."""
    start = [max(w - r, 0) for w, r in zip(wall, (10, 10, 2), strict=True)]
    window = tuple(slice(a, w + r + 1) for a, w, r in zip(start, wall, (10, 10, 2), strict=True))
    at = np.argwhere(ids[window] == ident) + start
    best = at[int(np.argmin(((at - wall) ** 2 * [1, 1, 11]).sum(axis=1)))]
    return (int(best[0]), int(best[1]), int(best[2]))
