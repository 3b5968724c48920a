"""Surfaces of all labels of a volume by zmesh, called as a package (seung-lab/zmesh); see `kernels.marching`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.lattice import STEPS_PER_VOXEL


def zmesh_surfaces(
    volume: NDArray[Any], wanted: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.int32], NDArray[np.int32]]]:
    """As `marching.surfaces`: the same vertices in another order, and other diagonals where a cell has a choice."""
    import zmesh

    if min(volume.shape) < 2:
        return
    mesher = zmesh.Mesher((float(STEPS_PER_VOXEL),) * 3)
    mesher.mesh(volume)
    for number in sorted(int(n) for n in mesher.ids()):
        if wanted[number]:
            mesh = mesher.get(number, reduction_factor=0)
            yield number, np.rint(mesh.vertices).astype(np.int32), mesh.faces.astype(np.int32)
        mesher.erase(number)
