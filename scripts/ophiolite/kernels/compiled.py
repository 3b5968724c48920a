"""How kernels are compiled: by numba, which is imported here alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

__all__ = ["inner", "njit"]

# To learn whether matrices can be multiplied numba imports scipy.linalg, a fifth of a second of each process. No kernel
# multiplies any. A module that is None counts as missing.
_BLAS = "scipy.linalg.cython_blas"
if _BLAS not in sys.modules:
    sys.modules[_BLAS] = None  # type: ignore[assignment]
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        del sys.modules[_BLAS]

_Function = TypeVar("_Function", bound=Callable[..., object])
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "forceinline": True, "_nrt": False}


def inner(function: _Function) -> _Function:
    """Compile a function that others call in their loops into these, without counting who holds the arrays it is given.

    Counting takes two atomic operations for each array and call: a tenth of the time that edge collapse took. So an
    inner function makes no array, returns none, and calls inner functions alone: numba would pass that on to others.
    """
    compiled: _Function = njit(**_OPTIONS)(function)
    return compiled
