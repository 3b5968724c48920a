"""Pictures of the objects of a layer whose meshes are worst."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ophiolite.layers.objects import MeshReader
from ophiolite.layers.paths import FOLDERS, LayerPaths
from ophiolite.layers.store import Store
from ophiolite.report.figures import Portrait
from ophiolite.report.mesh_quality_figures import complaint, worst
from ophiolite.report.render import Solid, label_colours

if TYPE_CHECKING:
    import pandas as pd

# The finest level of no more bytes than these is drawn.
_BYTES_DRAWN = 4_000_000
_LETTERS = 72


def worst_portraits(store: Store, dataset: str, layer: str, table: pd.DataFrame) -> list[Portrait]:
    """The worst objects of a layer's table of mesh quality, to be drawn, each with what is wrong."""
    meshes = MeshReader(store, f"{LayerPaths(dataset, layer).layer_folder}/{FOLDERS['mesh']}")
    rows = worst(table).to_dict("records")
    labels = [int(row["label"]) for row in rows]
    colours = label_colours(np.array(labels, np.uint64), labels).tolist()
    found = []
    for row, label, (r, g, b) in zip(rows, labels, colours, strict=True):
        title = f"{label}    {int(row['voxels']):,} voxels"
        found.append(Portrait(_solid(meshes, label, (r, g, b)), title, _short(complaint(row))))
    return found


def _solid(meshes: MeshReader, label: int, colour: tuple[float, float, float]) -> Solid:
    manifest = meshes.manifest(label)
    assert manifest is not None
    sizes = [int(np.sum(level, dtype=np.int64)) for level in manifest.sizes]
    lod = next((n for n, size in enumerate(sizes) if size <= _BYTES_DRAWN), len(sizes) - 1)
    mesh = meshes.read(label, lod)
    assert mesh is not None
    return Solid(colour, *mesh, np.zeros((0, 3)), np.zeros((0, 2), np.uint32))


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1].rstrip()}…"
