"""Pictures of the objects of a layer whose skeletons are worst."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ophiolite.layers.objects import MeshReader, SkeletonReader
from ophiolite.layers.paths import FOLDERS, LayerPaths
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.report.figures import Portrait
from ophiolite.report.render import Solid, label_colours
from ophiolite.report.skeleton_quality_figures import complaint, worst

if TYPE_CHECKING:
    import pandas as pd

# The finest level of no more bytes than these is drawn.
_BYTES_DRAWN = 4_000_000
_LETTERS = 72


def worst_portraits(plan: ProjectPlan, store: Store, dataset: str, layer: str, table: pd.DataFrame) -> list[Portrait]:
    """The worst of a layer's table of skeleton quality, to be drawn in their meshes, each with what is wrong."""
    volume, folder = plan.datasets[dataset].layers[layer], LayerPaths(dataset, layer).layer_folder
    assert isinstance(volume, VolumePlan)
    skeletons = SkeletonReader(store, f"{folder}/{FOLDERS['skeleton']}")
    meshes = MeshReader(store, f"{folder}/{FOLDERS['mesh']}") if volume.mesh else None
    rows = worst(table).to_dict("records")
    labels = [int(row["label"]) for row in rows]
    colours = label_colours(np.array(labels, np.uint64), labels).tolist()
    found = []
    for row, label, (r, g, b) in zip(rows, labels, colours, strict=True):
        title = f"{label}    {int(row['voxels']):,} voxels, {row['cable_um']:.3g} µm"
        found.append(Portrait(_solid(skeletons, meshes, label, (r, g, b)), title, _short(complaint(row))))
    return found


def _solid(
    skeletons: SkeletonReader, meshes: MeshReader | None, label: int, colour: tuple[float, float, float]
) -> Solid:
    skeleton = skeletons.read(label)
    assert skeleton is not None
    vertices, faces = np.zeros((0, 3)), np.zeros((0, 3), np.uint32)
    manifest = meshes.manifest(label) if meshes else None
    if meshes and manifest:
        sizes = [int(np.sum(level, dtype=np.int64)) for level in manifest.sizes]
        lod = next((n for n, size in enumerate(sizes) if size <= _BYTES_DRAWN), len(sizes) - 1)
        vertices, faces = meshes.read(label, lod) or (vertices, faces)
    return Solid(colour, vertices, faces, skeleton.vertices_nm, skeleton.edges)


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1].rstrip()}…"
