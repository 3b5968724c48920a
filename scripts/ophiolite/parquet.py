"""Parquet files into Arrow tables, on this thread alone.

Arrow's pools of threads abort a process that ends soon after they were asked (apache/arrow issues 34314 and 39862), so
that a job which has done all its work fails now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def read_parquet(file: Path | bytes, columns: Sequence[str] | None = None) -> Any:
    """The table of a Parquet file, or of the bytes of one; `columns` of it, all where None.

    Raises pyarrow.ArrowException where it is none, OSError where the file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(pa.BufferReader(file) if isinstance(file, bytes) else file, pre_buffer=False) as opened:
        return opened.read(columns=columns, use_threads=False)


def sorted_table(table: Any, *names: str) -> Any:
    """A table ascending by these columns; rows that are equal in all keep their order."""
    import pyarrow.compute as pc

    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in names]))


def read_frame(file: Path | bytes) -> Any:
    """As `read_parquet`, as a pandas DataFrame."""
    return read_parquet(file).to_pandas(use_threads=False)
