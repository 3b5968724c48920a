"""How a function is compiled that others call in their loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., object])
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "forceinline": True, "_nrt": False}


def inner(function: _Function) -> _Function:
    """Compile a function into those that call it, and without counting who holds the arrays that it is given.

    Counting takes two atomic operations for each array and call: a tenth of the time that edge collapse took. So an
    inner function makes no array, and returns none.
    """
    compiled: _Function = njit(**_OPTIONS)(function)
    return compiled
