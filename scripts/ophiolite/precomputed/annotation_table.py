"""Annotations of one layer in memory: what table readers make and the layer writer takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.precomputed.annotation import AnnotationType, Property, check_properties
from ophiolite.precomputed.annotation_records import Records, encode_records


@dataclass(frozen=True)
class Related:
    """Labels related to annotations: those of annotation i are `labels[offsets[i]:offsets[i + 1]]`.

    offsets : (n + 1,) int64; labels : uint64, 0 (background) never stands among them.
    """

    offsets: NDArray[np.int64]
    labels: NDArray[np.uint64]

    @classmethod
    def of_columns(cls, *columns: NDArray[np.uint64]) -> Related:
        """From columns `(n,)`: each annotation's labels in column order, zeros and repetitions left out."""
        table = np.stack([c.astype(np.uint64) for c in columns], axis=1)
        keep = table != 0
        for i in range(1, table.shape[1]):
            keep[:, i] &= (table[:, i : i + 1] != table[:, :i]).all(axis=1)
        return cls(np.concatenate([[0], np.cumsum(keep.sum(axis=1))]).astype(np.int64), table[keep])


@dataclass(frozen=True)
class AnnotationTable:
    """All annotations of a layer, checked when made; raises FormatError for what the format cannot hold.

    geometry_nm : float64, x, y, z nm in mip-0 physical space. POINT (n, 3); LINE and AXIS_ALIGNED_BOUNDING_BOX
        (n, 2, 3), two ends or corners; ELLIPSOID (n, 2, 3), centre and radii; POLYLINE (all points, 3).
        Kept as float32, as the format does: whole nanometres up to 16.7 mm, 2 nm up to 33.5 mm, and so on.
    ids : (n,) uint64, unique.
    properties, columns : what each annotation carries, in any order; numbers by property id.
    relationships : name -> the labels each annotation is related to.
    points : (n + 1,) int64, polylines only: polyline i is `geometry_nm[points[i]:points[i + 1]]`.
    """

    kind: AnnotationType
    geometry_nm: NDArray[np.floating[Any]]
    ids: NDArray[np.uint64]
    properties: tuple[Property, ...] = ()
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    relationships: Mapping[str, Related] = field(default_factory=dict)
    points: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):
            geometry = np.ascontiguousarray(self.geometry_nm, dtype=np.float32)
        object.__setattr__(self, "geometry_nm", geometry)
        object.__setattr__(self, "ids", np.ascontiguousarray(self.ids, dtype=np.uint64))
        polyline = self.kind is AnnotationType.POLYLINE
        rows = len(geometry) if polyline else len(self.ids)
        expected = (rows, 3) if polyline or self.kind is AnnotationType.POINT else (rows, 2, 3)
        if geometry.shape != expected or polyline != (self.points is not None):
            raise self._error(
                "the geometry has the wrong shape", expected, geometry.shape, "Give coordinates as documented"
            )
        if self.points is not None and (
            len(self.points) != len(self.ids) + 1
            or self.points[0] != 0
            or self.points[-1] != rows
            or (np.diff(self.points) < 2).any()
        ):
            raise self._error(
                "`points` does not cut the rows into polylines",
                f"{len(self.ids) + 1} rising numbers from 0 to {rows}, two or more rows each",
                self.points[:5].tolist(),
                "Remove polylines of fewer than two points",
            )
        bad = ~np.isfinite(geometry)
        if self.kind is AnnotationType.ELLIPSOID:
            bad[:, 1] |= geometry[:, 1] < 0
        if bad.any():
            row = int(np.argwhere(bad)[0, 0])
            raise self._error(
                f"row {row} is no place",
                "finite numbers, radii of zero or more",
                geometry[row].tolist(),
                "Mend or remove the row",
            )
        values, counts = np.unique(self.ids, return_counts=True)
        if (counts > 1).any():
            raise self._error("ids repeat", "each id once", int(values[counts > 1][0]), "Number the annotations afresh")
        for name, related in self.relationships.items():
            if len(related.offsets) != len(self.ids) + 1 or related.offsets[-1] != len(related.labels):
                raise self._error(
                    f"relationship {name!r} has another length than the annotations",
                    len(self.ids),
                    len(related.offsets) - 1,
                    "Give a list of labels for every annotation",
                )
        relationship_keys(tuple(self.relationships))
        check_properties(sorted(self.properties, key=lambda p: -p.alignment_bytes))

    def _error(self, problem: str, expected: object, got: object, do: str) -> FormatError:
        return FormatError(explain(f"{self.kind.value} annotations", problem, expected=expected, got=got, do=do))

    def __len__(self) -> int:
        return len(self.ids)

    def records(self, properties: tuple[Property, ...]) -> Records:
        """The encoded records, with the table's properties in the (widest-first) order given."""
        geometry = self.geometry_nm.astype(np.float32, copy=False)
        if self.kind is not AnnotationType.POLYLINE:
            geometry = geometry.reshape(len(self), self.kind.vectors, 3)
        return encode_records(self.kind, geometry, properties, self.columns, self.points)

    def ends(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """First and second vector of each part `(p, 2, 3)` float64, and the row `(p,)` that it is part of.

        Polylines have a part per segment; the others one part per annotation, a point with its position twice.
        """
        geometry = self.geometry_nm.astype(np.float64)
        if self.points is not None:
            owner = np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.points))
            within = owner[1:] == owner[:-1]
            return np.stack([geometry[:-1][within], geometry[1:][within]], axis=1), owner[1:][within]
        if self.kind is AnnotationType.POINT:
            geometry = np.stack([geometry, geometry], axis=1)
        return geometry, np.arange(len(self), dtype=np.int64)


def relationship_keys(names: tuple[str, ...]) -> tuple[str, ...]:
    """A folder name for each relationship; FormatError where two would share one."""
    keys = tuple("rel_" + re.sub(r"[^A-Za-z0-9_-]", "_", name) for name in names)
    if len({k.lower() for k in keys}) != len(keys) or "" in names:
        raise FormatError(
            explain(
                "annotation relationships",
                "names are empty or differ only in signs that file names cannot carry",
                got=", ".join(map(repr, names)),
                do="Rename one of them.",
            )
        )
    return keys
