"""Merging of vertices with their neighbours, compiled: the first, linear step of `kernels.simplify`.

Rossignac & Borrel 1993 merge all vertices of a cell; here a cluster is a vertex with those neighbours that are still
free, and it stays one only while the surface keeps its topology: the closed ball property (Edelsbrunner & Shah 1997)
of the tiling of the surface by the clusters' neighbourhoods: each tile is a disc (its Euler characteristic is 1), two
tiles share one arc or nothing (each neighbour lies in two of the faces around the cluster that stay), three tiles one
point. A cluster that fails, lies too far from its planes or turns a face over is taken apart into the vertices it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ophiolite.kernels.compiled import inner, njit
from ophiolite.kernels.quadrics import adjacency

# Where planes leave a direction free, a cluster stays near the middle of its vertices: by this share of their weight.
_PULL = 0.02
# A face may turn by about 78 degrees against the normals around it; no height below this share of its longest side.
_LEAST_COSINE = 0.2
_LEAST_HEIGHT = 0.02


@njit(cache=True, nogil=True)
def cluster(v: Any, f: Any, q: Any, normals: Any, still: Any, most: float) -> Any:
    """Merge vertices with their neighbours; returns what `_compact` does.

    v (n, 3) float64, f (m, 3) int32, q (n, 11), normals (n, 3): the sum of the area vectors of the faces around each.
    still : (n,) never merged. most : bounds the mean squared distance of a cluster from its planes.
    """
    n = len(v)
    start, around = adjacency(f, n)
    mesh = (v, f, start, around)
    parts = (np.arange(n).astype(np.int32), np.arange(n).astype(np.int32), np.ones(n, np.int32))
    _join(f, still, parts, start, around)
    place, sums = v.copy(), normals.copy()
    unsound, outer = _no_discs(f, parts)
    _settle(mesh, parts, q, normals, still, most, place, sums, unsound, outer)
    return _compact(f, q, still, parts, place, sums)


@njit(cache=True, nogil=True)
def _settle(
    mesh: Any,
    parts: Any,
    q: Any,
    normals: Any,
    still: Any,
    most: float,
    place: Any,
    sums: Any,
    unsound: Any,
    outer: Any,
) -> None:
    """Take apart the clusters (n,) that are `unsound`, and all that then are not sound, until the others are.

    most : as `cluster`. outer : the faces that the other clusters may have turned over.
    """
    f, start, around = mesh[1:]
    root, _, size = parts
    n = len(root)
    seen, hits, s = np.zeros(n, np.int64), np.zeros(n, np.int32), np.empty(11)
    # Clusters to look at, vertices taken apart, and how many there are of either.
    waiting, todo, apart, count = (
        np.zeros(n, np.bool_),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.zeros(2, np.int64),
    )
    work = (normals, place, sums, waiting, todo, apart, count)
    for row in range(n):
        if size[row] == 1 or root[row] != row:
            continue
        if unsound[row] or not _placed(mesh[0], q, normals, parts, row, most, s, place, sums):
            _take_apart(mesh, parts, row, work)
    for i in outer:
        row = _turned(f, parts, place, sums, i)
        if row >= 0:
            _take_apart(mesh, parts, row, work)
    stamp, looked = 0, 0
    while True:
        while count[0] > 0:
            count[0] -= 1
            row = todo[count[0]]
            waiting[row] = False
            if root[row] != row or size[row] == 1:
                continue
            stamp += 1
            if not _is_disc(mesh, parts, still, row, seen, hits, stamp):
                _take_apart(mesh, parts, row, work)
        if looked == count[1]:
            break
        u = apart[looked]
        looked += 1
        for k in range(start[u], start[u + 1]):
            row = _turned(f, parts, place, sums, around[k])
            if row >= 0:
                _take_apart(mesh, parts, row, work)


@njit(cache=True, nogil=True)
def _no_discs(f: Any, parts: Any) -> Any:
    """Which clusters (n,) without open edges `_is_disc` is false of, found from all faces at once; and the outer faces.

    Outer faces have corners in three clusters.
    """
    root, _, size = parts
    n, count = len(root), 0
    half_edges, inner, start = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n + 2, np.int32)
    outer = np.empty(len(f), np.int32)
    for i in range(len(f)):
        a, b, c = root[f[i, 0]], root[f[i, 1]], root[f[i, 2]]
        if a == b and b == c:
            inner[a] += 1
            half_edges[a] += 3
        elif a == b or c == a:
            half_edges[a] += 1
        elif b == c:
            half_edges[b] += 1
        else:
            outer[count] = i
            count += 1
            start[a + 2] += 1
            start[b + 2] += 1
            start[c + 2] += 1
    for row in range(n):
        start[row + 2] += start[row + 1]
    around = np.empty(3 * count, np.int32)
    for k in range(count):
        for j in range(3):
            row = root[f[outer[k], j]] + 1
            around[start[row]] = outer[k]
            start[row] += 1
    unsound, seen, hits = np.zeros(n, np.bool_), np.full(n, -1, np.int32), np.zeros(n, np.int32)
    for row in range(n):
        if size[row] == 1:
            continue
        if start[row + 1] - start[row] < 3 or 2 * (size[row] + inner[row] - 1) != half_edges[row]:
            unsound[row] = True
            continue
        open_arcs = 0
        for k in range(start[row], start[row + 1]):
            for j in range(3):
                other = root[f[around[k], j]]
                if other == row:
                    continue
                if seen[other] != row:
                    seen[other] = row
                    hits[other] = 0
                hits[other] += 1
                if hits[other] > 2:
                    unsound[row] = True
                open_arcs += 1 if hits[other] == 1 else -1
        unsound[row] = unsound[row] or open_arcs != 0
    return unsound, outer[:count]


@njit(cache=True, nogil=True)
def _join(f: Any, still: Any, parts: Any, start: Any, around: Any) -> None:
    """Clusters: a vertex with those of its neighbours that are still free. A cluster is a ring of rows."""
    root, following, size = parts
    taken = still.copy()
    for row in range(len(root)):
        if taken[row]:
            continue
        taken[row] = True
        last = row
        for k in range(start[row], start[row + 1]):
            i = around[k]
            for j in range(3):
                u = f[i, j]
                if not taken[u]:
                    taken[u] = True
                    root[u] = row
                    following[last] = u
                    last = u
                    size[row] += 1
        following[last] = row


@inner
def _is_disc(mesh: Any, parts: Any, still: Any, row: int, seen: Any, hits: Any, stamp: int) -> Any:
    """Whether a cluster's neighbourhood is a disc that meets each neighbour in one arc.

    With a vertex on an open edge it is a disc at that edge, where the first and last neighbour share one face with it.
    """
    _, f, start, around = mesh
    root, following, size = parts
    half_edges, inner, outer, open_arcs = 0, 0, 0, 0
    held = False
    u = row
    for _ in range(size[row]):
        for k in range(start[u], start[u + 1]):
            i = around[k]
            a, b, c = root[f[i, 0]], root[f[i, 1]], root[f[i, 2]]
            count = int(a == row) + int(b == row) + int(c == row)
            # A face with several corners in the cluster is counted at the first of them.
            if (f[i, 1] == u and a == row) or (f[i, 2] == u and (a == row or b == row)):
                continue
            if count == 3:
                inner += 1
                half_edges += 3
            elif count == 2:
                half_edges += 1
            elif not (a == b or b == c or c == a):
                outer += 1
                for j in range(3):
                    other = root[f[i, j]]
                    if other == row:
                        continue
                    if seen[other] != stamp:
                        seen[other] = stamp
                        hits[other] = 0
                    hits[other] += 1
                    if hits[other] > 2:
                        return False
                    open_arcs += 1 if hits[other] == 1 else -1
        held = held or still[u]
        u = following[u]
    if held and outer > 0 and open_arcs == 2:
        return 2 * (size[row] + inner - 1) == half_edges
    return outer >= 3 and open_arcs == 0 and 2 * (size[row] + inner - 1) == half_edges


@inner
def _placed(v: Any, q: Any, normals: Any, parts: Any, row: int, most: float, s: Any, place: Any, sums: Any) -> Any:
    """Put a cluster where its planes meet; whether it lies near enough to them there."""
    _, following, size = parts
    for k in range(11):
        s[k] = 0.0
    for d in range(3):
        place[row, d] = sums[row, d] = 0.0
    u = row
    for _ in range(size[row]):
        for k in range(11):
            s[k] += q[u, k]
        for d in range(3):
            place[row, d] += v[u, d]
            sums[row, d] += normals[u, d]
        u = following[u]
    mx, my, mz = place[row, 0] / size[row], place[row, 1] / size[row], place[row, 2] / size[row]
    place[row, 0], place[row, 1], place[row, 2] = mx, my, mz
    reach2 = 0.0
    for _ in range(size[row]):
        reach2 = max(reach2, (v[u, 0] - mx) ** 2 + (v[u, 1] - my) ** 2 + (v[u, 2] - mz) ** 2)
        u = following[u]
    gx = s[0] * mx + s[1] * my + s[2] * mz + s[6]
    gy = s[1] * mx + s[3] * my + s[4] * mz + s[7]
    gz = s[2] * mx + s[4] * my + s[5] * mz + s[8]
    pull = _PULL * s[10]
    xx, yy, zz = s[0] + pull, s[3] + pull, s[5] + pull
    cxx, cxy, cxz = yy * zz - s[4] * s[4], s[2] * s[4] - s[1] * zz, s[1] * s[4] - s[2] * yy
    cyy, cyz, czz = xx * zz - s[2] * s[2], s[1] * s[2] - xx * s[4], xx * yy - s[1] * s[1]
    det = xx * cxx + s[1] * cxy + s[2] * cxz
    if det > 0:
        x = -(cxx * gx + cxy * gy + cxz * gz) / det
        y = -(cxy * gx + cyy * gy + cyz * gz) / det
        z = -(cxz * gx + cyz * gy + czz * gz) / det
        if x * x + y * y + z * z <= reach2:
            place[row, 0], place[row, 1], place[row, 2] = mx + x, my + y, mz + z
    x, y, z = place[row, 0], place[row, 1], place[row, 2]
    cost = s[0] * x * x + s[3] * y * y + s[5] * z * z + 2 * (s[1] * x * y + s[2] * x * z + s[4] * y * z)
    cost += 2 * (s[6] * x + s[7] * y + s[8] * z) + s[9]
    return cost <= most * s[10]


@njit(cache=True, nogil=True)
def _take_apart(mesh: Any, parts: Any, row: int, work: Any) -> None:
    """Make a cluster single vertices again, and its neighbours wait for another look."""
    v, f, start, around = mesh
    root, following, size = parts
    normals, place, sums, waiting, todo, apart, count = work
    u, members = row, size[row]
    for _ in range(members):
        for k in range(start[u], start[u + 1]):
            for j in range(3):
                other = root[f[around[k], j]]
                if other != row and size[other] > 1 and not waiting[other]:
                    waiting[other] = True
                    todo[count[0]] = other
                    count[0] += 1
        u = following[u]
    for _ in range(members):
        after = following[u]
        root[u], following[u], size[u] = u, u, 1
        apart[count[1]] = u
        count[1] += 1
        for d in range(3):
            place[u, d], sums[u, d] = v[u, d], normals[u, d]
        u = after


@inner
def _turned(f: Any, parts: Any, place: Any, sums: Any, i: int) -> Any:
    """The largest cluster of a face that is a sliver or looks away from the normals around it; -1 if it is sound."""
    root, _, size = parts
    a, b, c = root[f[i, 0]], root[f[i, 1]], root[f[i, 2]]
    if a == b or b == c or c == a or size[a] + size[b] + size[c] == 3:
        return -1
    ux, uy, uz = place[b, 0] - place[a, 0], place[b, 1] - place[a, 1], place[b, 2] - place[a, 2]
    wx, wy, wz = place[c, 0] - place[a, 0], place[c, 1] - place[a, 1], place[c, 2] - place[a, 2]
    ex, ey, ez = wx - ux, wy - uy, wz - uz
    nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
    tx = sums[a, 0] + sums[b, 0] + sums[c, 0]
    ty = sums[a, 1] + sums[b, 1] + sums[c, 1]
    tz = sums[a, 2] + sums[b, 2] + sums[c, 2]
    area2 = nx * nx + ny * ny + nz * nz
    longest2 = max(ux * ux + uy * uy + uz * uz, wx * wx + wy * wy + wz * wz, ex * ex + ey * ey + ez * ez)
    least = _LEAST_COSINE * np.sqrt(area2 * (tx * tx + ty * ty + tz * tz))
    if area2 > (_LEAST_HEIGHT * longest2) ** 2 and nx * tx + ny * ty + nz * tz >= least:
        return -1
    if size[a] >= size[b] and size[a] >= size[c]:
        return a
    return b if size[b] >= size[c] else c


@njit(cache=True, nogil=True)
def _compact(f: Any, q: Any, still: Any, parts: Any, place: Any, sums: Any) -> Any:
    """Vertices, faces, quadrics, normals and still of the clusters; (n,) the cluster of each row; (k,) a row of each.

    That row is one that is still, where there is one.
    """
    root = parts[0]
    n, count = len(root), 0
    number = np.empty(n, np.int32)
    for row in range(n):
        if root[row] == row:
            number[row] = count
            count += 1
    new_v, new_q, new_normals = np.empty((count, 3)), np.zeros((count, 11)), np.empty((count, 3))
    new_still, rows = np.zeros(count, np.bool_), np.empty(count, np.int64)
    for row in range(n):
        new = number[root[row]]
        number[row] = new
        for k in range(11):
            new_q[new, k] += q[row, k]
        if root[row] == row:
            rows[new] = row
            for d in range(3):
                new_v[new, d], new_normals[new, d] = place[row, d], sums[row, d]
        if still[row]:
            rows[new] = row
            new_still[new] = True
    kept = 0
    for i in range(len(f)):
        a, b, c = number[f[i, 0]], number[f[i, 1]], number[f[i, 2]]
        kept += a != b and b != c and c != a
    new_f = np.empty((kept, 3), np.int32)
    kept = 0
    for i in range(len(f)):
        a, b, c = number[f[i, 0]], number[f[i, 1]], number[f[i, 2]]
        if a != b and b != c and c != a:
            new_f[kept, 0], new_f[kept, 1], new_f[kept, 2] = a, b, c
            kept += 1
    return new_v, new_f, new_q, new_normals, new_still, number, rows
