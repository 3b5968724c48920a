"""Triangle meshes of all labels of one task, on the 1/256-voxel lattice, with seams equal to the bit.

The engine is zmesh: marching cubes between voxel centres (Lorensen & Cline 1987), then edge collapse by quadric error
(Garland & Heckbert 1997). Halo: none low, one voxel high (`HALO_LOW_VX`, `HALO_HIGH_VX`).

Every piece is judged after it has been snapped to the lattice: its rim on the task's faces is that of the unsimplified
surface edge by edge, no other edge is open, its volume has hardly changed and it lies within `max_error_nm`. What fails
is simplified less and, in the end, not at all; so nothing is lost and neighbours always meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.geometry.box import Vec
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, MeshPiece
from ophiolite.kernels.mesh_measure import edge_keys, signed_volume, surface_distance, unpaired_edges

HALO_LOW_VX: Vec = (0, 0, 0)
HALO_HIGH_VX: Vec = (1, 1, 1)

# zmesh marks a vertex by the bits of a half-voxel count, 2**20 of them in the simplifier.
_ENGINE_RANGE = 1 << 20
_HALF = STEPS_PER_VOXEL // 2
_VOLUME_TOLERANCE = 0.05
_SAMPLES = 2048
_RETRIES = (1.0, 1 / 4, 1 / 64)
_ERROR_TO_QUADRIC = 6.0


@dataclass(frozen=True)
class MeshOptions:
    """What `mesh_labels` does.

    simplify : simplify the pieces, or keep every marching-cubes triangle.
    max_error_nm : how far the simplified surface may lie from the unsimplified one. zmesh stops at a bound on its own
        cost, a sum over planes of squared distance divided by triangle area: a number without a unit, no distance. It
        gets 6 (max_error_nm / h)², h half the geometric mean of the voxel's sides; on real and synthetic labels the
        largest distance then comes to about max_error_nm. Up to 2,048 vertices of the unsimplified piece are measured
        against the result; a piece that breaks the bound is done again at 1/4 and 1/64 of the cost, and is left
        unsimplified where that does not help either.
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
) -> Iterator[tuple[int, MeshPiece]]:
    """Mesh every label of a task, in ascending order of labels; labels without a surface are left out.

    labels : (x, y, z) unsigned integers, the core and one voxel more on the high side of an axis where the dataset goes
        on (`seams_high`); elsewhere that voxel is background, given or not.
    core_shape_vx : the core's shape; vertices are relative to the core's first voxel.
    pad_low : a layer of background below the core, to close surfaces at the dataset's low faces.
    seams_low, seams_high : the task shares the plane at 128, or at 256 core_shape + 128, with a neighbour.

    Raises ValueError where shapes, types and flags do not fit together.
    """
    _check(labels, core_shape_vx, pad_low, seams_low, seams_high)
    volume, ids, frame = _framed(labels, resolution_nm, core_shape_vx, pad_low, seams_low, seams_high, options)
    voxels = np.bincount(volume.ravel(order="K"), minlength=len(ids))
    rounds = _filled(volume) if options.fill_holes else [(volume, np.arange(1, len(ids)))]
    found: dict[int, MeshPiece] = {}
    for array, numbers in rounds:
        for number, piece in _pieces(array, numbers, voxels, frame, options):
            if options.fill_holes:
                found[number] = piece
            else:
                yield int(ids[number]), piece
    for number in sorted(found):
        yield int(ids[number]), found[number]


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
) -> tuple[NDArray[Any], NDArray[np.uint64], _Frame]:
    """The labels as small numbers (0 background, then ascending) within the faces they are meshed in."""
    import fastremap

    low = [int(p and not options.open_edges) for p in pad_low]
    high = [int(not s and not options.open_edges) for s in seams_high]
    inner = [core[d] + int(seams_high[d]) for d in range(3)]
    core_labels = labels[: inner[0], : inner[1], : inner[2]]
    ids = fastremap.unique(core_labels).astype(np.uint64)
    wanted = ids != 0
    if options.include_labels:
        wanted &= np.isin(ids, np.array(options.include_labels, np.uint64))
    if options.exclude_labels:
        wanted &= ~np.isin(ids, np.array(options.exclude_labels, np.uint64))
    kept = np.concatenate([np.zeros(1, np.uint64), ids[wanted]])
    dtype = np.min_scalar_type(len(kept) - 1)
    numbers = np.zeros(len(ids), dtype)
    numbers[wanted] = np.arange(1, len(kept))
    table = dict(zip(ids.tolist(), numbers.tolist(), strict=True))
    volume = np.zeros([low[d] + inner[d] + high[d] for d in range(3)], dtype, order="F")
    inside = tuple(slice(low[d], low[d] + inner[d]) for d in range(3))
    volume[inside] = fastremap.remap(core_labels, table).astype(dtype, copy=False)
    offset = np.array([_HALF - STEPS_PER_VOXEL * low[d] for d in range(3)], np.int64)
    last = offset + STEPS_PER_VOXEL * (np.array(volume.shape, np.int64) - 1)
    seams = [(d, _HALF) for d in range(3) if seams_low[d]]
    seams += [(d, STEPS_PER_VOXEL * core[d] + _HALF) for d in range(3) if seams_high[d]]
    return volume, kept, _Frame(offset, np.stack([offset, last]), tuple(seams), np.array(resolution_nm, np.float64))


