"""Octrees: rounding, cutting at the client's planes, order, parents, bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import blobs, nm, unpaired_edges, whole
from numpy.typing import NDArray

from ophiolite.errors import FormatError
from ophiolite.kernels.lod import Lod, LodOptions, build_lods
from ophiolite.kernels.mesh_measure import signed_volume, surface_distance
from ophiolite.kernels.octree import Octree, cut_lods, mesh_entry
from ophiolite.precomputed.multilod import decode_fragment, decode_manifest, z_order

RESOLUTION = (8.0, 8.0, 20.0)
BITS = pytest.mark.parametrize("bits", [10, 16])


def lods(seed: int, count: int = 3) -> list[Lod]:
    piece = whole(blobs(seed, (22, 20, 14), labels=1, sigma=2.5), RESOLUTION, simplify=False)[7]
    vertices = nm(piece.vertices, RESOLUTION) + np.array([1e5, -3e4, 7.3])
    return build_lods(vertices, piece.faces, LodOptions(max_lods=count, faces_per_fragment=20))


def level_on_its_lattice(octree: Octree, level: int, bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All triangles of a level: distinct points of its whole-number lattice, and faces among them."""
    top = (1 << bits) - 1
    corners = [
        (n.vertices.astype(np.int64) + np.array(n.position) * top)[n.faces.astype(np.int64)]
        for n in octree.levels[level]
        if len(n.faces)
    ]
    points, number = np.unique(np.concatenate(corners).reshape(-1, 3), axis=0, return_inverse=True)
    return points, number.reshape(-1, 3)


def to_nm(octree: Octree, level: int, bits: int, points: NDArray[np.int64]) -> NDArray[np.float64]:
    step = octree.chunk_shape.astype(float) * 2**level / ((1 << bits) - 1)
    return octree.grid_origin.astype(float) + points * step


@BITS
@settings(max_examples=4)
@given(seed=st.integers(0, 1000))
def test_nodes_are_sound(bits: int, seed: int) -> None:
    levels = lods(seed)
    octree = cut_lods(levels, bits)
    top, middle = (1 << bits) - 1, 1 << (bits - 1)
    assert len(octree.levels[-1]) == 1
    for level, nodes in enumerate(octree.levels):
        positions = [n.position for n in nodes]
        assert np.array_equal(z_order(positions), np.arange(len(positions)))
        assert np.max(positions) < 2 ** (len(levels) - 1 - level)
        if level + 1 < len(levels):
            above = {n.position for n in octree.levels[level + 1]}
            assert {tuple(c >> 1 for c in p) for p in positions} <= above
        for node in nodes:
            assert node.vertices.min(initial=0) >= 0
            assert node.vertices.max(initial=0) <= top
            corners = node.vertices[node.faces.astype(np.int64)]
            if level:
                # The client files a triangle under the octant of all its corners: none may lie on both sides.
                assert not ((corners < middle).any(axis=1) & (corners > middle).any(axis=1)).any()
            assert (np.sort(node.faces, axis=1)[:, :-1] != np.sort(node.faces, axis=1)[:, 1:]).all()
            assert set(np.unique(node.faces)) == set(range(len(node.vertices)))


@BITS
@settings(max_examples=4)
@given(seed=st.integers(0, 1000))
def test_fragments_of_a_level_join_without_a_gap(bits: int, seed: int) -> None:
    levels = lods(seed)
    octree = cut_lods(levels, bits)
    for level, lod in enumerate(levels):
        points, faces = level_on_its_lattice(octree, level, bits)
        assert len(unpaired_edges(faces)) == 0
        step = float(octree.chunk_shape[0]) * 2**level / ((1 << bits) - 1)
        back = to_nm(octree, level, bits, points)
        # Rounding moves a vertex by half a step per axis; a cut vertex is rounded once more for each axis cut.
        assert surface_distance(back, lod.vertices, lod.faces).max() <= 2 * np.sqrt(3) * step
        used = lod.vertices[np.unique(lod.faces)]
        assert surface_distance(used, back, faces).max() <= 2 * np.sqrt(3) * step
        area_step = np.abs(lod.vertices[lod.faces[:, 0]] - lod.vertices[lod.faces[:, 1]]).sum() * step * 10
        assert signed_volume(back, faces) == pytest.approx(
            signed_volume(lod.vertices, lod.faces), abs=area_step + 1e-6 * signed_volume(lod.vertices, lod.faces)
        )


