"""CSV and Parquet tables of points, lines, boxes and ellipsoids as annotations.

Coordinates are nanometres in columns `x y z` (points), `x0 y0 z0 x1 y1 z1` (lines, boxes) or `x y z rx ry rz`
(ellipsoids); an `id` column is optional. Every other column becomes a property, the label columns relationships.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError, SourceError, explain
from ophiolite.parquet import read_parquet
from ophiolite.precomputed.annotation import AnnotationType, Property
from ophiolite.precomputed.annotation_table import AnnotationTable, Related

if TYPE_CHECKING:
    import pyarrow as pa

COORDINATES: dict[AnnotationType, tuple[str, ...]] = {
    AnnotationType.POINT: ("x", "y", "z"),
    AnnotationType.LINE: ("x0", "y0", "z0", "x1", "y1", "z1"),
    AnnotationType.AXIS_ALIGNED_BOUNDING_BOX: ("x0", "y0", "z0", "x1", "y1", "z1"),
    AnnotationType.ELLIPSOID: ("x", "y", "z", "rx", "ry", "rz"),
}
MAX_LABELS = 4096

# int32 before uint32, which a released reader misplaces.
_INTEGERS = ("uint8", "int8", "uint16", "int16", "int32", "uint32")


def read_annotation_table(
    path: Path,
    kind: AnnotationType,
    *,
    label_columns: Sequence[str] = (),
) -> AnnotationTable:
    """The annotations of a `.csv`, `.tsv` or `.parquet` file.

    label_columns : columns of labels (empty or 0 = none; in Parquet also lists), each a relationship of that name.
    All others become properties: whole numbers take the narrowest type that holds them, others float32, texts of at
    most 4,096 kinds an enumeration, truth values one of false and true. Column names become property ids (`Cell Type`
    -> `cell_type`). Rows without an `id` column are numbered from 1.
    Raises SourceError naming file, column and row (the first after the header is row 1).
    """
    if kind not in COORDINATES:
        raise _error(str(path), "tables cannot hold polylines", got=kind.value, do="Choose another type.")
    source = _Source(path, _read(path))
    places = COORDINATES[kind]
    flat = np.stack([source.floats(name) for name in places], axis=1)
    for column, name in enumerate(places):
        bad = ~(np.isfinite(flat[:, column]) & (flat[:, column] >= (0 if name.startswith("r") else -np.inf)))
        source.refuse(name, bad, "a finite number of nm" + (" >= 0" if name.startswith("r") else ""))
    special = {*places, "id", *label_columns}
    declared: dict[str, Property] = {}
    columns: dict[str, NDArray[Any]] = {}
    for name in (c for c in source.names if c not in special):
        prop, values = source.property(name)
        if prop.id in declared:
            raise _error(
                f"{path}, column {name!r}",
                "two columns make the same property id",
                got=prop.id,
                do="Rename one of them.",
            )
        declared[prop.id], columns[prop.id] = prop, values
    try:
        return AnnotationTable(
            kind,
            flat if kind is AnnotationType.POINT else flat.reshape(-1, 2, 3),
            source.ids(),
            tuple(declared.values()),
            columns,
            {name: source.related(name) for name in label_columns},
        )
    except FormatError as error:
        raise SourceError(f"{path}: {error}") from None


def _error(where: str, problem: str, *, expected: object = None, got: object = None, do: str) -> SourceError:
    return SourceError(explain(where, problem, expected=expected, got=got, do=do))


def _read(path: Path) -> pa.Table:
    """The file as a table; the columns of texts files are texts, for us to convert and to say where that fails."""
    import pyarrow as pa
    import pyarrow.csv

    ragged: list[Any] = []

    def refuse_ragged(row: Any) -> str:
        ragged.append(row)
        return "error"

    try:
        if path.suffix == ".parquet":
            table = read_parquet(path)
            return table.drop_columns([n for n in table.column_names if n.startswith("__index_level_")])
        if path.suffix in (".csv", ".tsv"):
            delimiter = "\t" if path.suffix == ".tsv" else ","
            with open(path, encoding="utf-8-sig", newline="") as file:
                names = next(csv.reader(file, delimiter=delimiter), [])
            # One thread, as several do not know the number of a ragged row.
            return pyarrow.csv.read_csv(
                path,
                pyarrow.csv.ReadOptions(use_threads=False),
                pyarrow.csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse_ragged
                ),
                pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=True,
                    null_values=["", "NA", "nan"],
                ),
            )
    except (OSError, ValueError, pa.ArrowException) as error:
        if ragged:
            row = ragged[0]
            raise _error(
                f"{path}, row {row.number - 1}",
                "the row has another number of columns than the header",
                expected=row.expected_columns,
                got=f"{row.actual_columns}: {row.text}",
                do="Mend the row.",
            ) from None
        raise _error(str(path), f"it cannot be read as a table ({error})", do="Check the file.") from None
    raise _error(
        str(path), "the kind of table is unknown", expected=".csv, .tsv or .parquet", got=path.suffix, do="Convert it."
    )


def property_id(name: str) -> str:
    """A column's name as the format spells property ids: lower case, signs as `_`, a letter first."""
    return re.sub(r"^[^a-z]+", "", re.sub(r"[^a-z0-9]+", "_", name.lower())).rstrip("_")


