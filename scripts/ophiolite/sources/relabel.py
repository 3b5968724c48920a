"""Labels renamed as they are read: supervoxels to bodies by an agglomeration table of (from, to) pairs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry.box import Box, Vec
from ophiolite.parquet import read_parquet
from ophiolite.sources.source import Nm, Source

COLUMNS = ("from", "to")
LABEL = np.dtype(np.uint64)
# Voxels renamed at a time, so that what is needed beside the result stays small and in the cache.
PIECE_VX = 1 << 18


class RelabelTable:
    """Which label takes the place of which; every label is looked up once, so chains of renamings are not followed.

    before, after : (n,) uint64, ascending by `before`, each of which stands once.
    """

    def __init__(self, where: str, before: NDArray[np.uint64], after: NDArray[np.uint64]) -> None:
        """Sort the pairs; raises SourceError where a label has two successors, or background would become an object."""
        order = np.lexsort((after, before))
        before, after = before[order], after[order]
        first = np.ones(len(before), dtype=bool)
        first[1:] = before[1:] != before[:-1]
        torn = ~first & (after != np.roll(after, 1))
        if torn.any():
            row = int(np.argmax(torn))
            raise _error(
                where,
                f"label {before[row]} is given two new labels",
                expected="one",
                got=f"{after[row - 1]} and {after[row]}",
                do="Keep the right pair",
            )
        self.before, self.after = before[first], after[first]
        if len(before) and before[0] == 0 and after[0] != 0:
            raise _error(where, "background (0) would become an object", got=f"0 to {after[0]}", do="Remove the pair")

    def apply(self, labels: NDArray[Any]) -> NDArray[np.uint64]:
        """`labels` (any shape, unsigned) with those of the table renamed and the others as they are; Fortran order.

        Neighbours along x mostly carry one label, so only the first of each run is looked up.
        """
        out = np.empty(labels.shape, dtype=LABEL, order="F")
        source, target = labels.reshape(-1, order="F"), out.reshape(-1, order="F")
        for start in range(0, source.size, PIECE_VX):
            piece = source[start : start + PIECE_VX]
            runs = np.concatenate([[0], np.flatnonzero(piece[1:] != piece[:-1]) + 1])
            lengths = np.diff(runs, append=len(piece))
            target[start : start + len(piece)] = np.repeat(self._renamed(piece[runs].astype(LABEL)), lengths)
        return out

    def _renamed(self, labels: NDArray[np.uint64]) -> NDArray[np.uint64]:
        if not len(self.before):
            return labels
        rows = np.minimum(np.searchsorted(self.before, labels), len(self.before) - 1)
        return np.where(self.before[rows] == labels, self.after[rows], labels)

    def fingerprint(self) -> str:
        """Sixteen hex digits that change when a pair does."""
        digest = hashlib.sha256(self.before.astype("<u8").tobytes())
        digest.update(self.after.astype("<u8").tobytes())
        return digest.hexdigest()[:16]


class RelabelledSource:
    """A source of labels whose voxels are renamed by a table; everything else is the source's."""

    def __init__(self, source: Source, table: RelabelTable) -> None:
        self._source, self._table = source, table
        self.path = source.path
        self.shape_vx: Vec = source.shape_vx
        self.channels = source.channels
        self.dtype: np.dtype[Any] = LABEL
        self.resolution_nm: Nm | None = source.resolution_nm
        self.voxel_offset_vx: Vec = source.voxel_offset_vx
        self.alignment_vx: Vec = source.alignment_vx
        self.cache_bytes = source.cache_bytes
        self.files = source.files
        self.box = source.box

    def read(self, box: Box) -> NDArray[np.uint64]:
        """The renamed voxels `(x, y, z, c)` of `box`, uint64, Fortran order; ValueError outside the volume."""
        return self._table.apply(self._source.read(box))

    def verify(self) -> None:
        """Judge every part of the source by its header; SourceError names the part at fault."""
        self._source.verify()

    def overflow_to(self, folder: Path) -> None:
        """Keep decoded parts that fall out of memory in files of `folder`, for reads that come back to them."""
        self._source.overflow_to(folder)

    def fingerprint(self) -> str:
        """Sixteen hex digits that change when the source's or the table's do."""
        return hashlib.sha256(f"{self._source.fingerprint()} {self._table.fingerprint()}".encode()).hexdigest()[:16]


def read_relabel_table(text: str, base: Path = Path(".")) -> RelabelTable:
    """Read the table that `text` names, a path relative to `base`.

    `file.h5:/path` is a dataset (n, 2) of whole numbers, `file.csv` and `file.parquet` have columns `from` and `to`.
    SourceError where it is missing, of another form, or contradicts itself.
    """
    try:
        if text.endswith((".csv", ".parquet")):
            before, after = _columns(text, base / text)
        else:
            before, after = _pairs(text, base)
    except OSError as error:
        raise _error(text, f"the table cannot be read ({error})", do="Check the `relabel` path in the config") from None
    return RelabelTable(text, before, after)


def relabelled(source: Source, text: str, base: Path = Path(".")) -> Source:
    """`source` with its labels renamed by the table `text`; raises SourceError as `read_relabel_table` does."""
    return RelabelledSource(source, read_relabel_table(text, base))


def _pairs(text: str, base: Path) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    import h5py

    file, colon, inside = text.rpartition(":")
    if not colon:
        raise _error(
            text, "is no table of labels", expected="file.h5:/path, file.csv or file.parquet", do="Correct `relabel`"
        )
    with h5py.File(base / file, "r", locking=False) as opened:
        dataset = opened.get(inside)
        if not isinstance(dataset, h5py.Dataset):
            raise _error(text, f"{file} has no dataset {inside}", got=", ".join(opened) or "nothing", do="Name one")
        if dataset.ndim != 2 or dataset.shape[1] != 2:
            raise _error(text, "is no table of pairs", expected="shape (n, 2)", got=dataset.shape, do="Name another")
        rows = dataset[:]
    return _labels(text, COLUMNS[0], rows[:, 0]), _labels(text, COLUMNS[1], rows[:, 1])


def _columns(text: str, file: Path) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    import pyarrow as pa
    import pyarrow.csv

    try:
        if file.suffix == ".csv":
            types = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.uint64()))
            table = pyarrow.csv.read_csv(file, pyarrow.csv.ReadOptions(use_threads=False), convert_options=types)
        else:
            table = read_parquet(file)
    except pa.ArrowException as error:
        raise _error(text, f"the table cannot be read ({error})", expected="columns of labels", do="Mend it") from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise _error(
            text,
            f"has no column {missing[0]!r}",
            expected="columns from, to",
            got=", ".join(table.column_names),
            do="Rename its columns",
        )
    empty = [name for name in COLUMNS if table.column(name).null_count]
    if empty:
        raise _error(text, f"column {empty[0]!r} has empty cells", expected="labels", do="Fill or remove these rows")
    before, after = (_labels(text, name, table.column(name).to_numpy()) for name in COLUMNS)
    return before, after


def _labels(text: str, name: str, values: NDArray[Any]) -> NDArray[np.uint64]:
    if values.dtype.kind not in "ui":
        raise _error(text, f"{name!r} holds no whole numbers", expected="labels", got=values.dtype, do="Convert it")
    if values.dtype.kind == "i" and (values < 0).any():
        raise _error(text, f"{name!r} holds negative labels", expected="0 to 2^64 - 1", got=values.min(), do="Mend it")
    return values.astype(LABEL)


def _error(where: str, problem: str, *, expected: object = None, got: object = None, do: str) -> SourceError:
    return SourceError(explain(where, problem, expected=expected, got=got, do=do))
