"""The compiled loops of kernels.skeleton_merge that trim ends which the balls of other branches cover."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit
from ophiolite.kernels.skeleton_graph_loops import incidence
from ophiolite.kernels.skeleton_join_loops import LEAF, boxes, outside

_jit: Any = njit(cache=True, nogil=True)


# Of the square of two radii, what their distance must stay below: rounding may not make of a touch an overlap.
_OVERLAP = 1 - 1e-6


@_jit
def _covered(here, points, ball, own, side, group, part, alive, tree, order, stack):  # type: ignore[no-untyped-def]
    """Whether a ball holds `here` whose vertex is alive, of the same part, of another group and another side."""
    low, high, reach = tree
    leaves = len(reach) // 2
    depth = 1
    stack[0] = 1
    while depth:
        depth -= 1
        node = stack[depth]
        if outside(points[here], low[node], high[node]) > (reach[node] + own[here]) ** 2:
            continue
        if node < leaves:
            stack[depth] = 2 * node
            stack[depth + 1] = 2 * node + 1
            depth += 2
            continue
        for i in range((node - leaves) * LEAF, min((node - leaves + 1) * LEAF, len(order))):
            other = order[i]
            if ball[other] < 0 or not alive[other] or part[other] != part[here]:
                continue
            if group[other] == group[here] or side[other] == side[here]:
                continue
            apart = 0.0
            for axis in range(3):
                apart += (points[here, axis] - points[other, axis]) ** 2
            reach_nm = ball[other] + own[here]
            # Radii end at centres of voxels outside: balls that only touch may have one between them.
            if apart <= reach_nm**2 and (own[here] == 0 or apart < reach_nm**2 * _OVERLAP):
                return True
    return False


@_jit
def _restore(tip, stop, edges, offsets, rows, alive, gone):  # type: ignore[no-untyped-def]
    """Take back that the way from an end to `stop` went."""
    here, edge = tip, rows[offsets[tip]]
    while here != stop:
        alive[here] = True
        gone[edge] = False
        here = edges[edge, 0] + edges[edge, 1] - here
        following = rows[offsets[here]]
        edge = following if following != edge else rows[offsets[here] + 1]


@_jit
def trim(points, ball, own, part, side, edges, chains, asked, order):  # type: ignore[no-untyped-def]
    """(m,) bool: edges that go when asked branches are shortened from their end for as long as it is covered.

    points (n, 3), ball (n,) nm. own (n,) nm : where not 0, a vertex is covered nearer to a ball than this, not at
    it; what is covered for less than twice that stays. part (n,) : the component of each vertex. side (n,) : what
    is on one side does not cover each other. edges (m, 2); chains : start, order and ends as `contract` gives them.
    asked (a,) int64 : chains with an end, in the order in which they are taken; of those at one foot the first only
    that goes whole. order : the vertices in an order that keeps neighbours together.
    """
    start, along, ends = chains
    offsets, rows = incidence(len(points), edges)
    group = np.full(len(points), -1)
    for i in range(len(ends)):
        for k in range(start[i], start[i + 1]):
            group[edges[along[k], 0]] = i
            group[edges[along[k], 1]] = i
    for v in range(len(points)):
        if offsets[v + 1] - offsets[v] > 2:
            group[v] = -1 - v
    ordered, radius = points[order], ball[order]
    tree = boxes(ordered, radius)
    stack = np.empty(128, np.int64)
    alive = np.ones(len(points), np.bool_)
    gone = np.zeros(len(edges), np.bool_)
    taken = np.zeros(len(points), np.bool_)
    for i in asked:
        here = ends[i, 0]
        foot = ends[i, 1]
        if offsets[here + 1] - offsets[here] != 1:
            here, foot = foot, here
        if taken[foot]:
            continue
        edge = rows[offsets[here]]
        tip, run, width = here, 0.0, 0.0
        while here != foot and _covered(here, points, ball, own, side, group, part, alive, tree, order, stack):
            alive[here] = False
            gone[edge] = True
            width = max(width, 2.0 * own[here])
            before = here
            here = edges[edge, 0] + edges[edge, 1] - here
            run += np.sqrt(((points[here] - points[before]) ** 2).sum())
            following = rows[offsets[here]]
            edge = following if following != edge else rows[offsets[here] + 1]
        if run < width:
            _restore(tip, here, edges, offsets, rows, alive, gone)
        else:
            taken[foot] |= here == foot
    return gone
