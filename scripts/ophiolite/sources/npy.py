"""NumPy `.npy` volumes, read through the page cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry.box import Box
from ophiolite.sources.axes import stored_axes
from ophiolite.sources.source import NOTHING_GIVEN, Given, Header, HeaderSource


class NpySource(HeaderSource):
    """One array of a `.npy` file, mapped into memory.

    The array is indexed z, y, x or z, y, x, channel, as in HDF5, whatever its order in memory: an array held as
    x, y, z (CloudVolume's cutouts) is saved by `numpy.save(file, array.T)`.
    Placement is what is `given`. SourceError for a truncated file and for arrays of Python objects.
    """

    def __init__(self, path: str, file: Path, given: Given = NOTHING_GIVEN) -> None:
        try:
            array = np.load(file, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise SourceError(
                explain(
                    path,
                    f"the .npy file cannot be mapped ({error})",
                    expected="a complete file with one array of numbers",
                    got=f"{file.stat().st_size} bytes",
                    do="Copy or save the array again (numpy.save)",
                )
            ) from error
        self._axes = stored_axes(path, array.shape, None)
        self._array = array
        super().__init__(
            Header(
                path=path,
                shape_vx=self._axes.shape_vx,
                channels=self._axes.channels,
                dtype=array.dtype,
                resolution_nm=given.resolution_nm,
                voxel_offset_vx=given.voxel_offset_vx or (0, 0, 0),
                alignment_vx=(1, 1, 1),
                files=(str(file),),
            )
        )

    def _decode(self, box: Box) -> NDArray[Any]:
        return self._axes.arrange(self._array[self._axes.select(box)])

    def _more_facts(self) -> tuple[object, ...]:
        return (self._axes.names,)
