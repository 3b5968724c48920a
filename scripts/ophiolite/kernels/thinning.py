"""The centrelines of thinning, to compare with: Lee, Kashyap & Chu 1994 (doi:10.1006/cgip.1994.1042), as a graph.

Terminals and branch points are counted as Fiji's AnalyzeSkeleton does (Arganda-Carreras et al. 2010,
doi:10.1002/jemt.20829): a terminal is a voxel of one 26-neighbour, a branch point a connected group of voxels of three
or more.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.skeleton_graph_loops import component_roots
from ophiolite.kernels.skeleton_measure import Bones, Floats, GraphMeasures, Ints, Mask, connected, graph_measures
from ophiolite.kernels.skeleton_measure_loops import short_ways

# Half of the 26 neighbours; the others are their opposites.
STEPS = tuple((x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) > (0, 0, 0))


def thin(mask: Mask) -> Mask:
    """The voxels (x, y, z) that thinning leaves of a mask."""
    from skimage import morphology

    skeletonize: Any = morphology.skeletonize
    return np.asarray(skeletonize(mask, method="lee")) > 0


def thinning_measures(mask: Mask, start_vx: tuple[int, int, int], voxel_nm: Floats) -> GraphMeasures:
    """Measure what thinning leaves of a mask: as `graph_measures`, along the shortest steps between its voxels.

    Thinning keeps the shells of cavities, which are full of steps in a ring; so loops are the tunnels of its voxels,
    their first Betti number, which is that of the mask.
    """
    left = thin(mask)
    voxels = np.argwhere(left)
    edges = neighbours(voxels, mask.shape)
    degree = np.bincount(edges.ravel(), minlength=len(voxels))
    found = graph_measures(
        Bones((voxels + np.array(start_vx) + 0.5) * voxel_nm, _shortest(voxels, edges), np.zeros(len(voxels)))
    )
    knots = edges[(degree[edges] > 2).all(axis=1)]
    groups = component_roots(len(voxels), knots)[degree > 2]
    return replace(
        found,
        terminals=int((degree == 1).sum()),
        branch_points=len(np.unique(groups)),
        loops=found.components + cavities(left) - euler_number(voxels),
    )


def euler_number(voxels: Ints) -> int:
    """Corners less edges plus faces less voxels of the union of closed voxels (n, 3), each counted once."""
    if not len(voxels):
        return 0
    total, wide = 0, 2 * voxels.max(axis=0) + 3
    line = ((2 * voxels[:, 0] + 1) * wide[1] + 2 * voxels[:, 1] + 1) * wide[2] + 2 * voxels[:, 2] + 1
    for lacking in itertools.product((0, 1), repeat=3):
        # Half-unit places of one orientation of corner, edge, face or voxel; an axis it lacks is at both ends.
        ends = [(-1, 1) if lack else (0,) for lack in lacking]
        places = [line + (x * wide[1] + y) * wide[2] + z for x, y, z in itertools.product(*ends)]
        total += len(np.unique(np.concatenate(places))) * (-1) ** (3 - sum(lacking))
    return total


def cavities(mask: Mask) -> int:
    """Closed hollows of a mask: 6-connected parts of its outside that reach no face of the box, which is open."""
    return connected(np.pad(~mask, 1, constant_values=True), 6)[1] - 1


def neighbours(voxels: Ints, shape: tuple[int, ...]) -> Ints:
    """(m, 2) rows of all pairs of 26-neighbours among voxels (n, 3) in ascending order of a box."""
    wide = np.array(shape) + 2
    line = ((voxels[:, 0] + 1) * wide[1] + voxels[:, 1] + 1) * wide[2] + voxels[:, 2] + 1
    found = [np.zeros((0, 2), np.int64)]
    for x, y, z in STEPS:
        wanted = line + (x * wide[1] + y) * wide[2] + z
        place = np.minimum(np.searchsorted(line, wanted), max(len(line) - 1, 0))
        here = np.flatnonzero(line[place] == wanted) if len(line) else np.zeros(0, np.int64)
        found.append(np.stack([here, place[here]], axis=1))
    return np.concatenate(found)


def _shortest(voxels: Ints, edges: Ints) -> Ints:
    """Edges without the longest of each triangle, so that a corner of three voxels is two steps and no loop."""
    steps = ((voxels[edges[:, 0]] - voxels[edges[:, 1]]) ** 2).sum(axis=1)
    rank = np.empty(len(edges), np.int64)
    rank[np.lexsort((edges[:, 1], edges[:, 0], steps))] = np.arange(len(edges))
    kept: NDArray[np.int64] = edges[short_ways(len(voxels), edges, rank)]
    return kept
