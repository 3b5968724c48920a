"""The pixels that patches of a slide are cut from: which mip, from where, how many make one pixel of a patch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophiolite.config.slides import Patches
from ophiolite.errors import PlanError, explain
from ophiolite.geometry import Box
from ophiolite.kernels.area_resample import Ratio, area_majority, area_mean, covered
from ophiolite.kernels.patch_grid import Patch, patch_grid
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.model import ScalePlan, VolumePlan

# A wanted resolution this near to a multiple of the slide's takes whole pixels; scanners of one kind differ so much.
WHOLE_SHARE = 0.01
# Pixels that are resampled at once.
STRIP_PX = 2_000_000


@dataclass(frozen=True)
class Cut:
    """Pixels of one mip under the pixels of patches: where they begin, and how many along x and y make one."""

    mip: int
    start: tuple[int, int]
    ratio: Ratio

    def box(self, x: int, y: int, w: int, h: int, z: int) -> Box:
        """The pixels under w x h pixels of patches from (x, y) on."""
        (x0, x1), (y0, y1) = (covered(at, n, r) for at, n, r in zip((x, y), (w, h), self.ratio, strict=True))
        return Box((self.start[0] + x0, self.start[1] + y0, z), (self.start[0] + x1, self.start[1] + y1, z + 1))

    def corner(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pixels nearest to the corners of pixels of patches."""
        at = (np.rint(v * r).astype(np.int64) + s for v, r, s in zip((x, y), self.ratio, self.start, strict=True))
        first, second = at
        return first, second


@dataclass(frozen=True)
class Frame:
    """The slide as patches see it: its size in their pixels, microns per pixel, where image and mask are read.

    Masks are always read at mip 0 (`finest`), so that a pixel of a patch's mask is the majority of the very area whose
    mean is the pixel of its image.
    """

    size_px: tuple[int, int]
    mpp: tuple[float, float]
    image: Cut
    finest: Cut

    def patches(self, options: Patches) -> list[Patch]:
        """All patches of the grid."""
        return patch_grid(self.size_px, options.size_px, options.stride_px, options.edge)


def frame_of(volume: VolumePlan, options: Patches, place: str) -> Frame:
    """How the patches of a slide are cut; raises PlanError where its resolution is too coarse or it lacks the mip.

    Pixels of patches that the slide covers in part only are left out.
    """
    base = volume.scales[0]
    mpp = (base.resolution_nm[0] / 1000, base.resolution_nm[1] / 1000)
    if options.mpp is None:
        return _of_level(volume, options.level, mpp, place)
    ratio = (_ratio(options.mpp, mpp[0], place), _ratio(options.mpp, mpp[1], place))
    cut = Cut(0, base.voxel_offset_vx[:2], ratio)
    size = tuple(int(np.floor(length / r + 1e-6)) for length, r in zip(base.size_vx[:2], ratio, strict=True))
    return Frame((size[0], size[1]), (mpp[0] * ratio[0], mpp[1] * ratio[1]), cut, cut)


def _of_level(volume: VolumePlan, level: int, mpp: tuple[float, float], place: str) -> Frame:
    if level >= len(volume.scales):
        raise PlanError(
            explain(
                f"{place}, slides.patches.level",
                "the slide has no such level",
                expected=f"0 to {len(volume.scales) - 1}",
                got=level,
                do="Choose one of them, or give slides.patches.mpp",
            )
        )
    scale, base = volume.scales[level], volume.scales[0]
    start, stop = _whole_pixels(base, scale)
    ratio = (float(scale.factor[0]), float(scale.factor[1]))
    finest = Cut(0, (start[0] * scale.factor[0], start[1] * scale.factor[1]), ratio)
    size = (max(0, stop[0] - start[0]), max(0, stop[1] - start[1]))
    return Frame(size, (mpp[0] * ratio[0], mpp[1] * ratio[1]), Cut(level, start, (1.0, 1.0)), finest)


def _whole_pixels(base: ScalePlan, scale: ScalePlan) -> tuple[tuple[int, int], tuple[int, int]]:
    """The pixels [start, stop) of a mip under which every pixel of mip 0 exists."""
    start = tuple(-(-base.box.start[axis] // scale.factor[axis]) for axis in (0, 1))
    stop = tuple(base.box.stop[axis] // scale.factor[axis] for axis in (0, 1))
    return (start[0], start[1]), (stop[0], stop[1])


def _ratio(wanted_um: float, mpp: float, place: str) -> float:
    ratio = wanted_um / mpp
    whole = round(ratio)
    if whole and abs(ratio / whole - 1) <= WHOLE_SHARE:
        return float(whole)
    if ratio < 1:
        raise PlanError(
            explain(
                f"{place}, slides.patches.mpp",
                "patches finer than their slide would be blown up",
                expected=f"at least {mpp:g} microns per pixel",
                got=f"{wanted_um:g}",
                do="Raise it, or leave the slide out",
            )
        )
    return ratio


def read_image(
    reader: VolumeReader, cut: Cut, patch: Patch, size_px: int, background: tuple[int, ...]
) -> NDArray[np.uint8]:
    """The image of a patch, (size_px, size_px, 3); background where it leaves the slide."""
    out = np.empty((size_px, size_px, len(background)), dtype=np.uint8)
    out[:] = background
    for y, rows in _strips(patch, cut.ratio):
        box = cut.box(patch.x, y, patch.w, rows, reader.box.start[2])
        pixels = reader.read(box)[:, :, 0]
        inside = pixels if cut.ratio == (1.0, 1.0) else area_mean(pixels, (patch.x, y), cut.ratio)
        out[: patch.w, y - patch.y : y - patch.y + rows] = inside
    return out


def read_mask(reader: VolumeReader, cut: Cut, patch: Patch, size_px: int) -> NDArray[np.uint16]:
    """The structures of a patch's pixels, (size_px, size_px); 0 where it leaves the slide."""
    out = np.zeros((size_px, size_px), dtype=np.uint16)
    for y, rows in _strips(patch, cut.ratio):
        box = cut.box(patch.x, y, patch.w, rows, reader.box.start[2])
        values = reader.read(box)[:, :, 0, 0].astype(np.uint16)
        out[: patch.w, y - patch.y : y - patch.y + rows] = area_majority(values, (patch.x, y), cut.ratio)
    return out


def _strips(patch: Patch, ratio: Ratio) -> list[tuple[int, int]]:
    """(first row, rows) of what is resampled at once."""
    rows = max(1, min(patch.h, int(STRIP_PX / (patch.w * ratio[0] * ratio[1]))))
    return [(y, min(rows, patch.y + patch.h - y)) for y in range(patch.y, patch.y + patch.h, rows)]
