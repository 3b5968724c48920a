"""What extracts the surfaces of all labels of one task, and what it needs to see for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.box import Box

# From numbers (x, y, z), and which of them to mesh: each one's number, vertices (n, 3) in steps of the lattice from the
# centre of the first voxel, and faces (m, 3) of them; ascending. Arrays in C order, given away to be written to.
Surfaces = Callable[[NDArray[Any], NDArray[np.bool_]], Iterator[tuple[int, NDArray[np.int32], NDArray[np.int32]]]]


@dataclass(frozen=True)
class Extractor:
    """Surfaces of a volume, and where those of neighbouring tasks meet.

    halo_vx : voxels that a task sees below and above its core, where it has neighbours. closing_vx : voxels of
    background in which surfaces close at the dataset's faces. shared_vx : 0 where neighbours share the vertices on the
    plane through the upper one's first voxel centres, 1 where they share those of the layer of cells below this plane.
    alone : a label's surface does not depend on the labels that it touches.
    """

    surfaces: Surfaces
    halo_vx: tuple[int, int] = (0, 1)
    closing_vx: int = 1
    shared_vx: int = 0
    alone: bool = True

    def whole_halo(
        self, labels: NDArray[Any], core: Box, seen: Box, seams: tuple[Any, Any], open_edges: bool
    ) -> NDArray[Any]:
        """Labels of `seen` with what the dataset lacks of the halo beyond `seams`, low and high, of a core's axes.

        That is background, or with open edges the voxels at the dataset's faces once more.
        """
        below, above = self.halo_vx
        short = [
            (below * seams[0][d] - (core.start[d] - seen.start[d]), above * seams[1][d] - (seen.stop[d] - core.stop[d]))
            for d in range(3)
        ]
        wanted = [(max(a, 0), max(b, 0)) for a, b in short]
        if not any(map(any, wanted)):
            return labels
        return np.asfortranarray(np.pad(labels, wanted, mode="edge" if open_edges else "constant"))
