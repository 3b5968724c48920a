"""Octrees: rounding, cutting at the client's planes, order, parents, bytes, and that every level is closed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_shapes import blobs, nm, whole
from numpy.typing import NDArray

from ophiolite.errors import FormatError
from ophiolite.kernels import octree as octree_module
from ophiolite.kernels.level_grid import LevelGrid
from ophiolite.kernels.lod import Levels, Lod, LodOptions, build_lods
from ophiolite.kernels.mesh_measure import signed_volume, surface_distance
from ophiolite.kernels.mesh_topology import Topology, topology
from ophiolite.kernels.octree import MeshEntry, cut_lods, mesh_entry
from ophiolite.precomputed.multilod import decode_fragment, decode_manifest, z_order

RESOLUTION = (8.0, 8.0, 20.0)
BITS = pytest.mark.parametrize("bits", [10, 16])
TETRA = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32)
Mesh = tuple[NDArray[np.float64], NDArray[np.uint32]]


def options(bits: int = 16, faces: int = 150, count: int = 3) -> LodOptions:
    return LodOptions(max_lods=count, faces_per_fragment=faces, quantization_bits=bits)


def mesh(labels: NDArray[Any], label: int = 7) -> Mesh:
    piece = whole(labels, RESOLUTION, simplify=False)[label]
    return nm(piece.vertices, RESOLUTION) + np.array([1e5, -3e4, 7.3]), piece.faces


def blob(seed: int) -> Mesh:
    return mesh(blobs(seed, (22, 20, 14), labels=1, sigma=2.5))


def stored(entry: MeshEntry, level: int, bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A level from the bytes of the shard: distinct points of its whole-number lattice, and faces among them."""
    manifest = decode_manifest(entry.manifest)
    at = sum(int(s.sum()) for s in manifest.sizes[:level])
    points, faces, count = [], [], 0
    for position, size in zip(manifest.positions[level], manifest.sizes[level].tolist(), strict=True):
        if size:
            v, f = decode_fragment(entry.fragments[at : at + size])
            points.append(v.astype(np.int64) + position.astype(np.int64) * ((1 << bits) - 1))
            faces.append(f.astype(np.int64) + count)
            count += len(v)
        at += size
    places, number = np.unique(np.concatenate(points), axis=0, return_inverse=True)
    return places, number.reshape(-1)[np.concatenate(faces)]


def to_nm(entry: MeshEntry, level: int, bits: int, points: NDArray[np.int64]) -> NDArray[np.float64]:
    manifest = decode_manifest(entry.manifest)
    step = manifest.chunk_shape.astype(float) * 2**level / ((1 << bits) - 1)
    return manifest.grid_origin.astype(float) + points * step


def counted(entry: MeshEntry, level: int, bits: int) -> Topology:
    return topology(*stored(entry, level, bits))


