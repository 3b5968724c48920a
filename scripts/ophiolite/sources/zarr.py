"""Zarr v2 and v3 arrays and OME-Zarr (NGFF 0.1 to 0.5) images and labels as sources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ophiolite.errors import SourceError, explain
from ophiolite.geometry.box import Vec
from ophiolite.sources.axes import Axes, checked_resolution, offset_in_voxels, stored_axes, unit_in_nm
from ophiolite.sources.source import CACHE_BYTES, Given, Header, Nm
from ophiolite.sources.tensors import TensorSource, Tree, metadata_files, numpy_type

_MARKS = ("zarr.json", ".zarray", ".zgroup")


@dataclass(frozen=True)
class _Node:
    """An array or group: its Zarr version, whether it is an array, its attributes and its metadata."""

    version: int
    is_array: bool
    attributes: dict[str, Any]
    metadata: dict[str, Any]


def open_zarr(path: str, root: Path | str, inside: str, given: Given) -> TensorSource:
    """Open a Zarr array, or level 0 of the OME-Zarr multiscale image that the group holds.

    Axes, scale, translation and units are those of the level in its group's `multiscales`; the translation is rounded
    to whole voxels. Plain arrays are z, y, x[, channel] unless they name their dimensions. `given` replaces
    the placement.
    SourceError where there is no such array, naming those there are.
    """
    tree = Tree(path, root)
    key = inside.strip("/")
    node = _node(tree, key)
    multiscale: dict[str, Any] | None = None
    dataset: dict[str, Any] | None = None
    if node is not None and not node.is_array:
        multiscale = _multiscale(node)
        if multiscale is not None:
            dataset = dict(multiscale["datasets"][0])
            key = f"{key}/{dataset.get('path', '')}".strip("/")
            node = _node(tree, key)
    elif node is not None:
        multiscale, dataset = _level_of(tree, key)
    if node is None or not node.is_array:
        found = [child for child in tree.children(_MARKS) if _is_volume(tree, child)]
        raise tree.nothing_there(inside, "Zarr array or OME-Zarr image", found)
    store = tree.open({"driver": "zarr3" if node.version == 3 else "zarr", "kvstore": tree.at(key)})
    names, units = _axis_names(node, multiscale, len(store.shape))
    axes = stored_axes(path, store.shape, names)
    resolution_nm, offset_vx = _placement(path, axes, multiscale, dataset, units, given)
    return TensorSource(
        Header(
            path=path,
            shape_vx=axes.shape_vx,
            channels=axes.channels,
            dtype=numpy_type(tree, store),
            resolution_nm=resolution_nm,
            voxel_offset_vx=offset_vx,
            alignment_vx=axes.vector(store.chunk_layout.read_chunk.shape),
            files=metadata_files(tree, key, ("zarr.json", ".zarray", ".zattrs")),
            cache_bytes=CACHE_BYTES,
        ),
        axes,
        store,
        (key, node.metadata, multiscale),
    )


def _node(tree: Tree, key: str) -> _Node | None:
    prefix = f"{key}/" if key else ""
    v3 = tree.json(f"{prefix}zarr.json")
    if v3 is not None:
        return _Node(3, v3.get("node_type") == "array", v3.get("attributes") or {}, v3)
    array = tree.json(f"{prefix}.zarray")
    if array is None and tree.json(f"{prefix}.zgroup") is None:
        return None
    return _Node(2, array is not None, tree.json(f"{prefix}.zattrs") or {}, array or {})


def _is_volume(tree: Tree, child: str) -> bool:
    node = _node(tree, child.strip("/"))
    return node is not None and (node.is_array or _multiscale(node) is not None)


def _multiscale(node: _Node) -> dict[str, Any] | None:
    """NGFF: the first entry of `multiscales`, under `ome` from 0.5 on; None where it names no datasets."""
    found = (node.attributes.get("ome") or node.attributes).get("multiscales")
    if isinstance(found, list) and found and isinstance(found[0], dict) and found[0].get("datasets"):
        return dict(found[0])
    return None


def _level_of(tree: Tree, key: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The multiscale entry of a group above an array, and its dataset that is this array."""
    array = PurePosixPath(key)
    for parent in array.parents:
        node = _node(tree, "" if str(parent) == "." else str(parent))
        multiscale = _multiscale(node) if node is not None else None
        if multiscale is None:
            continue
        for dataset in multiscale["datasets"]:
            if parent / dataset.get("path", "") == array:
                return multiscale, dataset
    return None, None


def _axis_names(node: _Node, multiscale: dict[str, Any] | None, count: int) -> tuple[str | None, dict[str, str | None]]:
    """One letter per stored axis (None where nothing names them), and the unit of each."""
    listed: list[Any] = list((multiscale or {}).get("axes") or [])
    if not listed and multiscale is not None and count == 5:
        listed = list("tczyx")
    if not listed:
        listed = node.metadata.get("dimension_names") or node.attributes.get("_ARRAY_DIMENSIONS") or []
    letters, units = "", dict[str, str | None]()
    for axis in listed:
        name = str(axis.get("name", "") if isinstance(axis, dict) else axis or "").lower()
        kind = str(axis.get("type", "")) if isinstance(axis, dict) else ""
        letter = {"time": "t", "channel": "c"}.get(kind or name, name)
        if len(letter) != 1:
            return None, {}
        letters += letter
        units[letter] = axis.get("unit") if isinstance(axis, dict) else None
    return letters or None, units


def _placement(
    path: str,
    axes: Axes,
    multiscale: dict[str, Any] | None,
    dataset: dict[str, Any] | None,
    units: dict[str, str | None],
    given: Given,
) -> tuple[Nm | None, Vec]:
    """Voxel size and first voxel of a level (NGFF 0.4, "multiscales" metadata: coordinateTransformations)."""
    scale, shift = [1.0] * len(axes.names), [0.0] * len(axes.names)
    stated = False
    for owner in (dataset or {}, multiscale or {}):
        for step in owner.get("coordinateTransformations") or []:
            values = step.get(step.get("type"))
            if step.get("type") == "identity":
                continue
            if step.get("type") not in ("scale", "translation") or not _numbers(values, len(axes.names)):
                raise SourceError(
                    explain(
                        path,
                        "a coordinate transformation of the OME-Zarr image is not read",
                        expected=f"a scale or translation of {len(axes.names)} numbers",
                        got=step,
                        do="Write the image with a scale and a translation only",
                    )
                )
            if step["type"] == "scale":
                scale = [a * b for a, b in zip(scale, values, strict=True)]
                shift = [a * b for a, b in zip(shift, values, strict=True)]
                stated = True
            else:
                shift = [a + b for a, b in zip(shift, values, strict=True)]
    x, y, z = (float(axes.pick(scale, name, 1.0)) for name in "xyz")
    factors = [unit_in_nm(units.get(name)) for name in "xyz"]
    nm = given.resolution_nm
    if nm is None and stated and "z" in axes.names and None not in factors:
        nm = checked_resolution(path, [float(f"{v * f:.12g}") for v, f in zip((x, y, z), factors, strict=True) if f])
    if given.voxel_offset_vx is not None or not any(shift):
        return nm, given.voxel_offset_vx or (0, 0, 0)
    moved = [float(axes.pick(shift, name, 0.0)) for name in "xyz"]
    # Scale and translation are in one unit, so their ratio is voxels whatever the unit is.
    return nm, offset_in_voxels(path, moved, checked_resolution(path, (x, y, z)), broken="round")


def _numbers(values: Any, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(isinstance(v, int | float) for v in values)