@dataclass(frozen=True)
class _Source:
    path: Path
    table: pa.Table

    @property
    def names(self) -> list[str]:
        return list(self.table.column_names)

    def column(self, name: str) -> pa.Array:
        found = self.names.count(name)
        if found != 1:
            raise _error(
                str(self.path),
                f"{found or 'no'} column{'s' * (found > 1)} {name!r}",
                expected="one",
                got=", ".join(map(repr, self.names)),
                do="Rename the columns, or name others in the config.",
            )
        column = self.table.column(name).combine_chunks()
        return column.dictionary_decode() if hasattr(column, "dictionary_decode") else column

    def refuse(self, name: str, bad: NDArray[np.bool_], expected: str) -> None:
        """Raise SourceError at the first bad row."""
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            got = self.column(name)[row].as_py()
            raise _error(
                f"{self.path}, row {row + 1}, column {name!r}",
                "the value cannot be used",
                expected=expected,
                got="nothing" if got is None else repr(got),
                do="Mend the value or remove the row.",
            )

    def cast(self, name: str, to: pa.DataType, expected: str) -> pa.Array:
        """The column as numbers of one type; the error names the first row where that fails."""
        import pyarrow as pa

        column = self.column(name)
        try:
            return column.cast(to)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            low, high = 0, len(column)
            # Halve until one row is left that cannot be cast.
            while high - low > 1:
                middle = (low + high) // 2
                try:
                    column.slice(low, middle - low).cast(to)
                    low = middle
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                    high = middle
            self.refuse(name, np.arange(len(column)) == low, expected)
            raise _error(
                f"{self.path}, column {name!r}", "no numbers", expected=expected, got=column.type, do="Convert it."
            ) from None

    def floats(self, name: str) -> NDArray[np.float64]:
        """A column of numbers, NaN where empty."""
        import pyarrow as pa

        column = self.cast(name, pa.float64(), "a number")
        return np.asarray(column.fill_null(np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)

    def labels(self, name: str) -> NDArray[np.uint64]:
        """A column of labels, 0 where empty."""
        import pyarrow as pa

        if pa.types.is_floating(self.column(name).type):
            # Programs that know no empty integers turn a column with gaps into floats, exact to 2^53 only.
            values = np.nan_to_num(self.floats(name), nan=0, posinf=-1, neginf=-1)
            bad = (values < 0) | (values >= 2**53) | (values != np.floor(values))
            self.refuse(name, bad, "a label: a whole number, in a column of floats below 2^53")
            return values.astype(np.uint64)
        column = self.cast(name, pa.uint64(), "a label: a whole number of 0 to 2^64 - 1")
        return np.asarray(column.fill_null(0).to_numpy(zero_copy_only=False), dtype=np.uint64)

    def ids(self) -> NDArray[np.uint64]:
        """The column `id`, or the row numbers."""
        if "id" not in self.names:
            return np.arange(1, len(self.table) + 1, dtype=np.uint64)
        values = self.labels("id")
        self.refuse("id", np.asarray(self.column("id").is_null()), "an id")
        _, first = np.unique(values, return_index=True)
        again = np.ones(len(values), dtype=bool)
        again[first] = False
        self.refuse("id", again, "an id that no earlier row has")
        return values

    def related(self, name: str) -> Related:
        """A column of labels, or of lists of labels, as a relationship."""
        import pyarrow as pa

        column = self.column(name)
        if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
            return Related.of_columns(self.labels(name))
        lists = column.fill_null([])
        inner = _Source(self.path, pa.table({name: lists.flatten()}))
        labels = inner.labels(name)
        owner = np.repeat(np.arange(len(lists)), np.asarray(lists.value_lengths()))[labels != 0]
        counts = np.bincount(owner, minlength=len(lists))
        return Related(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), labels[labels != 0])

    def property(self, name: str) -> tuple[Property, NDArray[Any]]:
        """A column as a property and its values."""
        import pyarrow as pa

        column, where = self.column(name), f"{self.path}, column {name!r}"
        key = property_id(name)
        if not key:
            raise _error(where, "its name has no letter to make a property id of", do="Rename it.")
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            for better in (pa.int64(), pa.float64(), pa.bool_()):
                try:
                    column = column.cast(better)
                    break
                except pa.ArrowInvalid:
                    continue
        if pa.types.is_boolean(column.type) and not column.null_count:
            values = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.uint8)
            return Property(key, "uint8", name, (0, 1), ("false", "true")), values
        if pa.types.is_integer(column.type) and not column.null_count:
            numbers = column.to_numpy(zero_copy_only=False)
            kind = _narrowest(numbers)
            if kind is None:
                raise _error(
                    where,
                    "its whole numbers do not fit 32 bits, the widest a property has",
                    got=f"{numbers.min()} to {numbers.max()}",
                    do="List it under `label_columns` if it holds labels, or remove it.",
                )
            return Property(key, kind, name), numbers
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            return Property(key, "float32", name), self.floats(name)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or column.null_count):
            raise _error(where, "no property can hold it", got=column.type, do="Remove the column.")
        texts, codes = np.unique(
            column.cast(pa.string()).fill_null("").to_numpy(False).astype(str), return_inverse=True
        )
        if len(texts) > MAX_LABELS:
            raise _error(
                where,
                "too many different texts",
                expected=f"at most {MAX_LABELS}",
                got=len(texts),
                do="Remove the column.",
            )
        kind = "uint8" if len(texts) <= 256 else "uint16"
        return Property(key, kind, name, tuple(range(len(texts))), tuple(str(t) for t in texts)), codes


def _narrowest(values: NDArray[Any]) -> str | None:
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    return next((t for t in _INTEGERS if np.iinfo(t).min <= low and high <= np.iinfo(t).max), None)
