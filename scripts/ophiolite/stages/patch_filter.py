"""Which patches of a slide are kept: the tissue and the structures in each, and what to say where none is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophiolite.config.slides import Patches
from ophiolite.errors import explain
from ophiolite.geometry import Box
from ophiolite.kernels.area_means import StripReducer
from ophiolite.kernels.patch_grid import CellCounts, Patch, covered_fractions
from ophiolite.kernels.tissue import THUMBNAIL_PX, UM_PER_PX, tissue_mask
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.model import ScalePlan
from ophiolite.stages.patch_frame import Frame

# Bytes of a mip that are read, and rows of it that are reduced, at once for a thumbnail.
STRIP_BYTES, ROWS_TOGETHER = 24_000_000, 64
SHARES = (0.01, 0.1, 0.5)


@dataclass(frozen=True)
class Fractions:
    """Of each patch: the part that is tissue, and per structure (patches, structures) the part that it covers."""

    tissue: NDArray[np.float64]
    structures: NDArray[np.float64]

    @property
    def label(self) -> NDArray[np.float64]:
        """The part of each patch that any structure covers."""
        out: NDArray[np.float64] = np.minimum(self.structures.sum(axis=1), 1)
        return out

    def reasons(self, options: Patches) -> list[str]:
        """Why each patch is left out; empty for those that are kept."""
        found = []
        for tissue, label in zip(self.tissue, self.label, strict=True):
            faults = (("tissue", tissue < options.min_tissue), ("label", label < options.min_label))
            found.append(" and ".join(name for name, fault in faults if fault))
        return found


@dataclass(frozen=True)
class Thumbnail:
    """Of what mip the picture is made in which tissue is looked for, and at how many microns per pixel."""

    mip: ScalePlan
    um_per_px: float

    @classmethod
    def of(cls, scales: Sequence[ScalePlan]) -> Thumbnail:
        """The scale of thumbnails, coarser where the slide is, or would take too many pixels; from a mip at least as
        fine."""
        um2 = np.prod([n * r / 1000 for n, r in zip(scales[0].size_vx[:2], scales[0].resolution_nm[:2], strict=True)])
        um_per_px = max(UM_PER_PX, float(np.sqrt(um2 / THUMBNAIL_PX)))
        fine = [s for s in scales if max(s.resolution_nm[:2]) <= 1000 * um_per_px]
        if not fine:
            return cls(scales[0], max(scales[0].resolution_nm[:2]) / 1000)
        return cls(fine[-1], um_per_px)

    def picture(self, reader: VolumeReader) -> NDArray[np.uint8]:
        """The thumbnail `(x, y, 3)`, from a reader of its mip."""
        nm, (across, down, _) = self.mip.resolution_nm, reader.box.shape
        width, height = (max(1, round(reader.box.shape[a] * nm[a] / 1000 / self.um_per_px)) for a in (0, 1))
        if width >= across or height >= down:
            return reader.read(reader.box)[:, :, 0]
        reducer = StripReducer((across, down), (width, height), 3)
        (x0, y0, z0), (x1, y1, z1), chunk = reader.box.start, reader.box.stop, reader.scale.chunk_vx[1]
        rows = max(1, STRIP_BYTES // (3 * across * chunk)) * chunk
        for top in range(y0, y1, rows):
            strip = reader.read(Box((x0, top, z0), (x1, min(top + rows, y1), z1)))[:, :, 0]
            for first in range(0, strip.shape[1], ROWS_TOGETHER):
                reducer.add(strip[:, first : first + ROWS_TOGETHER])
        return reducer.picture()


def tissue_fractions(
    reader: VolumeReader, thumbnail: Thumbnail, frame: Frame, patches: Sequence[Patch], size_px: int
) -> NDArray[np.float64]:
    """What part of each patch is tissue, by the areas of a thumbnail's pixels; what leaves the slide is none."""
    mask = tissue_mask(thumbnail.picture(reader), thumbnail.um_per_px)
    corners = np.array([(p.x, p.y, p.x + size_px, p.y + size_px) for p in patches], dtype=np.float64)
    at_finest = corners * np.array(frame.finest.ratio * 2) + np.array(frame.finest.origin * 2)
    box, factor = thumbnail.mip.box, thumbnail.mip.factor
    first = np.array([box.start[axis] * factor[axis] for axis in (0, 1)] * 2)
    pixel = np.array([box.shape[axis] * factor[axis] / mask.shape[axis] for axis in (0, 1)] * 2)
    return covered_fractions(mask, (at_finest - first) / pixel)


