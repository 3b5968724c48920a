"""Somata and named labels traced from whole objects, into fragments that take the place of the blocks'."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry import Box
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, SkeletonPiece
from ophiolite.kernels.skeleton_merge import Skeleton, stitch_skeletons
from ophiolite.layers.store import Written
from ophiolite.precomputed.fragment_file import Fragment, encode_fragment_file
from ophiolite.precomputed.pack import Pack, encode_pack
from ophiolite.precomputed.sharding import ShardingSpec, locate
from ophiolite.precomputed.skeleton_fragment import decode_skeleton_piece, encode_skeleton_piece
from ophiolite.stages.fragments import merge_job_of
from ophiolite.stages.job import Job, finished_tasks
from ophiolite.stages.shards import block_fragments
from ophiolite.stages.skeleton_candidates import Candidate, dealt_objects, lie_within
from ophiolite.stages.skeleton_whole import WholeObjects

PRODUCT = "skeleton"


@dataclass(frozen=True)
class Outcome:
    """What became of one object. reason : why its fragments stay, empty where they are replaced.

    nuclei : labels that lie in its nuclei as far as could be seen, each with the void's mip-0 box (start, stop).
    """

    reason: str
    mip: int | None = None
    somata: int = 0
    neurites: int = 0
    removed: int = 0
    added: int = 0
    nuclei: dict[str, list[list[int]]] = field(default_factory=dict)


def run_objects(job: Job) -> tuple[list[Written], dict[str, Any], float]:
    """Look at every object dealt to this job; returns files, facts for the receipt, and the million voxels dealt."""
    dealt, refused = dealt_objects(job)
    done = finished_tasks(job, f"{PRODUCT}_objects")
    plan = job.product(PRODUCT)
    spec = ShardingSpec.from_json(plan.sharding, "plan")
    labels = np.array([c.label for c in dealt], np.uint64)
    shards, _ = locate(spec, labels)
    merges = merge_job_of(plan, labels)
    order = sorted(range(len(dealt)), key=lambda i: (int(merges[i]), dealt[i].label))
    whole = WholeObjects(job)
    pieces: dict[int, list[tuple[Any, bytes]]] = {}
    at: int | None = None
    fragments: list[Fragment] = []
    outcomes: dict[str, Outcome] = {}
    for number, i in enumerate(order, start=1):
        candidate, merge = dealt[i], int(merges[i])
        name = f"{candidate.label}.pack"
        if not done.exists(name):
            if at != merge:
                wanted = {c.label for c, m in zip(dealt, merges.tolist(), strict=True) if m == merge}
                pieces, at = _pieces(job, merge, wanted), merge
            done.write(name, _one(whole, candidate, pieces.get(candidate.label, [])))
        stored = Pack(done.read(name), name)
        facts = json.loads(stored.get(0, 0))
        origin = facts.pop("origin")
        outcomes[str(candidate.label)] = outcome = Outcome(**facts)
        if not outcome.reason:
            fragments.append(Fragment(merge, int(shards[i]), candidate.label, tuple(origin), stored.get(1, 0)))
        job.say(f"object {number} of {len(dealt)}: {candidate.label}: {outcome.reason or _told(outcome)}")
    for label, reason in refused.items():
        job.say(f"warning: skeleton.whole_labels: {label} {reason}")
    content, ranges = encode_fragment_file(PRODUCT, fragments)
    written = job.store.write(job.paths.object_fragments(PRODUCT, job.item), content)
    facts = {
        "ranges": [[j, *ranges[j]] for j in sorted(ranges)],
        "dealt": [str(c.label) for c in dealt],
        "objects": {label: asdict(outcome) for label, outcome in outcomes.items()},
        "refused": refused,
        "nuclei": [str(label) for label in lie_within(job, _nuclei(outcomes.values()))],
    }
    return [written], facts, sum(c.weight for c in dealt) / 1e6


def _nuclei(outcomes: Iterable[Outcome]) -> dict[int, Box]:
    """The labels in the nuclei of objects that are replaced, and the void that each lies in."""
    found: dict[int, Box] = {}
    for outcome in outcomes:
        for label, (start, stop) in outcome.nuclei.items() if not outcome.reason else ():
            (x, y, z), (u, v, w) = start, stop
            found[int(label)] = Box((x, y, z), (u, v, w))
    return found


def _told(outcome: Outcome) -> str:
    return (
        f"at mip {outcome.mip}: {outcome.somata} somata, {outcome.neurites} neurites led to their roots,"
        f" {outcome.removed} vertices replaced by {outcome.added}"
        + (f"; with labels in its nucleus: {', '.join(outcome.nuclei)}" if outcome.nuclei else "")
    )


def _pieces(job: Job, merge_job: int, labels: set[int]) -> dict[int, list[tuple[Any, bytes]]]:
    """The blocks' fragments of some labels of one merge job."""
    out: dict[int, list[tuple[Any, bytes]]] = {}
    for fragment in block_fragments(job, PRODUCT, merge_job):
        if fragment.label in labels:
            out.setdefault(fragment.label, []).append((fragment.origin_vx, fragment.data))
    return out


def _one(whole: WholeObjects, candidate: Candidate, pieces: list[tuple[Any, bytes]]) -> bytes:
    """A pack of what became of an object (its origin with it), and of its piece where there is a new one."""
    old = stitch_skeletons([(origin, decode_skeleton_piece(data)) for origin, data in sorted(pieces)])
    new, said = whole.look_at(candidate, old)
    if new is None:
        return encode_pack([(0, 0, _json({"origin": None, **said}))])
    origin, piece = piece_of(new)
    said |= {"removed": int(said["removed"]), "added": int(said["added"])}
    return encode_pack([(0, 0, _json({"origin": origin, **said})), (1, 0, encode_skeleton_piece(piece))])


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True).encode()


def piece_of(skeleton: Skeleton) -> tuple[list[int], SkeletonPiece]:
    """A skeleton as one piece without seams, relative to the voxel of its lowest coordinates."""
    origin: NDArray[np.int64] = skeleton.vertices.min(axis=0) // STEPS_PER_VOXEL
    vertices = (skeleton.vertices - origin * STEPS_PER_VOXEL).astype(np.int32)
    piece = SkeletonPiece(vertices, skeleton.edges, skeleton.radius_nm, np.zeros(len(vertices), np.bool_))
    return origin.tolist(), piece
