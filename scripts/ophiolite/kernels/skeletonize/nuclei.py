"""Nuclei that are labels of their own are united with the somata around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.cavities import cavities
from ophiolite.kernels.skeletonize.trace import Parts, connected, distance_to_surface, measure_parts

# A nucleus fills less of a cell than the depth at which the cell is looked at as a soma: kimimaro's share of it.
_SHARE = 2.5


def unite_nuclei(numbers: NDArray[np.uint32], resolution_nm: tuple[float, float, float], soma_detect_nm: float) -> None:
    """Give, in place, every large part that lies whole in a void of one number, and all else of the void, that number.

    numbers : (x, y, z), Fortran order. Large is deeper than `soma_detect_nm` / 2.5. A void is closed within the volume
    (6-connected). The number around it is the first beside it, going down the x axis from the part's first voxel.
    """
    parts, known, large = _large(numbers, resolution_nm, soma_detect_nm)
    for part in large:
        x, y, z = (int(v) for v in np.unravel_index(known.first[part], numbers.shape, order="F"))
        own = numbers[x, y, z]
        beside = numbers[:x, y, z]
        others = np.flatnonzero((beside != 0) & (beside != own))
        if not len(others):
            continue
        around = beside[others[-1]]
        voids = cavities(numbers == around)
        if voids[parts == part].all():
            numbers[voids] = around


def holds_nucleus(
    numbers: NDArray[np.uint32], resolution_nm: tuple[float, float, float], soma_detect_nm: float
) -> bool:
    """Whether a part of what lies in a void is large enough; numbers : (x, y, z), 0 outside the void."""
    return bool(len(_large(numbers, resolution_nm, soma_detect_nm)[2]))


def _large(
    numbers: NDArray[np.uint32], resolution_nm: tuple[float, float, float], soma_detect_nm: float
) -> tuple[NDArray[np.uint32], Parts, NDArray[np.intp]]:
    """Connected parts of each number, what is known of them, and which are deep enough for a nucleus."""
    parts = connected(numbers)
    known = measure_parts(parts, distance_to_surface(parts, resolution_nm))
    return parts, known, np.flatnonzero(known.deepest > soma_detect_nm / _SHARE)
