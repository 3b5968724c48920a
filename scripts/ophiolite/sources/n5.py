"""N5 arrays as sources, with the placement attributes of N5 Viewer, Janelia COSEM and CATMAID."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from ophiolite.geometry.box import Vec
from ophiolite.sources.axes import Axes, checked_resolution, offset_in_voxels, stored_axes, unit_in_nm
from ophiolite.sources.source import CACHE_BYTES, Given, Header, Nm
from ophiolite.sources.tensors import TensorSource, Tree, metadata_files, numpy_type

_DEFAULT_AXES = {2: "xy", 3: "xyz", 4: "xyzc"}


def open_n5(path: str, root: Path | str, inside: str, given: Given) -> TensorSource:
    """Open an N5 array, or the level `s0` of the group at `inside`.

    Axes are x, y, z[, channel] unless the attribute `axes` names them. Placement: `transform` (COSEM: axes, scale,
    translate, units), `pixelResolution` (with unit), or `resolution` with `units`; nothing where no unit is written.
    SourceError where there is no such array, naming those there are.
    """
    tree = Tree(path, root)
    key = inside.strip("/")
    attributes = _attributes(tree, key)
    if "dimensions" not in attributes and "dimensions" in _attributes(tree, f"{key}/s0".strip("/")):
        key = f"{key}/s0".strip("/")
        attributes = _attributes(tree, key)
    if "dimensions" not in attributes:
        arrays = [c for c in tree.children(("attributes.json",)) if "dimensions" in _attributes(tree, c.strip("/"))]
        raise tree.nothing_there(inside, "N5 array", arrays)
    store = tree.open({"driver": "n5", "kvstore": tree.at(key)})
    named = attributes.get("axes")
    names = "".join(named) if isinstance(named, list) and all(len(str(n)) == 1 for n in named) else None
    axes = stored_axes(path, store.shape, names or _DEFAULT_AXES.get(len(store.shape)))
    group = _attributes(tree, str(PurePosixPath(key).parent).strip("./"))
    resolution_nm, offset_vx = _placement(path, axes, attributes, group, given)
    return TensorSource(
        Header(
            path=path,
            shape_vx=axes.shape_vx,
            channels=axes.channels,
            dtype=numpy_type(tree, store),
            resolution_nm=resolution_nm,
            voxel_offset_vx=offset_vx,
            alignment_vx=axes.vector(store.chunk_layout.read_chunk.shape),
            files=metadata_files(tree, key, ("attributes.json",)),
            cache_bytes=CACHE_BYTES,
        ),
        axes,
        store,
        (key, attributes),
    )


def _attributes(tree: Tree, key: str) -> dict[str, Any]:
    return tree.json(f"{key}/attributes.json" if key else "attributes.json") or {}


def _placement(
    path: str, axes: Axes, attributes: dict[str, Any], group: dict[str, Any], given: Given
) -> tuple[Nm | None, Vec]:
    sizes, units, shift = _stated(axes, attributes, group)
    nm = given.resolution_nm
    factors = [unit_in_nm(unit) for unit in units]
    if nm is None and sizes is not None and None not in factors:
        nm = checked_resolution(path, [float(f"{v * f:.12g}") for v, f in zip(sizes, factors, strict=True) if f])
    if given.voxel_offset_vx is not None or sizes is None or not any(shift):
        return nm, given.voxel_offset_vx or (0, 0, 0)
    return nm, offset_in_voxels(path, shift, checked_resolution(path, sizes), broken="round")


def _stated(
    axes: Axes, attributes: dict[str, Any], group: dict[str, Any]
) -> tuple[list[float] | None, list[str | None], list[float]]:
    """Voxel size, unit and shift of x, y, z as the attributes state them, in their own units."""
    nowhere = [0.0, 0.0, 0.0]
    transform = attributes.get("transform")
    if isinstance(transform, dict) and {"axes", "scale", "translate", "units"} <= transform.keys():
        order = [str(name) for name in transform["axes"]]
        if set("xyz") <= set(order):
            at = [order.index(name) for name in "xyz"]
            return (
                [float(transform["scale"][i]) for i in at],
                [str(transform["units"][i]) for i in at],
                [float(transform["translate"][i]) for i in at],
            )
    for owner in (attributes, group):
        size: Any = owner.get("pixelResolution", owner.get("resolution"))
        unit: Any = owner.get("units", owner.get("unit"))
        if isinstance(size, dict):
            size, unit = size.get("dimensions"), size.get("unit", unit)
        if isinstance(size, list) and len(size) == len(axes.names):
            units = unit if isinstance(unit, list) and len(unit) == len(size) else [unit] * len(size)
            factor = attributes.get("downsamplingFactors") or [1] * len(size)
            scaled = [float(a) * float(b) for a, b in zip(size, factor, strict=True)]
            return (
                [float(axes.pick(scaled, name, 1.0)) for name in "xyz"],
                [axes.pick(units, name, units[0]) for name in "xyz"],
                nowhere,
            )
        if isinstance(size, list) and len(size) == 3:
            return [float(v) for v in size], [unit if isinstance(unit, str) else None] * 3, nowhere
    return None, [None] * 3, nowhere
