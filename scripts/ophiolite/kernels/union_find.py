"""Compiled forests of parents: which of many numbered things are joined."""

from __future__ import annotations

from typing import Any

from ophiolite.kernels.compiled import njit

_jit: Any = njit(cache=True, nogil=True)


@_jit
def find(parent, i):  # type: ignore[no-untyped-def]
    """Root of `i` in a forest of parents, halving the path on the way (Tarjan and van Leeuwen 1984)."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i
