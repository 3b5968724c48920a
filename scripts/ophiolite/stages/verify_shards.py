"""Which chunks, labels or annotations of an altered shard are not as they were written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ophiolite.errors import FormatError, LayerError, StoreError
from ophiolite.geometry import Box, morton
from ophiolite.layers.objects import MeshReader
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.store import Store, Written
from ophiolite.plan.model import LayerPlan, VolumePlan
from ophiolite.precomputed.encoding import decode_chunk
from ophiolite.precomputed.shard_sums import LOCATED, altered_entries
from ophiolite.precomputed.sharding import ShardingSpec, ShardReader
from ophiolite.precomputed.volume_info import Scale, VolumeInfo, chunk_name
from ophiolite.stages.layer import volume_info

NAMED = 5
DAMAGE = (FormatError, LayerError, StoreError, TypeError, ValueError)


def damaged_entries(store: Store, paths: LayerPaths, plan: LayerPlan, file: Written) -> str:
    """Name the chunks, labels or annotations of a damaged shard that are not as its receipt says.

    Where those are more than the receipt can tell, it names the ones that no longer decode.
    """
    if not file.path.endswith(".shard"):
        return ""
    folder = file.path.removeprefix(f"{paths.layer_folder}/").rpartition("/")[0]
    try:
        found = _entries(store, paths, plan, file.path, folder)
        if found is None:
            return ""
        table = found.reader.entries()
        read = lambda offset, size: store.read_range(file.path, offset, size)  # noqa: E731
        altered = altered_entries(found.spec, table, read, file.entries)
    except DAMAGE as error:
        return f"its index or info: {error}"
    if altered is None:
        bad = [_name(found, key) for key in sorted(table[0].tolist()) if not _decodes(found.decode, key)]
        among = f", among them {_listed(bad)}" if bad else ""
        return f"more than {LOCATED} of {table.shape[1]} entries{among}"
    if not altered:
        return f"its index: all {table.shape[1]} entries are whole"
    return _listed([_name(found, key) for key in altered])


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


@dataclass(frozen=True)
class _Entries:
    """A shard, its sharding, what its keys are called, and how an entry is decoded."""

    spec: ShardingSpec
    reader: ShardReader
    name: Callable[[int], str]
    decode: Callable[[int], Any]


def _entries(store: Store, paths: LayerPaths, plan: LayerPlan, path: str, folder: str) -> _Entries | None:
    reader: Callable[[ShardingSpec], ShardReader] = lambda spec: ShardReader(  # noqa: E731
        spec, lambda offset, size: store.read_range(path, offset, size), path, store.size(path)
    )
    if not isinstance(plan, VolumePlan):
        found = _annotation_index(store, paths, folder)
        if not found:
            return None
        spec = ShardingSpec.from_json(found, path)
        own = reader(spec)
        return _Entries(spec, own, lambda key: f"{folder} {key}", own.get)
    for name, product in plan.products():
        if product.folder == folder:
            spec = ShardingSpec.from_json(product.sharding, path)
            own = reader(spec)
            meshes = f"{paths.layer_folder}/{folder}"
            decode = _mesh_decoder(MeshReader(store, meshes)) if name == "mesh" else own.get
            return _Entries(spec, own, lambda key: f"label {key}", decode)
    info = volume_info(plan)
    scale = next((s for s in info.scales if s.key == folder), None)
    if scale is None or scale.sharding is None:
        return None
    own = reader(scale.sharding)
    return _Entries(
        scale.sharding, own, lambda key: f"chunk {chunk_name(_box(scale, key))}", _chunk_decoder(own, info, scale)
    )


def _box(scale: Scale, key: int) -> Box:
    x, y, z = morton.decode(np.array([key], np.uint64), scale.grid.shape)[0].tolist()
    return scale.grid.cell((x, y, z))


def _chunk_decoder(reader: ShardReader, info: VolumeInfo, scale: Scale) -> Callable[[int], Any]:
    def decode(key: int) -> Any:
        data = reader.get(key)
        assert data is not None
        return decode_chunk(data, _box(scale, key).shape, info.num_channels, info.data_type, scale.encoding)

    return decode


def _mesh_decoder(meshes: MeshReader) -> Callable[[int], Any]:
    def decode(label: int) -> Any:
        manifest = meshes.manifest(label)
        assert manifest is not None
        return [meshes.read(label, lod) for lod in range(len(manifest.lod_scales))]

    return decode


def _annotation_index(store: Store, paths: LayerPaths, folder: str) -> object:
    """The sharding of one index of an annotation layer, from its `info`; None where that cannot be read."""
    try:
        info = json.loads(store.read(f"{paths.layer_folder}/info"))
        indices = [info["by_id"], *info["relationships"], *info["spatial"]]
        return next((i["sharding"] for i in indices if i["key"] == folder), None)
    except (ValueError, KeyError, TypeError, StoreError):
        return None


def _name(entries: _Entries, key: int) -> str:
    try:
        return entries.name(key)
    except Exception:  # an altered index may hold keys of which the grid knows nothing
        return f"key {key}"


def _decodes(decode: Callable[[int], Any], key: int) -> bool:
    try:
        decode(key)
    except Exception:  # whatever a decoder raises over altered bytes, they are what is to be named
        return False
    return True
