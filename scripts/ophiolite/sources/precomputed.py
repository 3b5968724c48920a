"""Existing Precomputed volumes as sources: local folders and http, gs, s3 addresses."""

from __future__ import annotations

from pathlib import Path

from ophiolite.errors import SourceError, explain
from ophiolite.sources.axes import Axes, checked_resolution, lengths_in_nm
from ophiolite.sources.source import CACHE_BYTES, Given, Header
from ophiolite.sources.tensors import TensorSource, Tree, metadata_files, numpy_type


def open_precomputed(path: str, root: Path | str, inside: str, given: Given) -> TensorSource:
    """Open one scale of a Precomputed volume: the finest, or the one whose key is `inside`.

    Resolution and offset are the scale's own, unless `given`. SourceError without `info`, for an unknown scale, and for
    encodings TensorStore has not.
    """
    tree = Tree(path, root)
    info = tree.json("info")
    if info is None:
        raise tree.error("there is no `info` file, so this is no Precomputed volume")
    scales = info.get("scales")
    if not isinstance(scales, list) or not scales:
        raise tree.error("its `info` names no scales, so this is no Precomputed volume")
    try:
        scale = next((s for s in scales if not inside.strip("/") or s["key"].strip("/") == inside.strip("/")), None)
        if scale is None:
            raise tree.nothing_there(inside, "scale", [f"/{s['key']}" for s in scales])
        store = tree.open(
            {
                "driver": "neuroglancer_precomputed",
                "kvstore": tree.at(""),
                "scale_index": scales.index(scale),
            }
        )
        axes = Axes("xyzc", tuple(store.shape))
        x, y, z = (int(v) for v in scale.get("voxel_offset", (0, 0, 0)))
        nm = given.resolution_nm or checked_resolution(path, lengths_in_nm(scale["resolution"], 1.0))
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            explain(path, f"its `info` does not follow the format (at {error})", do="Restore the `info` file")
        ) from error
    return TensorSource(
        Header(
            path=path,
            shape_vx=axes.shape_vx,
            channels=axes.channels,
            dtype=numpy_type(tree, store),
            resolution_nm=nm,
            voxel_offset_vx=given.voxel_offset_vx or (x, y, z),
            alignment_vx=axes.vector(store.chunk_layout.read_chunk.shape),
            files=metadata_files(tree, "", ("info",)),
            cache_bytes=CACHE_BYTES,
        ),
        axes,
        store,
        (scale,),
    )
