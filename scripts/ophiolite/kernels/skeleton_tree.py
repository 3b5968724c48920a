"""Finished skeletons as rooted trees, and their branches: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.skeleton_graph_loops import component_roots, spanning
from ophiolite.kernels.skeleton_tree_loops import strahler, walk

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
# What a branch begins or ends at; CUT is an end at which a loop was broken.
ROOT, FORK, END, CUT = 0, 1, 2, 3
KINDS = ("root", "fork", "end", "cut")


@dataclass(frozen=True)
class Forest:
    """Rooted trees of n vertices in preorder: parents before children, a tree after the other, branches in one piece.

    order : (n,) the vertices. parent : (n,) places in `order`, -1 at roots. tree : (n,) number of the tree, by falling
    cable. kind : (n,) ROOT, FORK, END, CUT, or -1 along a branch. loops : (trees,) how many were broken.
    """

    order: Ints
    parent: Ints
    tree: Ints
    kind: Ints
    loops: Ints


@dataclass(frozen=True)
class Branches:
    """The k branches of a forest, in preorder: the ways between roots, forks and ends.

    tree : (k,). parent : (k,) the branch that it goes on from, -1 at a root. first, last : (k,) places in the forest's
    `order`. length_nm, distance_nm : along it, and between its ends. mean_radius_nm is a mean along the way; order is
    Strahler's.
    """

    tree: Ints
    parent: Ints
    first: Ints
    last: Ints
    length_nm: NDArray[np.float64]
    distance_nm: NDArray[np.float64]
    mean_radius_nm: NDArray[np.float64]
    min_radius_nm: NDArray[np.float64]
    max_radius_nm: NDArray[np.float64]
    order: Ints


def rooted(vertices_nm: Floats, edges: NDArray[np.integer[Any]], radius_nm: Floats) -> Forest:
    """The trees of a skeleton: vertices_nm (n, 3), edges (m, 2) without repeats, radius_nm (n,).

    The root of a tree is its thickest vertex, the first of equals: in the soma where there is one. A loop is broken at
    its thinnest edge (a maximum spanning forest by the smaller radius of an edge; Kruskal 1956), of equals the longest,
    then the last.
    """
    n, ends = len(vertices_nm), np.ascontiguousarray(edges, np.int64).reshape(-1, 2)
    radius, lengths = radius_nm.astype(np.float64), _lengths(vertices_nm, ends)
    kept = spanning(n, ends, np.lexsort((lengths, -radius[ends].min(axis=1))))
    component = component_roots(n, ends)
    thickest = np.lexsort((np.arange(n), -radius, component))
    first = np.ones(n, np.bool_)
    first[1:] = np.diff(component[thickest]) != 0
    roots = thickest[first]
    cable = np.bincount(component[ends[kept, 0]], weights=lengths[kept], minlength=n)[component[roots]]
    ranked = np.lexsort((roots, -cable))
    order, parent = walk(n, ends[kept], roots[ranked])
    tree = np.cumsum(parent < 0) - 1
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    cut = ends[~kept]
    loops = np.bincount(tree[place[cut[:, 0]]], minlength=len(roots))
    return Forest(order, parent, tree, _kinds(parent, place[cut]), loops)


def _kinds(parent: Ints, cut: Ints) -> Ints:
    children = np.bincount(parent[parent >= 0], minlength=len(parent))
    kind = np.select([parent < 0, children > 1, children == 0], [ROOT, FORK, END], -1)
    kind[cut[kind[cut] == END]] = CUT
    return kind


def branches(forest: Forest, vertices_nm: Floats, radius_nm: Floats) -> Branches:
    """The branches of a forest of a skeleton; a tree of one vertex has none."""
    points = vertices_nm.astype(np.float64)[forest.order]
    radius = radius_nm.astype(np.float64)[forest.order]
    inner = np.flatnonzero(forest.parent >= 0)
    above = forest.parent[inner]
    steps = np.linalg.norm(points[inner] - points[above], axis=1)
    begins = forest.kind[above] >= 0
    start = np.flatnonzero(begins)
    last = np.append(start, len(inner))[1:] - 1
    first = above[start]
    stop = inner[last]
    # Of the branch that ends at a vertex; a root ends none.
    ending = np.full(len(points), -1)
    ending[stop] = np.arange(len(start))
    length = _add(steps, start)
    weighed = _add(steps * (radius[inner] + radius[above]) / 2, start)
    mean = np.divide(weighed, length, out=radius[stop].copy(), where=length > 0)
    return Branches(
        tree=forest.tree[stop],
        parent=ending[first],
        first=first,
        last=stop,
        length_nm=length,
        distance_nm=np.linalg.norm(points[stop] - points[first], axis=1),
        mean_radius_nm=mean,
        min_radius_nm=np.minimum(_reduce(np.minimum, radius[inner], start), radius[first]),
        max_radius_nm=np.maximum(_reduce(np.maximum, radius[inner], start), radius[first]),
        order=strahler(forest.parent)[stop],
    )


def _lengths(vertices_nm: Floats, ends: Ints) -> NDArray[np.float64]:
    points = vertices_nm.astype(np.float64)
    lengths: NDArray[np.float64] = np.linalg.norm(points[ends[:, 0]] - points[ends[:, 1]], axis=1)
    return lengths


def _add(values: NDArray[np.float64], start: Ints) -> NDArray[np.float64]:
    return _reduce(np.add, values, start)


def _reduce(what: np.ufunc, values: NDArray[np.float64], start: Ints) -> NDArray[np.float64]:
    out: NDArray[np.float64] = what.reduceat(values, start) if len(start) else np.zeros(0)
    return out
