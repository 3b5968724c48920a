"""Compile every numba kernel for the types a run uses, before any job needs it."""

from __future__ import annotations

import numpy as np

from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.kernels import downsample, label_stats

_SIDE_VX = 24
_NM = (8.0, 8.0, 8.0)
_NEITHER = (False, False, False)


def warm_up(image_types: tuple[str, ...], label_types: tuple[str, ...], products: tuple[str, ...]) -> list[str]:
    """Compile kernels into numba's cache; returns the names of what was compiled."""
    downsample.warm_up(image_types, label_types)
    label_stats.warm_up(label_types)
    done = ["downsample", "label_stats"]
    if "mesh" in products:
        _warm_meshes(label_types)
        done.append("mesh")
    if "skeleton" in products:
        _warm_skeletons(label_types)
        done.append("skeleton")
    if "mask_objects" in products:
        _warm_mask_objects()
        done.append("mask_objects")
    return done


def _ball() -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """A ball of one label with a hole through it, so that no path of the kernels stays untrodden."""
    x, y, z = np.indices((_SIDE_VX,) * 3) - _SIDE_VX / 2 + 0.5
    ball = (x**2 + y**2 + z**2 < (_SIDE_VX / 2 - 1) ** 2) & (x**2 + y**2 > 9)
    return np.asfortranarray(ball, dtype=np.uint64)


def _warm_meshes(label_types: tuple[str, ...]) -> None:
    from ophiolite.kernels.judge_loops import faces_at
    from ophiolite.kernels.lod import LodOptions
    from ophiolite.kernels.marching_serra_loops import own_faces, part_sheets
    from ophiolite.kernels.marching_tables import sheet_tables
    from ophiolite.kernels.mesh import MeshOptions, mesh_labels
    from ophiolite.kernels.mesh_measure import Surface, measure
    from ophiolite.kernels.octree import mesh_entry
    from ophiolite.kernels.seams import dissolve_seams
    from ophiolite.kernels.simplify import Simplifier
    from ophiolite.kernels.stitch import join

    ball, shape = _ball(), (_SIDE_VX, _SIDE_VX, _SIDE_VX)
    closed = (True, True, True)
    for options in (MeshOptions(), MeshOptions(simplify=False)):
        for _, piece in mesh_labels(ball, _NM, shape, closed, _NEITHER, _NEITHER, options):
            vertices, faces, _ = join([((0, 0, 0), piece)])
            dissolve_seams(vertices, faces, vertices[:, 0] == vertices[0, 0], np.array(_NM) / STEPS_PER_VOXEL, 4.0)
            vertices_nm = vertices / STEPS_PER_VOXEL * np.array(_NM)
            measure(vertices_nm, faces)
    for label_type in label_types:
        labels = np.asfortranarray(ball, dtype=label_type)
        list(mesh_labels(labels, _NM, shape, closed, _NEITHER, _NEITHER, MeshOptions(simplify=False)))
    # serra-mesh's own surfaces are no business of numba's: any triangle does.
    triangle = np.full((1, 3), 2 * STEPS_PER_VOXEL, np.int32), np.zeros((1, 3), np.uint32)
    place, corners = own_faces(shape, *triangle, STEPS_PER_VOXEL)
    part_sheets(np.zeros(shape, np.uint16, order="F"), 1, place, corners, *sheet_tables(), STEPS_PER_VOXEL)
    work = Simplifier(vertices_nm, faces)
    work.run(0, 4.0)
    for _ in range(2):
        work.again(np.arange(len(vertices_nm)) == 0)
    # What only pieces that err too far ask for.
    Surface(vertices_nm, faces[faces_at(faces, np.ones(len(vertices_nm), np.bool_))]).within(vertices_nm, 1.0)
    mesh_entry(vertices_nm, faces, LodOptions(max_lods=3, faces_per_fragment=800))


def _warm_skeletons(label_types: tuple[str, ...]) -> None:
    from ophiolite.kernels import soma_loops
    from ophiolite.kernels.cross_section import section_areas
    from ophiolite.kernels.label_numbers import labels_of
    from ophiolite.kernels.skeleton_merge import CleanOptions, clean_skeleton, skeleton_measures
    from ophiolite.kernels.skeleton_tree import branches, rooted
    from ophiolite.kernels.skeletonize import skeletonize_labels

    for label_type in label_types:
        labels_of(np.asfortranarray(_ball(), dtype=label_type))
    for _ in skeletonize_labels(_ball(), _NM, (_SIDE_VX, _SIDE_VX, _SIDE_VX), _NEITHER, _NEITHER):
        pass
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.stack([1000 * np.cos(turns), 1000 * np.sin(turns), 0 * turns], axis=1)
    away = np.stack([1050 + 100 * np.arange(20.0), np.zeros(20), np.zeros(20)], axis=1)
    spur = np.stack([np.full(3, 2000.0), 50 + 50 * np.arange(3.0), np.zeros(3)], axis=1)
    vertices = np.concatenate([ring, away, spur])
    around = [(i, (i + 1) % 40) for i in range(40)]
    along = [(40 + i, 41 + i) for i in range(19)]
    edges = np.array([*around, *along, (49, 60), (60, 61), (61, 62)], dtype=np.uint32)
    radius = np.full(len(vertices), 60.0)
    options = CleanOptions(min_cable_nm=100, tick_nm=200, scale=1, const_nm=0)
    skeleton_measures(*clean_skeleton(vertices, edges, radius, options, seam=vertices[:, 0] == 2000))
    branches(rooted(vertices, edges, radius), vertices, radius)
    mask = np.asfortranarray(_ball() > 0)
    soma_loops.warm_up()
    section_areas(vertices, edges, mask, (0, 0, 0), np.array(_NM), (True,) * 6)


def _warm_mask_objects() -> None:
    from ophiolite.kernels.mask_runs import RunLabeller, measure_runs, paint_labels
    from ophiolite.kernels.mask_runs_loops import add_colours
    from ophiolite.kernels.run_contours import trace_contours

    for dtype in (np.uint8, np.uint16):
        labeller = RunLabeller()
        runs = labeller.add(np.asfortranarray(_ball()[:, :, _SIDE_VX // 2], dtype=dtype), 0)
    runs[:, 3] = labeller.objects(0)[0][runs[:, 3]]
    measure_runs(runs, 1)
    mapped = np.asfortranarray(runs)
    mapped.setflags(write=False)
    measure_runs(mapped, 1)
    trace_contours(runs, 0.5)
    labels = paint_labels(mapped, (0, 0), (_SIDE_VX, _SIDE_VX))
    add_colours(labels, np.zeros((_SIDE_VX, _SIDE_VX, 3), np.uint8, order="F"), 1, np.zeros((1, 4), np.int64))