def test_long_triangles_are_cut_at_every_plane() -> None:
    vertices = np.array([[0.0, 0, 0], [1000, 10, 3], [0, 900, 1000], [300, 300, 700]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32)
    levels = [Lod(vertices, faces, float(i)) for i in range(6)]
    octree = cut_lods(levels, 10)
    assert len(octree.levels[0]) > 100
    for level in range(6):
        points, cut = level_on_its_lattice(octree, level, 10)
        assert len(unpaired_edges(cut)) == 0
        assert signed_volume(to_nm(octree, level, 10, points), cut) == pytest.approx(
            signed_volume(vertices, faces), rel=0.02
        )


def test_the_middle_rounds_up() -> None:
    # A face in the middle plane of a node of level 1 belongs at 2**(bits - 1), where the client splits.
    box = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.uint32)
    both = np.concatenate([box * [32, 64, 64], box * [32, 64, 64] + [32, 0, 0]])
    two = np.concatenate([faces, faces + 8]).astype(np.uint32)
    octree = cut_lods([Lod(both, two, 0.0), Lod(both, two, 1.0)], 16)
    (root,) = octree.levels[1]
    flat = np.ptp(root.vertices[root.faces.astype(np.int64)][:, :, 0], axis=1) == 0
    at = root.vertices[root.faces[flat, 0].astype(np.int64), 0]
    # 65,535 / 2 is no whole number.
    assert np.unique(at).tolist() == [0, 32768, 65535]
    assert (at == 32768).sum() == (at == 0).sum() + (at == 65535).sum()
    assert {n.position[0] for n in octree.levels[0]} == {0, 1}


def test_missing_parents_are_added_empty() -> None:
    tetra = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32)
    two = np.concatenate([tetra, tetra + 99])
    fine = Lod(two, np.concatenate([faces, faces + 4]).astype(np.uint32), 0.0)
    coarse = Lod(two, faces, 1.0)
    octree = cut_lods([fine, coarse, coarse], 16)
    assert [n.position for n in octree.levels[1]] == [(0, 0, 0), (1, 1, 1)]
    assert len(octree.levels[1][1].faces) == 0
    fragments, manifest = _entry_of([fine, coarse, coarse])
    assert decode_manifest(manifest).sizes[1].tolist()[1] == 0
    assert len(fragments) == sum(int(s.sum()) for s in decode_manifest(manifest).sizes)


def _entry_of(levels: list[Lod]) -> tuple[bytes, bytes]:
    from unittest.mock import patch

    with patch("ophiolite.kernels.octree.build_lods", return_value=levels):
        return mesh_entry(levels[0].vertices, levels[0].faces, LodOptions())


@BITS
def test_the_entry_of_a_shard(bits: int) -> None:
    levels = lods(5)
    options = LodOptions(max_lods=3, faces_per_fragment=20)
    fragments, data = mesh_entry(levels[0].vertices, levels[0].faces, options, bits, base_error_nm=3.0)
    assert (fragments, data) == mesh_entry(levels[0].vertices, levels[0].faces, options, bits, base_error_nm=3.0)
    manifest, octree = decode_manifest(data), cut_lods(levels, bits)
    np.testing.assert_allclose(manifest.lod_scales, [3.0 + lod.error_nm for lod in levels], rtol=1e-6)
    at = 0
    for nodes, positions, sizes in zip(octree.levels, manifest.positions, manifest.sizes, strict=True):
        assert [n.position for n in nodes] == list(map(tuple, positions.tolist()))
        for node, size in zip(nodes, sizes.tolist(), strict=True):
            if size:
                vertices, faces = decode_fragment(fragments[at : at + size])
                assert len(faces) == len(node.faces)
                np.testing.assert_array_equal(np.unique(vertices, axis=0), np.unique(node.vertices, axis=0))
            at += size
    assert at == len(fragments)


@BITS
@pytest.mark.parametrize("at", [(0.0, 0.0, 0.0), (-1e4, 3e6, 1e9)])
def test_one_voxel_at_any_place_has_an_entry(bits: int, at: tuple[float, float, float]) -> None:
    labels = np.zeros((3, 3, 3), np.uint8, order="F")
    labels[1, 1, 1] = 1
    piece = whole(labels, (4.0, 4.0, 40.0))[1]
    fragments, data = mesh_entry(nm(piece.vertices, (4.0, 4.0, 40.0)) + at, piece.faces, LodOptions(), bits)
    manifest = decode_manifest(data)
    vertices, faces = decode_fragment(fragments)
    assert len(faces) == 8
    step = manifest.chunk_shape.astype(float) / ((1 << bits) - 1)
    back = manifest.grid_origin.astype(float) + vertices * step
    np.testing.assert_allclose(back.min(axis=0), np.array([4, 4, 40.0]) + at, atol=float(step[0]))
    np.testing.assert_allclose(back.max(axis=0), np.array([8, 8, 80.0]) + at, atol=float(step[0]))


def test_scales_rise_where_levels_are_alike() -> None:
    tetra = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32)
    _, data = _entry_of([Lod(tetra, faces, 0.0)] * 3)
    scales = decode_manifest(data).lod_scales
    assert (scales > 0).all()
    assert (np.diff(scales) > 0).all()


@pytest.mark.parametrize(("bits", "count"), [(12, 1), (16, 0), (16, 13)])
def test_impossible_octrees_are_refused(bits: int, count: int) -> None:
    level = Lod(np.eye(3), np.array([[0, 1, 2]], np.uint32), 0.0)
    nothing = Lod(np.eye(3), np.empty((0, 3), np.uint32), 0.0)
    for levels in ([level] * count, [nothing] * max(count, 1)):
        with pytest.raises(FormatError, match="octree"):
            cut_lods(levels, bits)
