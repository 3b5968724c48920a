"""Cavities of a mask: the background that it encloses on all sides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def cavities(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Voxels (x, y, z) from which no 6-connected way through the background leads out of the array.

    Background at a face of the array is outside. fill_voids 2.1 fills some of it, as in 0.8 % of random masks of up to
    seven voxels a side; with a layer of background around the mask it does not.
    """
    import fill_voids

    padded = np.zeros([n + 2 for n in mask.shape], np.bool_, order="F")
    inside = (slice(1, -1),) * 3
    padded[inside] = mask
    found: NDArray[np.bool_] = fill_voids.fill(padded)[inside].astype(np.bool_) & (np.asarray(mask) == 0)
    return found
