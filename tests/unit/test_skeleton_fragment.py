"""The bytes of skeleton pieces in fragment files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ophiolite.errors import FormatError
from ophiolite.geometry.lattice import SkeletonPiece
from ophiolite.precomputed.skeleton_fragment import decode_skeleton_piece, encode_skeleton_piece


@st.composite
def pieces(draw: st.DrawFn, least: int = 0) -> SkeletonPiece:
    n = draw(st.integers(least, 20))
    m = draw(st.integers(0, 30)) if n else 0
    whole = st.integers(-(2**31), 2**31 - 1)
    return SkeletonPiece(
        draw(hnp.arrays(np.int32, (n, 3), elements=whole)),
        draw(hnp.arrays(np.uint32, (m, 2), elements=st.integers(0, max(n - 1, 0)))),
        draw(hnp.arrays(np.float32, (n,), elements=st.floats(0, 1e6, width=32))),
        draw(hnp.arrays(np.bool_, (n,))),
    )


@given(pieces())
def test_decoding_gives_back_the_piece(piece: SkeletonPiece) -> None:
    data = encode_skeleton_piece(piece)
    read = decode_skeleton_piece(data)
    for name in ("vertices", "edges", "radius_nm", "seam"):
        got, want = getattr(read, name), getattr(piece, name)
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype
    assert encode_skeleton_piece(read) == data


@given(pieces())
def test_memory_order_does_not_change_the_bytes(piece: SkeletonPiece) -> None:
    other = SkeletonPiece(
        np.asfortranarray(piece.vertices), np.asfortranarray(piece.edges), piece.radius_nm, piece.seam
    )
    assert encode_skeleton_piece(other) == encode_skeleton_piece(piece)


@given(pieces(least=1), st.data())
def test_every_damaged_byte_is_noticed(piece: SkeletonPiece, data: st.DataObject) -> None:
    good = encode_skeleton_piece(piece)
    at = data.draw(st.integers(0, len(good) - 1))
    flip = data.draw(st.integers(1, 255))
    damaged = bytearray(good)
    damaged[at] ^= flip
    try:
        read = decode_skeleton_piece(bytes(damaged))
    except FormatError:
        return
    # Bits of a zstd header that mean nothing may change without changing what is read.
    assert encode_skeleton_piece(read) == good


@given(pieces(), st.data())
def test_a_cut_or_lengthened_text_is_refused(piece: SkeletonPiece, data: st.DataObject) -> None:
    good = encode_skeleton_piece(piece)
    for damaged in (good[: data.draw(st.integers(0, len(good) - 1))], good + b"\0"):
        with pytest.raises(FormatError):
            decode_skeleton_piece(damaged)


def test_a_later_version_is_refused_by_number() -> None:
    piece = SkeletonPiece(
        np.zeros((0, 3), np.int32), np.zeros((0, 2), np.uint32), np.zeros(0, np.float32), np.zeros(0, bool)
    )
    with pytest.raises(FormatError, match=r"unknown version\. Expected 1\. Got 9"):
        decode_skeleton_piece(b"\x09" + encode_skeleton_piece(piece)[1:])


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    vertices, edges = np.zeros((2, 3), np.int32), np.array([[0, 1]], np.uint32)
    radius, seam = np.ones(2, np.float32), np.zeros(2, bool)
    for piece in (
        SkeletonPiece(vertices, edges, radius[:1], seam),
        SkeletonPiece(vertices, edges, radius, seam[:1]),
        SkeletonPiece(vertices, edges + np.uint32(1), radius, seam),
        SkeletonPiece(vertices.astype(np.int64), edges, radius, seam),  # type: ignore[arg-type]
    ):
        with pytest.raises(FormatError):
            encode_skeleton_piece(piece)


def test_a_centreline_is_stored_in_few_bytes() -> None:
    n = 2000
    steps = np.random.default_rng(0).integers(-1, 2, (n, 3)) * 256
    piece = SkeletonPiece(
        (np.cumsum(steps, axis=0) + 128).astype(np.int32),
        np.stack([np.arange(n - 1), np.arange(1, n)], axis=1).astype(np.uint32),
        np.full(n, 100, np.float32),
        np.zeros(n, bool),
    )
    assert len(encode_skeleton_piece(piece)) < 1.6 * n  # 24 as plain arrays
