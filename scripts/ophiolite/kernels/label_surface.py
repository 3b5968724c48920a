"""The surface of one label from its mask, unsimplified: as the meshes are made, or by Lewiner's method.

Both run block by block, one voxel shared, and skip blocks without a border; the result is that of the whole mask.
Lewiner et al. 2003, "Efficient implementation of marching cubes' cases with topological guarantees", in scikit-image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.geometry import Box, Grid, Vec
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, MeshPiece
from ophiolite.kernels.extractor import Extractor
from ophiolite.kernels.mesh import MARCHING, MeshOptions, mesh_labels
from ophiolite.kernels.mesh_topology import merge_vertices
from ophiolite.kernels.stitch import stitch

BLOCK_VX = 64
_UNSIMPLIFIED = MeshOptions(simplify=False, open_edges=True)
# Golden ratios of two dimensions: points of this sequence fill a square evenly (Roberts 2018).
_PLASTIC = (0.7548776662466927, 0.5698402909980532)

Triangles = tuple[NDArray[np.float64], NDArray[np.int64]]


def plain_surface(
    mask: NDArray[Any], start_vx: Vec, resolution_nm: ArrayLike, extractor: Extractor = MARCHING
) -> Triangles:
    """The surface of a mask (x, y, z) of uint8 by an extractor: vertices (n, 3) in nm, faces (m, 3).

    start_vx : the absolute place of its first voxel. Surfaces end open at the mask's faces: leave a voxel of
    background around it where they shall close.
    """
    resolution = np.asarray(resolution_nm, np.float64)
    x, y, z = (float(r) for r in resolution)
    found: list[tuple[Vec, MeshPiece]] = []
    for cell, seen in _bordered(mask, extractor.halo_vx):
        near, far = (np.array(cell.start) > 0).tolist(), (np.array(cell.stop) < mask.shape).tolist()
        part = extractor.whole_halo(mask[seen.slices()], cell, seen, (near, far), open_edges=True)
        pieces = mesh_labels(
            np.asfortranarray(part),
            (x, y, z),
            cell.shape,
            (False, False, False),
            (near[0], near[1], near[2]),
            (far[0], far[1], far[2]),
            _UNSIMPLIFIED,
            extractor,
        )
        found += [(cell.shift(start_vx).start, piece) for _, piece in pieces]
    vertices, faces = stitch(found)
    return vertices * (resolution / STEPS_PER_VOXEL), faces.astype(np.int64)


def lewiner_surface(mask: NDArray[Any], start_vx: Vec, resolution_nm: ArrayLike) -> Triangles:
    """As `plain_surface`, by `skimage.measure.marching_cubes`."""
    from skimage import measure

    marching_cubes: Any = measure.marching_cubes
    vertices, faces, count = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)], 0
    for cell, seen in _bordered(mask, MARCHING.halo_vx):
        part = mask[seen.slices()]
        v, f, _, _ = marching_cubes(part, 0.5, method="lewiner", gradient_direction="ascent")
        vertices.append(v.astype(np.float64) + np.array(cell.start))
        faces.append(f.astype(np.int64) + count)
        count += len(v)
    # In voxels, coordinates are exact halves, so that blocks meet.
    merged, corners = merge_vertices(np.concatenate(vertices), np.concatenate(faces))
    return (merged + np.array(start_vx) + 0.5) * np.asarray(resolution_nm, np.float64), corners


def _bordered(mask: NDArray[Any], halo_vx: tuple[int, int]) -> Iterator[tuple[Box, Box]]:
    """Blocks that hold or see a border, each with what it sees: its halo as far as the mask goes on."""
    x, y, z = mask.shape
    if min(x, y, z) < 2:
        return
    # A block of a single voxel along an axis has no cubes: the last voxel belongs to the block before it.
    grid, (below, above) = Grid(Box((0, 0, 0), (x - 1, y - 1, z - 1)), (BLOCK_VX,) * 3), halo_vx
    for index in grid:
        cubes = grid.cell(index)
        last = tuple(b + int(b == n - 1) for b, n in zip(cubes.stop, (x, y, z), strict=True))
        cell = Box(cubes.start, last)  # type: ignore[arg-type]
        seen = cell.grow((below,) * 3, (above,) * 3).intersect(Box((0, 0, 0), (x, y, z)))
        part = mask[seen.slices()]
        if (part != part[0, 0, 0]).any():
            yield cell, seen


def surface_samples(vertices_nm: NDArray[np.float64], faces: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """`count` points (count, 3) in nm spread evenly over a surface by its area; none where it has no area."""
    a, b, c = (vertices_nm[faces[:, corner]] for corner in range(3))
    total = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=1)) if len(faces) else np.zeros(1)
    if not total[-1] > 0:
        return np.zeros((0, 3))
    steps = np.arange(count)
    row = np.minimum(np.searchsorted(total, (steps + 0.5) / count * total[-1], side="right"), len(faces) - 1)
    s, t = ((0.5 + steps * g) % 1.0 for g in _PLASTIC)
    over = s + t > 1
    s, t = np.where(over, 1 - s, s)[:, None], np.where(over, 1 - t, t)[:, None]
    points: NDArray[np.float64] = a[row] + s * (b[row] - a[row]) + t * (c[row] - a[row])
    return points
