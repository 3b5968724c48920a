"""Label statistics as files: one structured .npy of STATS rows, ascending by label."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.label_stats import LabelStats

STATS = np.dtype(
    [
        ("label", "<u8"),
        ("voxels", "<u8"),
        ("start", "<i8", (3,)),
        ("stop", "<i8", (3,)),
        ("coordinate_sum", "<i8", (3,)),
    ]
)


def stats_bytes(stats: LabelStats) -> bytes:
    """A file of label statistics."""
    rows = np.zeros(len(stats.labels), dtype=STATS)
    rows["label"], rows["voxels"] = stats.labels, stats.voxels
    rows["start"], rows["stop"], rows["coordinate_sum"] = stats.start, stats.stop, stats.coordinate_sum
    buffer = io.BytesIO()
    np.save(buffer, rows)
    return buffer.getvalue()


def read_stats_bytes(data: bytes) -> LabelStats:
    """Label statistics from the bytes of their file."""
    rows: NDArray[Any] = np.load(io.BytesIO(data))
    return LabelStats(
        labels=np.ascontiguousarray(rows["label"]),
        voxels=np.ascontiguousarray(rows["voxels"]),
        start=np.ascontiguousarray(rows["start"]),
        stop=np.ascontiguousarray(rows["stop"]),
        coordinate_sum=np.ascontiguousarray(rows["coordinate_sum"]),
    )
