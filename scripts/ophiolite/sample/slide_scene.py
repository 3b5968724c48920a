"""What a phantom slide shows, in microns: tissue, gaps, objects of two structures, pen marks, a blurred patch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import ConfigError, explain

Field = NDArray[np.float32]
Point = tuple[float, float]

STRUCTURES = {1: "glomerulus", 2: "sclerosed"}
FIELD_UM = 4.0
SMALLEST_UM = (400.0, 280.0)
PER_MM2 = 25
BLUR_UM = 45.0
PEN_UM = 9.0


@dataclass(frozen=True)
class SlideObject:
    """A round thing with a wavy outline: radius(angle) = radius_um * (1 + sum of a * cos(k * angle + phase)).

    waves : (k, a, phase) each; hole : radius of the hole in its middle as a fraction of its own, 0 for none.
    """

    structure: int
    centre_um: Point
    radius_um: float
    waves: tuple[tuple[int, float, float], ...] = ()
    hole: float = 0.0

    def scaled(self, factor: float) -> SlideObject:
        """The same outline, larger or smaller about the same centre."""
        return replace(self, radius_um=self.radius_um * factor)


@dataclass(frozen=True)
class SlideScene:
    """A slide without pixels: the same scene can be painted at any resolution.

    size_um : width, height; objects : earlier ones lie above later ones; tissue, pen : levels on a grid of FIELD_UM
    (x, y) float32, inside where positive; stain : gain of the absorption of red, green and blue; blur_um : centre of
    the patch out of focus; padded : what lies far from tissue was blackened, as the KPIs slides are.
    """

    seed: int
    size_um: Point
    objects: tuple[SlideObject, ...]
    tissue: Field
    pen: Field
    stain: tuple[float, float, float]
    blur_um: Point
    padded: bool = False


def make_scene(size_um: Point, seed: int, padded: bool = False) -> SlideScene:
    """Lay out a slide; the same size and seed give the same scene.

    There are always: two touching objects of different structures, an object with a hole, and one more of either
    structure. Raises ConfigError for a slide too small for them or a negative seed.
    """
    if seed < 0:
        raise ConfigError(explain("--seed", "negative", got=str(seed), do="Give 0 or a positive number"))
    if min(size_um[0] - SMALLEST_UM[0], size_um[1] - SMALLEST_UM[1]) < 0:
        expected = f"at least {SMALLEST_UM[0]:g} x {SMALLEST_UM[1]:g} microns"
        got = f"{size_um[0]:g} x {size_um[1]:g}"
        do = "Ask for a larger slide"
        raise ConfigError(explain("--size-px", "too small for a phantom slide", expected=expected, got=got, do=do))
    rng = np.random.default_rng([seed, 5])
    tissue = tissue_level(rng, size_um)
    pen = pen_level(rng, size_um)
    stain = rng.uniform(0.85, 1.15, 3)
    objects = place(rng, size_um, np.minimum(tissue, np.where(pen > -8, -1, 1)))
    inside = np.argwhere(tissue > 0.3)
    spot = (inside[int(rng.integers(len(inside)))] + 0.5) * FIELD_UM
    return SlideScene(
        seed=seed,
        size_um=size_um,
        objects=objects,
        tissue=tissue,
        pen=pen,
        stain=(float(stain[0]), float(stain[1]), float(stain[2])),
        blur_um=(float(spot[0]), float(spot[1])),
        padded=padded,
    )


def centres(size_um: Point) -> tuple[Field, Field]:
    """Microns of the field's points along x (n, 1) and y (1, m)."""
    x, y = ((np.arange(int(np.ceil(s / FIELD_UM)) + 1) + 0.5) * FIELD_UM for s in size_um)
    return x.astype(np.float32)[:, None], y.astype(np.float32)[None]


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> Field:
    """Smooth noise of standard deviation about one; cell : points of the field per bump."""
    from scipy import ndimage

    small = rng.normal(size=tuple(int(n / cell) + 4 for n in shape)).astype(np.float32)
    at = np.ix_(*(np.arange(n, dtype=np.float32) / np.float32(cell) + 1 for n in shape))
    out: Field = ndimage.map_coordinates(small, np.broadcast_arrays(*at), order=3, output=np.float32)
    return out


