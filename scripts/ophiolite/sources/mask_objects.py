"""The connected objects of a slide's mask as labels of any box, from the table of runs that rule mask_objects made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry import Box
from ophiolite.kernels.mask_runs import paint_labels
from ophiolite.sources.mask import MaskReading, MaskSource, open_mask
from ophiolite.sources.source import Header, HeaderSource


class MaskObjectsSource(HeaderSource):
    """Labels (x, y, 1) uint32 of the connected objects of a mask, of its size and resolution.

    table : .npy of the runs (n, 4) uint32, Fortran-ordered: row, start, stop, label, in raster order; None where only
    the header is wanted.
    """

    def __init__(self, mask: MaskSource, table: Path | None) -> None:
        super().__init__(
            Header(
                path=mask.path,
                shape_vx=mask.shape_vx,
                channels=1,
                dtype=np.dtype(np.uint32),
                resolution_nm=mask.resolution_nm,
                voxel_offset_vx=mask.voxel_offset_vx,
                alignment_vx=(1, 1, 1),
                files=mask.files,
            )
        )
        self.mask, self._table = mask, table
        self._runs: NDArray[np.uint32] | None = None

    def fingerprint(self) -> str:
        """That of the mask, which the table is made of."""
        return self.mask.fingerprint()

    def _decode(self, box: Box) -> NDArray[Any]:
        if self._runs is None:
            self._runs = open_runs(self._table, self.path)
        (x0, y0, _), (x1, y1, _) = box.start, box.stop
        return paint_labels(self._runs, (x0, y0), (x1, y1))[:, :, None, None]


def open_runs(table: Path | None, mask: str) -> NDArray[np.uint32]:
    """The table of runs, mapped; SourceError where it is none."""
    try:
        if table is None:
            raise ValueError("the plan reads its header alone")
        runs = np.load(table, mmap_mode="r")
        if runs.dtype != np.uint32 or runs.ndim != 2 or runs.shape[1] != 4:
            raise ValueError(f"{runs.dtype} {runs.shape}")
        return np.asarray(runs)
    except (OSError, ValueError) as error:
        raise SourceError(
            explain(
                mask, f"its connected objects are not in {table} ({error})", do="Remake them: --forcerun mask_objects"
            )
        ) from None


def open_mask_objects(path: Path, reading: MaskReading, table: Path | None = None) -> MaskObjectsSource:
    """The connected objects of a mask; without their table, the header alone."""
    return MaskObjectsSource(open_mask(path, reading), table)
