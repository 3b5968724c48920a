"""The compiled loops of kernels.skeleton_merge that join components whose balls touch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit
from ophiolite.kernels.union_find import find

_jit: Any = njit(cache=True, nogil=True)

LEAF = 8
MIXED = -1


@_jit
def boxes(points, radius):  # type: ignore[no-untyped-def]
    """A binary tree over runs of LEAF points: low and high corner and largest radius of each node, root 1."""
    leaves = 1
    while leaves * LEAF < len(points):
        leaves *= 2
    low = np.full((2 * leaves, 3), np.inf)
    high = np.full((2 * leaves, 3), -np.inf)
    reach = np.zeros(2 * leaves)
    for i in range(len(points)):
        node = leaves + i // LEAF
        reach[node] = max(reach[node], radius[i])
        for axis in range(3):
            low[node, axis] = min(low[node, axis], points[i, axis])
            high[node, axis] = max(high[node, axis], points[i, axis])
    for node in range(leaves - 1, 0, -1):
        reach[node] = max(reach[2 * node], reach[2 * node + 1])
        for axis in range(3):
            low[node, axis] = min(low[2 * node, axis], low[2 * node + 1, axis])
            high[node, axis] = max(high[2 * node, axis], high[2 * node + 1, axis])
    return low, high, reach


@_jit
def _colours(component, leaves):  # type: ignore[no-untyped-def]
    """The one component below each node of the tree, or MIXED; empty nodes take their sibling's."""
    colour = np.full(2 * leaves, MIXED - 1)
    for node in range(2 * leaves - 1, 0, -1):
        if node >= leaves:
            for i in range((node - leaves) * LEAF, min((node - leaves + 1) * LEAF, len(component))):
                if colour[node] == MIXED - 1:
                    colour[node] = component[i]
                elif colour[node] != component[i]:
                    colour[node] = MIXED
        else:
            a, b = colour[2 * node], colour[2 * node + 1]
            if a == b or b == MIXED - 1:
                colour[node] = a
            elif a == MIXED - 1:
                colour[node] = b
            else:
                colour[node] = MIXED
    return colour


@_jit
def outside(point, low, high):  # type: ignore[no-untyped-def]
    """Squared distance from a point to a box."""
    total = 0.0
    for axis in range(3):
        d = max(low[axis] - point[axis], point[axis] - high[axis], 0.0)
        total += d * d
    return total


@_jit
def join(points, radius, names, component):  # type: ignore[no-untyped-def]
    """The edges (k, 2), in names, of a minimum spanning forest of components over pairs of touching balls.

    points (n, 3) float64 in an order that keeps neighbours together, radius (n,) float64, names (n,) int64 (distinct),
    component (n,) int64. A pair counts where the distance is at most the sum of the radii; equal distances are ordered
    by names. Boruvka rounds with one box tree (March, Ram and Gray 2010, doi:10.1145/1835804.1835882): subtrees of the
    point's own component are passed over, and a point that touches no other component is never asked again.
    """
    n = len(points)
    low, high, reach = boxes(points, radius)
    leaves = len(reach) // 2
    parent = np.arange(n)
    first = np.full(names.max() + 1, -1)
    for i in range(n):
        c = component[i]
        if first[c] < 0:
            first[c] = i
        parent[i] = first[c]
    asked = np.ones(n, np.bool_)
    edges = np.empty((n, 2), np.int64)
    made = 0
    own = np.empty(n, np.int64)
    stack = np.empty(128, np.int64)
    while True:
        for i in range(n):
            own[i] = find(parent, i)
        colour = _colours(own, leaves)
        best = np.full(n, np.inf)
        best_low = np.zeros(n, np.int64)
        best_high = np.zeros(n, np.int64)
        best_i = np.full(n, -1)
        best_j = np.full(n, -1)
        for i in range(n):
            if not asked[i]:
                continue
            touched = False
            mine = np.inf
            mine_low, mine_high, mine_j = 0, 0, -1
            depth = 1
            stack[0] = 1
            while depth:
                depth -= 1
                node = stack[depth]
                if colour[node] == own[i]:
                    continue
                distance = outside(points[i], low[node], high[node])
                if distance > mine or distance > (radius[i] + reach[node]) ** 2:
                    continue
                if node < leaves:
                    a, b = 2 * node, 2 * node + 1
                    if outside(points[i], low[a], high[a]) > outside(points[i], low[b], high[b]):
                        a, b = b, a
                    stack[depth] = b
                    stack[depth + 1] = a
                    depth += 2
                    continue
                for j in range((node - leaves) * LEAF, min((node - leaves + 1) * LEAF, n)):
                    if own[j] == own[i]:
                        continue
                    d = 0.0
                    for axis in range(3):
                        d += (points[i, axis] - points[j, axis]) ** 2
                    if d > (radius[i] + radius[j]) ** 2 or d > mine:
                        continue
                    touched = True
                    p, q = min(names[i], names[j]), max(names[i], names[j])
                    if d < mine or (p, q) < (mine_low, mine_high):
                        mine, mine_low, mine_high, mine_j = d, p, q, j
            asked[i] = touched
            c = own[i]
            if touched and (
                mine < best[c] or (mine == best[c] and (mine_low, mine_high) < (best_low[c], best_high[c]))
            ):
                best[c], best_low[c], best_high[c], best_i[c], best_j[c] = mine, mine_low, mine_high, i, mine_j
        before = made
        for c in range(n):
            if best_i[c] >= 0:
                a, b = find(parent, best_i[c]), find(parent, best_j[c])
                if a != b:
                    parent[max(a, b)] = min(a, b)
                    edges[made, 0] = best_low[c]
                    edges[made, 1] = best_high[c]
                    made += 1
        if made == before:
            return edges[:made]
