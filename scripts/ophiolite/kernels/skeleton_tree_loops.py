"""The compiled loops of kernels.skeleton_tree: walking trees from their roots, orders of their branches."""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit
from ophiolite.kernels.skeleton_graph_loops import incidence

_jit: Any = njit(cache=True, nogil=True)


@_jit
def walk(n, edges, roots):  # type: ignore[no-untyped-def]
    """Preorder of a forest of n vertices and edges (m, 2) from `roots`, tree by tree; each chain is walked to its end.

    Returns order (n,), the vertices as they are met, and parent (n,), places in `order`, -1 at roots. Children are
    visited in the order of the edges.
    """
    offsets, rows = incidence(n, edges)
    order = np.empty(n, np.int64)
    parent = np.empty(n, np.int64)
    # A vertex, the place of its parent, and the edge it was met by; a vertex waits once at most.
    waiting = np.empty((n, 3), np.int64)
    at = 0
    for root in roots:
        waiting[0, 0], waiting[0, 1], waiting[0, 2] = root, -1, -1
        count = 1
        while count:
            count -= 1
            here, edge = waiting[count, 0], waiting[count, 2]
            order[at] = here
            parent[at] = waiting[count, 1]
            for i in range(offsets[here + 1] - 1, offsets[here] - 1, -1):
                if rows[i] != edge:
                    other = edges[rows[i], 0] + edges[rows[i], 1] - here
                    waiting[count, 0], waiting[count, 1], waiting[count, 2] = other, at, rows[i]
                    count += 1
            at += 1
    return order, parent


@_jit
def strahler(parent):  # type: ignore[no-untyped-def]
    """(n,) int64: the order of each vertex of a forest given in preorder (Strahler 1957, doi:10.1029/TR038i006p00913).

    1 without children; of the highest order among the children, one more where two or more have it.
    """
    n = len(parent)
    highest = np.zeros(n, np.int64)
    ties = np.zeros(n, np.int64)
    order = np.ones(n, np.int64)
    for v in range(n - 1, -1, -1):
        if highest[v]:
            order[v] = highest[v] + (ties[v] > 1)
        above = parent[v]
        if above >= 0:
            if order[v] > highest[above]:
                highest[above] = order[v]
                ties[above] = 1
            elif order[v] == highest[above]:
                ties[above] += 1
    return order
