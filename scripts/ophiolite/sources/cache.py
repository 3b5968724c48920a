"""A cache of decoded arrays, bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain


class ArrayCache:
    """Keeps the arrays used last, up to `limit_bytes`; the newest stays even where it alone is larger.

    What falls out is decoded again when it is asked for, or read from a folder once `overflow_to` named one.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._arrays: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._folder: Path | None = None
        self._files: dict[Hashable, Path] = {}

    def overflow_to(self, folder: Path) -> None:
        """Write what falls out of memory into `folder`, which the caller makes and removes."""
        self._folder = folder

    def get(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array of `key`, made by `make` where it is not held; SourceError where the folder is full."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        if key in self._files:
            mapped: NDArray[Any] = np.load(self._files[key], mmap_mode="r")
            return mapped
        array = make()
        self._arrays[key] = array
        self._held_bytes += array.nbytes
        while self._held_bytes > self._limit_bytes and len(self._arrays) > 1:
            fallen, oldest = self._arrays.popitem(last=False)
            self._held_bytes -= oldest.nbytes
            self._write(fallen, oldest)
        return array

    def _write(self, key: Hashable, array: NDArray[Any]) -> None:
        if self._folder is None:
            return
        file = self._folder / f"{len(self._files)}.npy"
        try:
            np.save(file, array)
        except OSError as error:
            raise SourceError(
                explain(
                    str(self._folder),
                    f"decoded slices cannot be kept here ({error.strerror or error})",
                    do="Free some space, or raise jobs.memory_mb so that a task holds whole slices",
                )
            ) from None
        self._files[key] = file
