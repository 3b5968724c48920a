"""serra-mesh as the extractor: tasks together give the surface of the whole, and pieces keep every promise."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_promises import broken_promises
from mesh_shapes import Resolution, blobs, in_tasks, nm, triangle_set, unpaired_edges, whole
from numpy.typing import NDArray

from ophiolite.__main__ import main
from ophiolite.geometry.box import Vec
from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.kernels import marching_serra
from ophiolite.kernels.marching import surfaces
from ophiolite.kernels.marching_serra import SERRA, serra_surfaces
from ophiolite.kernels.mesh import MeshOptions, mesh_labels
from ophiolite.kernels.mesh_measure import Surface
from ophiolite.kernels.mesh_topology import merge_vertices, topology
from ophiolite.kernels.stitch import join, stitch
from ophiolite.layers.objects import MeshReader
from ophiolite.layers.store import Store
from ophiolite.stages.mesh_pieces import EXTRACTORS

CUBES: Resolution = (1.0, 1.0, 1.0)
Cuts = tuple[list[int], list[int], list[int]]
Mesh = tuple[NDArray[np.int32], NDArray[np.int32]]


def found(volume: NDArray[Any]) -> dict[int, Mesh]:
    return {n: (v, f) for n, v, f in serra_surfaces(volume, np.arange(int(volume.max()) + 1) > 0)}


def padded(field: NDArray[Any]) -> NDArray[np.uint16]:
    """With the background in which every surface closes."""
    return np.asfortranarray(np.pad(field, 3).astype(np.uint16))


def noise(seed: int, shape: Vec, labels: int) -> NDArray[np.uint64]:
    """Every way in which voxels touch at faces, edges and corners."""
    return np.asfortranarray(np.random.default_rng(seed).integers(0, labels + 1, shape).astype(np.uint64))


def whole_surface(labels: NDArray[Any], **options: Any) -> dict[int, list[Any]]:
    found = whole(labels, CUBES, SERRA, simplify=False, **options)
    return {label: triangle_set(piece.vertices, piece.faces) for label, piece in found.items()}


def joined(pieces: dict[int, list[Any]]) -> dict[int, list[Any]]:
    return {label: triangle_set(*stitch(own)) for label, own in pieces.items()}


shapes = st.tuples(*[st.integers(1, 7)] * 3)
seeds = st.integers(0, 2**16)


@settings(max_examples=25)
@given(seeds, shapes, st.integers(1, 4))
def test_every_label_of_any_field_is_a_closed_manifold_with_a_place_for_each_vertex(
    seed: int, shape: Vec, labels: int
) -> None:
    field = noise(seed, shape, labels)
    meshes = found(padded(field))
    assert list(meshes) == [n for n in np.unique(field).tolist() if n]
    for v, f in meshes.values():
        t = topology(v.astype(float), f)
        assert t.is_volume
        assert t.flat_faces == t.duplicate_faces == 0
        assert t.vertices == len(v) == len(np.unique(v, axis=0))


@settings(max_examples=15)
@given(seeds, shapes)
def test_a_place_is_the_mean_of_the_crossings_of_a_cell_or_of_a_sheet_in_it(seed: int, shape: Vec) -> None:
    volume = padded(noise(seed, shape, 3))
    for number, (v, _) in found(volume).items():
        cells = v // STEPS_PER_VOXEL
        for cell in np.unique(cells, axis=0):
            here = v[(cells == cell).all(axis=1)] - STEPS_PER_VOXEL * cell
            corners = volume[tuple(slice(c, c + 2) for c in cell)]
            if len(here) == 1:
                assert np.abs(here[0] - crossings(corners).mean(axis=0)).max() <= 0.5
            else:
                ways = crossings((corners == number).astype(int))
                sides = np.linalg.norm(here[:, None] - ways, axis=2).argmin(axis=0)
                means = [ways[sides == i].mean(axis=0) for i in range(len(here))]
                assert np.abs(here - means).max() <= 0.5


def crossings(corners: NDArray[Any]) -> NDArray[np.float64]:
    """The middles of the edges of a cell on which its corners (2, 2, 2) differ, in steps."""
    ways = []
    for axis in range(3):
        for at in np.argwhere(np.diff(corners.astype(int), axis=axis)):
            ways.append(STEPS_PER_VOXEL * (at + 0.5 * (np.arange(3) == axis)))
    return np.array(ways)


@settings(max_examples=30)
@given(
    seeds,
    shapes,
    st.integers(1, 3),
    st.tuples(*[st.lists(st.integers(1, 6), max_size=2, unique=True).map(sorted)] * 3),
    st.booleans(),
)
def test_tasks_together_give_the_surface_of_the_whole(
    seed: int, shape: Vec, labels: int, wished: Cuts, open_edges: bool
) -> None:
    field = noise(seed, shape, labels)
    x, y, z = ([c for c in wished[d] if c < shape[d]] for d in range(3))
    pieces = in_tasks(field, (x, y, z), CUBES, SERRA, simplify=False, open_edges=open_edges)
    assert joined(pieces) == whole_surface(field, open_edges=open_edges)
    for own in pieces.values():
        # The rim of each piece is all that is matched, and is matched whole.
        for origin, piece in own:
            ends = piece.seam | at_ends(piece.vertices, shape, open_edges, origin)
            assert ends[unpaired_edges(piece.faces)].all()
        vertices, faces, _ = join(own)
        assert len(np.unique(vertices, axis=0)) == len(vertices)
        assert topology(vertices.astype(float), faces).crowded_edges == 0


def at_ends(vertices: NDArray[np.int32], shape: Vec, open_edges: bool, origin: Vec) -> NDArray[np.bool_]:
    """Vertices at the outermost voxel centres of a dataset with open edges."""
    at = vertices + STEPS_PER_VOXEL * np.array(origin)
    ends = (at == 128) | (at == STEPS_PER_VOXEL * np.array(shape) - 128)
    return np.asarray(ends.any(axis=1) & open_edges)


@pytest.mark.parametrize("axis", range(3))
def test_sheets_rows_and_single_voxels_at_a_seam(axis: int) -> None:
    for size in ((1, 1, 1), (1, 5, 5), (1, 1, 5), (2, 5, 5)):
        for start in range(1, 5):
            field = np.zeros(np.roll((8, 7, 7), axis), np.uint64, order="F")
            box = [slice(1, 1 + n) for n in np.roll(size, axis)]
            box[axis] = slice(start, start + size[0])
            field[tuple(box)] = 9
            cuts = tuple([4] if d == axis else [3] for d in range(3))
            vertices, faces = stitch(in_tasks(field, cuts, CUBES, SERRA, simplify=False)[9])  # type: ignore[arg-type]
            t = topology(vertices.astype(float), faces)
            assert (t.is_volume, t.components, t.genus) == (True, 1, 0)
            assert triangle_set(vertices, faces) == whole_surface(field)[9]


@pytest.mark.parametrize("other", [c for c in itertools.product((-1, 0, 1), repeat=3) if sum(map(abs, c)) > 1])
def test_voxels_that_touch_at_an_edge_or_a_corner_stay_apart_at_a_seam(other: Vec) -> None:
    field = np.zeros((6, 6, 6), np.uint64, order="F")
    field[3, 3, 3] = field[tuple(3 + o for o in other)] = 5
    for cut in (3, 4):
        pieces = in_tasks(field, ([cut], [cut], [3]), CUBES, SERRA, simplify=False)[5]
        vertices, faces = stitch(pieces)
        t = topology(vertices.astype(float), faces)
        assert (t.is_volume, t.components, t.vertices) == (True, 2, len(np.unique(vertices, axis=0)))


def test_open_edges_end_at_the_outermost_voxel_centres() -> None:
    field = np.zeros((6, 5, 4), np.uint64, order="F")
    field[:, 1:4, 1:3] = 1
    (piece,) = whole(field, CUBES, SERRA, simplify=False, open_edges=True).values()
    x = piece.vertices[:, 0]
    assert (x.min(), x.max()) == (128, 5 * 256 + 128)
    assert set(x[unpaired_edges(piece.faces)].ravel().tolist()) == {128, 5 * 256 + 128}
    assert not piece.seam.any()


def test_a_single_layer_with_open_edges_has_no_surface() -> None:
    assert whole(np.ones((1, 5, 5), np.uint64, order="F"), CUBES, SERRA, open_edges=True) == {}
    (piece,) = whole(np.ones((1, 5, 5), np.uint64, order="F"), CUBES, SERRA, simplify=False).values()
    assert topology(piece.vertices.astype(float), piece.faces).is_volume


def test_only_what_is_wanted_and_nothing_from_nothing() -> None:
    volume = padded(np.array([1, 0, 2, 0, 3]).reshape(5, 1, 1))
    assert [n for n, _, _ in serra_surfaces(volume, np.array([False, True, False, True]))] == [1, 3]
    assert list(serra_surfaces(np.ones((2, 4, 4), np.uint16, order="F"), np.array([False, True]))) == []


@pytest.mark.parametrize("axis", range(3))
def test_long_volumes_lose_no_bits_of_a_place(axis: int) -> None:
    meshes = []
    for start in (4, 2990):
        volume = np.zeros(np.roll((3000, 8, 8), axis), np.uint16, order="F")
        at = [slice(3, 5)] * 3
        at[axis] = slice(start, start + 3)
        volume[tuple(at)] = 1
        v, f = found(volume)[1]
        meshes.append(triangle_set(v - STEPS_PER_VOXEL * start * (np.arange(3) == axis), f))
    assert meshes[0] == meshes[1]


@settings(max_examples=8)
@given(
    seed=seeds,
    resolution=st.sampled_from([(8.0, 8.0, 8.0), (16.0, 16.0, 40.0)]),
    options=st.sampled_from([{}, {"simplify": False}, {"fill_holes": True}]),
)
def test_the_promises_of_pieces_are_kept(seed: int, resolution: Resolution, options: dict[str, Any]) -> None:
    labels = blobs(seed, (15, 14, 13), labels=2, sigma=1.6)
    cuts = ([7], [5], [6])
    pieces = in_tasks(labels, cuts, resolution, extractor=SERRA, max_error_nm=20.0, **options)
    expected = {"turned", "volume", "far", "parts", "inverted"} if options.get("fill_holes") else {"turned"}
    assert broken_promises(labels, cuts, resolution, 20.0, pieces, extractor=SERRA) <= expected


@settings(max_examples=25)
@given(seeds, st.integers(1, 3), st.integers(1, 5))
def test_filled_holes_meet_across_seams(seed: int, labels: int, cut: int) -> None:
    # Cavities, and labels inside others, on both sides of every seam.
    field = noise(seed, (6, 6, 6), labels) * (np.random.default_rng(seed).random((6, 6, 6)) < 0.9)
    field[0], field[-1], field[:, 0], field[:, -1] = 1, 1, 1, 1
    # Down to tasks that have nothing which no neighbour sees.
    cuts: Cuts = ([cut, cut + 1][: 6 - cut], [3], [])
    for own in in_tasks(field, cuts, CUBES, SERRA, simplify=False, fill_holes=True).values():
        vertices, faces = stitch(own)
        assert topology(vertices.astype(float), faces).is_volume


def test_cavities_within_a_task_are_filled() -> None:
    field = np.ones((9, 5, 5), np.uint64, order="F")
    field[4, 2, 2] = 0
    kept = in_tasks(field, ([4], [], []), CUBES, SERRA, simplify=False, fill_holes=True)[1]
    gone = in_tasks(field, ([7], [], []), CUBES, SERRA, simplify=False, fill_holes=True)[1]
    parts = [topology(nm(v, CUBES), f).components for v, f in (stitch(kept), stitch(gone))]
    assert parts == [2, 1]


# What the halo, the parting of sheets and the same rounding everywhere are each for.


def broken(pieces: dict[int, list[Any]]) -> bool:
    meshes = [stitch(own) for own in pieces.values()]
    return not all(topology(v.astype(float), f).is_volume for v, f in meshes)


def test_a_halo_that_is_one_short_is_seen() -> None:
    field = blobs(3, (12, 9, 9))
    assert not broken(in_tasks(field, ([5], [], []), CUBES, SERRA, simplify=False))
    assert broken(in_tasks(field, ([5], [], []), CUBES, replace(SERRA, halo_vx=(1, 2)), simplify=False))
    with pytest.raises(ValueError, match="axis 0 holds 8 voxels for a core of 7, seams: True and False"):
        list(
            mesh_labels(
                field[:8],
                CUBES,
                (7, 9, 9),
                (False, True, True),
                (True, False, False),
                (False,) * 3,
                MeshOptions(),
                SERRA,
            )
        )


def test_rounding_that_depends_on_the_task_is_seen() -> None:
    def rounded(volume: NDArray[Any], wanted: NDArray[np.bool_]) -> Iterator[tuple[int, Any, Any]]:
        for number, v, f in serra_surfaces(volume, wanted):
            yield number, (v + int(volume.shape[0] > 10)) // 2 * 2, f

    field = blobs(3, (12, 9, 9))
    assert broken(in_tasks(field, ([5], [], []), CUBES, replace(SERRA, surfaces=rounded), simplify=False))


def test_sheets_that_are_not_parted_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    field = noise(1, (8, 7, 6), 2)
    assert not broken(in_tasks(field, ([4], [], []), CUBES, SERRA, simplify=False))
    monkeypatch.setattr(marching_serra, "part_sheets", lambda *_: None)
    assert broken(in_tasks(field, ([4], [], []), CUBES, SERRA, simplify=False))


def test_filling_what_a_neighbour_sees_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from ophiolite.kernels import mesh

    field = np.ones((9, 5, 5), np.uint64, order="F")
    field[2:5, 2, 2] = 0
    whole_box = (slice(None),) * 3
    filled = mesh._filled
    assert not broken(in_tasks(field, ([4], [], []), CUBES, SERRA, simplify=False, fill_holes=True))
    monkeypatch.setattr(mesh, "_filled", lambda volume, count, own: filled(volume, count, whole_box))
    assert broken(in_tasks(field, ([4], [], []), CUBES, SERRA, simplify=False, fill_holes=True))


def test_it_lies_nearer_to_a_ball_than_marching_cubes() -> None:
    volume = np.zeros((44, 44, 44), np.uint16, order="F")
    at = np.indices((40, 40, 40)) + 0.3 - 19.5
    volume[1:41, 1:41, 1:41] = (at**2).sum(axis=0) < 17**2
    away = []
    for extract in (surfaces, serra_surfaces):
        ((_, v, _),) = extract(volume, np.array([False, True]))
        away.append(np.abs(np.linalg.norm(v / STEPS_PER_VOXEL - 20.5 + 0.3, axis=1) - 17).mean())
    assert away[1] < 0.8 * away[0]


def test_it_can_be_chosen() -> None:
    from ophiolite.config.products import Mesh as Config

    assert EXTRACTORS[Config(extractor="serra").extractor] is SERRA


def test_the_same_bytes_each_time() -> None:
    field = noise(5, (9, 9, 9), 3)
    volume = padded(field)
    for (v, f), (w, g) in zip(found(volume).values(), found(volume).values(), strict=True):
        np.testing.assert_array_equal(v, w)
        np.testing.assert_array_equal(f, g)


@pytest.mark.parametrize("open_edges", [False, True])
def test_meshes_of_a_layer_are_whole_closed_and_near(tmp_path: Path, open_edges: bool) -> None:
    # The last task is a single voxel thick: its neighbour sees less than its halo.
    labels = blobs(8, (17, 15, 14), labels=2)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["v"] = labels.T
    mesh = {"mip": 0, "task_vx": [8, 8, 8], "extractor": "serra", "max_error_nm": 6, "open_edges": open_edges}
    layer = {"type": "segmentation", "source": f"{tmp_path}/v.h5:/v", "resolution_nm": [8, 8, 10], "mesh": mesh}
    layer["pyramid"] = {"chunk_vx": [16, 16, 16]}
    config = {"project": "p", "store": str(tmp_path / "results"), "datasets": {"d": {"layers": {"v": layer}}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["make_plan", "--config", str(tmp_path / "config.yaml")]) == 0
    root = tmp_path / "results" / "p"
    plan = json.loads((root / "plan.json").read_text())["datasets"]["d"]["layers"]["v"]

    def command(name: str, *more: str) -> None:
        assert main([name, "--plan", str(root / "plan.json"), "--dataset", "d", "--layer", "v", *more]) == 0

    def blocks(grid: Any) -> list[str]:
        counts = [-(-n // b) for n, b in zip(grid["tasks"], grid["block_tasks"], strict=True)]
        return ["-".join(map(str, index)) for index in np.ndindex(*counts)]

    command("layer_info")
    for block in blocks(plan["rounds"][0]):
        command("pyramid_blocks", "--block", f"r0.{block}")
    command("label_stats", "--part", "0")
    command("layer_done")
    for block in blocks(plan["mesh"]):
        command("mesh_fragments", "--block", block)
    command("mesh_index")
    for job in range(plan["mesh"]["merge_jobs"]):
        command("mesh_shards", "--job", str(job))
        command("mesh_quality", "--job", str(job))
    assert main(["mesh_quality_table", "--plan", str(root / "plan.json")]) == 0
    table = pd.read_parquet(root / "tables" / "mesh_quality.parquet")
    assert set(table["status"]) == {"measured"}
    assert table["faults"].tolist() == [""] * len(table)

    resolution = (8.0, 8.0, 10.0)
    reader = MeshReader(Store(root), f"d/layers/v/{plan['mesh']['folder']}")
    expected = whole(labels, resolution, SERRA, simplify=False, open_edges=open_edges)
    assert reader.keys().tolist() == sorted(expected)
    for label, piece in expected.items():
        read = reader.read(label)
        assert read is not None
        vertices, faces = merge_vertices(*read)
        assert topology(vertices, faces).is_volume or open_edges
        away = [Surface(nm(piece.vertices, resolution), piece.faces).distance(vertices)]
        away.append(Surface(vertices, faces).distance(nm(piece.vertices, resolution)))
        assert max(map(np.max, away)) < 6.1
