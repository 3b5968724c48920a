"""Triangle meshes of all labels of one task, on the 1/256-voxel lattice, with seams equal to the bit.

Surfaces come from `kernels.marching`, or another extractor of the same kind: marching cubes between voxel centres.
Halo: none low, one voxel high (`HALO_LOW_VX`, `HALO_HIGH_VX`). They are simplified by `kernels.simplify`. zmesh's
simplifier costs several times as much, and keeps marks of the label before, so that its result depends on their order.

A piece is judged after it has been snapped to the lattice; what fails is simplified less and, in the end, not at all.
Vertices on the task's faces never move, so neighbours meet to the bit, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.box import Vec
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, MeshPiece
from ophiolite.kernels.cavities import cavities
from ophiolite.kernels.judge_loops import moved_outwards, restoring_length, volume_about
from ophiolite.kernels.label_numbers import labels_of, number_labels
from ophiolite.kernels.marching import surfaces
from ophiolite.kernels.mesh_judge import Judge
from ophiolite.kernels.mesh_measure import box_of
from ophiolite.kernels.simplify import Simplifier

# From numbers (x, y, z), and which of them to mesh, each one's number, vertices in half voxels, and faces; ascending.
Extractor = Callable[[NDArray[Any], NDArray[np.bool_]], Iterator[tuple[int, NDArray[np.int32], NDArray[np.int32]]]]

HALO_LOW_VX: Vec = (0, 0, 0)
HALO_HIGH_VX: Vec = (1, 1, 1)

_HALF = STEPS_PER_VOXEL // 2
_VOLUME_TOLERANCE = 0.03
_RMS_SHARE = 0.25
_ATTEMPTS = 12
# Where the volume is lost. A larger step would land below what half the max_error_nm would have kept.
_STEP_BACK = 1 / 2


@dataclass(frozen=True)
class MeshOptions:
    """What `mesh_labels` does.

    simplify : simplify the pieces, or keep every marching-cubes triangle.
    max_error_nm : every vertex of either surface, unsimplified and simplified, lies within this of the other, and so do
        the centres of faces and the middles of edges of the simplified one. Edges collapse while the root mean square
        distance from the planes they stand for is at most a quarter of it; where points then lie farther off, the piece
        is done again around them. The volume is restored by moving all free vertices along their normals by one length;
        where it is still off by more than 3 % of the voxels, the piece is done again at half of that distance. It is
        left unsimplified where twelve attempts do not help.
    reduction : simplify at most by this ratio of triangles.
    fill_holes : fill cavities that one label encloses wholly within the task, whatever lies in them; labels inside are
        still meshed themselves. Cavities that touch the task's faces stay.
    open_edges : leave meshes open where they meet the dataset's faces, low and high: they end at the outermost voxel
        centres.
    include_labels : mesh these only; empty means all.
    exclude_labels : never mesh these.
    """

    simplify: bool = True
    max_error_nm: float = 40.0
    reduction: float = 100.0
    fill_holes: bool = False
    open_edges: bool = False
    include_labels: tuple[int, ...] = ()
    exclude_labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Frame:
    """How the engine's half-voxel coordinates lie on the lattice, and which planes bound the surface there."""

    offset: NDArray[np.int64]
    rim_planes: NDArray[np.int64]
    seam_planes: tuple[tuple[int, int], ...]
    resolution_nm: NDArray[np.float64]

    def on(self, vertices: NDArray[np.int64], planes: Any) -> NDArray[np.bool_]:
        out = np.zeros(len(vertices), np.bool_)
        for axis, plane in planes:
            out |= vertices[:, axis] == plane
        return out

    @property
    def rim(self) -> list[tuple[int, int]]:
        return [(axis, int(self.rim_planes[side, axis])) for axis in range(3) for side in range(2)]

    def nm(self, vertices: NDArray[np.int64]) -> NDArray[np.float64]:
        out: NDArray[np.float64] = vertices * (self.resolution_nm / STEPS_PER_VOXEL)
        return out


