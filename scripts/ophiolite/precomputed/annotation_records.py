"""Annotation records: geometry, properties, padding; lists of them (cells, labels) and single ones (the id index).

A record is its float32 coordinates (a polyline's after their count), then the properties widest first, then zeros
up to a multiple of four bytes. Specification: Neuroglancer, precomputed annotation format.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.precomputed.annotation import AnnotationType, Property, check_properties


def property_dtype(properties: Sequence[Property]) -> np.dtype[Any]:
    """The numpy record of the properties, zero-padded to a multiple of four bytes."""
    check_properties(properties)
    fields: list[Any] = [p.field for p in properties]
    padding = -np.dtype(fields).itemsize % 4
    return np.dtype([*fields, ("_padding", "u1", (padding,))] if padding else fields)


def record_dtype(kind: AnnotationType, properties: Sequence[Property]) -> np.dtype[Any]:
    """The numpy record of one annotation of a kind of fixed size: `geometry (vectors, 3)` float32, then properties."""
    if kind is AnnotationType.POLYLINE:
        raise FormatError(explain("polyline record", "its size is not fixed", do="Decode it with decode_list."))
    return np.dtype([("geometry", "<f4", (kind.vectors, 3)), ("properties", property_dtype(properties))])


@dataclass(frozen=True)
class Records:
    """Encoded annotations, back to back: record i is `body[offsets[i]:offsets[i + 1]]`.

    body : (bytes,) uint8; offsets : (n + 1,) int64; size_bytes : of every record, 0 where they differ (polylines).
    """

    body: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    size_bytes: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> bytes:
        record: bytes = self.body[self.offsets[row] : self.offsets[row + 1]].tobytes()
        return record

    def take(self, rows: NDArray[np.integer[Any]]) -> bytes:
        """The records of `rows (k,)`, back to back."""
        if self.size_bytes:
            picked: bytes = self.body.reshape(-1, self.size_bytes)[rows].tobytes()
            return picked
        return b"".join([self[row] for row in rows.tolist()])


def _packed_properties(
    properties: Sequence[Property], columns: Mapping[str, ArrayLike], count: int
) -> NDArray[np.void]:
    """Records `(count,)` of property_dtype, padding zero."""
    if set(columns) != {p.id for p in properties}:
        raise FormatError(
            explain(
                "annotation properties",
                "columns and declared properties differ",
                expected=", ".join(p.id for p in properties) or "none",
                got=", ".join(columns) or "none",
                do="Give one column per property.",
            )
        )
    packed = np.zeros(count, dtype=property_dtype(properties))
    for prop in properties:
        values = prop.cast(columns[prop.id])
        if len(values) != count:
            raise FormatError(
                explain(
                    f"annotation property {prop.id!r}",
                    "the column has another length than the annotations",
                    expected=count,
                    got=len(values),
                    do="Give one value per annotation.",
                )
            )
        packed[prop.id] = values
    return packed


def encode_records(
    kind: AnnotationType,
    geometry: NDArray[np.float32],
    properties: Sequence[Property] = (),
    columns: Mapping[str, ArrayLike] | None = None,
    points: NDArray[np.int64] | None = None,
) -> Records:
    """Encode all annotations of a layer at once.

    geometry : (n, vectors, 3) float32 nm, for polylines (all points, 3) with `points (n + 1,)` the first row of
    each; columns : property id -> (n,) values, colours (n, components). Raises FormatError where they do not fit.
    """
    if kind is AnnotationType.POLYLINE:
        if points is None:
            raise FormatError(explain("polylines", "no `points` say which rows belong together", do="Give `points`."))
        return _encode_polylines(geometry, points, properties, columns or {})
    dtype = record_dtype(kind, properties)
    table = np.zeros(len(geometry), dtype=dtype)
    table["geometry"] = geometry
    table["properties"] = _packed_properties(properties, columns or {}, len(table))
    offsets = np.arange(len(table) + 1, dtype=np.int64) * dtype.itemsize
    return Records(np.frombuffer(table.tobytes(), dtype=np.uint8), offsets, dtype.itemsize)


def _encode_polylines(
    geometry: NDArray[np.float32],
    points: NDArray[np.int64],
    properties: Sequence[Property],
    columns: Mapping[str, ArrayLike],
) -> Records:
    counts = np.diff(points)
    if len(counts) and counts.min() < 2:
        row = int(np.argmin(counts))
        raise FormatError(
            explain(
                f"polyline, row {row}", "too few points", expected="two or more", got=counts[row], do="Remove the row."
            )
        )
    packed = _packed_properties(properties, columns, len(counts))
    tail = packed.dtype.itemsize // 4
    # Every part of a record is a multiple of four bytes, so the body is laid out in 32-bit words.
    words = 1 + 3 * counts + tail
    starts = np.concatenate([[0], np.cumsum(words)]).astype(np.int64)
    body = np.zeros(int(starts[-1]), dtype="<u4")
    body[starts[:-1]] = counts
    _scatter(body, starts[:-1] + 1, 3 * points, np.ascontiguousarray(geometry, dtype="<f4").reshape(-1).view("<u4"))
    if tail:
        at = starts[:-1] + 1 + 3 * counts
        body[at[:, None] + np.arange(tail)] = np.frombuffer(packed.tobytes(), dtype="<u4").reshape(-1, tail)
    return Records(body.view(np.uint8), starts * 4, 0)


def encode_list(records: Records, rows: NDArray[np.integer[Any]], ids: NDArray[np.uint64]) -> bytes:
    """The annotations `rows (k,)` as a list (a spatial cell, or a label's annotations); `ids (n,)` of all records."""
    return b"".join([struct.pack("<Q", len(rows)), records.take(rows), ids[rows].astype("<u8").tobytes()])


def encode_singles(records: Records, relationships: Sequence[tuple[NDArray[np.int64], NDArray[np.uint64]]]) -> Records:
    """Every annotation as the id index holds it: its record, then per relationship the count and its labels.

    relationships : per relationship offsets (n + 1,) and labels, those of annotation i being
    `labels[offsets[i]:offsets[i + 1]]`.
    """
    lengths = [np.diff(records.offsets) // 4, *(1 + 2 * np.diff(offsets) for offsets, _ in relationships)]
    ends = np.cumsum(np.sum(lengths, axis=0), dtype=np.int64)
    starts = np.concatenate([[0], ends]).astype(np.int64)
    body = np.zeros(int(starts[-1]), dtype="<u4")
    at = starts[:-1]
    _scatter(body, at, records.offsets // 4, records.body.view("<u4"))
    for (offsets, labels), before in zip(relationships, lengths, strict=False):
        at = at + before
        body[at] = np.diff(offsets)
        _scatter(body, at + 1, 2 * offsets, labels.astype("<u8").view("<u4"))
    return Records(body.view(np.uint8), starts * 4, 0)


def _scatter(
    body: NDArray[np.uint32], at: NDArray[np.int64], offsets: NDArray[np.int64], words: NDArray[np.uint32]
) -> None:
    """Copy `words[offsets[i]:offsets[i + 1]]` to `body[at[i]:]`, for every i."""
    shift = np.repeat(at - offsets[:-1], np.diff(offsets))
    body[shift + np.arange(len(words))] = words


@dataclass(frozen=True)
class Decoded:
    """Annotations read back: `geometry` as encode_records takes it, `points` for polylines only, property columns."""

    geometry: NDArray[np.float32]
    points: NDArray[np.int64] | None
    columns: dict[str, NDArray[Any]]
    ids: NDArray[np.uint64]


def _decode_records(
    data: bytes, offset: int, count: int, kind: AnnotationType, properties: Sequence[Property]
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None, dict[str, NDArray[Any]], int]:
    try:
        if kind is not AnnotationType.POLYLINE:
            table = np.frombuffer(data, record_dtype(kind, properties), count, offset)
            columns = {p.id: table["properties"][p.id] for p in properties}
            return table["geometry"], None, columns, offset + table.nbytes
        dtype = property_dtype(properties)
        parts, rows, lengths = [], [], []
        for _ in range(count):
            (length,) = struct.unpack_from("<I", data, offset)
            parts.append(np.frombuffer(data, "<f4", 3 * length, offset + 4).reshape(-1, 3))
            rows.append(np.frombuffer(data, dtype, 1, offset + 4 + 12 * length) if dtype.itemsize else None)
            lengths.append(length)
            offset += 4 + 12 * length + dtype.itemsize
        columns = {
            p.id: np.concatenate([r[p.id] for r in rows if r is not None]) if rows else np.zeros(0, dtype[p.id].base)
            for p in properties
        }
        geometry = np.concatenate(parts) if parts else np.zeros((0, 3), np.float32)
        return geometry, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), columns, offset
    except (ValueError, struct.error) as error:
        raise FormatError(
            explain("annotations", f"the bytes end within a record ({error})", do="Write the layer again.")
        ) from error


def decode_list(data: bytes, kind: AnnotationType, properties: Sequence[Property]) -> Decoded:
    """Inverse of encode_list; FormatError where the length does not fit."""
    if len(data) < 8:
        raise FormatError(explain("annotation list", f"only {len(data)} bytes", do="Write the layer again."))
    (count,) = struct.unpack_from("<Q", data)
    geometry, points, columns, end = _decode_records(data, 8, count, kind, properties)
    if end + 8 * count != len(data):
        raise FormatError(
            explain(
                "annotation list",
                "wrong length",
                expected=f"{end + 8 * count} bytes",
                got=len(data),
                do="Write the layer again.",
            )
        )
    ids = np.frombuffer(data, "<u8", count, end).astype(np.uint64)
    return Decoded(geometry, points, columns, ids)


def decode_single(
    data: bytes, kind: AnnotationType, properties: Sequence[Property], relationships: int
) -> tuple[Decoded, list[list[int]]]:
    """One annotation of encode_singles and its labels per relationship; the Decoded has one row and no id."""
    geometry, points, columns, end = _decode_records(data, 0, 1, kind, properties)
    related: list[list[int]] = []
    try:
        for _ in range(relationships):
            (count,) = struct.unpack_from("<I", data, end)
            related.append(list(struct.unpack_from(f"<{count}Q", data, end + 4)))
            end += 4 + 8 * count
    except struct.error as error:
        raise FormatError(
            explain("annotation", f"the bytes end within its labels ({error})", do="Write the layer again.")
        ) from error
    if end != len(data):
        raise FormatError(
            explain("annotation", "wrong length", expected=f"{end} bytes", got=len(data), do="Write the layer again.")
        )
    return Decoded(geometry, points, columns, np.zeros(0, np.uint64)), related