def tissue_level(rng: np.random.Generator, size_um: Point) -> Field:
    """Tissue of a ragged outline with a crooked tear through it and some round gaps."""
    x, y = centres(size_um)
    across = (x / size_um[0] - 0.5) / 0.44
    down = (y / size_um[1] - 0.5) / 0.42
    level = 1 - across**4 - down**4
    level += np.float32(0.16) * noise(rng, level.shape, 120 / FIELD_UM) * (level < 0.8)
    wave = size_um[0] * (0.56 + 0.06 * np.sin(y / size_um[1] * 9 + rng.uniform(0, 6)))
    level = np.minimum(level, (np.abs(x - wave) - np.float32(7)) / 20)
    for _ in range(max(2, round(size_um[0] * size_um[1] * 6e-6))):
        centre, radius = rng.uniform(0.15, 0.85, 2) * size_um, rng.uniform(6, 14)
        level = np.minimum(level, (np.hypot(x - centre[0], y - centre[1]) - np.float32(radius)) / 20)
    out: Field = level.astype(np.float32)
    return out


def pen_level(rng: np.random.Generator, size_um: Point) -> Field:
    """Two strokes of a marker: one on glass along an edge, one over a corner of the tissue."""
    x, y = centres(size_um)
    low, high = 0.03 * size_um[1], 0.16 * size_um[1]
    strokes = [
        ((0.1 * size_um[0], size_um[1] - low), ((0.1 + rng.uniform(0.2, 0.4)) * size_um[0], size_um[1] - low)),
        ((0.80 * size_um[0], low), (0.97 * size_um[0], high + rng.uniform(0, 0.08) * size_um[1])),
    ]
    level = np.full((len(x), y.shape[1]), -np.inf, np.float32)
    for (ax, ay), (bx, by) in strokes:
        run, rise = bx - ax, by - ay
        along = np.clip(((x - ax) * run + (y - ay) * rise) / (run * run + rise * rise), 0, 1)
        away = np.hypot(x - ax - along * run, y - ay - along * rise)
        level = np.maximum(level, np.float32(PEN_UM) - away)
    return level


def place(rng: np.random.Generator, size_um: Point, tissue: Field) -> tuple[SlideObject, ...]:
    """Throw objects into the tissue so that none touches its border or another, but for the pair at the head."""
    from scipy import ndimage

    room = ndimage.distance_transform_edt(tissue > 0).astype(np.float32) * np.float32(FIELD_UM)
    x, y = centres(size_um)
    wanted = max(4, round(float((tissue > 0).mean()) * size_um[0] * size_um[1] * 1e-6 * PER_MM2))
    out: list[SlideObject] = []
    for turn in range(wanted):
        radius = 34.0 if turn == 0 else float(rng.uniform(18, 36 if turn > 3 else 24))
        waves = [(k, float(rng.uniform(0, 0.12 / k)), float(rng.uniform(0, 6.28))) for k in (2, 3, 5)]
        second = turn == 2 or (turn > 3 and rng.uniform() < 0.3)
        free = np.argwhere(room > radius * 1.2 + 3)
        if len(free) == 0 and turn > 3:
            continue
        if len(free) == 0:
            raise ConfigError(explain("--size-px", "too small for a phantom slide", do="Ask for a larger one"))
        spot = free[int(rng.integers(len(free)))]
        centre = (float((spot[0] + 0.5) * FIELD_UM), float((spot[1] + 0.5) * FIELD_UM))
        if turn == 0:
            out += pair(centre, float(rng.uniform(0, 6.28)))
        else:
            out.append(SlideObject(1 + second, centre, radius, tuple(waves), 0.3 if turn == 1 else 0.0))
        away = np.hypot(x - centre[0], y - centre[1]) - np.float32(radius * 1.2 + 3)
        room = np.minimum(room, away)
    return tuple(out)


def pair(centre: Point, angle: float) -> list[SlideObject]:
    """A glomerulus and a sclerosed one that it touches, both within 34 microns of `centre`."""
    way = np.array([np.cos(angle), np.sin(angle)])
    first, second = np.array(centre) - 14 * way, np.array(centre) + 19 * way
    return [
        SlideObject(1, (float(first[0]), float(first[1])), 20.0),
        SlideObject(2, (float(second[0]), float(second[1])), 14.0),
    ]
