"""After the warm-up no process compiles anything: the numba cache grows no more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WORK = """
import numpy as np
from ophiolite.geometry.lattice import STEPS_PER_VOXEL
from ophiolite.kernels import downsample, label_stats
from ophiolite.kernels.lod import LodOptions
from ophiolite.kernels.mesh import MeshOptions, mesh_labels
from ophiolite.kernels.mesh_measure import measure
from ophiolite.kernels.octree import mesh_entry
from ophiolite.kernels.skeleton_merge import clean_skeleton, skeleton_measures, stitch_skeletons
from ophiolite.kernels.skeletonize import skeletonize_labels
from ophiolite.kernels.stitch import stitch
cells = np.random.default_rng(3).integers(0, 3, (6, 6, 6))
labels = np.asfortranarray(cells.repeat(8, 0).repeat(8, 1).repeat(8, 2).astype(np.uint64))
image = np.asfortranarray((labels % 251).astype(np.uint8))[..., None]
sums = downsample.block_sums(image, (1, 2, 3), (2, 2, 1), np.uint32)
downsample.block_sums(sums, (1, 1, 3), (2, 2, 2), np.uint32)
downsample.block_mode(labels, (1, 0, 3), (2, 2, 2))
label_stats.label_stats(labels, (0, 0, 0))
low, high, none = (True,) * 3, (False,) * 3, (False,) * 3
for label, piece in mesh_labels(labels, (8.0, 8.0, 40.0), labels.shape, low, none, none, MeshOptions()):
    vertices, faces = stitch([((0, 0, 0), piece)])
    nm = vertices / STEPS_PER_VOXEL * np.array([8.0, 8.0, 40.0])
    measure(nm, faces)
    mesh_entry(nm, faces, LodOptions(faces_per_fragment=800))
from ophiolite.kernels.marching_serra import SERRA
list(mesh_labels(labels, (8.0, 8.0, 40.0), labels.shape, low, none, none, MeshOptions(), SERRA))
for label, piece in skeletonize_labels(labels, (8.0, 8.0, 40.0), labels.shape, none, none):
    whole = stitch_skeletons([((0, 0, 0), piece)])
    seam = whole.vertices[:, 0] > 24 * 256
    radius = whole.radius_nm.astype(np.float64)
    skeleton_measures(*clean_skeleton(whole.vertices * 1.0, whole.edges, radius, seam=seam))
from ophiolite.kernels.label_numbers import labels_of
labels_of(labels.astype(np.uint32, order="F"))
from ophiolite.kernels.mask_runs import RunLabeller, measure_runs, paint_labels
from ophiolite.kernels.mask_runs_loops import add_colours
from ophiolite.kernels.run_contours import trace_contours
for dtype in (np.uint8, np.uint16):
    labeller = RunLabeller()
    mask = np.asfortranarray(labels[:, :, 0], dtype=dtype)
    runs = np.concatenate([labeller.add(mask[:, y : y + 16], y) for y in range(0, 48, 16)])
    runs[:, 3] = labeller.objects(0)[0][runs[:, 3]]
mapped = np.asfortranarray(runs)
mapped.setflags(write=False)
count = len(measure_runs(mapped, runs[:, 3].max()).area)
trace_contours(mapped[mapped[:, 3] > 1], 0.5)
seen = paint_labels(mapped, (3, 5), (40, 41))
add_colours(seen, np.zeros((74, 72, 3), np.uint8, order="F"), 2, np.zeros((count, 4), np.int64))
"""


def compiled(cache: Path) -> set[str]:
    return {str(p.relative_to(cache)) for p in cache.rglob("*.nbc")}


@pytest.mark.slow
def test_a_process_after_the_warm_up_compiles_nothing(tmp_path: Path, kernels: Path, repository: Path) -> None:
    cache = tmp_path / "kernels"
    shutil.copytree(kernels, cache)
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(repository / "scripts")}
    # Labels of another type, of which there are skeletons alone.
    more = 'from ophiolite.kernels.warm_up import warm_up; warm_up((), ("uint32",), ("skeleton",))'
    subprocess.run([sys.executable, "-c", more], env=env, check=True)
    warm = compiled(cache)
    assert warm
    subprocess.run([sys.executable, "-c", WORK], env=env, check=True)
    assert compiled(cache) == warm