def mesh_labels(
    labels: NDArray[Any],
    resolution_nm: tuple[float, float, float],
    core_shape_vx: Vec,
    pad_low: tuple[bool, bool, bool],
    seams_low: tuple[bool, bool, bool],
    seams_high: tuple[bool, bool, bool],
    options: MeshOptions,
    extract: Extractor = surfaces,
) -> Iterator[tuple[int, MeshPiece]]:
    """Mesh every label of a task, in ascending order of labels; labels without a surface are left out.

    labels : (x, y, z) unsigned integers, the core and one voxel more on the high side of an axis where the dataset goes
        on (`seams_high`); elsewhere that voxel is background, given or not.
    core_shape_vx : the core's shape; vertices are relative to the core's first voxel.
    pad_low : a layer of background below the core, to close surfaces at the dataset's low faces.
    seams_low, seams_high : the task shares the plane at 128, or at 256 core_shape + 128, with a neighbour.
    extract : `marching.surfaces`, or `marching_zmesh.zmesh_surfaces`.

    Raises ValueError where shapes, types and flags do not fit together.
    """
    _check(labels, core_shape_vx, pad_low, seams_low, seams_high)
    volume, ids, voxels, frame = _framed(labels, resolution_nm, core_shape_vx, pad_low, seams_low, seams_high, options)
    del labels  # the caller may hold them no longer
    if options.fill_holes:
        found: dict[int, MeshPiece] = {}
        for array, numbers in _filled(volume):
            found |= dict(_pieces(array, numbers, voxels, frame, options, extract))
        pieces = iter(sorted(found.items()))
    else:
        pieces = _pieces(volume, np.arange(1, len(ids)), voxels, frame, options, extract)
    del volume
    for number, piece in pieces:
        yield int(ids[number]), piece


def _check(labels: NDArray[Any], core: Vec, pad_low: Any, seams_low: Any, seams_high: Any) -> None:
    if labels.ndim != 3 or labels.dtype.kind != "u":
        raise ValueError(f"labels: expected a 3-D array of unsigned integers, got {labels.ndim}-D {labels.dtype}")
    for axis in range(3):
        n = labels.shape[axis]
        if n != core[axis] + 1 and (seams_high[axis] or n != core[axis]):
            raise ValueError(
                f"labels: axis {axis} holds {n} voxels for a core of {core[axis]}, seam: {seams_high[axis]}"
            )
        if pad_low[axis] and seams_low[axis]:
            raise ValueError(f"axis {axis}: a low face cannot be both the dataset's end and a seam")


def _framed(
    labels: NDArray[Any],
    resolution_nm: tuple[float, float, float],
    core: Vec,
    pad_low: tuple[bool, bool, bool],
    seams_low: tuple[bool, bool, bool],
    seams_high: tuple[bool, bool, bool],
    options: MeshOptions,
) -> tuple[NDArray[Any], NDArray[np.uint64], NDArray[np.int64], _Frame]:
    """The labels as small numbers (0 background, then ascending) within the faces they are meshed in.

    With the label and the voxels of each number, and the frame.
    """
    low = [int(p and not options.open_edges) for p in pad_low]
    high = [int(not s and not options.open_edges) for s in seams_high]
    inner = [core[d] + int(seams_high[d]) for d in range(3)]
    ids = labels_of(labels, (inner[0], inner[1], inner[2]))
    wanted = ids != 0
    if options.include_labels:
        wanted &= np.isin(ids, np.array(options.include_labels, np.uint64))
    if options.exclude_labels:
        wanted &= ~np.isin(ids, np.array(options.exclude_labels, np.uint64))
    kept = np.concatenate([np.zeros(1, np.uint64), ids[wanted]])
    # At least 16 bits: one compiled version then serves nearly every task.
    dtype = np.promote_types(np.uint16, np.min_scalar_type(len(kept) - 1))
    numbers = np.zeros(len(ids), dtype)
    numbers[wanted] = np.arange(1, len(kept))
    volume = np.zeros([low[d] + inner[d] + high[d] for d in range(3)], dtype, order="F")
    voxels = np.zeros(len(kept), np.int64)
    number_labels(labels, tuple(inner), ids, numbers, volume, tuple(low), voxels)
    offset = np.array([_HALF - STEPS_PER_VOXEL * low[d] for d in range(3)], np.int64)
    last = offset + STEPS_PER_VOXEL * (np.array(volume.shape, np.int64) - 1)
    seams = [(d, _HALF) for d in range(3) if seams_low[d]]
    seams += [(d, STEPS_PER_VOXEL * core[d] + _HALF) for d in range(3) if seams_high[d]]
    return (
        volume,
        kept,
        voxels,
        _Frame(offset, np.stack([offset, last]), tuple(seams), np.array(resolution_nm, np.float64)),
    )


