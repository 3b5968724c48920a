"""The compiled loops of kernels.skeleton_merge on graphs: components, chains, spanning forest, ticks."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

from ophiolite.kernels.compiled import njit
from ophiolite.kernels.union_find import find

_jit: Any = njit(cache=True, nogil=True)


@_jit
def component_roots(n, edges):  # type: ignore[no-untyped-def]
    """(n,) int64: the lowest vertex of each vertex's connected component; edges (m, 2) int64."""
    parent = np.arange(n)
    for k in range(len(edges)):
        a, b = find(parent, edges[k, 0]), find(parent, edges[k, 1])
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    for i in range(n):
        parent[i] = find(parent, i)
    return parent


@_jit
def incidence(n, ends):  # type: ignore[no-untyped-def]
    """Rows of `ends` (m, 2) at each of n vertices: those of v are rows[start[v]:start[v + 1]], a loop twice."""
    start = np.zeros(n + 1, np.int64)
    for k in range(len(ends)):
        start[ends[k, 0] + 1] += 1
        start[ends[k, 1] + 1] += 1
    for v in range(n):
        start[v + 1] += start[v]
    rows = np.empty(2 * len(ends), np.int64)
    at = start[:-1].copy()
    for k in range(len(ends)):
        for side in range(2):
            v = ends[k, side]
            rows[at[v]] = k
            at[v] += 1
    return start, rows


@_jit
def contract(n, edges):  # type: ignore[no-untyped-def]
    """Chains of edges between vertices whose degree is not 2, each edge in exactly one.

    Returns start (c + 1,) and order (m,): chain i is the edges order[start[i]:start[i + 1]], along its way; and ends
    (c, 2), its two vertices. A ring without any such vertex is one chain from its lowest vertex to itself.
    """
    offsets, rows = incidence(n, edges)
    order = np.empty(len(edges), np.int64)
    start = np.zeros(len(edges) + 1, np.int64)
    ends = np.empty((len(edges), 2), np.int64)
    used = np.zeros(len(edges), np.bool_)
    chains = 0
    at = 0
    for rings in range(2):
        for v in range(n):
            degree = offsets[v + 1] - offsets[v]
            if rings == 0 and degree == 2:
                continue
            for i in range(offsets[v], offsets[v + 1]):
                edge = rows[i]
                if used[edge]:
                    continue
                here = v
                while True:
                    used[edge] = True
                    order[at] = edge
                    at += 1
                    here = edges[edge, 0] + edges[edge, 1] - here
                    if here == v or offsets[here + 1] - offsets[here] != 2:
                        break
                    following = rows[offsets[here]]
                    edge = following if following != edge else rows[offsets[here] + 1]
                ends[chains, 0] = v
                ends[chains, 1] = here
                chains += 1
                start[chains] = at
    return start[: chains + 1], order, ends[:chains]


@_jit
def spanning(n, ends, order):  # type: ignore[no-untyped-def]
    """(c,) bool: the chains that join two trees when taken in `order` (Kruskal 1956)."""
    parent = np.arange(n)
    tree = np.zeros(len(ends), np.bool_)
    for i in order:
        a, b = find(parent, ends[i, 0]), find(parent, ends[i, 1])
        if a != b:
            parent[max(a, b)] = min(a, b)
            tree[i] = True
    return tree


@_jit
def ticks(n, ends, lengths, limit, asked):  # type: ignore[no-untyped-def]
    """(c,) bool: chains that go when the shortest branch below its limit is taken away again and again.

    limit (n,) float64 : of a branch that leaves at each vertex. asked (c,) bool : branches without an asked chain stay.
    A branch is a chain from a terminal to a branch point; where two chains are left at a branch point they become one,
    longer chain before the next is taken. The last chain of a component stays. Equal branches go in the order of their
    terminals. Each chain enters the heap once, and each union once: c log c.
    """
    offsets, rows = incidence(n, ends)
    degree = offsets[1:] - offsets[:-1]
    parent = np.arange(len(ends))
    ends = ends.copy()
    lengths = lengths.copy()
    asked = asked.copy()
    gone = np.zeros(len(ends), np.bool_)
    heap = [(0.0, 0, 0) for _ in range(0)]
    for i in range(len(ends)):
        a, b = degree[ends[i, 0]], degree[ends[i, 1]]
        if (a == 1) != (b == 1):
            heap.append((lengths[i], ends[i, 0] if a == 1 else ends[i, 1], i))
    heapq.heapify(heap)
    while heap:
        length, terminal, i = heapq.heappop(heap)
        # A chain leaves the heap when it is united with another; its old entry is known by its old length.
        if parent[i] != i or gone[i] or lengths[i] != length:
            continue
        other = ends[i, 0] + ends[i, 1] - terminal
        if degree[other] == 1 or not asked[i] or length >= limit[other]:
            continue
        gone[i] = True
        degree[other] -= 1
        if degree[other] != 2:
            continue
        first, second = -1, -1
        for k in range(offsets[other], offsets[other + 1]):
            root = find(parent, rows[k])
            if not gone[root] and root != first:
                first, second = root, first
        if second < 0:
            continue
        a = ends[first, 0] + ends[first, 1] - other
        b = ends[second, 0] + ends[second, 1] - other
        first, second = min(first, second), max(first, second)
        parent[second] = first
        lengths[first] += lengths[second]
        asked[first] |= asked[second]
        ends[first, 0] = a
        ends[first, 1] = b
        if (degree[a] == 1) != (degree[b] == 1):
            heapq.heappush(heap, (lengths[first], a if degree[a] == 1 else b, first))
    for i in range(len(ends)):
        gone[i] = gone[find(parent, i)]
    return gone


@_jit
def reaches(edges, lengths, ball):  # type: ignore[no-untyped-def]
    """(n,) float64: how much further than each vertex a ball reaches along the edges; ball (n,), lengths (m,).

    That is the greatest of ball[v] less the way from v, over all v: one search from all of them (Dijkstra 1959), the
    greatest first. Vertices of a negative ball are passed through.
    """
    offsets, rows = incidence(len(ball), edges)
    out = ball.copy()
    heap = [(-ball[v], v) for v in range(len(ball)) if ball[v] > 0]
    heapq.heapify(heap)
    while heap:
        least, here = heapq.heappop(heap)
        if -least < out[here]:
            continue
        for k in range(offsets[here], offsets[here + 1]):
            there = edges[rows[k], 0] + edges[rows[k], 1] - here
            left = out[here] - lengths[rows[k]]
            if left > 0 and left > out[there]:
                out[there] = left
                heapq.heappush(heap, (-left, there))
    return out


@_jit
def first_marked(chains, edges, lengths, degree, marked):  # type: ignore[no-untyped-def]
    """Of each chain with a terminal the first marked vertex from there and the way to it; -1 where there is none.

    chains : start, order and ends as `contract` gives them; edges (m, 2), lengths (m,), degree and marked (n,).
    """
    start, order, ends = chains
    found = np.full(len(ends), -1)
    way = np.zeros(len(ends))
    for i in range(len(ends)):
        forward = degree[ends[i, 0]] == 1
        if not forward and degree[ends[i, 1]] != 1:
            continue
        here = ends[i, 0] if forward else ends[i, 1]
        for k in range(start[i + 1] - start[i]):
            if marked[here]:
                break
            edge = order[start[i] + k] if forward else order[start[i + 1] - 1 - k]
            way[i] += lengths[edge]
            here = edges[edge, 0] + edges[edge, 1] - here
        if marked[here]:
            found[i] = here
    return found, way
