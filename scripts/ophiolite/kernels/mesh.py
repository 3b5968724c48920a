"""Triangle meshes of all labels of one task, on the 1/256-voxel lattice, with seams equal to the bit.

Surfaces come from `kernels.marching`, or another `Extractor`. They are simplified by `kernels.simplify`. zmesh's
simplifier costs several times as much, and keeps marks of the label before, so that its result depends on their order.

A piece is judged after it has been snapped to the lattice; what fails is simplified less and, in the end, not at all.
Vertices that neighbours share never move, so neighbours meet to the bit, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.box import Vec
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, MeshPiece
from ophiolite.kernels.cavities import cavities
from ophiolite.kernels.extractor import Extractor
from ophiolite.kernels.judge_loops import moved_outwards, restoring_length, volume_about
from ophiolite.kernels.label_numbers import numbered
from ophiolite.kernels.lattice_loops import between, box_of, scaled, shift, snapped
from ophiolite.kernels.marching import surfaces
from ophiolite.kernels.mesh_judge import Judge
from ophiolite.kernels.simplify import Simplifier

# As `map`: the results of a function of each item, in order.
Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]

MARCHING = Extractor(surfaces)

_HALF = STEPS_PER_VOXEL // 2
_VOLUME_TOLERANCE = 0.03
_RMS_SHARE = 0.25
_ATTEMPTS = 24
# Where the volume is lost. A larger step would land below what half the max_error_nm would have kept.
_STEP_BACK = 1 / 2


@dataclass(frozen=True)
class MeshOptions:
    """What `mesh_labels` does.

    simplify : simplify the pieces, or keep every triangle.
    max_error_nm : every vertex of either surface, unsimplified and simplified, lies within this of the other, and so do
        the centres of faces and the middles of edges of the simplified one. Edges collapse while the root mean square
        distance from the planes they stand for is at most a quarter of it; where points then lie farther off, the piece
        is done again around them. The volume is restored by moving all free vertices along their normals by one length;
        where it is still off by more than 3 % of the voxels, the piece is done again at half of that distance. It is
        left unsimplified where 24 attempts do not help.
    reduction : simplify at most by this ratio of triangles.
    fill_holes : fill cavities that one label encloses wholly within the task, whatever lies in them; labels inside are
        still meshed themselves. Cavities that touch the task's faces stay,
        and so do those at voxels that it shares with a neighbour.
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
    """How the extractor's coordinates lie on the lattice, and where the surface ends there.

    offset : the centre of the first voxel. rim_planes : (2, 3), low and high: free vertices lie between them. rim :
    (6, 3), axis, low, high, between which vertices never move, both ends included. seams : those that a neighbour
    shares. ends : (2, 3) planes to which vertices come back that stand for voxels beyond the dataset.
    """

    offset: NDArray[np.int64]
    rim_planes: NDArray[np.int64]
    rim: NDArray[np.int64]
    seams: NDArray[np.int64]
    ends: NDArray[np.int64]
    resolution_nm: NDArray[np.float64]

    def free(self, box: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The lowest and highest places (3,) for free vertices: within a box (2, 3), and off the rim's planes."""
        low = np.maximum(box[0], self.rim_planes[0] + 1)
        return low, np.maximum(np.minimum(box[1], self.rim_planes[1] - 1), low)

    def nm(self, vertices: NDArray[np.int32]) -> NDArray[np.float64]:
        return scaled(vertices, self.resolution_nm / STEPS_PER_VOXEL)  # type: ignore[no-any-return]


def mesh_labels(
    labels: NDArray[Any],
    resolution_nm: tuple[float, float, float],
    core_shape_vx: Vec,
    pad_low: tuple[bool, bool, bool],
    seams_low: tuple[bool, bool, bool],
    seams_high: tuple[bool, bool, bool],
    options: MeshOptions,
    extractor: Extractor = MARCHING,
    each: Each = map,
) -> Iterator[tuple[int, MeshPiece]]:
    """Mesh every label of a task, in ascending order of labels; labels without a surface are left out.

    labels : (x, y, z) unsigned integers, the core and, where the dataset goes on (`seams_low`, `seams_high`), the
        extractor's halo; elsewhere what is above is background, given or not.
    core_shape_vx : the core's shape; vertices are relative to the core's first voxel.
    pad_low : a layer of background below the core, to close surfaces at the dataset's low faces.
    seams_low, seams_high : the task shares the plane at 128, or at 256 core_shape + 128, with a neighbour, or the
        cells below it.
    each : simplifies the labels; one that does several at once gives the same pieces.

    Raises ValueError where shapes, types and flags do not fit together.
    """
    _check(labels, core_shape_vx, pad_low, seams_low, seams_high, extractor.halo_vx)
    volume, ids, voxels, frame = _framed(
        labels, resolution_nm, core_shape_vx, pad_low, seams_low, seams_high, extractor, options
    )
    del labels  # the caller may hold them no longer
    if options.fill_holes:
        both = sum(extractor.halo_vx) - 1
        x, y, z = (slice(both * seams_low[d], volume.shape[d] - both * seams_high[d]) for d in range(3))
        found: dict[int, MeshPiece] = {}
        for array, numbers in _filled(volume, len(ids), (x, y, z)):
            found |= dict(_pieces(array, numbers, voxels, frame, options, extractor, each))
        pieces = iter(sorted(found.items()))
    else:
        pieces = _pieces(volume, np.arange(1, len(ids)), voxels, frame, options, extractor, each)
    del volume
    for number, piece in pieces:
        yield int(ids[number]), piece


def _check(
    labels: NDArray[Any], core: Vec, pad_low: Any, seams_low: Any, seams_high: Any, halo: tuple[int, int]
) -> None:
    if labels.ndim != 3 or labels.dtype.kind != "u":
        raise ValueError(f"labels: expected a 3-D array of unsigned integers, got {labels.ndim}-D {labels.dtype}")
    for axis in range(3):
        n, least = labels.shape[axis], core[axis] + halo[0] * seams_low[axis]
        if n != least + halo[1] and (seams_high[axis] or n != least):
            seams = f"{bool(seams_low[axis])} and {bool(seams_high[axis])}"
            raise ValueError(f"labels: axis {axis} holds {n} voxels for a core of {core[axis]}, seams: {seams}")
        if pad_low[axis] and seams_low[axis]:
            raise ValueError(f"axis {axis}: a low face cannot be both the dataset's end and a seam")


def _framed(
    labels: NDArray[Any],
    resolution_nm: tuple[float, float, float],
    core: Vec,
    pad_low: tuple[bool, bool, bool],
    seams_low: tuple[bool, bool, bool],
    seams_high: tuple[bool, bool, bool],
    extractor: Extractor,
    options: MeshOptions,
) -> tuple[NDArray[Any], NDArray[np.uint64], NDArray[np.int64], _Frame]:
    """The labels as small numbers (0 background, then ascending) within the faces they are meshed in.

    With the label and the voxels of each number, and the frame.
    """
    seams = np.array([seams_low, seams_high])
    closed = ~seams & (not options.open_edges) & np.array([pad_low, (True,) * 3])
    halo = np.array(extractor.halo_vx)[:, None]
    inner = (np.array(core) + (halo * seams).sum(axis=0)).tolist()
    # Between voxels a surface ends at the last centres, where it goes on as between these and the same once more; a
    # single voxel has no surface from its centre to its centre.
    repeated = ~seams & ~closed & bool(extractor.shared_vx) & (np.array(core) + (seams | closed).any(axis=0) > 1)
    low, high = np.where(closed, extractor.closing_vx, halo * repeated).tolist()
    # A task's volume is that of the voxels which its surface goes through: its own, and the next above.
    x, y, z = (slice(n, n + core[d] + int(seams[1, d])) for d, n in enumerate((halo[0] * seams[0]).tolist()))
    volume, kept, voxels = numbered(
        labels, (x, y, z), inner, (low, high), options.include_labels, options.exclude_labels
    )
    for axis in range(3):
        planes = np.moveaxis(volume, axis, 0)
        if repeated[0, axis]:
            planes[: low[axis]] = planes[low[axis]]
        if repeated[1, axis]:
            planes[-high[axis] :] = planes[-high[axis] - 1]
    offset = _HALF - STEPS_PER_VOXEL * (np.array(low) + halo[0] * seams[0])
    # The centres of the first and last voxels with a surface between them.
    planes = _HALF + STEPS_PER_VOXEL * np.stack([-closed[0].astype(int), np.array(core) - 1 + (seams | closed)[1]])
    shared = STEPS_PER_VOXEL * extractor.shared_vx * seams
    slabs = np.array([(d, (planes - shared)[i, d], planes[i, d]) for d in range(3) for i in range(2)])
    ends = np.where(repeated, planes, np.array([[-1], [1]]) * np.iinfo(np.int32).max)
    return (
        volume,
        kept,
        voxels,
        _Frame(
            offset,
            planes - shared * [[0], [1]],
            slabs,
            slabs[seams.T.ravel()],
            ends,
            np.array(resolution_nm, np.float64),
        ),
    )


def _filled(
    volume: NDArray[Any], count: int, own: tuple[slice, slice, slice]
) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
    """Arrays to mesh, each with those of the `count` numbers to take from it: what is inside others comes later.

    Only `own` is filled, so that what neighbours see of each other stays as it is.
    """
    from scipy import ndimage

    left = np.arange(count) > 0
    while left.any():
        filled = volume.copy(order="F")
        inside, before = filled[own], volume[own]
        boxes = [
            (n, box) for n, box in enumerate(ndimage.find_objects(before, count - 1), 1) if box is not None and left[n]
        ]
        # A label's box is larger than those of what it encloses: in this order the outermost label keeps the voxel.
        boxes.sort(key=lambda entry: (_size(entry[1]), entry[0]))
        for number, box in boxes:
            inside[box][cavities(before[box] == number)] = number
        lost = np.zeros(count, np.bool_)
        lost[before[inside != before]] = True
        lost &= left
        if lost.sum() == len(boxes) > 0:  # each encloses a part of another: the largest goes first, whole
            number, box = boxes[-1]
            inside[box][before[box] == number] = number
            lost[number] = False
        yield filled, np.flatnonzero(left & ~lost)
        left = lost


def _size(box: tuple[slice, slice, slice]) -> int:
    return int(np.prod([s.stop - s.start for s in box]))


def _pieces(
    volume: NDArray[Any],
    numbers: NDArray[np.int64],
    voxels: NDArray[np.int64],
    frame: _Frame,
    options: MeshOptions,
    extractor: Extractor,
    each: Each,
) -> Iterator[tuple[int, MeshPiece]]:
    wanted = np.zeros(len(voxels), np.bool_)
    wanted[numbers] = True
    found = extractor.surfaces(volume, wanted)
    del volume

    def piece(surface: tuple[int, NDArray[np.int32], NDArray[np.int32]]) -> tuple[int, MeshPiece]:
        number, vertices, faces = surface
        shift(vertices, frame.offset, frame.ends)
        corners = faces.view(np.uint32)
        if options.simplify:
            vertices, corners = _simplified(vertices, corners, int(voxels[number]), frame, options)
        return number, MeshPiece(vertices, corners, between(vertices, frame.seams))

    yield from each(piece, found)


def _simplified(
    vertices: NDArray[np.int32], faces: NDArray[np.uint32], voxels: int, frame: _Frame, options: MeshOptions
) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """The piece with as few triangles as the options allow; the piece itself where no simplification is sound."""
    before = frame.nm(vertices)
    # Open pieces have comparable volumes about a common point only: a corner of the box of all of them.
    box = box_of(vertices)
    low, extent = frame.nm(np.stack([box[0], box[1] - box[0]]))
    volume = volume_about(before, faces, low)
    allowed = _VOLUME_TOLERANCE * voxels * float(np.prod(frame.resolution_nm))
    # No plane of a piece lies farther from it than the piece is long.
    rms, longest = options.max_error_nm * _RMS_SHARE, float(extent.max())
    while rms > longest:
        rms *= _STEP_BACK
    target = int(len(faces) / options.reduction)
    rim = between(vertices, frame.rim)
    work, judge = Simplifier(before, faces, rim, sound=True), Judge(before, faces, rim, options.max_error_nm)
    done = work.run(target, rms)
    for _ in range(_ATTEMPTS):
        if done.changed.all():
            length = restoring_length(
                done.vertices, done.faces, ~done.still, volume - volume_about(done.vertices, done.faces, low), rms
            )
        # The same length each time, so that what has not changed stays where it is.
        moved = moved_outwards(done.vertices, done.faces, ~done.still, length)
        new = snapped(moved, STEPS_PER_VOXEL / frame.resolution_nm, *frame.free(box), vertices, done.rows, done.still)
        after = frame.nm(new)
        if abs(volume_about(after, done.faces, low) - volume) > allowed:
            rms *= _STEP_BACK
            done = work.run(target, rms)
            continue
        blamed = judge.blamed(new, after, done)
        if not blamed.any():
            return new, done.faces
        done = work.again(blamed)
    return vertices, faces
