"""What the figures show, read from finished layers: middle slices at two mips, the largest objects, their sizes."""

from __future__ import annotations

from dataclasses import dataclass
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
from ophiolite.report.render import Solid
from ophiolite.stages.objects import read_objects

SHOWN_VX = 768
BYTES_SHOWN = 500_000


@dataclass(frozen=True)
class Slice:
    """A middle slice across z of one mip.

    image : (x, y, c) or None where the dataset has no image; labels : (x, y) or None.
    """

    mip: int
    resolution_nm: tuple[float, float]
    z_nm: float
    image: NDArray[Any] | None
    labels: NDArray[np.uint64] | None


@dataclass(frozen=True)
class LayerFigures:
    """Reads what the figures of one volume layer show."""

    plan: ProjectPlan
    store: Store
    dataset: str
    layer: str

    @property
    def volume(self) -> VolumePlan:
        """The plan of the layer."""
        plan = self.plan.datasets[self.dataset].layers[self.layer]
        assert isinstance(plan, VolumePlan)
        return plan

    def slices(self) -> list[Slice]:
        """The middle slice at mip 0 and at a coarser mip; of a segmentation over the dataset's first image."""
        mips = sorted({0, min(len(self.volume.scales) - 1, 2)})
        return [self._slice(mip) for mip in mips]

    def objects(self, count: int) -> list[Solid]:
        """The `count` largest objects with mesh and skeleton, largest first."""
        table = self.table()
        paths = LayerPaths(self.dataset, self.layer)
        folders = {name: f"{paths.layer_folder}/{product.folder}" for name, product in self.volume.products()}
        meshes = MeshReader(self.store, folders["mesh"]) if "mesh" in folders else None
        skeletons = SkeletonReader(self.store, folders["skeleton"]) if "skeleton" in folders else None
        largest = np.argsort(table["voxels"], kind="stable")[::-1][:count]
        return [self._solid(int(table["label"][row]), meshes, skeletons) for row in largest]

    def table(self) -> dict[str, NDArray[Any]]:
        """The object table of the layer."""
        folder = self.store.local(LayerPaths(self.dataset, self.layer).objects)
        return read_objects([Path(folder) / f"{part}.parquet" for part in range(self.volume.stats_parts)])

    def _slice(self, mip: int) -> Slice:
        layers = self.plan.datasets[self.dataset].layers
        is_label = self.volume.kind == "segmentation"
        images = [n for n, p in layers.items() if isinstance(p, VolumePlan) and p.kind == "image"]
        scale = self.volume.scales[mip]
        middle = (scale.box.start[2] + scale.box.stop[2]) // 2
        low, high = self._window(scale.box)
        box = Box((low[0], low[1], middle), (high[0], high[1], middle + 1))
        name = images[0] if is_label and images else self.layer
        image = self._image(name, box, mip, scale.resolution_nm) if images else None
        labels = self._read(self.layer, mip, box)[:, :, 0, 0] if is_label else None
        x, y, z = scale.resolution_nm
        return Slice(mip, (x, y), (middle + 0.5) * z, image, labels)

    def _window(self, box: Box) -> tuple[tuple[int, int], tuple[int, int]]:
        """The middle of a slice, at most SHOWN_VX wide."""
        low = [box.start[d] + max(0, (box.shape[d] - SHOWN_VX) // 2) for d in (0, 1)]
        high = [min(low[d] + SHOWN_VX, box.stop[d]) for d in (0, 1)]
        return (low[0], low[1]), (high[0], high[1])

    def _image(self, layer: str, box: Box, mip: int, resolution_nm: tuple[float, float, float]) -> NDArray[Any] | None:
        """The image under a box of labels, where the image has a mip of the same resolution."""
        plan = self.plan.datasets[self.dataset].layers[layer]
        assert isinstance(plan, VolumePlan)
        same = [s.mip for s in plan.scales if s.resolution_nm == resolution_nm]
        return self._read(layer, same[0], box)[:, :, 0, :] if same else None

    def _read(self, layer: str, mip: int, box: Box) -> NDArray[Any]:
        return VolumeReader(self.store, LayerPaths(self.dataset, layer).layer_folder, mip).read(box)

    def _solid(self, label: int, meshes: MeshReader | None, skeletons: SkeletonReader | None) -> Solid:
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
        return Solid(label, vertices, faces, bones, edges)