def _filled(volume: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
    """Arrays to mesh, each with the numbers to take from it: cavities filled first, then what was inside them."""
    import fill_voids
    from scipy import ndimage

    remaining = volume
    while remaining.any():
        filled = remaining.copy(order="F")
        boxes = [(n, box) for n, box in enumerate(ndimage.find_objects(remaining), 1) if box is not None]
        # A label's box is larger than those of what it encloses: in this order the outermost label keeps the voxel.
        for number, box in sorted(boxes, key=lambda entry: (_size(entry[1]), entry[0])):
            mask = np.asfortranarray(remaining[box] == number)
            filled[box][fill_voids.fill(mask) & ~mask] = number
        lost = np.unique(remaining[(filled != remaining) & (remaining != 0)])
        yield filled, np.array([n for n, _ in boxes if n not in set(lost.tolist())], np.int64)
        remaining = np.asfortranarray(np.where(np.isin(remaining, lost), remaining, volume.dtype.type(0)))


def _size(box: tuple[slice, slice, slice]) -> int:
    return int(np.prod([s.stop - s.start for s in box]))


def _pieces(
    volume: NDArray[Any], numbers: NDArray[np.int64], voxels: NDArray[np.int64], frame: _Frame, options: MeshOptions
) -> Iterator[tuple[int, MeshPiece]]:
    import zmesh

    if min(volume.shape) < 2:
        return
    mesher = zmesh.Mesher((1.0, 1.0, 1.0))
    mesher.mesh(volume)
    present = set(mesher.ids())
    for number in numbers.tolist():
        if number not in present:
            continue
        raw = mesher.get(number)
        mesher.erase(number)
        halves = np.rint(raw.vertices * 2).astype(np.int64)
        faces = np.ascontiguousarray(raw.faces, np.uint32)
        vertices = halves * _HALF + frame.offset
        if options.simplify:
            vertices, faces = _simplified(vertices, faces, int(voxels[number]), frame, options)
        seam = frame.on(vertices, frame.seam_planes)
        yield number, MeshPiece(vertices.astype(np.int32), faces, seam)


def _simplified(
    vertices: NDArray[np.int64], faces: NDArray[np.uint32], voxels: int, frame: _Frame, options: MeshOptions
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """The piece with as few triangles as the options allow; the piece itself where no simplification is sound."""
    planes = [(d, int(frame.rim_planes[s, d])) for d in range(3) for s in range(2)]
    on_rim = frame.on(vertices, planes)
    touching = faces[on_rim[faces].sum(axis=1) >= 2]
    rim = unpaired_edges(touching)
    rim = _edges_at(vertices, rim[on_rim[rim].all(axis=1)])
    half_nm = float(np.prod(frame.resolution_nm)) ** (1 / 3) / 2
    quadric = _ERROR_TO_QUADRIC * (options.max_error_nm / half_nm) ** 2
    before = frame.nm(vertices)
    volume = signed_volume(before, faces)
    allowed = _VOLUME_TOLERANCE * voxels * float(np.prod(frame.resolution_nm))
    samples = before[:: max(1, len(before) // _SAMPLES)]
    for share in _RETRIES:
        new, new_faces = _collapse(vertices, faces, quadric * share, options.reduction, frame)
        if len(new_faces) == 0 or len(new_faces) >= len(faces):
            continue
        fixed = np.zeros(len(new), np.bool_)
        open_edges = unpaired_edges(new_faces)
        fixed[open_edges.reshape(-1)] = True
        new = _kept_inside(new, fixed, vertices, frame)
        if not np.array_equal(_edges_at(new, open_edges), rim) or _doubled(new_faces):
            continue
        after = frame.nm(new)
        if abs(_volume_about(after, new_faces, before) - volume) > allowed:
            continue
        if surface_distance(samples, after, new_faces).max() <= options.max_error_nm:
            return new, new_faces
    return vertices, faces


def _collapse(
    vertices: NDArray[np.int64], faces: NDArray[np.uint32], quadric: float, reduction: float, frame: _Frame
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Collapse edges until the engine's cost reaches `quadric`; vertices come back rounded to the lattice.

    The engine gets a new simplifier for each piece: one that has served before keeps marks of border vertices of
    the last mesh and then leaves up to twice the triangles. It takes whole numbers below 2**20, so lengths are given in
    that fraction of the piece's longest side in nm: its cost then sees true, not voxel, distances.
    """
    import zmesh

    low = vertices.min(axis=0)
    step_nm = frame.resolution_nm / STEPS_PER_VOXEL
    span = (vertices.max(axis=0) - low) * step_nm
    units = (_ENGINE_RANGE - 1) / max(float(span.max()), 1e-300) * step_nm
    scaled = np.rint((vertices - low) * units).astype(np.float32)
    # With a resolution of 2 the engine's half voxels are our units; it divides the bound by the diagonal, rounded down.
    engine = zmesh.Mesher((2.0, 2.0, 2.0))
    bound = np.ceil(quadric) * np.sqrt(12.0) * (1 + 1e-6)
    mesh = zmesh.Mesh(scaled, faces, None)
    out = engine.simplify(mesh, reduction_factor=max(int(reduction), 1), max_error=bound, min_error=0.0)
    if out.vertices is None or out.faces is None or len(out.faces) == 0:
        return vertices[:0], faces[:0]
    snapped = np.rint(out.vertices.astype(np.float64) / units).astype(np.int64) + low
    return snapped, np.ascontiguousarray(out.faces, np.uint32)


def _kept_inside(
    new: NDArray[np.int64], fixed: NDArray[np.bool_], old: NDArray[np.int64], frame: _Frame
) -> NDArray[np.int64]:
    """Keep vertices within the unsimplified piece's box, and all but rim vertices off the planes of the rim."""
    low, high = old.min(axis=0), old.max(axis=0)
    low_free = np.where(low == frame.rim_planes[0], low + 1, low)
    high_free = np.where(high == frame.rim_planes[1], high - 1, high)
    return np.where(fixed[:, None], new, np.clip(new, low_free, np.maximum(high_free, low_free)))


def _edges_at(vertices: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Directed edges as the positions (k, 6) of their ends, sorted."""
    rows = vertices[edges].reshape(-1, 6)
    return rows[np.lexsort(rows.T)]


def _doubled(faces: NDArray[np.uint32]) -> bool:
    keys = edge_keys(np.ascontiguousarray(faces, np.int64))
    return bool((keys[1:] == keys[:-1]).any())


def _volume_about(vertices: NDArray[np.float64], faces: NDArray[np.uint32], box_of: NDArray[np.float64]) -> float:
    """Signed volume about the middle of `box_of`'s box: open pieces of one rim are comparable only about one point."""
    corners = np.stack([box_of.min(axis=0), box_of.max(axis=0)])
    return signed_volume(np.concatenate([vertices, corners]), faces)
