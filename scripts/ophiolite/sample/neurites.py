"""The drawn neurites and the soma: where their centrelines run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ophiolite.sample.shapes import Points, curve, inside, longest_run
from ophiolite.sample.truth import Branch

STEP_NM = 30.0
FULL_NM = 3072.0
TRIES = 80


@dataclass
class Neurite:
    """One cell's branches as drawn (with a stretch beyond the faces) and as told in the truth (clipped)."""

    drawn: list[tuple[Points, Points]] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    junctions: list[Points] = field(default_factory=list)
    tips: list[Points] = field(default_factory=list)

    def add(self, points: Points, radius: Points, extent: Points, *, child: bool) -> None:
        """Append a branch; a child begins at its junction, inside the volume."""
        start, stop = longest_run(inside(points, extent))
        if child:
            start, stop = 0, int(np.argmin(np.append(inside(points, extent), False)))
            self.junctions.append(points[0])
        self.branches.append(Branch(points[start:stop], radius[start:stop]))
        margin = int(radius.max() / STEP_NM) + 2
        reach = slice(max(start - margin, 0), stop + margin)
        self.drawn.append((points[reach], radius[reach]))
        if stop == len(points):
            self.tips.append(points[-1])
        if start == 0 and not child:
            self.tips.append(points[0])


@dataclass(frozen=True)
class Scene:
    """Every drawn cell, with the soma's place. The first two neurites run wall to wall; the last cell is the soma's."""

    neurites: list[Neurite]
    soma: Neurite
    soma_centre: Points
    soma_radius: float
    scale: float


def radii(rng: np.random.Generator, n: int, base: float, swell: float, floor: float) -> Points:
    """Radii along a branch: slow swellings (varicosities) of up to `swell` on top of `base`, never below `floor`."""
    s = np.arange(n) * STEP_NM
    wave = rng.uniform(500, 900)
    bumps = np.maximum(np.sin(2 * np.pi * s / wave + rng.uniform(0, 2 * np.pi)), 0) ** 3
    out: Points = np.maximum(base * (0.9 + swell * bumps), floor)
    return out


