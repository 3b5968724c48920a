"""What jobs take: measured seconds per million voxels, and memory; corrected by the timings of earlier runs.

The constants were measured on one 2-core machine by `make benchmark` and only shape blocks and estimates; memory and
run time asked of a cluster grow with each attempt.
"""

from __future__ import annotations

SECONDS_PER_MVX = {
    "pyramid_blocks.image": 0.06,
    "pyramid_blocks.segmentation": 0.12,
    "mesh_fragments": 3.0,
    "skeleton_fragments": 3.0,
    "skeleton_objects": 0.6,
}
SECONDS_PER_LABEL = {"mesh_shards": 0.05, "skeleton_shards": 0.005, "skeleton_graph": 0.002, "skeleton_swc": 0.004}
START_SECONDS = 1.5

BASE_MEMORY_MB = 300
MEMORY_BYTES_PER_VX = {"mesh_fragments": 60, "skeleton_fragments": 60}
# Of what a task takes, what one more thread does: of meshes threads share a task (measured: a fourteenth).
THREAD_SHARE = {"mesh_fragments": 0.1, "skeleton_fragments": 1.0}
# Of the box that a whole object is read in: its mask, distance field, parts, costs and ways.
OBJECT_BYTES_PER_VX = 32


def object_voxels(memory_mb: int) -> int:
    """Voxels of the largest box that a job of this memory may hold of a whole object."""
    return (memory_mb - BASE_MEMORY_MB) * 10**6 // OBJECT_BYTES_PER_VX


def task_memory_mb(rule: str, task_voxels: int, threads: int) -> int:
    """Memory of a fragment job in MB: what Python and its libraries hold, plus a task, and what more threads take."""
    tasks = 1 + (threads - 1) * THREAD_SHARE[rule]
    return BASE_MEMORY_MB + int(tasks * task_voxels * MEMORY_BYTES_PER_VX[rule]) // 10**6
