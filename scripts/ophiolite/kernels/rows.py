"""The one form in which compiled loops read voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def frozen_rows(values: NDArray[Any]) -> NDArray[Any]:
    """`values` (x, y, ...) as a read-only array (..., y, x) in C order, native byte order, aligned.

    A view where `values` is Fortran-ordered, native and aligned, else of a copy. numba compiles anew for every
    difference in these, so they are made equal before it looks.
    """
    rows = np.require(values, values.dtype.newbyteorder("="), ("F", "A", "E")).T
    rows.flags.writeable = False
    return rows