def sheet(seed: int) -> NDArray[np.uint64]:
    """A sheet of one voxel with holes, bent over a diagonal, beside single voxels that touch at edges and corners."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((20, 20, 16), np.uint64, order="F")
    x, y = np.indices((18, 18)) + 1
    labels[x, y, (x + y) // 3 + 1] = 7
    labels[tuple(rng.integers(1, 19, (2, 40)))] = 0
    labels[tuple(np.array([rng.integers(1, n - 1, 60) for n in labels.shape]))] = 7
    return labels


@BITS
@settings(max_examples=4)
@given(seed=st.integers(0, 1000))
def test_nodes_are_sound(bits: int, seed: int) -> None:
    levels = build_lods(*blob(seed), options(bits))
    octree = cut_lods(levels)
    top, middle = (1 << bits) - 1, 1 << (bits - 1)
    for level, nodes in enumerate(octree.levels):
        positions = [n.position for n in nodes]
        assert np.array_equal(z_order(positions), np.arange(len(positions)))
        assert np.max(positions) < 2 ** (levels.grid.depth - 1 - level)
        if level + 1 < len(levels.lods):
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
@settings(max_examples=6)
@given(seed=st.integers(0, 1000), thin=st.booleans())
def test_every_level_in_the_shard_is_closed_and_whole(bits: int, seed: int, thin: bool) -> None:
    vertices, faces = mesh(sheet(seed)) if thin else blob(seed)
    entry = mesh_entry(vertices, faces, options(bits))
    before, scales = topology(vertices, faces), decode_manifest(entry.manifest).lod_scales
    assert before.is_volume
    assert entry.lods == len(scales)
    for level in range(entry.lods):
        points, triangles = stored(entry, level, bits)
        found = topology(points, triangles)
        assert found.is_volume
        assert found.components == before.components
        assert found.duplicate_faces == 0
        back = to_nm(entry, level, bits, points)
        assert surface_distance(back, vertices, faces).max() <= scales[level] * (1 + 1e-6)
        assert surface_distance(vertices, back, triangles).max() <= scales[level] * (1 + 1e-6)


@settings(max_examples=5)
@given(seed=st.integers(0, 1000), most=st.integers(300, 1000))
def test_fragments_are_bounded(seed: int, most: int) -> None:
    entry = mesh_entry(*blob(seed), LodOptions(faces_per_fragment=most))
    octree = cut_lods(build_lods(*blob(seed), LodOptions(faces_per_fragment=most)))
    assert entry.lods >= 1
    # Counted before the cut, which adds faces along the planes.
    assert max(len(node.faces) for level in octree.levels for node in level) <= 3 * most


def never_apart(*_: Any) -> bool:
    return True


def two_vertices_per_edge(points: Any, faces: Any, axis: int, size: int, half: int) -> Any:
    """A cut that gives either face of an edge a vertex of its own."""
    cut = octree_module.crossing(points, faces, axis, size, half)
    soup = faces[cut].reshape(-1)
    alone = np.arange(len(soup), dtype=np.uint32).reshape(-1, 3) + np.uint32(len(points))
    return SPLIT(np.concatenate([points, points[soup]]), np.concatenate([faces[~cut], alone]), axis, size, half)


SPLIT = octree_module._split


def test_a_lattice_without_parting_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    two = np.zeros((30, 12, 12), np.uint8, order="F")
    two[2:11, 2:10, 2:10] = two[12:20, 2:10, 2:10] = 1
    piece = whole(two, simplify=False)[1]
    # A corner far off makes the steps of the lattice two voxels long: walls one voxel apart come together.
    vertices = np.concatenate([nm(piece.vertices, (1.0,) * 3), [[2 + 2046.0, 2, 2]]])
    crowded = [mesh_entry(vertices, piece.faces, options(10, 10**6, 1))]
    monkeypatch.setattr(LevelGrid, "part", never_apart)
    crowded.append(mesh_entry(vertices, piece.faces, options(10, 10**6, 1)))
    assert [counted(entry, 0, 10).is_volume for entry in crowded] == [True, False]


PART = LevelGrid.part


def test_a_finest_level_without_room_gets_a_finer_lattice(monkeypatch: pytest.MonkeyPatch) -> None:
    def crowded(self: LevelGrid, lattice: Any, level: int, cut: Any = None) -> bool:
        return PART(self, lattice, level, cut) and (cut is None or self.depth > 4)

    before = mesh_entry(*blob(1), options())
    monkeypatch.setattr(LevelGrid, "part", crowded)
    entry = mesh_entry(*blob(1), options())
    assert entry.sound
    assert decode_manifest(entry.manifest).chunk_shape[0] < decode_manifest(before.manifest).chunk_shape[0] / 3
    assert all(counted(entry, level, 16).is_volume for level in range(entry.lods))


def test_a_finest_level_that_never_has_room_is_stored_and_said_to_be_unsound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LevelGrid, "part", never_room)
    entry = mesh_entry(*blob(1), options(count=1))
    assert not entry.sound
    assert (entry.lods, entry.refused) == (1, 1)
    back = to_nm(entry, 0, 16, stored(entry, 0, 16)[0])
    assert surface_distance(blob(1)[0], back, stored(entry, 0, 16)[1]).max() < 0.1


def test_the_job_says_so_too() -> None:
    from ophiolite.precomputed.mesh_fragment import encode_mesh_piece
    from ophiolite.stages import mesh as stage

    said: list[str] = []
    shards = {"quantization_bits": 10, "lods": "auto", "max_error_nm": 40.0, "draco_level": 7}
    fragments = {"simplify": False, "open_edges": False}
    plan = SimpleNamespace(mip=0, options={"shards": shards, "fragments": fragments})
    volume = SimpleNamespace(scales=[SimpleNamespace(resolution_nm=RESOLUTION)])
    job: Any = SimpleNamespace(product=lambda _: plan, volume=volume, say=said.append)
    made = whole(sheet(1), RESOLUTION)[7]
    piece = [((0, 0, 0), encode_mesh_piece(made))]
    assert stage.merge(job)(5, piece)[1]["mesh_lods_refused"] == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LevelGrid, "part", never_room)
        assert stage.merge(job)(5, piece)[1]["mesh_lods_refused"] == 1
    assert len(said) == 1
    assert "label 5" in said[0]
    opened = [((0, 0, 0), encode_mesh_piece(replace(made, faces=made.faces[1:])))]
    assert stage.merge(job)(5, opened)[1]["mesh_lods_refused"] >= 1
    assert "label 5: its mesh is not closed" in said[-1]
    fragments["open_edges"] = True
    assert stage.merge(job)(5, opened)[1]["mesh_lods_refused"] == 0
    assert len(said) == 2


def never_room(*_: Any) -> bool:
    return False


def test_a_cut_that_is_not_shared_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(mesh_entry(*blob(1), options()), 0, 16).is_volume
    monkeypatch.setattr(octree_module, "_split", two_vertices_per_edge)
    assert not counted(mesh_entry(*blob(1), options()), 0, 16).is_volume


def test_long_triangles_are_cut_at_every_plane() -> None:
    vertices = np.array([[0.0, 0, 0], [1000, 10, 3], [0, 900, 1000], [300, 300, 700]])
    grid = LevelGrid.around(vertices, 6, 10)
    levels = Levels(grid, tuple(Lod(grid.snap(vertices, n), TETRA, float(n)) for n in range(6)), 6)
    assert len(cut_lods(levels).levels[0]) > 100
    for level, nodes in enumerate(cut_lods(levels).levels):
        corners = np.concatenate(
            [(n.vertices + np.array(n.position) * 1023)[n.faces.astype(np.int64)] for n in nodes if len(n.faces)]
        )
        points, faces = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
        assert topology(points, faces.reshape(-1, 3)).is_volume
        there = grid.nm(points.astype(np.int32), level)
        assert signed_volume(there, faces.reshape(-1, 3)) == pytest.approx(signed_volume(vertices, TETRA), rel=0.02)


def test_the_middle_rounds_up() -> None:
    # A face in the middle plane of a node of level 1 belongs at 2**(bits - 1), where the client splits.
    box = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.uint32)
    vertices = box * [32, 64, 64]
    grid = LevelGrid.around(box * 64, 2, 16)
    octree = cut_lods(Levels(grid, tuple(Lod(grid.snap(vertices, n), faces, float(n)) for n in (0, 1)), 2))
    (root,) = octree.levels[1]
    flat = np.ptp(root.vertices[root.faces.astype(np.int64)][:, :, 0], axis=1) == 0
    # 65,535 / 2 is no whole number.
    assert np.unique(root.vertices[root.faces[flat, 0].astype(np.int64), 0]).tolist() == [0, 32768]
    assert {n.position[0] for n in octree.levels[0]} == {0, 1}


def test_missing_parents_are_added_empty() -> None:
    tetra = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    two = np.concatenate([tetra, tetra + 99])
    grid = LevelGrid.around(two, 3, 16)
    fine = Lod(grid.snap(two, 0), np.concatenate([TETRA, TETRA + 4]).astype(np.uint32), 0.0)
    coarse = [Lod(grid.snap(two[:4], n), TETRA, 1.0) for n in (1, 2)]
    octree = cut_lods(Levels(grid, (fine, *coarse), 3))
    assert [n.position for n in octree.levels[1]] == [(0, 0, 0), (1, 1, 1)]
    assert len(octree.levels[1][1].faces) == 0


@BITS
def test_the_entry_of_a_shard(bits: int) -> None:
    entry = mesh_entry(*blob(5), options(bits), base_error_nm=3.0)
    assert entry == mesh_entry(*blob(5), options(bits), base_error_nm=3.0)
    levels = build_lods(*blob(5), options(bits))
    manifest, octree = decode_manifest(entry.manifest), cut_lods(levels)
    assert (entry.lods, entry.refused) == (len(levels.lods), levels.wanted - len(levels.lods))
    assert entry.stored == (entry.fragments, entry.manifest)
    np.testing.assert_allclose(manifest.lod_scales, [3.0 + lod.error_nm for lod in levels.lods], rtol=1e-6)
    at = 0
    for nodes, positions, sizes in zip(octree.levels, manifest.positions, manifest.sizes, strict=True):
        assert [n.position for n in nodes] == list(map(tuple, positions.tolist()))
        for node, size in zip(nodes, sizes.tolist(), strict=True):
            if size:
                vertices, faces = decode_fragment(entry.fragments[at : at + size])
                assert len(faces) == len(node.faces)
                np.testing.assert_array_equal(np.unique(vertices, axis=0), np.unique(node.vertices, axis=0))
            at += size
    assert at == len(entry.fragments)


@BITS
@pytest.mark.parametrize("at", [(0.0, 0.0, 0.0), (-1e4, 3e6, 1e9)])
def test_one_voxel_at_any_place_has_an_entry(bits: int, at: tuple[float, float, float]) -> None:
    labels = np.zeros((3, 3, 3), np.uint8, order="F")
    labels[1, 1, 1] = 1
    piece = whole(labels, (4.0, 4.0, 40.0))[1]
    entry = mesh_entry(nm(piece.vertices, (4.0, 4.0, 40.0)) + at, piece.faces, options(bits, 1 << 14))
    vertices, faces = decode_fragment(entry.fragments)
    assert len(faces) == 8
    back = to_nm(entry, 0, bits, vertices.astype(np.int64))
    step = float(decode_manifest(entry.manifest).chunk_shape[0]) / ((1 << bits) - 1)
    np.testing.assert_allclose(back.min(axis=0), np.array([4, 4, 40.0]) + at, atol=step)
    np.testing.assert_allclose(back.max(axis=0), np.array([8, 8, 80.0]) + at, atol=step)


def test_scales_rise_where_levels_are_alike() -> None:
    grid = LevelGrid.around(np.array([[0.0, 0, 0], [1, 1, 1]]), 3, 16)
    alike = Levels(grid, tuple(Lod(np.zeros((4, 3), np.int32), TETRA, 0.5) for _ in range(3)), 3)
    scales = octree_module._scales(alike, 0.0)
    assert (scales > 0).all()
    assert (np.diff(scales) > 0).all()


@pytest.mark.parametrize(("bits", "count"), [(12, 1), (16, 0), (16, 13)])
def test_impossible_octrees_are_refused(bits: int, count: int) -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    grid = replace(LevelGrid.around(vertices, max(count, 1), 16), bits=bits)
    level = Lod(grid.snap(vertices, 0), TETRA, 0.0)
    for faces in (TETRA, TETRA[:0]):
        if len(faces) and bits == 16 and count == 1:
            continue
        with pytest.raises(FormatError, match="octree"):
            cut_lods(Levels(grid, tuple(replace(level, faces=faces) for _ in range(count)), count))
