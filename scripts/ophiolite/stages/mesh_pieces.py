"""What the mesh of one task needs, from the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from ophiolite.kernels.extractor import Extractor
from ophiolite.kernels.marching_serra import SERRA
from ophiolite.kernels.marching_zmesh import zmesh_surfaces
from ophiolite.kernels.mesh import MARCHING, MeshOptions, mesh_labels
from ophiolite.kernels.seams import FRAGMENT_SHARE
from ophiolite.precomputed.mesh_fragment import encode_mesh_piece, face_count
from ophiolite.stages.fragments import Task
from ophiolite.stages.job import Job
from ophiolite.stages.threads import in_order

# What merging an object takes at its peak, per triangle of its pieces; measured, see docs/mesh.md.
MERGE_BYTES_PER_FACE = 320
EXTRACTORS = {
    "ophiolite": MARCHING,
    "zmesh": Extractor(zmesh_surfaces),
    "serra": SERRA,
}


def extractor_of(job: Job) -> Extractor:
    """What extracts the surfaces, from the plan."""
    return EXTRACTORS[job.product("mesh").options["fragments"]["extractor"]]


def pieces_of(job: Job) -> Callable[[Task], Iterator[tuple[int, bytes]]]:
    """The function that meshes one task: (label, encoded piece), ascending by label."""
    plan = job.product("mesh")
    settings = dict(plan.options["fragments"])
    del settings["extractor"]
    extractor = extractor_of(job)
    # The rest is for the faces around seams, after the merge.
    settings["max_error_nm"] *= FRAGMENT_SHARE
    options = MeshOptions(
        **settings,
        include_labels=tuple(int(v) for v in plan.options["labels"]),
        exclude_labels=tuple(int(v) for v in plan.options["exclude_labels"]),
    )

    each = partial(in_order, job.threads)

    def of_task(task: Task) -> Iterator[tuple[int, bytes]]:
        (x, y, z), seams = task.seams_low, (task.seams_low, task.seams_high)
        pieces = mesh_labels(
            extractor.whole_halo(task.read(), task.core, task.seen, seams, options.open_edges),
            task.resolution_nm,
            task.core.shape,
            (not x, not y, not z),
            task.seams_low,
            task.seams_high,
            options,
            extractor,
            each,
        )
        for label, piece in pieces:
            yield label, encode_mesh_piece(piece)

    return of_task


def merge_bytes(piece: bytes) -> int:
    """The memory that merging an object takes for one of its encoded pieces."""
    return MERGE_BYTES_PER_FACE * face_count(piece)
