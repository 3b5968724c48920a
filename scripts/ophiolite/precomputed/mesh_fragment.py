"""The bytes of one mesh piece inside a fragment file: our own container, version 1.

Layout: version byte, vertex count, face count (uint32, little-endian), then one checksummed zstd frame (level 3). The
frame holds the byte planes of: vertex coordinates as differences along the list (x, then y, then z), faces as first
corner (difference along the list), second and third corner (differences from the first), all zigzag-folded; then the
seam bits packed eight to a byte. Meshers list neighbours close together, so most planes are nearly constant.
"""

from __future__ import annotations

import struct

import numpy as np
import zstandard
from numpy.typing import NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry.lattice import MeshPiece

VERSION = 1
_HEADER = struct.Struct("<BII")
_LEVEL = 3


def encode_mesh_piece(piece: MeshPiece) -> bytes:
    """The bytes of a piece; the same piece gives the same bytes.

    Raises FormatError where the arrays do not fit together.
    """
    n, m = len(piece.vertices), len(piece.faces)
    shapes = (piece.vertices.shape, piece.faces.shape, piece.seam.shape)
    types = [str(a.dtype) for a in (piece.vertices, piece.faces, piece.seam)]
    if shapes != ((n, 3), (m, 3), (n,)) or types != ["int32", "uint32", "bool"]:
        raise FormatError(
            explain(
                "mesh piece",
                "arrays do not fit together",
                expected="(n, 3) int32, (m, 3) uint32, (n,) bool",
                got=f"{shapes}, {types}",
                do="Mend the kernel that made the piece",
            )
        )
    _check_faces(piece.faces, n)
    vertices = np.ascontiguousarray(piece.vertices).view(np.uint32)
    first = piece.faces[:, 0]
    words = np.concatenate(
        [_steps(vertices[:, axis]) for axis in range(3)]
        + [_steps(first), piece.faces[:, 1] - first, piece.faces[:, 2] - first]
    ).view(np.int32)
    folded = ((words << 1) ^ (words >> 31)).astype("<i4").view(np.uint8).reshape(-1, 4)
    body = np.ascontiguousarray(folded.T).tobytes() + np.packbits(piece.seam).tobytes()
    frame = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True).compress(body)
    return _HEADER.pack(VERSION, n, m) + frame


def decode_mesh_piece(data: bytes) -> MeshPiece:
    """The piece in `data`; raises FormatError for another version, a cut or damaged text, or counts that do not fit."""
    if len(data) < _HEADER.size:
        raise FormatError(_damage("the header is cut short", f"{_HEADER.size} bytes", len(data)))
    version, n, m = _HEADER.unpack_from(data)
    if version != VERSION:
        raise FormatError(_damage("unknown version", VERSION, version))
    count = 3 * (n + m)
    expected = 4 * count + -(-n // 8)
    body = _decompress(data[_HEADER.size :], expected)
    planes = np.frombuffer(body, np.uint8, 4 * count).reshape(4, count)
    folded = np.ascontiguousarray(planes.T).view("<u4").reshape(count).astype(np.uint32)
    words = (folded >> np.uint32(1)) ^ (np.uint32(0) - (folded & np.uint32(1)))
    vertices = np.cumsum(words[: 3 * n].reshape(3, n), axis=1, dtype=np.uint32).T
    corners = words[3 * n :].reshape(3, m)
    first = np.cumsum(corners[0], dtype=np.uint32)
    faces = np.stack([first, first + corners[1], first + corners[2]], axis=1)
    _check_faces(faces, n)
    seam = np.unpackbits(np.frombuffer(body, np.uint8, offset=4 * count), count=n).astype(np.bool_)
    return MeshPiece(np.ascontiguousarray(vertices).view(np.int32), faces, seam)


def face_count(data: bytes) -> int:
    """The faces of the piece in `data`, from its header."""
    return int(_HEADER.unpack_from(data)[2])


def _steps(column: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Differences along the list, modulo 2**32."""
    return np.diff(column, prepend=np.uint32(0))


def _decompress(frame: bytes, expected: int) -> bytes:
    try:
        # The size is compared first, so that a damaged count cannot ask for more memory than the frame admits to.
        size = zstandard.frame_content_size(frame)
        reader = zstandard.ZstdDecompressor().decompressobj()
        body = reader.decompress(frame) if size == expected else b""
    except zstandard.ZstdError as error:
        raise FormatError(_damage("the compressed part is damaged", "an intact zstd frame", error)) from error
    if len(body) != expected or not reader.eof or reader.unused_data:
        raise FormatError(_damage("the length does not fit the counts", f"{expected} bytes", size))
    return body


def _check_faces(faces: NDArray[np.uint32], n: int) -> None:
    if len(faces) and int(faces.max()) >= n:
        raise FormatError(_damage("a face names a vertex that is not there", f"below {n}", int(faces.max())))


def _damage(problem: str, expected: object, got: object) -> str:
    return explain("mesh piece", problem, expected=expected, got=got, do="Remake the mesh fragments of this block")
