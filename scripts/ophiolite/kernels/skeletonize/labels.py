"""Which voxels of a task are traced: labels as numbers, voids filled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.cavities import cavities
from ophiolite.kernels.label_numbers import labels_of
from ophiolite.kernels.skeletonize.options import SkeletonOptions

Labels = NDArray[np.unsignedinteger[Any]]


def wanted(
    labels: Labels, skip: NDArray[np.uint64] | None, options: SkeletonOptions
) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
    """The labels as numbers 1, 2, ... in ascending order of label, 0 for those left out, and the label of each number.

    Small numbers keep the engine at 4 bytes a voxel and away from labels that it could round.
    """
    present = labels_of(labels).astype(np.uint64)
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
