"""Surfaces of all labels by serra-mesh's surface nets, called as a package (AllenInstitute/serra).

Frisken 2022, "SurfaceNets for multi-label segmentations with preservation of sharp boundaries". A cell of eight voxels
has one place for every label and sheet of surface in it, the mean of where labels change on its edges. Sheets of one
label in one cell, and so at one place, are parted here: each goes to the mean of its own edges. All follows from the
labels of a cell and, where a sheet comes twice through one side of it, of the cell beyond that side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.kernels.extractor import Extractor
from ophiolite.kernels.marching_serra_loops import own_faces, part_sheets
from ophiolite.kernels.marching_tables import sheet_tables


def serra_surfaces(
    volume: NDArray[Any], wanted: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.int32], NDArray[np.int32]]]:
    """As `marching.surfaces`, but for vertices within cells, and without the outermost voxels.

    Of an axis of n voxels, faces have their highest corner between the centres of voxels 2 and n - 2: those of boxes
    that begin n - 4 voxels apart make up one surface, each face once. Three voxels of background close it.
    """
    import serra_mesh

    if min(volume.shape) < 5:
        return
    # In these units its places are whole steps, exact in its floats for 65,536 voxels.
    mesher = serra_mesh.Mesher((float(STEPS_PER_VOXEL),) * 3, threads=1)
    mesher.mesh(volume)
    tables = sheet_tables()
    for number in mesher.ids().tolist():
        if wanted[number]:
            mesh = mesher.get(number)
            vertices, faces = mesh.vertices.astype(np.int32), mesh.faces
            del mesh
            vertices, faces = own_faces(volume.shape, vertices, faces, STEPS_PER_VOXEL)
            if len(faces):
                part_sheets(volume, number, vertices, faces, *tables, STEPS_PER_VOXEL)
                yield number, vertices, faces.view(np.int32)
        mesher.erase(number)


SERRA = Extractor(serra_surfaces, halo_vx=(2, 2), closing_vx=3, shared_vx=1, alone=False)
