"""Pieces join at equal seam vertices only, in any order."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import blobs, in_tasks

from ophiolite.geometry.lattice import MeshPiece
from ophiolite.kernels.mesh_measure import is_watertight
from ophiolite.kernels.stitch import stitch


def piece(vertices: list[list[int]], faces: list[list[int]], seam: list[bool]) -> MeshPiece:
    return MeshPiece(np.array(vertices, np.int32), np.array(faces, np.uint32).reshape(-1, 3), np.array(seam, bool))


@settings(max_examples=10)
@given(st.permutations(range(8)))
def test_the_order_of_pieces_does_not_matter(order: list[int]) -> None:
    labels = blobs(1, (12, 12, 12), labels=1, sigma=2.0)
    pieces = in_tasks(labels, ([5], [6], [4]), (1.0, 1.0, 2.0))[7]
    expected = stitch(pieces)
    got = stitch([pieces[i] for i in order if i < len(pieces)])
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])
    assert is_watertight(got[1])


def test_only_seam_vertices_match() -> None:
    a = piece([[0, 0, 0], [256, 0, 0], [0, 256, 0]], [[0, 1, 2]], [False, True, True])
    b = piece([[0, 0, 0], [0, 256, 0], [-256, 256, 0]], [[0, 1, 2]], [True, True, False])
    vertices, faces = stitch([((0, 0, 0), a), ((1, 0, 0), b)])
    assert vertices.tolist() == [[0, 0, 0], [256, 0, 0], [0, 256, 0], [256, 256, 0], [0, 256, 0]]
    assert faces.tolist() == [[0, 1, 2], [1, 3, 4]]
    assert vertices.dtype == np.int64
    assert faces.dtype == np.uint32


def test_origins_beyond_int32_stay_exact() -> None:
    a = piece([[-1, 0, 2**31 - 1]] * 2 + [[5, 5, 5]], [[0, 1, 2]], [False] * 3)
    vertices, _ = stitch([((2**40, -(2**30), 3), a)])
    assert vertices[0].tolist() == [2**48 - 1, -(2**38), 2**31 - 1 + 768]


def test_degenerate_and_doubled_faces_go() -> None:
    corners = [[0, 0, 0], [256, 0, 0], [0, 256, 0], [0, 0, 0]]
    collapsed = piece(corners, [[0, 1, 3], [0, 1, 2]], [True, False, False, True])
    vertices, faces = stitch([((0, 0, 0), collapsed)])
    assert len(vertices) == 3
    assert faces.tolist() == [[0, 1, 2]]
    same = piece(corners[:3], [[1, 2, 0]], [True] * 3)
    opposite = piece(corners[:3], [[2, 1, 0]], [True] * 3)
    assert len(stitch([((0, 0, 0), same), ((0, 0, 0), same)])[1]) == 1
    assert len(stitch([((0, 0, 0), same), ((0, 0, 0), opposite)])[1]) == 0
    assert len(stitch([((0, 0, 0), same), ((0, 0, 0), opposite), ((0, 0, 0), same)])[1]) == 1


def test_nothing_gives_nothing() -> None:
    vertices, faces = stitch([])
    assert vertices.shape == (0, 3)
    assert faces.shape == (0, 3)
