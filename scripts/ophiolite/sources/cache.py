"""A cache of decoded arrays, bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain

Place = tuple[int, tuple[int, ...], np.dtype[Any], Literal["C", "F"]]


class ArrayCache:
    """Keeps the arrays used last, up to `limit_bytes`; the newest stays even where it alone is larger.

    What falls out is decoded again when it is asked for, or read from a file once `overflow_to` named a folder.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._newest_bytes = 0
        self._arrays: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._file: Path | None = None
        self._end = 0
        self._places: dict[Hashable, Place] = {}

    def overflow_to(self, folder: Path) -> None:
        """Write what falls out of memory into one file in `folder`, which the caller makes and removes."""
        self._file = folder / "decoded"

    def get(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array of `key`, made by `make` where it is not held; SourceError where the folder is full."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        if key in self._places and self._file is not None:
            offset, shape, dtype, order = self._places[key]
            return np.memmap(self._file, dtype, "r", offset=offset, shape=shape, order=order)
        # Room comes first, or the largest array would be held twice; the next is taken to be as large as the last.
        self._shrink(self._limit_bytes - self._newest_bytes, keep=0)
        array = make()
        self._arrays[key] = array
        self._newest_bytes = array.nbytes
        self._held_bytes += array.nbytes
        self._shrink(self._limit_bytes, keep=1)
        return array

    def _shrink(self, limit_bytes: int, keep: int) -> None:
        while self._held_bytes > limit_bytes and len(self._arrays) > keep:
            key, oldest = self._arrays.popitem(last=False)
            self._held_bytes -= oldest.nbytes
            self._write(key, oldest)

    def _write(self, key: Hashable, array: NDArray[Any]) -> None:
        if self._file is None or array.size == 0:
            return
        order: Literal["C", "F"] = "F" if array.flags.f_contiguous else "C"
        try:
            with open(self._file, "ab") as file:
                file.write(array.tobytes(order))
        except OSError as error:
            raise SourceError(
                explain(
                    str(self._file),
                    f"decoded slices cannot be kept here ({error.strerror or error})",
                    do="Free some space, or raise jobs.memory_mb so that a task holds whole slices",
                )
            ) from None
        self._places[key] = (self._end, array.shape, array.dtype, order)
        self._end += array.nbytes
