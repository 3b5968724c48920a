"""Curves, tubes, balls and smooth noise on a voxel grid; coordinates in nm from the volume's corner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.box import Vec

Points = NDArray[np.float64]
Noise = NDArray[np.float32]


@dataclass(frozen=True)
class Canvas:
    """Which object is drawn where: the nearer a voxel is, in units of the object's radius, the stronger the claim.

    reach : (x, y, z) float32, that ratio (infinite where nothing is drawn); ids : (x, y, z) int32, 0 where nothing is.
    """

    reach: NDArray[np.float32]
    ids: NDArray[np.int32]
    resolution_nm: Vec

    @classmethod
    def blank(cls, shape: Vec, resolution_nm: Vec) -> Canvas:
        """A canvas with nothing on it."""
        return cls(np.full(shape, np.inf, np.float32), np.zeros(shape, np.int32), resolution_nm)

    @property
    def extent_nm(self) -> Points:
        """Edge lengths, (3,) float64."""
        return np.array(self.ids.shape, np.float64) * self.resolution_nm

    def window(self, low_nm: Points, high_nm: Points) -> tuple[slice, slice, slice] | None:
        """Slices of the voxels whose centres may lie between two corners; None where there are none."""
        start = np.maximum(np.floor(low_nm / self.resolution_nm - 0.5).astype(np.int64), 0)
        stop = np.minimum(np.ceil(high_nm / self.resolution_nm + 0.5).astype(np.int64), self.ids.shape)
        if np.any(start >= stop):
            return None
        return (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))

    def centres_nm(self, window: tuple[slice, slice, slice]) -> list[NDArray[np.float32]]:
        """Voxel centres of a window as three arrays that broadcast to its shape."""
        grids = []
        for axis, part in enumerate(window):
            shape = [1, 1, 1]
            shape[axis] = -1
            at = (np.arange(part.start, part.stop) + 0.5) * self.resolution_nm[axis]
            grids.append(at.astype(np.float32).reshape(shape))
        return grids

    def claim(self, window: tuple[slice, slice, slice], ratio: NDArray[np.float32], ident: int) -> None:
        """Give `ident` the voxels of a window where its ratio is below 1 and below all earlier ones."""
        reach = self.reach[window]
        won = (ratio < 1) & (ratio < reach)
        reach[won] = ratio[won]
        self.ids[window][won] = ident

    def tube(self, points_nm: Points, radius_nm: Points, ident: int) -> None:
        """Draw tapered capsules along a curve: points (n, 3), radii (n,)."""
        for a, b, ra, rb in zip(points_nm[:-1], points_nm[1:], radius_nm[:-1], radius_nm[1:], strict=True):
            r = max(ra, rb)
            window = self.window(np.minimum(a, b) - r, np.maximum(a, b) + r)
            if window is None:
                continue
            along = b - a
            length2 = max(float(along @ along), 1e-9)
            offset = [g - np.float32(c) for g, c in zip(self.centres_nm(window), a, strict=True)]
            t = sum(o * np.float32(c / length2) for o, c in zip(offset, along, strict=True))
            t = np.clip(t, 0, 1)
            d2 = sum((o - t * np.float32(c)) ** 2 for o, c in zip(offset, along, strict=True))
            self.claim(window, np.sqrt(d2) / (np.float32(ra) + t * np.float32(rb - ra)), ident)

    def ball(self, centre_nm: Points, radius_nm: float, ident: int, rough: Noise | None = None) -> None:
        """Draw a ball; `rough` (the canvas's shape, about -1 to 1) dents its surface by up to a tenth."""
        window = self.window(centre_nm - 1.2 * radius_nm, centre_nm + 1.2 * radius_nm)
        if window is None:
            return
        d2 = sum((g - np.float32(c)) ** 2 for g, c in zip(self.centres_nm(window), centre_nm, strict=True))
        ratio = np.sqrt(d2) / np.float32(radius_nm)
        if rough is not None:
            ratio = ratio * (1 + np.float32(0.1) * rough[window])
        self.claim(window, ratio.astype(np.float32), ident)


def curve(controls_nm: Points, step_nm: float) -> Points:
    """A smooth curve through control points, sampled about every `step_nm`: (k, 3) to (n, 3) float64."""
    from scipy.interpolate import CubicSpline

    chords = np.sqrt(np.linalg.norm(np.diff(controls_nm, axis=0), axis=1))
    knots = np.concatenate([[0.0], np.cumsum(chords)])
    spline = CubicSpline(knots, controls_nm, axis=0, bc_type="natural")
    fine = spline(np.linspace(0, knots[-1], 400))
    run = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    at = np.linspace(0, run[-1], max(int(run[-1] / step_nm) + 1, 2))
    return np.stack([np.interp(at, run, fine[:, k]) for k in range(3)], axis=1)


def inside(points_nm: Points, extent_nm: Points) -> NDArray[np.bool_]:
    """Which points lie in the volume: (n, 3) to (n,)."""
    out: NDArray[np.bool_] = np.all((points_nm > 0) & (points_nm < extent_nm), axis=1)
    return out


def longest_run(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Start and stop of the longest run of true values; (0, 0) where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    if len(edges) == 0:
        return (0, 0)
    best = int(np.argmax(edges[1::2] - edges[::2]))
    return (int(edges[2 * best]), int(edges[2 * best + 1]))


def smooth_noise(rng: np.random.Generator, shape: Vec, cell_vx: tuple[float, float, float]) -> Noise:
    """Value noise about -1 to 1 whose features are `cell_vx` wide: (x, y, z) float32.

    Interpolation goes axis by axis in a fixed order, so the same seed gives the same bits on any number of threads.
    """
    counts = [int(n / c) + 3 for n, c in zip(shape, cell_vx, strict=True)]
    field = rng.uniform(-1, 1, counts).astype(np.float32)
    for axis, (n, cell) in enumerate(zip(shape, cell_vx, strict=True)):
        at = np.arange(n) / cell + rng.uniform()
        low = at.astype(np.int64)
        w = (at - low).astype(np.float32)
        w = w * w * (3 - 2 * w)
        w = w.reshape([-1 if k == axis else 1 for k in range(3)])
        field = np.take(field, low, axis) * (1 - w) + np.take(field, low + 1, axis) * w
    return field


def components(ids: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Face-connected pieces of equal ids, background included.

    ids : (x, y, z) int32. Returns the piece of each voxel, (x, y, z) int32 from 0 on, and the id of each, (n,) int32.
    Runs along z are the nodes of a graph, contacts between runs beside each other its edges (He, Chao and Suzuki 2008).
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    first = np.ones(ids.shape, np.bool_)
    first[:, :, 1:] = ids[:, :, 1:] != ids[:, :, :-1]
    run = (np.cumsum(first.ravel(), dtype=np.int32) - 1).reshape(ids.shape)
    a, b = [], []
    for low, high in (
        ((slice(None, -1),), (slice(1, None),)),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        # Two runs that touch do so first where one of them begins.
        meet = (ids[low] == ids[high]) & (first[low] | first[high])
        a.append(run[low][meet])
        b.append(run[high][meet])
    rows, columns = np.concatenate(a), np.concatenate(b)
    size = int(run[-1, -1, -1]) + 1
    graph = coo_matrix((np.ones(len(rows), np.bool_), (rows, columns)), shape=(size, size))
    count, piece = connected_components(graph, directed=False)
    owner = np.zeros(count, np.int32)
    owner[piece] = ids[first]
    return piece.astype(np.int32)[run], owner
