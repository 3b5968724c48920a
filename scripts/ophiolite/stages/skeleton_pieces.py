"""What the skeletons of one task need, from the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ophiolite.geometry.box import sub
from ophiolite.kernels.skeletonize import SkeletonOptions, skeletonize_labels
from ophiolite.plan.model import FragmentPlan
from ophiolite.precomputed.skeleton_fragment import encode_skeleton_piece
from ophiolite.stages.fragments import Task
from ophiolite.stages.job import Job


def pieces_of(job: Job) -> Callable[[Task], Iterator[tuple[int, bytes]]]:
    """The function that skeletonizes one task: (label, encoded piece), ascending by label."""
    options = tracing_options(job.product("skeleton"))

    def of_task(task: Task) -> Iterator[tuple[int, bytes]]:
        x, y, z = task.seams_high
        found = skeletonize_labels(
            task.read(),
            task.resolution_nm,
            task.core.shape,
            task.seams_low,
            task.seams_high,
            options=options,
            context_low_vx=sub(task.core.start, task.seen.start),
            context_high_vx=sub(sub(task.seen.stop, task.core.stop), (int(x), int(y), int(z))),
        )
        for label, piece in found:
            yield label, encode_skeleton_piece(piece)

    return of_task


def tracing_options(plan: FragmentPlan) -> SkeletonOptions:
    """How the labels of a task are traced, and which, from the plan."""
    return SkeletonOptions(
        **plan.options["fragments"],
        include_labels=tuple(int(v) for v in plan.options["labels"]) or None,
        exclude_labels=tuple(int(v) for v in plan.options["exclude_labels"]),
    )
