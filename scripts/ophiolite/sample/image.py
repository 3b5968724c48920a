"""Render a volume of ids as an electron microscope might have seen it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.box import Vec
from ophiolite.sample.shapes import Canvas, Points, smooth_noise
from ophiolite.sample.synapses import Contact

Grey = NDArray[np.float32]
VESICLE_NM = 21.0


@dataclass(frozen=True)
class Organelles:
    """What lies inside the cells: the nucleus, and the tubes in which mitochondria may lie."""

    soma: int
    soma_radius: float
    nucleus_centre: Points
    nucleus_radius: float
    tubes: Sequence[tuple[Points, Points]]


def walls(ids: NDArray[np.int32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Voxels with another id beside them in the slice, and those with another id above or below: (x, y, z) bool."""
    flat = np.zeros(ids.shape, np.bool_)
    for axis in (0, 1):
        low = tuple(slice(None, -1) if k == axis else slice(None) for k in range(3))
        high = tuple(slice(1, None) if k == axis else slice(None) for k in range(3))
        differs = ids[low] != ids[high]
        flat[low] |= differs
        flat[high] |= differs
    steep = np.zeros(ids.shape, np.bool_)
    differs = ids[:, :, :-1] != ids[:, :, 1:]
    steep[:, :, :-1] |= differs
    steep[:, :, 1:] |= differs
    return flat, steep


def depths_nm(ids: NDArray[np.int32], resolution_nm: Vec) -> Grey:
    """Distance of every voxel from the nearest wall voxel, 0 on walls: (x, y, z) float32."""
    from scipy import ndimage

    flat, steep = walls(ids)
    out: Grey = ndimage.distance_transform_edt(~(flat | steep), sampling=resolution_nm).astype(np.float32)
    return out


def blur(image: Grey, sigma_vx: float) -> Grey:
    """Gaussian blur within slices."""
    from scipy import ndimage

    out: Grey = ndimage.gaussian_filter(image, (sigma_vx, sigma_vx, 0), truncate=3.0)
    return out


def mitochondria(
    rng: np.random.Generator, grey: Grey, ids: NDArray[np.int32], depth_nm: Grey, inner: Organelles, resolution_nm: Vec
) -> None:
    """Draw dark capsules with darker rims and cristae along the thicker tubes."""
    shape = (ids.shape[0], ids.shape[1], ids.shape[2])
    canvas = Canvas.blank(shape, resolution_nm)
    step = 90.0
    for k, (points, radius) in enumerate(inner.tubes, start=1):
        if radius.max() < 75 or rng.uniform() < 0.25:
            continue
        run = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        start = rng.uniform(0, 700)
        while start < run[-1] - 100:
            length = rng.uniform(250, 900)
            at = np.arange(start, min(start + length, run[-1]), step)
            if len(at) > 1:
                path = np.stack([np.interp(at, run, points[:, j]) for j in range(3)], axis=1)
                width = np.clip(0.62 * np.interp(at, run, radius), 40, 130)
                path = path + rng.normal(size=3) * 0.15 * width.mean()
                canvas.tube(path, width, k)
            start += length + rng.uniform(400, 1800)
    cover = (canvas.ids > 0) & (depth_nm > 22)
    x, y, z = canvas.centres_nm((slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])))
    ripple = smooth_noise(rng, shape, (14, 14, 5)) * 5
    cristae = np.sin((0.6 * x + 0.8 * y + 0.25 * z) * np.float32(2 * np.pi / 62) + ripple)
    body = 104 + 9 * cristae
    rim = (canvas.reach > 0.8) | (depth_nm < 36)
    grey[cover] = np.where(rim, 84, body)[cover]


def cell_body(rng: np.random.Generator, grey: Grey, ids: NDArray[np.int32], inner: Organelles, frame: Canvas) -> None:
    """Draw chromatin, nucleolus and the double envelope inside the soma; ribosomes and cisternae around them."""
    r = inner.nucleus_radius
    window = frame.window(
        inner.nucleus_centre - 1.2 * inner.soma_radius, inner.nucleus_centre + 1.2 * inner.soma_radius
    )
    if window is None:
        return
    cell = ids[window] == inner.soma
    shape = (cell.shape[0], cell.shape[1], cell.shape[2])
    offset = [g - np.float32(c) for g, c in zip(frame.centres_nm(window), inner.nucleus_centre, strict=True)]
    away_nm = np.sqrt(sum(o * o for o in offset)) * (1 + np.float32(0.08) * smooth_noise(rng, shape, (34, 34, 10)))
    into_nm = np.float32(r) - away_nm
    within = (into_nm > 0) & cell
    chromatin = smooth_noise(rng, shape, (15, 15, 4.5)) + np.float32(0.6) * smooth_noise(rng, shape, (6, 6, 2))
    edge = np.exp(-np.maximum(into_nm, 0) / np.float32(60))
    clumps = 1 / (1 + np.exp(-(chromatin - np.float32(0.45) + np.float32(0.7) * edge) * np.float32(9)))
    part = grey[window]
    part[within] = (152 - 56 * clumps)[within]
    core_nm = np.sqrt(sum((o - np.float32(0.2 * r)) ** 2 for o in offset))
    core = within & (core_nm < np.float32(0.27 * r) * (1 + np.float32(0.25) * chromatin))
    part[core] = (84 + 12 * chromatin)[core]
    envelope = within & (into_nm < 30)
    part[envelope] = np.where(into_nm < 16, np.float32(80), np.float32(126))[envelope]
    plasm = cell & ~within
    sheets = np.sin(
        smooth_noise(rng, shape, (30, 30, 9)) * 16 + smooth_noise(rng, shape, (12, 12, 4)) * np.float32(1.5)
    )
    grains = rng.random(shape, np.float32) < 0.05
    part[plasm] -= (40 * np.maximum(sheets - np.float32(0.72), 0) / np.float32(0.28) + np.float32(44) * grains + 6)[
        plasm
    ]


