"""The bytes of one skeleton piece inside a fragment file: our own container, version 1.

Layout: version byte, vertex count, edge count (uint32, little-endian), then one checksummed zstd frame. The frame holds
the byte planes of: vertex coordinates as differences along the list (x, then y, then z), edges as first end and second
minus first, both as differences along the list, radius bits; then the seam bits packed eight to a byte. Neighbours on
a centreline lie close in the list, so most planes are zeros.
"""

from __future__ import annotations

import struct

import numpy as np
import zstandard
from numpy.typing import NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry.lattice import SkeletonPiece

VERSION = 1
_HEADER = struct.Struct("<BII")
_LEVEL = 6


def encode_skeleton_piece(piece: SkeletonPiece) -> bytes:
    """The bytes of a piece; the same piece gives the same bytes.

    Raises FormatError where the arrays do not fit together.
    """
    n, m = len(piece.vertices), len(piece.edges)
    shapes = (piece.vertices.shape, piece.edges.shape, piece.radius_nm.shape, piece.seam.shape)
    types = [str(a.dtype) for a in (piece.vertices, piece.edges, piece.radius_nm, piece.seam)]
    if shapes != ((n, 3), (m, 2), (n,), (n,)) or types != ["int32", "uint32", "float32", "bool"]:
        raise FormatError(
            explain(
                "skeleton piece",
                "arrays do not fit together",
                expected="(n, 3) int32, (m, 2) uint32, (n,) float32, (n,) bool",
                got=f"{shapes}, {types}",
                do="Mend the kernel that made the piece",
            )
        )
    if m and int(piece.edges.max()) >= n:
        raise FormatError(_damage("an edge names a vertex that is not there", f"below {n}", int(piece.edges.max())))
    vertices = piece.vertices.view(np.uint32) if piece.vertices.flags.c_contiguous else piece.vertices.astype(np.uint32)
    columns = [_differences(vertices[:, axis]) for axis in range(3)]
    columns += [_differences(piece.edges[:, 0]), _differences(piece.edges[:, 1] - piece.edges[:, 0])]
    columns.append(np.ascontiguousarray(piece.radius_nm).view(np.uint32))
    body = b"".join(_planes(column) for column in columns) + np.packbits(piece.seam).tobytes()
    frame = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True).compress(body)
    return _HEADER.pack(VERSION, n, m) + frame


def decode_skeleton_piece(data: bytes) -> SkeletonPiece:
    """The piece in `data`; raises FormatError for another version, a cut or damaged text, or counts that do not fit."""
    if len(data) < _HEADER.size:
        raise FormatError(_damage("the header is cut short", f"{_HEADER.size} bytes", len(data)))
    version, n, m = _HEADER.unpack_from(data)
    if version != VERSION:
        raise FormatError(_damage("unknown version", VERSION, version))
    seam_bytes = -(-n // 8)
    expected = 16 * n + 8 * m + seam_bytes
    frame = data[_HEADER.size :]
    try:
        size = zstandard.frame_content_size(frame)
        # The size is compared first, so that a damaged count cannot ask for more memory than the frame admits to.
        reader = zstandard.ZstdDecompressor().decompressobj()
        body = reader.decompress(frame) if size == expected else b""
    except zstandard.ZstdError as error:
        raise FormatError(_damage("the compressed part is damaged", "an intact zstd frame", error)) from error
    if size != expected or len(body) != expected or not reader.eof or reader.unused_data:
        raise FormatError(_damage(f"the length does not fit {n} vertices and {m} edges", expected, size))
    at = 0
    columns: list[NDArray[np.uint32]] = []
    for count in (n, n, n, m, m, n):
        columns.append(_column(body[at : at + 4 * count], count))
        at += 4 * count
    vertices = np.stack([_sums(c) for c in columns[:3]], axis=1).view(np.int32)
    first = _sums(columns[3])
    edges = np.stack([first, first + _sums(columns[4])], axis=1)
    if m and int(edges.max()) >= n:
        raise FormatError(_damage("an edge names a vertex that is not there", f"below {n}", int(edges.max())))
    seam = np.unpackbits(np.frombuffer(body, np.uint8, seam_bytes, at), count=n).astype(np.bool_)
    return SkeletonPiece(vertices, edges, columns[5].view(np.float32), seam)


def _differences(column: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Differences modulo 2**32, zigzag-folded so that small steps of both signs have zero high bytes."""
    steps = np.diff(column, prepend=np.uint32(0)).view(np.int32)
    return ((steps << 1) ^ (steps >> 31)).view(np.uint32)


def _sums(folded: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Undo `_differences`."""
    steps = (folded >> np.uint32(1)) ^ (np.uint32(0) - (folded & np.uint32(1)))
    return np.cumsum(steps, dtype=np.uint32)


def _planes(column: NDArray[np.uint32]) -> bytes:
    return np.ascontiguousarray(column.astype("<u4").view(np.uint8).reshape(-1, 4).T).tobytes()


def _column(data: bytes, count: int) -> NDArray[np.uint32]:
    planes = np.frombuffer(data, np.uint8).reshape(4, count)
    return np.ascontiguousarray(planes.T).view("<u4").reshape(count).astype(np.uint32)


def _damage(problem: str, expected: object, got: object) -> str:
    return explain(
        "skeleton piece", problem, expected=expected, got=got, do="Remake the skeleton fragments of this block"
    )
