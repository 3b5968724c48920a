"""Label statistics as files: one structured .npy of STATS rows, ascending by label."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.label_stats import LabelStats
from ophiolite.layers.store import Store

HEADER_BYTES = 4096

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


def count_labels(store: Store, path: str) -> int:
    """How many labels a file of statistics holds, from its first bytes."""
    size = store.size(path)
    return _header(store.read_range(path, 0, min(size or 0, HEADER_BYTES)))[0]


def _header(data: bytes) -> tuple[int, int]:
    """Rows of a file of statistics, and where they begin; raises ValueError where it is none."""
    file = io.BytesIO(data)
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype != STATS:
        raise ValueError(f"holds {dtype}, not label statistics")
    return shape[0], file.tell()


def read_stats_bytes(data: bytes) -> LabelStats:
    """Label statistics from the bytes of their file."""
    shape, start = _header(data)
    rows: NDArray[Any] = np.frombuffer(data, STATS, shape, start)
    return LabelStats(
        labels=np.ascontiguousarray(rows["label"]),
        voxels=np.ascontiguousarray(rows["voxels"]),
        start=np.ascontiguousarray(rows["start"]),
        stop=np.ascontiguousarray(rows["stop"]),
        coordinate_sum=np.ascontiguousarray(rows["coordinate_sum"]),
    )
