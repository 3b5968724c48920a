"""Centrelines of every label of a task (TEASAR, Sato et al. 2000, doi:10.1109/PCCGA.2000.883951), by kimimaro.

Halo: none below, one voxel above wherever a neighbouring task exists. Both tasks see that shared plane, and each
cross-section of a label in it is given one end point, chosen from the plane alone: centrelines meet there to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import ConfigError, explain
from ophiolite.geometry.lattice import STEPS_PER_VOXEL, SkeletonPiece
from ophiolite.kernels.cavities import cavities

HALO_LOW_VX = 0
HALO_HIGH_VX = 1

Labels = NDArray[np.unsignedinteger[Any]]
Flags = tuple[bool, bool, bool]


@dataclass(frozen=True)
class SkeletonOptions:
    """How centrelines are traced.

    scale, const_nm : a traced path clears balls of `scale` times the distance to the surface plus `const_nm`; larger
        values give fewer side branches.
    pdrf_scale, pdrf_exponent : the penalty for leaving the middle is pdrf_scale (1 - distance / largest)^pdrf_exponent.
    soma_detect_nm : a label whose greatest distance to its surface exceeds this is looked at as a soma (voids filled).
    soma_accept_nm : and if it then exceeds this, it is traced as one: root in its middle.
    soma_scale, soma_const_nm : radius about that root in which there is no other vertex, as `scale` and `const_nm`.
    max_paths : give up on a piece that needs as many paths, None for no limit.
    fix_branching : let side branches leave where they do, not at the root (slower, better).
    fix_borders : end points on the shared planes; without them pieces of neighbouring tasks do not meet.
    fix_avocados : unite a nucleus that is a label of its own with the soma around it. Decided per task, so pieces of
        such a soma may fail to meet those of the next task.
    fill_holes : fill the voids of a label that are closed within the task. Labels in a void are traced as well.
    include_labels : trace only these, None for all. exclude_labels : leave these out.
    """

    scale: float = 4.0
    const_nm: float = 10.0
    pdrf_scale: float = 100_000.0
    pdrf_exponent: int = 4
    soma_detect_nm: float = 1100.0
    soma_accept_nm: float = 3500.0
    soma_scale: float = 1.0
    soma_const_nm: float = 300.0
    max_paths: int | None = None
    fix_branching: bool = True
    fix_borders: bool = True
    fix_avocados: bool = False
    fill_holes: bool = False
    include_labels: tuple[int, ...] | None = None
    exclude_labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in (
            "scale",
            "const_nm",
            "pdrf_scale",
            "soma_detect_nm",
            "soma_accept_nm",
            "soma_scale",
            "soma_const_nm",
        ):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ConfigError(
                    explain(f"skeleton {name}", "not a size", expected="0 or more", got=value, do="Change the config")
                )
        if self.scale == 0 and self.const_nm == 0:
            raise ConfigError(
                explain("skeleton scale, const_nm", "both are 0", expected="one above 0", do="Set const_nm to 10 or so")
            )
        if self.max_paths is not None and self.max_paths < 1:
            raise ConfigError(
                explain(
                    "skeleton max_paths",
                    "not a count",
                    expected="1 or more, or null",
                    got=self.max_paths,
                    do="Change it",
                )
            )


def skeletonize_labels(
    labels: Labels,
    resolution_nm: tuple[float, float, float],
    core_shape_vx: tuple[int, int, int],
    seams_low: Flags,
    seams_high: Flags,
    skip: NDArray[np.uint64] | None = None,
    options: SkeletonOptions = SkeletonOptions(),
) -> Iterator[tuple[int, SkeletonPiece]]:
    """Trace the centrelines of every label of a task; yields (label, piece), labels ascending.

    labels : (x, y, z) unsigned integers, 0 is background; core plus one voxel at the high side of each axis that has a
        neighbour there, so its shape is `core_shape_vx` plus `seams_high`.
    seams_low, seams_high : which faces a neighbouring task shares.
    skip : labels to leave out. Whether an object is dust is for the caller to say, who knows all of it: here even the
        smallest part of a label is traced, or the tips of large objects would be lost at the borders of tasks.
    Pieces are relative to the first voxel of the core; the centre of voxel i is 256 i + 128. Radii are distances to the
    surface as far as this task sees it. A part of a label in the halo that does not reach into the core belongs to the
    neighbour and is left to it. A part of one voxel has no centreline; a label without any yields nothing.
    Raises ValueError where the shape does not follow from core and seams.
    """
    expected = tuple(n + int(s) for n, s in zip(core_shape_vx, seams_high, strict=True))
    if labels.shape != expected:
        raise ValueError(
            f"labels have shape {labels.shape}; core {core_shape_vx} and seams {seams_high} make {expected}"
        )
    numbers, names = _wanted(labels, skip, options)
    for axis in range(3):
        if seams_high[axis]:
            _leave_to_neighbour(numbers, axis)
    found: dict[int, list[tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float32]]]] = {}
    while numbers.any():
        inner = _fill_holes(numbers) if options.fill_holes else None
        for number, skeleton in _kimimaro(numbers, resolution_nm, options).items():
            found.setdefault(int(number), []).append(skeleton)
        if inner is None:
            break
        numbers = inner
    for number in sorted(found):
        yield int(names[number]), _piece(found[number], labels.shape, seams_low, seams_high)


def _wanted(
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


def _leave_to_neighbour(numbers: NDArray[np.uint32], axis: int) -> None:
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


def _fill_holes(numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
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


def _kimimaro(
    numbers: NDArray[np.uint32], resolution_nm: tuple[float, float, float], options: SkeletonOptions
) -> dict[int, tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float32]]]:
    """Voxel indices (n, 3), edges and radii of each number's centrelines: the one place that calls the engine."""
    import kimimaro

    parameters = {
        "scale": options.scale,
        "const": options.const_nm,
        "pdrf_scale": options.pdrf_scale,
        "pdrf_exponent": options.pdrf_exponent,
        "soma_detection_threshold": options.soma_detect_nm,
        "soma_acceptance_threshold": options.soma_accept_nm,
        "soma_invalidation_scale": options.soma_scale,
        "soma_invalidation_const": options.soma_const_nm,
        "max_paths": options.max_paths,
    }
    skeletons = kimimaro.skeletonize(
        numbers,
        teasar_params=parameters,
        anisotropy=resolution_nm,
        dust_threshold=0,
        progress=False,
        fix_branching=options.fix_branching,
        # The engine fails on faces of a single voxel; the ends of a row of voxels are traced to without it.
        fix_borders=options.fix_borders and sum(n > 1 for n in numbers.shape) > 1,
        fix_avocados=options.fix_avocados,
        parallel=1,
    )
    return {
        number: (
            np.rint(skeleton.vertices / np.array(resolution_nm)).astype(np.int64),
            skeleton.edges.astype(np.uint32),
            skeleton.radii.astype(np.float32),
        )
        for number, skeleton in skeletons.items()
        if len(skeleton.edges)
    }


def _piece(
    parts: list[tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float32]]],
    shape: tuple[int, ...],
    seams_low: Flags,
    seams_high: Flags,
) -> SkeletonPiece:
    """One piece of the engine's voxel indices."""
    counts = np.cumsum([0] + [len(part[0]) for part in parts])
    voxels = np.concatenate([part[0] for part in parts])
    edges = np.concatenate([part[1] + np.uint32(start) for part, start in zip(parts, counts, strict=False)])
    seam = np.zeros(len(voxels), np.bool_)
    for axis in range(3):
        if seams_low[axis]:
            seam |= voxels[:, axis] == 0
        if seams_high[axis]:
            seam |= voxels[:, axis] == shape[axis] - 1
    vertices = (voxels * STEPS_PER_VOXEL + STEPS_PER_VOXEL // 2).astype(np.int32)
    return SkeletonPiece(vertices, edges, np.concatenate([part[2] for part in parts]), seam)
