"""Which voxels of a task are traced: labels as numbers, parts left to a neighbour, voids filled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.cavities import cavities
from ophiolite.kernels.skeletonize.borders import border_targets
from ophiolite.kernels.skeletonize.options import SkeletonOptions

Labels = NDArray[np.unsignedinteger[Any]]


def wanted(
    labels: Labels, skip: NDArray[np.uint64] | None, options: SkeletonOptions
) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
    """The labels as numbers 1, 2, ... in ascending order of label, 0 for those left out, and the label of each number.

    Small numbers keep the engine at 4 bytes a voxel and away from labels that it could round.
    """
    import fastremap

    present = fastremap.unique(labels).astype(np.uint64)
    keep = present != 0
    if options.include_labels is not None:
        keep &= np.isin(present, np.array(options.include_labels, dtype=np.uint64))
    if options.exclude_labels:
        keep &= ~np.isin(present, np.array(options.exclude_labels, dtype=np.uint64))
    if skip is not None and len(skip):
        keep &= ~np.isin(present, skip)
    names = np.concatenate([np.zeros(1, np.uint64), present[keep]])
    table = np.zeros(len(present), np.uint32)
    table[keep] = np.arange(1, len(names), dtype=np.uint32)
    numbers = np.empty(labels.shape, np.uint32, order="F")
    for z in range(labels.shape[2]):
        numbers[:, :, z] = table[np.searchsorted(present, labels[:, :, z])]
    return numbers, names


def leave_to_neighbour(numbers: NDArray[np.uint32], axis: int) -> None:
    """Blank, in the last layer of an axis, every connected part that does not touch the layer before it.

    Such a part is whole in the neighbour. Traced here too, it would give a second centreline beside the neighbour's.
    """
    import cc3d

    if numbers.shape[axis] < 2:
        return
    halo = np.moveaxis(numbers, axis, 0)[-1]
    before = np.moveaxis(numbers, axis, 0)[-2]
    parts = cc3d.connected_components(np.ascontiguousarray(halo), connectivity=8)
    touches = np.zeros(int(parts.max()) + 1, np.bool_)
    nu, nv = halo.shape
    for du in (-1, 0, 1):
        for dv in (-1, 0, 1):
            here = np.s_[max(du, 0) : nu + min(du, 0), max(dv, 0) : nv + min(dv, 0)]
            there = np.s_[max(-du, 0) : nu + min(-du, 0), max(-dv, 0) : nv + min(-dv, 0)]
            touches[parts[here][halo[here] == before[there]]] = True
    halo[~touches[parts]] = 0


def fill_holes(numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Fill the voids of each label in place; returns what was in them before, 0 elsewhere.

    Outer labels first: what they swallow has no voids of its own any more. A void that reaches a face is open, so both
    tasks at a shared plane still see the same plane.
    """
    from scipy import ndimage

    inner = np.zeros_like(numbers, order="F")
    boxes = [(i, b) for i, b in enumerate(ndimage.find_objects(numbers), start=1) if b is not None]
    boxes.sort(key=lambda item: (-int(np.prod([s.stop - s.start for s in item[1]])), item[0]))
    for number, box in boxes:
        view = numbers[box]
        mask = view == number
        if not mask.any():
            continue
        gained = cavities(mask)
        if gained.any():
            inner[box][gained] = view[gained]
            view[gained] = number
    return inner


def face_targets(numbers: NDArray[np.uint32], resolution_nm: tuple[float, float, float]) -> NDArray[np.int64]:
    """Voxels (k, 3) at which centrelines are to end: one in each cross-section of a number in each face."""
    found = [np.zeros((0, 3), np.int64)]
    for axis in range(3):
        u, v = (n for i, n in enumerate(resolution_nm) if i != axis)
        for at in (0, numbers.shape[axis] - 1):
            voxels, _ = border_targets(np.take(numbers, at, axis), (u, v))
            found.append(np.insert(voxels, axis, at, axis=1))
    return np.unique(np.concatenate(found), axis=0)
