"""One object seen whole: its somata found at a coarse mip, each then looked at as finely as a job's memory allows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box, Vec
from ophiolite.geometry.box import floordiv, mul
from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.geometry.pyramid import coarse_box
from ophiolite.kernels.cavities import cavities
from ophiolite.kernels.skeleton_measure import connected, distance_field
from ophiolite.kernels.skeleton_merge import Skeleton
from ophiolite.kernels.skeletonize import SkeletonOptions, skeletonize_labels
from ophiolite.kernels.skeletonize.labels import wanted
from ophiolite.kernels.skeletonize.nuclei import holds_nucleus
from ophiolite.kernels.soma import SomaOptions, SomaRegion, band_nm, reach_nm, soma_region, wide_places
from ophiolite.kernels.soma_graft import Grafted, graft, healed
from ophiolite.layers.label_masks import LabelMasks
from ophiolite.layers.volume import VolumeReader
from ophiolite.stages.job import Job
from ophiolite.stages.layer import volume_info
from ophiolite.stages.skeleton import clean_options
from ophiolite.stages.skeleton_candidates import Candidate, finest_mip, most_voxels
from ophiolite.stages.skeleton_pieces import tracing_options

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
_ONE = (1, 1, 1)
_CACHE_BYTES = 64 * 10**6
Said = dict[str, Any]


class WholeObjects:
    """What looking at the objects of one job shares."""

    def __init__(self, job: Job) -> None:
        self._job, self._plan, self._volume = job, job.product("skeleton"), job.volume
        fragments = self._plan.options["fragments"]
        self._options = SkeletonOptions(**fragments)
        self._asked = tracing_options(self._plan)
        self._soma = SomaOptions(
            accept_nm=fragments["soma_accept_nm"],
            scale=fragments["soma_scale"],
            const_nm=fragments["soma_const_nm"],
            voids=fragments["fill_holes"],
        )
        self._clean = clean_options(self._plan)
        self._masks: dict[int, LabelMasks] = {}

    def look_at(self, candidate: Candidate, old: Skeleton) -> tuple[Skeleton | None, Said]:
        """The new skeleton of an object, None where the old one stays, and what is said of it."""
        if candidate.mip is None:
            return None, {"reason": "too large for a job's memory at every mip"}
        if candidate.retrace:
            return self._retraced(candidate, candidate.mip, len(old.vertices))
        return self._with_somata(candidate, candidate.mip, old)

    def _retraced(self, candidate: Candidate, mip: int, before: int) -> tuple[Skeleton | None, Said]:
        box = self._box(candidate.box, mip)
        said: Said = {"reason": "", "mip": mip, "nuclei": {}}
        mask = self._seen(candidate.label, mip, box, said)[0].astype(np.uint8)
        voxel_nm = self._volume.scales[mip].resolution_nm
        no = (False, False, False)
        found = list(skeletonize_labels(mask, voxel_nm, box.shape, no, no, options=self._options))
        if not found:
            return None, {"reason": "has no centreline", "mip": mip}
        piece = found[0][1]
        voxels = piece.vertices.astype(np.int64) // STEPS_PER_VOXEL + np.array(box.start)
        vertices = self._placed(candidate.label, mip, voxels)
        new = Skeleton(vertices, piece.edges, piece.radius_nm, piece.seam)
        return new, said | {"removed": before, "added": len(vertices)}

    def _with_somata(self, candidate: Candidate, mip: int, old: Skeleton) -> tuple[Skeleton | None, Said]:
        box = self._box(candidate.box, mip)
        mask = self._mask(candidate.label, mip, box)
        filled = mask | cavities(mask)
        del mask
        if filled.all():
            return None, {"reason": "fills its box, so that no surface is known", "mip": mip}
        voxel_nm = np.array(self._volume.scales[mip].resolution_nm)
        field = distance_field(filled, voxel_nm)
        places, count = wide_places(field, self._soma.accept_nm)
        if not count:
            return None, {"reason": "has no soma", "mip": mip}
        boxes = self._boxes(places, field, box, mip)
        del filled, field
        said: Said = {"reason": "", "mip": mip, "somata": 0, "nuclei": {}}
        new = Grafted.of(old)
        for near in boxes:
            new = self._mended(candidate, new, near, (places, box, mip), said)
        said |= {"neurites": new.neurites, "removed": new.removed, "added": int(new.new.sum())}
        step_nm = np.array(self._volume.scales[self._plan.mip].resolution_nm) / STEPS_PER_VOXEL
        found = healed(new, step_nm, self._clean)
        if not len(found.vertices):
            return None, {"reason": "has no centreline", "mip": mip}
        return found, said

    def _boxes(self, places: NDArray[Any], field: NDArray[np.float32], box: Box, mip: int) -> list[Box]:
        """Mip-0 boxes that hold wide places and what lies around them; those that overlap are one."""
        from scipy import ndimage

        scale = self._volume.scales[mip]
        voxel_nm = np.array(scale.resolution_nm)
        found: list[Box] = []
        for number, part in enumerate(ndimage.find_objects(places), start=1):
            radius = float(field[part][places[part] == number].max())
            around = max(reach_nm(radius, self._soma), radius) + band_nm(voxel_nm, self._soma)
            margin = np.ceil(around / voxel_nm).astype(np.int64) + 1
            x, y, z = (int(m) for m in margin)
            start = (part[0].start, part[1].start, part[2].start)
            stop = (part[0].stop, part[1].stop, part[2].stop)
            own = Box(start, stop).shift(box.start).grow((x, y, z), (x, y, z)).intersect(box)
            found.append(Box(mul(own.start, scale.factor), mul(own.stop, scale.factor)))
        return united(found)

    def _mended(
        self, candidate: Candidate, before: Grafted, near: Box, seen: tuple[NDArray[Any], Box, int], said: Said
    ) -> Grafted:
        """The skeleton with the wide places of one mip-0 box replaced, and `said` added to."""
        places, box, coarse = seen
        mip = finest_mip(self._volume, self._plan.mip, near, most_voxels(self._job, False))
        mip = coarse if mip is None else min(mip, coarse)
        scale = self._volume.scales[mip]
        own = coarse_box(near, scale.factor).intersect(scale.box)
        mask, filled = self._seen(candidate.label, mip, own, said)
        if filled.all():
            return before
        ratio = floordiv(self._volume.scales[coarse].factor, scale.factor)
        under = [np.arange(own.start[d], own.stop[d]) // ratio[d] - box.start[d] for d in range(3)]
        numbers = places[np.ix_(*under)]
        voxel_nm = np.array(scale.resolution_nm)
        region = soma_region(mask, filled, distance_field(filled, voxel_nm), numbers, voxel_nm, self._soma)
        said["mip"] = min(said["mip"], mip)
        said["somata"] += len(region.roots)
        if len(region.roots) == 0:
            return before
        return graft(
            before,
            region,
            lambda vertices: self._located(region, vertices, mip, own),
            lambda index: self._placed(candidate.label, mip, region.flat.voxels(index) + np.array(own.start)),
        )

    def _box(self, box: Box, mip: int) -> Box:
        """The voxels of a mip over a mip-0 box, and one more around them where the volume has them."""
        scale = self._volume.scales[mip]
        return coarse_box(box, scale.factor).grow(_ONE, _ONE).intersect(scale.box)

    def _labels(self, mip: int) -> LabelMasks:
        if mip not in self._masks:
            folder = self._job.paths.layer_folder
            reader = VolumeReader(self._job.store, folder, mip, volume_info(self._volume))
            self._masks[mip] = LabelMasks(reader, _CACHE_BYTES)
        return self._masks[mip]

    def _mask(self, label: int, mip: int, box: Box) -> Bools:
        return self._labels(mip).read(label, box).view(np.bool_)

    def _seen(self, label: int, mip: int, box: Box, said: Said) -> tuple[Bools, Bools]:
        """The voxels of a label, nuclei that are to be united with it among them, and the same with all voids filled.

        said : `nuclei` is added to, the labels that lie in them, each with the void's mip-0 box.
        """
        mask = self._mask(label, mip, box)
        voids = cavities(mask)
        filled = mask | voids
        if self._options.fix_avocados and voids.any():
            mask |= self._nuclei(voids, mip, box, said["nuclei"])
        return mask, filled

    def _nuclei(self, voids: Bools, mip: int, box: Box, found: dict[str, Any]) -> Bools:
        """Those of an object's voids that hold a nucleus, as tasks unite it; `found` is added to, see `_seen`."""
        from scipy import ndimage

        scale, united = self._volume.scales[mip], np.zeros_like(voids, order="F")
        parts, _ = connected(voids, 6)
        for number, place in enumerate(ndimage.find_objects(parts), start=1):
            x, y, z = place
            own = Box((x.start, y.start, z.start), (x.stop, y.stop, z.stop)).shift(box.start)
            inside = parts[place] == number
            labels = self._labels(mip).labels(own)
            numbers, _ = wanted(np.where(inside, labels, 0), None, self._asked)
            # Depths end at the array's faces only where something lies beyond them.
            if not holds_nucleus(np.pad(numbers, 1), scale.resolution_nm, self._options.soma_detect_nm):
                continue
            united[place] |= inside
            around = own.grow(_ONE, _ONE)
            outer = [list(mul(around.start, scale.factor)), list(mul(around.stop, scale.factor))]
            elsewhere = np.unique(labels[~inside])
            found |= {str(v): outer for v in np.unique(labels[inside & (numbers > 0)]).tolist() if v not in elsewhere}
        return united

    def _located(self, region: SomaRegion, vertices: Ints, mip: int, own: Box) -> tuple[Ints, Bools]:
        """Flat voxels of a region's box that vertices lie in, and which of them lie in it."""
        ratio = floordiv(self._volume.scales[mip].factor, self._volume.scales[self._plan.mip].factor)
        voxels = vertices // STEPS_PER_VOXEL // np.array(ratio) - np.array(own.start)
        known = ((voxels >= 0) & (voxels < np.array(own.shape))).all(axis=1)
        return np.where(known, region.flat.index(voxels), 0), known

    def _placed(self, label: int, mip: int, voxels: Ints) -> Ints:
        """Vertices for voxels (n, 3) of a mip: the voxel's middle, or at a coarser mip than the skeleton's the voxel of
        the label under it that is nearest to its middle (there is one, but for voids)."""
        ratio = floordiv(self._volume.scales[mip].factor, self._volume.scales[self._plan.mip].factor)
        half = STEPS_PER_VOXEL // 2
        if ratio == _ONE:
            return voxels * STEPS_PER_VOXEL + half
        out = np.empty_like(voxels)
        for row, voxel in enumerate(voxels.tolist()):
            start: Vec = mul((voxel[0], voxel[1], voxel[2]), ratio)
            under = np.argwhere(self._mask(label, self._plan.mip, Box.of(start, ratio)))
            if len(under) == 0:
                under = np.array([[r // 2 for r in ratio]])
            apart = (((2 * under + 1 - np.array(ratio)) * self._volume.scales[self._plan.mip].resolution_nm) ** 2).sum(
                axis=1
            )
            out[row] = (np.array(start) + under[np.argmin(apart)]) * STEPS_PER_VOXEL + half
        return out


def united(boxes: list[Box]) -> list[Box]:
    """Boxes of which none overlaps another: those that did are replaced by the smallest that holds both."""
    out: list[Box] = []
    for box in boxes:
        here = box
        while True:
            meeting = [b for b in out if not b.intersect(here).empty]
            if not meeting:
                break
            out = [b for b in out if b not in meeting]
            for b in meeting:
                here = here.hull(b)
        out.append(here)
    return sorted(out)
