"""Paint any box of a phantom slide at any resolution; boxes painted apart fit together exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ophiolite.sample.slide_scene import BLUR_UM, FIELD_UM, SlideObject, SlideScene

Floats = NDArray[np.float32]
Corner = tuple[int, int]

GLASS = (244, 243, 246)
STROMA = (206, 148, 190)
EPITHELIUM = (223, 172, 207)
LUMEN = (240, 226, 239)
NUCLEUS = (96, 62, 132)
CAPSULE = (239, 228, 241)
TUFT = (178, 104, 164)
SCLEROSED = (214, 92, 158)
PEN = (28, 58, 176)

CELL_UM = 11.0
TUBULE_UM = 38.0
SOFT_UM = 3.0
PERIOD = 256
FAR_FROM_TISSUE = -0.35


@dataclass(frozen=True)
class Painted:
    """One box of a slide: rgb (x, y, 3) uint8; owner (x, y) uint16, the object's place in the scene + 1, 0 for none;
    tissue (x, y) bool, without what lies under pen marks.
    """

    rgb: NDArray[np.uint8]
    owner: NDArray[np.uint16]
    tissue: NDArray[np.bool_]


def paint(scene: SlideScene, mpp: float, start_px: Corner, shape_px: Corner) -> Painted:
    """Paint the box of `shape_px` pixels from `start_px` on, at `mpp` microns per pixel."""
    margin = int(np.ceil(3 * SOFT_UM / mpp)) + 1
    wide = Canvas.of(scene, mpp, (start_px[0] - margin, start_px[1] - margin), shape_px, margin)
    rgb = wide.colours()
    inner = (slice(margin, margin + shape_px[0]), slice(margin, margin + shape_px[1]))
    sharp = rgb[inner]
    x, y = wide.x[inner[0]], wide.y[:, inner[1]]
    soft = np.hypot(x - scene.blur_um[0], y - scene.blur_um[1]) < BLUR_UM
    if soft.any():
        from scipy import ndimage

        sigma = (SOFT_UM / mpp, SOFT_UM / mpp, 0)
        blurred = ndimage.gaussian_filter(rgb, sigma, truncate=3, mode="nearest")[inner]
        sharp = np.where(soft[..., None], blurred, sharp)
    grain = tables(scene.seed).grain[wide.cells(PERIOD, 1.0, inner)]
    out = np.clip(np.rint(sharp + grain), 0, 255).astype(np.uint8)
    level, pen = wide.tissue[inner], wide.pen[inner]
    if scene.padded:
        out[(level < FAR_FROM_TISSUE) & (pen <= 0)] = 0
    return Painted(out, wide.owner()[inner], (level > 0) & (pen <= 0))


def structure_mask(scene: SlideScene, owner: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The structure of each pixel, (x, y) uint8, from the owners that `paint` gives."""
    names = np.array([0, *(o.structure for o in scene.objects)], np.uint8)
    out: NDArray[np.uint8] = names[owner]
    return out


def paint_owner(scene: SlideScene, mpp: float, shape_px: Corner) -> NDArray[np.uint16]:
    """The owners of a whole slide's pixels, (x, y) uint16, as `paint` gives them."""
    return Canvas.of(scene, mpp, (0, 0), shape_px, 0).owner()


@dataclass(frozen=True)
class Tables:
    """Periodic random numbers, 256 x 256 of each: grain (3) of pixels, nuclei (3) and tubules (2) of cells."""

    grain: Floats
    nuclei: Floats
    tubules: Floats


@lru_cache(maxsize=8)
def tables(seed: int) -> Tables:
    """The random numbers of a slide."""
    rng = np.random.default_rng([seed, 6])
    grain = rng.normal(0, 2.5, (PERIOD, PERIOD, 3)).astype(np.float32)
    nuclei = rng.uniform(0, 1, (PERIOD, PERIOD, 3)).astype(np.float32)
    return Tables(grain, nuclei, rng.uniform(0.1, 0.9, (PERIOD, PERIOD, 2)).astype(np.float32))