def vesicles(
    rng: np.random.Generator,
    grey: Grey,
    ids: NDArray[np.int32],
    depth_nm: Grey,
    contacts: Sequence[Contact],
    resolution_nm: Vec,
) -> None:
    """Draw clouds of vesicles at presynaptic sites: light discs with dark rims, each in one slice."""
    reach = int(VESICLE_NM / resolution_nm[0]) + 2
    steps = np.arange(-reach, reach + 1) * resolution_nm[0]
    for contact in contacts:
        spread = np.array([110.0, 110.0, 70.0]) / resolution_nm
        for _ in range(int(rng.integers(22, 46))):
            at = np.rint(contact.pre_site + rng.normal(size=3) * spread).astype(int)
            if np.any(at < reach * np.array([1, 1, 0])) or np.any(at >= ids.shape - reach * np.array([1, 1, 0])):
                continue
            x, y, z = (int(c) for c in at)
            if ids[x, y, z] != contact.pre or depth_nm[x, y, z] < 26:
                continue
            shift = rng.uniform(-6, 6, 2)
            away = np.hypot(steps[:, None] - shift[0], steps[None] - shift[1])
            ring = np.exp(-(((away - VESICLE_NM) / 8) ** 2))
            core = np.exp(-((away / 12) ** 2))
            grey[x - reach : x + reach + 1, y - reach : y + reach + 1, z] += (16 * core - 74 * ring).astype(np.float32)


def densities(dark: Grey, contacts: Sequence[Contact], resolution_nm: Vec) -> None:
    """Thicken and darken the membrane at every synapse."""
    reach = (9, 9, 2)
    for contact in contacts:
        start = [max(c - r, 0) for c, r in zip(contact.wall, reach, strict=True)]
        window = tuple(slice(a, c + r + 1) for a, c, r in zip(start, contact.wall, reach, strict=True))
        at = np.indices(dark[window].shape)
        away = sum(((at[k] + start[k] - contact.wall[k]) * resolution_nm[k]) ** 2 for k in range(3))
        dark[window] *= 1 + 1.1 * np.exp(-away / (2 * 55.0**2))


def render(
    rng: np.random.Generator,
    ids: NDArray[np.int32],
    depth_nm: Grey,
    tone: NDArray[np.float32],
    contacts: Sequence[Contact],
    inner: Organelles,
    resolution_nm: Vec,
) -> NDArray[np.uint8]:
    """Grey values of a phantom: (x, y, z) uint8, Fortran-ordered, from ids (x, y, z) int32 and one tone per id.

    Dark membranes (blurred where a wall is oblique to the slice), granular cytoplasm, organelles, the blur of the
    optics, shot noise, and a little change of brightness and contrast from slice to slice.
    """
    shape = (ids.shape[0], ids.shape[1], ids.shape[2])
    grey = tone[ids]
    grey += 12 * smooth_noise(rng, shape, (4, 4, 1.4)) + 8 * smooth_noise(rng, shape, (11, 11, 3.5))
    grey += 5 * smooth_noise(rng, shape, (60, 60, 20))
    dots = (rng.random(shape, np.float32) < 0.02) & (ids > 0)
    grey -= np.float32(52) * dots
    cell_body(rng, grey, ids, inner, Canvas.blank(shape, resolution_nm))
    mitochondria(rng, grey, ids, depth_nm, inner, resolution_nm)
    vesicles(rng, grey, ids, depth_nm, contacts, resolution_nm)
    flat, steep = walls(ids)
    dark = blur(flat.astype(np.float32), 0.75)
    np.maximum(dark, 0.55 * blur((steep & ~flat).astype(np.float32), 1.6), out=dark)
    dark *= 0.9 + 0.25 * smooth_noise(rng, shape, (9, 9, 3))
    densities(dark, contacts, resolution_nm)
    np.clip(dark, 0, 1.15, out=dark)
    grey += (np.float32(66) - grey) * dark
    grey = blur(grey, 0.8)
    noise = rng.standard_normal(shape, np.float32)
    grey += 4 * noise + 7 * blur(rng.standard_normal(shape, np.float32), 0.7)
    gain = 1.3 * (1 + 0.02 * rng.standard_normal(shape[2], np.float32))
    shift = 136 + 2.5 * rng.standard_normal(shape[2], np.float32)
    grey = (grey - 140) * gain + shift
    return np.asfortranarray(np.clip(np.rint(grey), 1, 254).astype(np.uint8))