def structure_fractions(
    mask: VolumeReader, values: Sequence[int], frame: Frame, patches: Sequence[Patch], size_px: int
) -> NDArray[np.float64]:
    """What part of each patch every structure covers, counted in whole pixels of the mask, each read once."""
    x, y = frame.mask.corners([(p.x, p.y) for p in patches])
    stop_x, stop_y = frame.mask.corners([(p.x + p.w, p.y + p.h) for p in patches])
    kinds = np.full(max(values, default=0) + 1, -1, dtype=np.int32)
    kinds[list(values)] = np.arange(len(values))
    cells = CellCounts(np.concatenate([x, stop_x]), np.concatenate([y, stop_y]), len(values))
    for chunk in mask.scale.grid:
        box = mask.scale.grid.cell(chunk)
        labels = mask.read(box)[:, :, 0, 0]
        if labels.any():
            cells.add(kinds[labels], box.start[:2])
    whole = size_px**2 * frame.mask.ratio[0] * frame.mask.ratio[1]
    out: NDArray[np.float64] = np.minimum(cells.of(x, y, stop_x, stop_y) / whole, 1)
    return out


def none_kept(place: str, frame: Frame, fractions: Fractions, options: Patches) -> str:
    """What to say (E144) where no patch is kept, with histograms, and thresholds that would keep some; else nothing."""
    reasons = fractions.reasons(options)
    if not reasons:
        return explain(
            place,
            "E144: the slide is smaller than a patch",
            expected=f"{options.size_px} pixels at {frame.mpp[0]:g} microns",
            got=f"{frame.size_px[0]} x {frame.size_px[1]}",
            do="Choose slides.patches.edge: pad, or smaller patches",
        )
    if "" in reasons:
        return ""
    left = {reason: reasons.count(reason) for reason in sorted(set(reasons))}
    problem = f"E144: none of {len(reasons)} patches is kept (left out for {_listed(left)})"
    facts = [
        f"{name} {_histogram(values)}; {option} {_thresholds(values)}"
        for name, option, values in (
            ("Tissue covers", "min_tissue", fractions.tissue),
            ("Structures cover", "min_label", fractions.label),
        )
    ]
    return explain(
        place,
        problem,
        expected=f"tissue of {options.min_tissue:g} and structures of {options.min_label:g}, or more, somewhere",
        got=". ".join(facts),
        do="Lower slides.patches.min_tissue or min_label, or leave the slide out of the sheet",
    )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _histogram(values: NDArray[np.float64]) -> str:
    """Counts by tenths, empty ones left out."""
    counts = np.histogram(values, bins=np.linspace(0, 1, 11))[0].tolist()
    return ", ".join(f"{10 * i}-{10 * i + 10} % of {count}" for i, count in enumerate(counts) if count)


def _thresholds(values: NDArray[np.float64]) -> str:
    """The thresholds that would keep a hundredth, a tenth and half of the patches by this filter alone, or more where
    patches are alike; and how many those are."""
    ordered = np.sort(values)[::-1]
    at = [ordered[max(1, int(np.ceil(share * len(values)))) - 1] for share in SHARES]
    rounded = dict.fromkeys((np.floor(np.array(at) * 1e4) / 1e4).tolist())
    return ", ".join(f"{value:g} would keep {(values >= value).sum()}" for value in rounded)