@dataclass(frozen=True)
class Canvas:
    """The box under work: microns of its pixel centres along x (n, 1) and y (1, m), levels of tissue and pen there."""

    scene: SlideScene
    mpp: float
    start: Corner
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    tissue: Floats
    pen: Floats

    @classmethod
    def of(cls, scene: SlideScene, mpp: float, start: Corner, shape: Corner, margin: int) -> Canvas:
        """A box of `shape` pixels and a margin on all sides, from `start` on."""
        x = ((np.arange(shape[0] + 2 * margin, dtype=np.float64) + (start[0] + 0.5)) * mpp)[:, None]
        y = ((np.arange(shape[1] + 2 * margin, dtype=np.float64) + (start[1] + 0.5)) * mpp)[None]
        return cls(scene, mpp, start, x, y, sampled(scene.tissue, x, y), sampled(scene.pen, x, y))

    def cells(self, period: int, cell_px: float, inner: tuple[slice, slice]) -> tuple[NDArray[np.intp], ...]:
        """Places in a periodic table of the pixels of a part of this box."""
        x = np.arange(len(self.x))[inner[0]] + self.start[0]
        y = np.arange(self.y.shape[1])[inner[1]] + self.start[1]
        return np.ix_((x // cell_px).astype(np.intp) % period, (y // cell_px).astype(np.intp) % period)

    def near(self, item: SlideObject) -> tuple[slice, slice]:
        """The pixels that an object may cover."""
        reach = item.radius_um * (1 + sum(a for _, a, _ in item.waves))
        low = [
            np.searchsorted(axis.ravel(), c - reach) for axis, c in zip((self.x, self.y), item.centre_um, strict=True)
        ]
        high = [
            np.searchsorted(axis.ravel(), c + reach) for axis, c in zip((self.x, self.y), item.centre_um, strict=True)
        ]
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))

    def ratio(self, item: SlideObject, part: tuple[slice, slice]) -> NDArray[np.float64]:
        """Distance from an object's centre in units of its radius that way: below 1 lies inside."""
        across, down = self.x[part[0]] - item.centre_um[0], self.y[:, part[1]] - item.centre_um[1]
        radius = np.full((across.shape[0], down.shape[1]), item.radius_um)
        if item.waves:
            angle = np.arctan2(down, across)
            radius *= 1 + sum(a * np.cos(k * angle + phase) for k, a, phase in item.waves)
        out: NDArray[np.float64] = np.hypot(across, down) / radius
        return out

    def owner(self) -> NDArray[np.uint16]:
        """Place of the object in the scene + 1 at each pixel."""
        out = np.zeros((len(self.x), self.y.shape[1]), np.uint16)
        for place in range(len(self.scene.objects), 0, -1):
            item = self.scene.objects[place - 1]
            part = self.near(item)
            if part[0].start < part[0].stop and part[1].start < part[1].stop:
                ratio = self.ratio(item, part)
                out[part][(ratio < 1) & (ratio >= item.hole)] = place
        return out

    def colours(self) -> Floats:
        """Red, green and blue without grain, blur or padding: (x, y, 3) float32."""
        glass = np.array(GLASS, np.float32)
        wall = self.walls()[..., None]
        body = mix(STROMA, EPITHELIUM, np.clip(wall * 5, 0, 1))
        body = mix(body, LUMEN, np.clip(wall * 5 - 2.2, 0, 1))
        solid = wall[..., 0] < 0.5
        for item in reversed(self.scene.objects):
            part = self.near(item)
            if part[0].start < part[0].stop and part[1].start < part[1].stop:
                ratio = self.ratio(item, part)
                solid[part] = np.where(ratio < 1, (ratio < 0.82) & (ratio >= item.hole), solid[part])
                body[part] = inside(item, ratio, body[part])
        body[self.nuclei() & solid] = NUCLEUS
        rgb = np.where((self.tissue > 0)[..., None], body, glass)
        gain = np.array(self.scene.stain, np.float32)
        rgb = glass - np.clip((glass - rgb) * gain, 0, 255)
        ink = (self.pen > 0)[..., None]
        out: Floats = np.where(ink, rgb * np.float32(0.15) + np.array(PEN, np.float32) * np.float32(0.85), rgb)
        return out

    def nuclei(self) -> NDArray[np.bool_]:
        """Round nuclei, one in most cells of a grid, never across a cell's border."""
        table = tables(self.scene.seed).nuclei
        cx, cy = np.floor(self.x / CELL_UM), np.floor(self.y / CELL_UM)
        ix, iy = (cx.astype(np.intp) % PERIOD), (cy.astype(np.intp) % PERIOD)
        dx = self.x - (cx + 0.27 + 0.46 * table[ix, iy, 0]) * CELL_UM
        dy = self.y - (cy + 0.27 + 0.46 * table[ix, iy, 1]) * CELL_UM
        size = 1.6 + 1.3 * table[ix, iy, 2]
        out: NDArray[np.bool_] = (dx * dx + dy * dy < size * size) & (table[ix, iy, 2] > 0.45)
        return out

    def walls(self) -> Floats:
        """0 at the walls of tubules, growing towards their middles (cellular noise, Worley 1996); 2 microns fine."""
        table, step = tables(self.scene.seed).tubules, 2.0
        first = (int(np.floor(self.x[0, 0] / step)) - 1, int(np.floor(self.y[0, 0] / step)) - 1)
        last = (int(np.floor(self.x[-1, 0] / step)) + 2, int(np.floor(self.y[0, -1] / step)) + 2)
        x = (np.arange(first[0], last[0] + 1) + 0.5)[:, None] * step / TUBULE_UM
        y = (np.arange(first[1], last[1] + 1) + 0.5)[None] * step / TUBULE_UM
        cx, cy = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
        nearest = np.full((x.shape[0], y.shape[1]), np.inf)
        second = nearest.copy()
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                spot = table[(cx + i) % PERIOD, (cy + j) % PERIOD]
                away = np.hypot(cx + i + spot[..., 0] - x, cy + j + spot[..., 1] - y)
                second = np.minimum(second, np.maximum(away, nearest))
                nearest = np.minimum(nearest, away)
        fine = (second - nearest).astype(np.float32)
        return sampled(fine, self.x - first[0] * step, self.y - first[1] * step, step)


