"""The pixels that patches of a slide are cut from: which mip, from where, how many make one pixel of a patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophiolite.config.slides import Patches
from ophiolite.geometry import Box
from ophiolite.kernels.area_resample import TINY, Ratio, area_majority, area_mean
from ophiolite.kernels.patch_grid import Patch, patch_grid
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.model import ScalePlan, VolumePlan
from ophiolite.plan.slide_patch_scale import patch_ratios, patch_scale

# Pixels that are resampled at once.
STRIP_PX = 2_000_000


@dataclass(frozen=True)
class Cut:
    """Pixels of one mip under the pixels of patches: where they begin, and how many along x and y make one."""

    mip: int
    origin: Ratio
    ratio: Ratio

    def low(self, x: int, y: int) -> Ratio:
        """Where the pixel (x, y) of patches begins."""
        return self.origin[0] + x * self.ratio[0], self.origin[1] + y * self.ratio[1]

    def box(self, x: int, y: int, w: int, h: int, z: int) -> Box:
        """The pixels that w x h pixels of patches from (x, y) on touch."""
        x0, y0 = (int(np.floor(v + TINY)) for v in self.low(x, y))
        x1, y1 = (int(np.ceil(v - TINY)) for v in self.low(x + w, y + h))
        return Box((x0, y0, z), (x1, y1, z + 1))

    def corners(self, points: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The whole pixels nearest to where pixels of patches begin: x and y, each (n,)."""
        at = np.array(points, dtype=np.float64).reshape(-1, 2) * np.array(self.ratio) + np.array(self.origin)
        x, y = np.floor(at + 0.5).astype(np.int64).T
        return x, y


@dataclass(frozen=True)
class Frame:
    """The slide as patches see it: its size in their pixels, microns per pixel, where image and mask are read.

    finest, mask : mip 0 of the slide and of its mask. A mask is read there, whatever the mip of the image, so that a
    pixel of a patch's mask is the majority of the very area whose mean is the pixel of its image.
    """

    size_px: tuple[int, int]
    mpp: tuple[float, float]
    image: Cut
    finest: Cut
    mask: Cut

    def patches(self, options: Patches) -> list[Patch]:
        """All patches of the grid."""
        return patch_grid(self.size_px, options.size_px, options.stride_px, options.edge)


def frame_of(volume: VolumePlan, mask_ratio: int, options: Patches, place: str) -> Frame:
    """How the patches of a slide are cut; raises PlanError where its resolution is too coarse or it lacks the mip.

    mask_ratio : slide pixels per mask pixel. Pixels of patches that the slide covers in part only are left out.
    """
    base = volume.scales[0]
    mpp = (base.resolution_nm[0] / 1000, base.resolution_nm[1] / 1000)
    if options.mpp is None:
        image, finest, size = _of_level(volume, options.level, place)
    else:
        ratio = patch_ratios(volume, options.mpp, place)
        image = finest = Cut(0, (base.voxel_offset_vx[0], base.voxel_offset_vx[1]), ratio)
        across, down = (int(np.floor(length / r + TINY)) for length, r in zip(base.size_vx[:2], ratio, strict=True))
        size = (across, down)
    (x, y), (fx, fy) = finest.origin, finest.ratio
    mask = Cut(0, (x / mask_ratio, y / mask_ratio), (fx / mask_ratio, fy / mask_ratio))
    return Frame(size, (mpp[0] * fx, mpp[1] * fy), image, finest, mask)


def _of_level(volume: VolumePlan, level: int, place: str) -> tuple[Cut, Cut, tuple[int, int]]:
    """Where the image is read, where the same pixels lie at mip 0, and how many there are."""
    scale, base = patch_scale(volume, level, place), volume.scales[0]
    start, stop = _whole_pixels(base, scale)
    ratio = (float(scale.factor[0]), float(scale.factor[1]))
    finest = Cut(0, (start[0] * scale.factor[0], start[1] * scale.factor[1]), ratio)
    return Cut(level, start, (1.0, 1.0)), finest, (max(0, stop[0] - start[0]), max(0, stop[1] - start[1]))


def _whole_pixels(base: ScalePlan, scale: ScalePlan) -> tuple[tuple[int, int], tuple[int, int]]:
    """The pixels [start, stop) of a mip under which every pixel of mip 0 exists."""
    start = tuple(-(-base.box.start[axis] // scale.factor[axis]) for axis in (0, 1))
    stop = tuple(base.box.stop[axis] // scale.factor[axis] for axis in (0, 1))
    return (start[0], start[1]), (stop[0], stop[1])


def read_image(
    reader: VolumeReader, cut: Cut, patch: Patch, size_px: int, background: tuple[int, ...]
) -> NDArray[np.uint8]:
    """The image of a patch, (size_px, size_px, 3); background where it leaves the slide."""
    # Rows of pixels lie as encoders want them.
    out = np.empty((size_px, size_px, len(background)), dtype=np.uint8).transpose(1, 0, 2)
    out[:] = background
    for y, rows in _strips(patch, cut.ratio):
        box = cut.box(patch.x, y, patch.w, rows, reader.box.start[2])
        means = area_mean(reader.read(box)[:, :, 0], _inside(cut, box, patch.x, y), cut.ratio, (patch.w, rows))
        out[: patch.w, y - patch.y : y - patch.y + rows] = means
    return out


def read_mask(reader: VolumeReader, cut: Cut, patch: Patch, size_px: int) -> NDArray[np.uint16]:
    """The structures of a patch's pixels, (size_px, size_px); 0 where it leaves the slide."""
    out = np.zeros((size_px, size_px), dtype=np.uint16, order="F")
    for y, rows in _strips(patch, cut.ratio):
        box = cut.box(patch.x, y, patch.w, rows, reader.box.start[2])
        values, low = reader.read(box)[:, :, 0, 0].astype(np.uint16), _inside(cut, box, patch.x, y)
        out[: patch.w, y - patch.y : y - patch.y + rows] = area_majority(values, low, cut.ratio, (patch.w, rows))
    return out


def _inside(cut: Cut, box: Box, x: int, y: int) -> Ratio:
    """Where the pixel (x, y) of patches begins in an array of a box; on a pixel where it misses that by rounding."""
    at = [value - start for value, start in zip(cut.low(x, y), box.start[:2], strict=True)]
    first, second = (round(value) if abs(value - round(value)) < TINY else value for value in at)
    return first, second


def _strips(patch: Patch, ratio: Ratio) -> list[tuple[int, int]]:
    """(first row, rows) of what is resampled at once."""
    rows = max(1, min(patch.h, int(STRIP_PX / (patch.w * max(1, ratio[0]) * max(1, ratio[1])))))
    return [(y, min(rows, patch.y + patch.h - y)) for y in range(patch.y, patch.y + patch.h, rows)]