def _filled(volume: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
    """Arrays to mesh, each with the numbers to take from it: cavities filled first, then what was inside them."""
    from scipy import ndimage

    remaining = volume
    while remaining.any():
        filled = remaining.copy(order="F")
        boxes = [(n, box) for n, box in enumerate(ndimage.find_objects(remaining), 1) if box is not None]
        # A label's box is larger than those of what it encloses: in this order the outermost label keeps the voxel.
        boxes.sort(key=lambda entry: (_size(entry[1]), entry[0]))
        for number, box in boxes:
            filled[box][cavities(remaining[box] == number)] = number
        lost = np.unique(remaining[(filled != remaining) & (remaining != 0)])
        if len(lost) == len(boxes):  # each encloses a part of another: the largest goes first, whole
            number, box = boxes[-1]
            filled[box][remaining[box] == number] = number
            lost = lost[lost != number]
        yield filled, np.array([n for n, _ in boxes if n not in set(lost.tolist())], np.int64)
        remaining = np.asfortranarray(np.where(np.isin(remaining, lost), remaining, volume.dtype.type(0)))


def _size(box: tuple[slice, slice, slice]) -> int:
    return int(np.prod([s.stop - s.start for s in box]))


def _pieces(
    volume: NDArray[Any],
    numbers: NDArray[np.int64],
    voxels: NDArray[np.int64],
    frame: _Frame,
    options: MeshOptions,
    extract: Extractor,
) -> Iterator[tuple[int, MeshPiece]]:
    wanted = np.zeros(len(voxels), np.bool_)
    wanted[numbers] = True
    found = extract(volume, wanted)
    del volume
    for number, halves, faces in found:
        vertices = halves * _HALF + frame.offset
        corners = faces.view(np.uint32)
        if options.simplify:
            vertices, corners = _simplified(vertices, corners, int(voxels[number]), frame, options)
        seam = frame.on(vertices, frame.seam_planes)
        yield number, MeshPiece(vertices.astype(np.int32), corners, seam)


def _simplified(
    vertices: NDArray[np.int64], faces: NDArray[np.uint32], voxels: int, frame: _Frame, options: MeshOptions
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """The piece with as few triangles as the options allow; the piece itself where no simplification is sound."""
    before = frame.nm(vertices)
    # Open pieces have comparable volumes about a common point only: a corner of the box of all of them.
    box = box_of(vertices)
    low = frame.nm(box[0])
    volume = volume_about(before, faces, low)
    allowed = _VOLUME_TOLERANCE * voxels * float(np.prod(frame.resolution_nm))
    # No plane of a piece lies farther from it than the piece is long.
    rms, longest = options.max_error_nm * _RMS_SHARE, float(frame.nm(box[1] - box[0]).max())
    while rms > longest:
        rms *= _STEP_BACK
    target = int(len(faces) / options.reduction)
    rim = frame.on(vertices, frame.rim)
    work, judge = Simplifier(before, faces, rim, sound=True), Judge(before, faces, rim, options.max_error_nm)
    done = work.run(target, rms)
    for _ in range(_ATTEMPTS):
        if done.changed.all():
            length = restoring_length(
                done.vertices, done.faces, ~done.still, volume - volume_about(done.vertices, done.faces, low), rms
            )
        # The same length each time, so that what has not changed stays where it is.
        moved = moved_outwards(done.vertices, done.faces, ~done.still, length)
        new = _snapped(moved, box, vertices[done.rows], done.still, frame)
        after = frame.nm(new)
        if abs(volume_about(after, done.faces, low) - volume) > allowed:
            rms *= _STEP_BACK
            done = work.run(target, rms)
            continue
        blamed = judge.blamed(new, after, done)
        if not blamed.any():
            return new, done.faces
        done = work.again(blamed, target, rms)
    return vertices, faces


def _snapped(
    moved: NDArray[np.float64],
    box: tuple[NDArray[np.int64], NDArray[np.int64]],
    old: NDArray[np.int64],
    still: NDArray[np.bool_],
    frame: _Frame,
) -> NDArray[np.int64]:
    """Back on the lattice: rim vertices as they were, others within the old piece's box and off the rim's planes."""
    low, high = box
    low = np.where(low == frame.rim_planes[0], low + 1, low)
    high = np.maximum(np.where(high == frame.rim_planes[1], high - 1, high), low)
    new = np.rint(moved * (STEPS_PER_VOXEL / frame.resolution_nm)).astype(np.int64)
    return np.where(still[:, None], old, np.clip(new, low, high))