def inside(item: SlideObject, ratio: NDArray[np.float64], under: Floats) -> Floats:
    """Colours of one object over what lies under it: a pale capsule about a tuft, or a dense disc; a hole is pale."""
    colour = TUFT if item.structure == 1 else SCLEROSED
    swirl = (1 + np.sin(ratio * 23)) * (6 if item.structure == 1 else 2)
    body = np.array(colour, np.float32) + swirl[..., None].astype(np.float32)
    if item.structure == 1:
        body[ratio > 0.84] = CAPSULE
    body[ratio < item.hole] = LUMEN
    out: Floats = np.where((ratio < 1)[..., None], body, under)
    return out


def mix(first: tuple[int, int, int] | Floats, second: tuple[int, int, int], share: Floats) -> Floats:
    """`first` where share is 0, `second` where it is 1."""
    a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
    out: Floats = a + (b - a) * share
    return out


def sampled(field: Floats, x: NDArray[np.float64], y: NDArray[np.float64], step: float = FIELD_UM) -> Floats:
    """A field between its points (at (i + 0.5) * step) by bilinear interpolation; beyond its border the border."""
    parts = []
    for axis, at in enumerate((x.ravel(), y.ravel())):
        place = np.clip(at / step - 0.5, 0, field.shape[axis] - 1)
        low = np.minimum(place.astype(np.intp), field.shape[axis] - 2)
        parts.append((low, (place - low).astype(np.float32)))
    (i, u), (j, v) = parts
    rows = field[i] * (1 - u)[:, None] + field[i + 1] * u[:, None]
    out: Floats = rows[:, j] * (1 - v) + rows[:, j + 1] * v
    return out
