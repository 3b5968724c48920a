"""Fill the space between the drawn cells with many small processes, the way neuropil is filled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.box import Vec
from ophiolite.sample.shapes import Canvas, Points, components, curve, smooth_noise

PER_UM3 = 4.4
FEWEST = 48
SMALLEST_VX = 300


@dataclass(frozen=True)
class Tissue:
    """The small processes, as ids from 1 on in a volume of their own, and the tubes they grew from.

    ids : (x, y, z) int32; tubes : id to (points (n, 3), radii (n,)), before growth and warping.
    """

    ids: NDArray[np.int32]
    tubes: dict[int, tuple[Points, Points]]


def grow(rng: np.random.Generator, shape: Vec, resolution_nm: Vec, scale: float) -> Tissue:
    """Draw thin tubes in loose bundles, `scale` times as thick as usual, grow them until they meet, bend the walls."""
    from scipy import ndimage

    canvas = Canvas.blank(shape, resolution_nm)
    extent = canvas.extent_nm
    bundles = rng.normal(size=(3, 3)) * [1.0, 1.0, 1.4]
    tubes = {}
    for ident in range(1, max(round(PER_UM3 * float(np.prod(extent)) / 1e9), FEWEST) + 1):
        middle = rng.uniform(-0.02, 1.02, 3) * extent
        way = bundles[int(rng.integers(3))] + rng.normal(size=3) * 0.55
        way /= np.linalg.norm(way)
        half = rng.uniform(250, 2600)
        bends = rng.normal(size=(5, 3)) * 0.09 * half
        radius = float(np.clip(scale * rng.lognormal(np.log(62), 0.55), 26, 210))
        points = curve(middle + np.linspace(-half, half, 5)[:, None] * way + bends, max(radius, 60))
        near = np.all((points > -radius) & (points < extent + radius), axis=1)
        if near.sum() < 2:
            continue
        first, last = np.flatnonzero(near)[[0, -1]]
        points = points[first : last + 1]
        width = radius * (1 + 0.35 * np.sin(np.arange(len(points)) * rng.uniform(0.3, 0.8) + rng.uniform(0, 6)))
        canvas.tube(points, width, ident)
        tubes[ident] = (points, width)
    ids = canvas.ids
    far, nearest = ndimage.distance_transform_edt(ids == 0, sampling=resolution_nm, return_indices=True)
    grown = ids[tuple(nearest)]
    grown[far > 250] = 0
    return Tissue(bend(rng, grown, resolution_nm), tubes)


def bend(rng: np.random.Generator, ids: NDArray[np.int32], resolution_nm: Vec) -> NDArray[np.int32]:
    """Displace a volume of ids smoothly by up to some 60 nm, so that no wall stays flat."""
    shape = (ids.shape[0], ids.shape[1], ids.shape[2])
    index = []
    for axis in range(3):
        drift = np.zeros(shape, np.float32)
        for wide, tall in ((360.0, 46.0), (130.0, 15.0)):
            cell = (wide / resolution_nm[0], wide / resolution_nm[1], wide / resolution_nm[2])
            drift += smooth_noise(rng, shape, cell) * np.float32(tall / resolution_nm[axis])
        at = np.arange(shape[axis], dtype=np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
        index.append(np.clip(np.rint(drift + at), 0, shape[axis] - 1).astype(np.int32))
    out: NDArray[np.int32] = ids[tuple(index)]
    return out


def gaps(rng: np.random.Generator, ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Voxels of walls that are to become extracellular space: (x, y, z) bool."""
    shape = (ids.shape[0], ids.shape[1], ids.shape[2])
    open_here = smooth_noise(rng, shape, (30, 30, 9)) + 0.4 * smooth_noise(rng, shape, (9, 9, 3)) > 0.5
    wall = np.zeros(shape, np.bool_)
    wall[:-1] = ids[:-1] != ids[1:]
    wall[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    out: NDArray[np.bool_] = wall & open_here
    return out


def separate(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Make every id one face-connected piece: its largest keeps the id, other large ones get new ids, crumbs go.

    ids : (x, y, z) int32. New ids count on from the largest.
    """
    pieces, owner = components(ids)
    sizes = np.bincount(pieces.ravel())
    names = np.zeros(len(owner), np.int32)
    fresh = int(ids.max()) + 1
    seen: set[int] = set()
    for piece in np.lexsort((-sizes, owner)):
        i = int(owner[piece])
        if i == 0 or sizes[piece] < SMALLEST_VX:
            continue
        if i in seen:
            names[piece] = fresh
            fresh += 1
        else:
            names[piece] = i
            seen.add(i)
    out: NDArray[np.int32] = names[pieces]
    return out
