"""What the figures show, read from finished layers: middle slices at two mips, the largest objects, their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box
from ophiolite.layers.objects import MeshReader, SkeletonReader
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.store import Store
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.report.render import Solid, label_colours
from ophiolite.stages.job import open_project
from ophiolite.stages.layer import volume_info
from ophiolite.stages.objects import largest_objects, object_columns

SHOWN_VX = 768
BYTES_SHOWN = 500_000
RANKED = 24
DISTRIBUTIONS = {
    "voxels": "voxels",
    "mesh_faces": "triangles",
    "mesh_area_um2": "surface, µm²",
    "cable_um": "cable length, µm",
}


@dataclass(frozen=True)
class Slice:
    """A middle slice across z of one mip.

    image : (x, y) or (x, y, 3), or None where the dataset has no image; labels : (x, y) or None.
    """

    mip: int
    resolution_nm: tuple[float, float]
    image: NDArray[Any] | None
    labels: NDArray[np.uint64] | None

    @property
    def shown(self) -> NDArray[Any]:
        """The image, or black where there is none."""
        if self.image is not None:
            return self.image
        assert self.labels is not None
        return np.zeros(self.labels.shape, dtype=np.uint8)


def layer_figures(plan: Path, dataset: str, layer: str) -> LayerFigures:
    """What the figures of one layer of a finished project show."""
    return LayerFigures(*open_project(plan), dataset, layer)


@dataclass(frozen=True)
class LayerFigures:
    """Reads what the figures of one volume layer show."""

    plan: ProjectPlan
    store: Store
    dataset: str
    layer: str

    def volume(self, layer: str) -> VolumePlan:
        """The plan of an image or segmentation layer of the dataset."""
        plan = self.plan.datasets[self.dataset].layers[layer]
        assert isinstance(plan, VolumePlan)
        return plan

    @cached_property
    def largest(self) -> dict[str, NDArray[Any]]:
        """The rows of the largest objects in the object table of the layer, ascending by label."""
        return largest_objects(self.store, self._parts(), RANKED)[0]

    def _parts(self) -> list[str]:
        folder = LayerPaths(self.dataset, self.layer).objects
        return [f"{folder}/{part}.parquet" for part in range(self.volume(self.layer).stats_parts)]

    def slices(self) -> list[Slice]:
        """The middle slice at mip 0 and at a coarser mip; of a segmentation over the dataset's first image.

        The coarser mip is the third, or of a slide the finest that is shown whole.
        """
        scales = self.volume(self.layer).scales
        coarse = min(len(scales) - 1, 2)
        if scales[0].size_vx[2] == 1:
            coarse = next((s.mip for s in scales if max(s.size_vx) <= SHOWN_VX), len(scales) - 1)
        return [self._slice(mip) for mip in sorted({0, coarse})]

    def contrast(self, slices: list[Slice]) -> tuple[float, float] | None:
        """Values shown black and white: the 0.5 and 99.5 percentiles of the first slice; None for colour."""
        first = slices[0].image
        if first is None or first.ndim == 3:
            return None
        low, high = np.percentile(first, (0.5, 99.5))
        return float(low), float(max(high, low + 1e-9))

    def ranked(self) -> list[int]:
        """Labels of the largest objects, largest first; none for an image."""
        if self.volume(self.layer).kind == "image":
            return []
        order = np.argsort(self.largest["voxels"], kind="stable")[::-1]
        return [int(v) for v in self.largest["label"][order]]

    def objects(self, count: int) -> list[tuple[int, Solid]]:
        """The `count` largest objects as (label, mesh and skeleton), largest first; those with neither are left out."""
        folder = LayerPaths(self.dataset, self.layer).layer_folder
        folders = {name: f"{folder}/{product.folder}" for name, product in self.volume(self.layer).products()}
        meshes = MeshReader(self.store, folders["mesh"]) if "mesh" in folders else None
        skeletons = SkeletonReader(self.store, folders["skeleton"]) if "skeleton" in folders else None
        labels = self.ranked()[:count]
        colours = label_colours(np.array(labels, dtype=np.uint64), labels).tolist()
        solids = [_solid(label, (r, g, b), meshes, skeletons) for label, (r, g, b) in zip(labels, colours, strict=True)]
        return [(label, solid) for label, solid in zip(labels, solids, strict=True) if len(solid.points_nm)]

    def caption(self, label: int) -> str:
        """What stands under the picture of one of the largest objects."""
        row = int(np.searchsorted(self.largest["label"], np.uint64(label)))
        parts = [f"{self.largest['volume_um3'][row]:.3g} µm³"]
        for name, unit in (("mesh_faces", "triangles"), ("cable_um", "µm of cable")):
            if name in self.largest and np.isfinite(value := float(self.largest[name][row])) and value:
                parts.append(f"{value:,.0f} {unit}" if value >= 10 else f"{value:.2f} {unit}")
        return ", ".join(parts)

    def bounds_nm(self) -> tuple[list[float], list[float]]:
        """First and last corner of the volume."""
        scale = self.volume(self.layer).scales[0]
        resolution = np.array(scale.resolution_nm)
        return (np.array(scale.box.start) * resolution).tolist(), (np.array(scale.box.stop) * resolution).tolist()

    def distributions(self) -> dict[str, NDArray[Any]]:
        """Title -> one value per object."""
        columns = object_columns(self.store, self._parts(), list(DISTRIBUTIONS))
        return {DISTRIBUTIONS[name]: values for name, values in columns.items()}

    def _slice(self, mip: int) -> Slice:
        here = self.volume(self.layer)
        scale = here.scales[mip]
        middle = (scale.box.start[2] + scale.box.stop[2]) // 2
        low = [scale.box.start[d] + max(0, (scale.box.shape[d] - SHOWN_VX) // 2) for d in (0, 1)]
        high = [min(low[d] + SHOWN_VX, scale.box.stop[d]) for d in (0, 1)]
        box = Box((low[0], low[1], middle), (high[0], high[1], middle + 1))
        labels = self._read(self.layer, mip, box)[:, :, 0, 0] if here.kind == "segmentation" else None
        return Slice(mip, scale.resolution_nm[:2], self._image(box, scale.resolution_nm), labels)

    def _image(self, box: Box, resolution_nm: tuple[float, float, float]) -> NDArray[Any] | None:
        """The image under a box, from a mip of the same resolution of this layer or the dataset's first image."""
        layers = self.plan.datasets[self.dataset].layers
        images = [n for n, p in layers.items() if isinstance(p, VolumePlan) and p.kind == "image"]
        for name in [self.layer] if self.layer in images else images[:1]:
            for scale in self.volume(name).scales:
                if scale.resolution_nm == resolution_nm:
                    pixels = self._read(name, scale.mip, box)[:, :, 0, :]
                    return pixels if pixels.shape[2] == 3 else pixels[:, :, 0]
        return None

    def _read(self, layer: str, mip: int, box: Box) -> NDArray[Any]:
        info = volume_info(self.volume(layer))
        return VolumeReader(self.store, LayerPaths(self.dataset, layer).layer_folder, mip, info).read(box)


def _solid(
    label: int, colour: tuple[float, float, float], meshes: MeshReader | None, skeletons: SkeletonReader | None
) -> Solid:
    """One object, its mesh at a level of detail that is quick to draw."""
    vertices, faces = np.zeros((0, 3)), np.zeros((0, 3), np.uint32)
    manifest = meshes.manifest(label) if meshes else None
    if meshes and manifest:
        bytes_of = [int(np.sum(sizes)) for sizes in manifest.sizes]
        lod = next((n for n, size in enumerate(bytes_of) if size < BYTES_SHOWN), len(bytes_of) - 1)
        found = meshes.read(label, lod)
        vertices, faces = found if found else (vertices, faces)
    skeleton = skeletons.read(label) if skeletons else None
    bones = skeleton.vertices_nm if skeleton else np.zeros((0, 3), np.float32)
    edges = skeleton.edges if skeleton else np.zeros((0, 2), np.uint32)
    return Solid(colour, vertices, faces, bones, edges)
