"""Skeletons of the Precomputed format: the `info` of the folder and the bytes of one skeleton.

Spec: Neuroglancer, src/datasource/precomputed/skeletons.md. Attributes are float32 only: older viewers read
no other type.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError, explain

_HEADER = struct.Struct("<II")
_IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]


@dataclass(frozen=True)
class VertexAttribute:
    """A float32 value, or several, that every vertex carries."""

    id: str
    num_components: int = 1


RADIUS = VertexAttribute("radius")
CROSS_SECTIONAL_AREA = VertexAttribute("cross_sectional_area")


@dataclass(frozen=True)
class SkeletonInfo:
    """The `info` of a skeleton folder.

    attributes : in the order in which every skeleton stores them.
    sharding : the `neuroglancer_uint64_sharded_v1` object, None for one file per skeleton.
    mip : the mip of the labels from which the skeletons were made; vertices are nanometres whatever it is.
    """

    attributes: tuple[VertexAttribute, ...] = (RADIUS,)
    sharding: Mapping[str, object] | None = None
    mip: int | None = None

    def to_json(self) -> bytes:
        """The file's bytes; raises FormatError where two attributes share a name."""
        names = [a.id for a in self.attributes]
        if len(set(names)) < len(names):
            raise FormatError(
                explain("skeleton info", "attribute ids repeat", got=names, do="Give each attribute a name of its own")
            )
        info: dict[str, object] = {
            "@type": "neuroglancer_skeletons",
            "transform": _IDENTITY,
            "vertex_attributes": [
                {"id": a.id, "data_type": "float32", "num_components": a.num_components} for a in self.attributes
            ],
        }
        if self.mip is not None:
            info["mip"] = self.mip
        if self.sharding is not None:
            info["sharding"] = dict(self.sharding)
        return json.dumps(info, indent=2).encode() + b"\n"


@dataclass(frozen=True)
class DecodedSkeleton:
    """What the bytes of one skeleton hold.

    vertices_nm : (n, 3) float32. edges : (m, 2) uint32.
    attributes : one float32 array per attribute of the info, (n,) for one component, (n, c) for more.
    """

    vertices_nm: NDArray[np.float32]
    edges: NDArray[np.uint32]
    attributes: tuple[NDArray[np.float32], ...]


def encode_skeleton(
    vertices_nm: NDArray[np.float32], edges: NDArray[np.uint32], attributes: Sequence[NDArray[np.float32]]
) -> bytes:
    """The bytes of one skeleton.

    vertices_nm : (n, 3) float32. edges : (m, 2) uint32.
    attributes : float32 arrays of (n,) or (n, c), in the order of the info.
    Raises FormatError for another shape or type, an edge to a vertex that is not there, or a value that is not finite.
    """
    n = len(vertices_nm)
    _require(vertices_nm.dtype == np.float32 and vertices_nm.shape == (n, 3), "vertices", "(n, 3) float32", vertices_nm)
    _require(edges.dtype == np.uint32 and edges.shape == (len(edges), 2), "edges", "(m, 2) uint32", edges)
    for i, values in enumerate(attributes):
        _require(
            values.dtype == np.float32 and values.ndim in (1, 2) and len(values) == n,
            f"attribute {i}",
            f"({n},) or ({n}, c) float32",
            values,
        )
    if len(edges) and int(edges.max()) >= n:
        raise FormatError(_damage("an edge names a vertex that is not there", f"below {n}", int(edges.max())))
    if not all(np.isfinite(values).all() for values in (vertices_nm, *attributes)):
        raise FormatError(_damage("a coordinate or attribute is not finite", "finite numbers", "inf or nan"))
    parts = [_HEADER.pack(n, len(edges)), vertices_nm.astype("<f4").tobytes(), edges.astype("<u4").tobytes()]
    return b"".join(parts + [values.astype("<f4").tobytes() for values in attributes])


def decode_skeleton(data: bytes, attributes: Sequence[VertexAttribute] = (RADIUS,)) -> DecodedSkeleton:
    """Read the bytes of one skeleton, whose info names `attributes`.

    Raises FormatError where the length does not follow from the counts, or an edge names a vertex that is not there.
    """
    if len(data) < _HEADER.size:
        raise FormatError(_damage("the header is cut short", f"{_HEADER.size} bytes", len(data)))
    n, m = _HEADER.unpack_from(data)
    components = sum(a.num_components for a in attributes)
    expected = _HEADER.size + n * (12 + 4 * components) + m * 8
    if len(data) != expected:
        raise FormatError(
            _damage(
                f"the length does not fit {n} vertices, {m} edges, {components} attribute values", expected, len(data)
            )
        )
    at = _HEADER.size
    vertices = np.frombuffer(data, "<f4", 3 * n, at).reshape(n, 3).astype(np.float32)
    at += 12 * n
    edges = np.frombuffer(data, "<u4", 2 * m, at).reshape(m, 2).astype(np.uint32)
    at += 8 * m
    if m and int(edges.max()) >= n:
        raise FormatError(_damage("an edge names a vertex that is not there", f"below {n}", int(edges.max())))
    values: list[NDArray[np.float32]] = []
    for attribute in attributes:
        c = attribute.num_components
        array = np.frombuffer(data, "<f4", c * n, at).astype(np.float32)
        values.append(array if c == 1 else array.reshape(n, c))
        at += 4 * c * n
    return DecodedSkeleton(vertices, edges, tuple(values))


def _require(holds: bool, what: str, expected: str, array: NDArray[np.generic]) -> None:
    if not holds:
        raise FormatError(
            explain(f"skeleton {what}", "wrong shape or type", expected=expected, got=f"{array.shape} {array.dtype}",
                    do="Convert before encoding")
        )  # fmt: skip


def _damage(problem: str, expected: object, got: object) -> str:
    return explain("skeleton", problem, expected=expected, got=got, do="Remake the skeletons of this layer")
