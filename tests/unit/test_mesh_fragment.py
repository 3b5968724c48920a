"""Mesh pieces survive their bytes, and damage is told, never returned as geometry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ophiolite.errors import FormatError
from ophiolite.geometry.lattice import MeshPiece
from ophiolite.precomputed.mesh_fragment import decode_mesh_piece, encode_mesh_piece


@st.composite
def pieces(draw: st.DrawFn) -> MeshPiece:
    n = draw(st.integers(0, 40))
    m = draw(st.integers(0, 60)) if n else 0
    vertices = draw(npst.arrays(np.int32, (n, 3), elements=st.integers(-(2**31), 2**31 - 1)))
    faces = draw(npst.arrays(np.uint32, (m, 3), elements=st.integers(0, max(n - 1, 0))))
    return MeshPiece(vertices, faces, draw(npst.arrays(np.bool_, n)))


def sheet() -> MeshPiece:
    x, y = np.meshgrid(np.arange(30), np.arange(30), indexing="ij")
    vertices = np.stack([x * 128, y * 128, (x * y) % 256], axis=-1).reshape(-1, 3).astype(np.int32)
    i = (x[:-1, :-1] * 30 + y[:-1, :-1]).ravel()
    faces = np.concatenate([np.stack([i, i + 30, i + 1], 1), np.stack([i + 30, i + 31, i + 1], 1)])
    return MeshPiece(vertices, faces.astype(np.uint32), vertices[:, 0] == 0)


@given(pieces())
def test_round_trip(piece: MeshPiece) -> None:
    data = encode_mesh_piece(piece)
    back = decode_mesh_piece(data)
    for name, dtype in (("vertices", np.int32), ("faces", np.uint32), ("seam", np.bool_)):
        assert getattr(back, name).dtype == dtype
        np.testing.assert_array_equal(getattr(back, name), getattr(piece, name))
    assert encode_mesh_piece(back) == data


def test_fortran_arrays_give_the_same_bytes() -> None:
    piece = sheet()
    other = MeshPiece(np.asfortranarray(piece.vertices), np.asfortranarray(piece.faces), piece.seam)
    assert encode_mesh_piece(other) == encode_mesh_piece(piece)


def test_far_smaller_than_the_arrays() -> None:
    piece = sheet()
    assert len(encode_mesh_piece(piece)) < (piece.vertices.nbytes + piece.faces.nbytes) / 6


def test_every_cut_and_every_flipped_byte_is_told() -> None:
    data = encode_mesh_piece(sheet())
    for length in range(0, len(data), 7):
        with pytest.raises(FormatError, match="mesh piece"):
            decode_mesh_piece(data[:length])
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x5A
        # zstd ignores a bit or two of its own header; what is told as sound must then be sound.
        try:
            back = decode_mesh_piece(bytes(damaged))
        except FormatError:
            continue
        np.testing.assert_array_equal(back.vertices, sheet().vertices)
        np.testing.assert_array_equal(back.faces, sheet().faces)


def test_trailing_bytes_and_other_versions_are_refused() -> None:
    data = encode_mesh_piece(sheet())
    with pytest.raises(FormatError, match="length"):
        decode_mesh_piece(data + b"x")
    with pytest.raises(FormatError, match="version"):
        decode_mesh_piece(b"\x02" + data[1:])


@pytest.mark.parametrize(
    "piece",
    [
        MeshPiece(np.zeros((2, 3), np.int32), np.array([[0, 1, 2]], np.uint32), np.zeros(2, bool)),
        MeshPiece(np.zeros((2, 3), np.int64), np.zeros((0, 3), np.uint32), np.zeros(2, bool)),  # type: ignore[arg-type]
        MeshPiece(np.zeros((2, 3), np.int32), np.zeros((0, 3), np.uint32), np.zeros(3, bool)),
    ],
)
def test_pieces_that_do_not_fit_together_are_refused(piece: MeshPiece) -> None:
    with pytest.raises(FormatError, match="mesh piece"):
        encode_mesh_piece(piece)
