"""The finished skeletons of one export job as SWC, a file per tree."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ophiolite import __version__
from ophiolite.kernels import skeleton_tree
from ophiolite.kernels.skeleton_tree import Forest, rooted
from ophiolite.layers.store import Written
from ophiolite.precomputed import swc
from ophiolite.precomputed.sharding import ShardingSpec, locate
from ophiolite.precomputed.skeleton import DecodedSkeleton
from ophiolite.precomputed.swc import SwcTree, encode_swc
from ophiolite.stages.job import Job
from ophiolite.stages.shards import shards_of_export
from ophiolite.stages.skeleton_graph import finished_skeletons

SWC_NAME = re.compile(r"([0-9]{1,20})\.[0-9]+\.swc")
TYPES = {skeleton_tree.FORK: swc.FORK, skeleton_tree.END: swc.END, skeleton_tree.CUT: swc.END}


def write_skeleton_swc(job: Job) -> tuple[list[Written], int]:
    """Write `<label>.<tree>.swc`; returns the files and how many loops were broken. Other files of these labels go."""
    soma_nm = float(job.product("skeleton").options["fragments"]["soma_accept_nm"])
    written: list[Written] = []
    loops = 0
    for label, skeleton in finished_skeletons(job):
        for number, tree in enumerate(trees_of(label, skeleton, soma_nm, f"{job.dataset}/{job.layer}")):
            written.append(job.store.write(job.paths.swc(label, number), encode_swc(tree)))
            loops += int(tree.comments.get("loops broken", 0))
    _remove_others(job, {file.path for file in written})
    return written, loops


def trees_of(label: int, skeleton: DecodedSkeleton, soma_nm: float, source: str) -> Iterator[SwcTree]:
    """The trees of one skeleton, by falling cable; a root of radius `soma_nm` or more is a soma."""
    radius = skeleton.attributes[0]
    forest = rooted(skeleton.vertices_nm, skeleton.edges, radius)
    starts = np.flatnonzero(forest.parent < 0)
    kinds = _types(forest, radius, soma_nm)
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], len(forest.order)], strict=True)):
        at = forest.order[start:stop]
        parent = forest.parent[start:stop]
        comments = {"software": f"ophiolite {__version__}", "source": source, "label": str(label)}
        comments["tree"] = f"{number} of {len(starts)}"
        if forest.loops[number]:
            comments["loops broken"] = str(forest.loops[number])
        yield SwcTree(
            points_nm=skeleton.vertices_nm[at].astype(np.float64),
            radius_nm=radius[at].astype(np.float64),
            parent=np.where(parent < 0, -1, parent - start),
            kinds=kinds[start:stop],
            comments=comments,
        )


def _types(forest: Forest, radius: NDArray[np.float32], soma_nm: float) -> NDArray[np.int64]:
    """(n,) SWC types, in preorder: forks, ends and soma roots are known; which neurites are axons is not."""
    kinds = np.full(len(forest.order), swc.UNDEFINED)
    for kind, number in TYPES.items():
        kinds[forest.kind == kind] = number
    kinds[(forest.parent < 0) & (radius[forest.order] >= soma_nm)] = swc.SOMA
    return kinds


def _remove_others(job: Job, kept: set[str]) -> None:
    """Remove files of labels of this merge job that it did not write: trees that are no more."""
    plan = job.product("skeleton")
    shards = shards_of_export(plan, int(job.item))
    spec = ShardingSpec.from_json(plan.sharding, "plan")
    named = {path: SWC_NAME.fullmatch(path.rsplit("/", 1)[1]) for path in job.store.list(job.paths.swc_folder)}
    others = {path: int(name[1]) for path, name in named.items() if name and path not in kept}
    labels = np.array(list(others.values()), np.uint64)
    for path, shard in zip(others, locate(spec, labels)[0].tolist(), strict=True):
        if shard in shards:
            job.store.delete(path)
            job.say(f"removed {path}, which is no tree of this skeleton")