class Composer:
    """Places cells one after another so that no two centrelines come closer than their walls allow."""

    def __init__(self, rng: np.random.Generator, extent: Points) -> None:
        self.rng = rng
        self.extent = extent
        self.scale = float(np.sqrt(min(extent.min() / FULL_NM, 1.0)))
        self.floor = 46.0
        self.taken: list[tuple[Points, Points]] = []

    def clear(self, points: Points, radius: Points, cells: list[tuple[Points, Points]], slack: float) -> bool:
        """True where the curve keeps `slack` of the summed radii from every one of `cells`."""
        for others, widths in cells:
            gap = np.linalg.norm(points[:, None] - others[None], axis=2)
            if np.any(gap < slack * (radius[:, None] + widths[None])):
                return False
        return True

    def place(self, neurite: Neurite) -> Neurite:
        """Remember a cell as an obstacle for later ones."""
        self.taken += neurite.drawn
        return neurite

    def jitter(self, rows: list[list[float]], amount: float) -> Points:
        """Control points given as fractions of the extent, moved by up to `amount` of it."""
        out: Points = (np.array(rows) + self.rng.uniform(-amount, amount, (len(rows), 3))) * self.extent
        return out

    def twig(self, neurite: Neurite, at: Points, controls: Iterator[Points], base: float) -> None:
        """Grow a child branch from the point `at`, if a try keeps clear of other cells and of the parent further on."""
        own = list(neurite.drawn)
        near = 2 * float(max(width.max() for _, width in own))
        for tail in controls:
            points = curve(np.vstack([at[None], tail]), STEP_NM)
            radius = radii(self.rng, len(points), base, 0.3, self.floor)
            far = np.linalg.norm(points - at, axis=1) > near
            if not inside(points[:4], self.extent).all() or not self.clear(points, radius, self.taken, 0.95):
                continue
            if self.clear(points[far], radius[far], own, 1.2):
                neurite.add(points, radius, self.extent, child=True)
                return

    def toward(self, at: Points, aims: list[list[float]], amount: float) -> Iterator[Points]:
        """Control points halfway to and at jittered aims (fractions of the extent)."""
        for _ in range(TRIES):
            aim = self.jitter([aims[int(self.rng.integers(len(aims)))]], amount)[0]
            middle = (at + aim) / 2 + self.rng.uniform(-0.05, 0.05, 3) * self.extent
            yield np.stack([middle, aim])

    def spines(self, at: Points, side: Points) -> Iterator[Points]:
        """Control points of short side twigs in random directions across the parent."""
        for _ in range(TRIES // 4):
            way = np.cross(side, self.rng.normal(size=3))
            way /= np.linalg.norm(way)
            long = self.rng.uniform(280, 420) * self.scale
            tip = at + way * (long + 110 * self.scale)
            if inside(tip[None], self.extent)[0]:
                yield np.stack([at + way * long * 0.6 + self.rng.normal(size=3) * 15, tip])

    def trunk(self) -> Neurite:
        """A thick branching neurite through all three middle planes, out of the volume at both ends."""
        rows = [[-0.15, 0.22, 0.1], [0.22, 0.36, 0.33], [0.5, 0.5, 0.5], [0.62, 0.52, 0.75], [0.68, 0.6, 1.15]]
        points = curve(self.jitter(rows, 0.015), STEP_NM)
        radius = radii(self.rng, len(points), 165 * self.scale, 0.25, self.floor)
        out = Neurite()
        out.add(points, radius, self.extent, child=False)
        at = out.branches[0].points_nm
        for t, aim, base in ((0.48, [0.3, 1.15, 0.66], 105), (0.68, [0.93, 0.2, 0.62], 85)):
            fork = at[int(len(at) * t)]
            self.twig(out, fork, self.toward(fork, [aim], 0.02), base * self.scale)
        return out

    def companion(self, trunk: Neurite) -> Neurite:
        """A neurite that runs along the trunk, wall to wall over the middle of its course, then turns away."""
        along, wide = trunk.branches[0].points_nm, trunk.branches[0].radius_nm
        base = 105 * self.scale
        tangent = along[-1] - along[0]
        side = np.array([0.35, -1.0, 0.25])
        side -= tangent * (side @ tangent) / (tangent @ tangent)
        side /= np.linalg.norm(side)
        controls = [along[0] * 0.6 + side * 4 * base - tangent * 0.25]
        for t in (0.15, 0.27, 0.39):
            k = int(t * (len(along) - 1))
            controls.append(along[k] + side * 0.86 * (wide[k] + base))
        controls.append(np.array([0.62, 0.16, 0.42]) * self.extent)
        controls.append(np.array([0.85, -0.15, 0.5]) * self.extent)
        points = curve(np.array(controls), STEP_NM)
        out = Neurite()
        out.add(points, np.full(len(points), base), self.extent, child=False)
        return out

    def passing(self) -> Neurite | None:
        """A neurite between two random faces, with twigs and spines where they fit; None where no try was clear."""
        for _ in range(TRIES):
            axis, other = self.rng.permutation(3)[:2]
            ends = self.rng.uniform(0.08, 0.92, (4, 3))
            ends[0, axis], ends[3, axis] = -0.12, 1.12
            if self.rng.uniform() < 0.5:
                ends[3] = self.rng.uniform(0.1, 0.9, 3)
                ends[3, other] = 1.12
            ends[1] = ends[0] + (ends[3] - ends[0]) * 0.35 + self.rng.uniform(-0.1, 0.1, 3)
            ends[2] = ends[0] + (ends[3] - ends[0]) * 0.68 + self.rng.uniform(-0.1, 0.1, 3)
            points = curve(ends * self.extent, STEP_NM)
            base = self.rng.uniform(65, 165) * self.scale
            radius = radii(self.rng, len(points), base, 0.45, self.floor)
            start, stop = longest_run(inside(points, self.extent))
            if stop - start < 0.5 * len(points) or not self.clear(points, radius, self.taken, 1.0):
                continue
            out = Neurite()
            out.add(points, radius, self.extent, child=False)
            at = out.branches[0].points_nm
            for t in np.sort(self.rng.uniform(0.15, 0.85, int(self.rng.integers(0, 3)))):
                aims = self.rng.uniform(-0.1, 1.1, (6, 3)).tolist()
                self.twig(out, at[int(t * len(at))], self.toward(at[int(t * len(at))], aims, 0.05), 0.65 * base)
            for k in np.sort(self.rng.integers(4, len(at) - 4, int(self.rng.integers(0, 5)))):
                self.twig(out, at[k], self.spines(at[k], at[k + 3] - at[k - 3]), self.floor)
            return out
        return None

    def soma(self) -> tuple[Neurite, Points, float]:
        """A cell body cut by two faces, and the neurite that leaves it; its centreline starts at the centre."""
        centre = np.array([0.8, 0.8, 0.27]) * self.extent
        radius = 0.34 * float(self.extent.min())
        self.taken.append((centre[None], np.array([radius])))
        out = Neurite()
        for aim in self.toward(centre, [[0.2, 0.8, 0.1], [0.1, 0.75, 0.3], [0.85, 0.15, 0.05]], 0.08):
            way = aim[1] - centre
            start = centre + way / np.linalg.norm(way) * radius * 1.05
            points = curve(np.vstack([centre[None], start[None], centre + way * 1.6]), STEP_NM)
            width = radii(self.rng, len(points), 110 * self.scale, 0.2, self.floor)
            beyond = np.linalg.norm(points - centre, axis=1) > 1.2 * radius
            if self.clear(points[beyond], width[beyond], self.taken, 1.0):
                out.add(points, width, self.extent, child=False)
                out.tips = [t for t in out.tips if np.any(t != centre)]
                break
        return out, centre, radius


def compose(rng: np.random.Generator, extent_nm: Points) -> Scene:
    """Place the drawn cells in a volume of `extent_nm` (3,); coordinates in nm from the volume's corner."""
    stage = Composer(rng, extent_nm)
    trunk = stage.place(stage.trunk())
    neurites = [trunk, stage.place(stage.companion(trunk))]
    soma, centre, radius = stage.soma()
    stage.place(soma)
    for _ in range(max(round(9 * float(np.prod(extent_nm)) ** 0.5 / (3072 * 3072 * 3840) ** 0.5), 1)):
        found = stage.passing()
        if found is not None:
            neurites.append(stage.place(found))
    return Scene(neurites, soma, centre, radius, stage.scale)
