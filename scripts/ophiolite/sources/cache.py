"""A cache of decoded arrays, bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from numpy.typing import NDArray


class ArrayCache:
    """Keeps the arrays used last, up to `limit_bytes`; the newest stays even where it alone is larger."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._arrays: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array of `key`, made by `make` where it is not held."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        array = make()
        self._arrays[key] = array
        self._held_bytes += array.nbytes
        while self._held_bytes > self._limit_bytes and len(self._arrays) > 1:
            _, oldest = self._arrays.popitem(last=False)
            self._held_bytes -= oldest.nbytes
        return array
