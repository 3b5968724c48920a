"""Reading single meshes and skeletons back from the shards of a layer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ophiolite.layers.store import Store
from ophiolite.precomputed.multilod import Manifest, decode_fragment, decode_manifest
from ophiolite.precomputed.sharding import ShardingSpec, ShardReader, locate, shard_name
from ophiolite.precomputed.skeleton import DecodedSkeleton, VertexAttribute, decode_skeleton

OPEN_SHARDS = 16


class KeyedShards:
    """A sharded folder of keyed entries, such as meshes or skeletons by label."""

    def __init__(self, store: Store, folder: str) -> None:
        self.store, self.folder = store, folder
        path = f"{folder}/info"
        self.info = json.loads(store.read(path))
        self.spec = ShardingSpec.from_json(self.info["sharding"], path)
        self._open = lru_cache(maxsize=OPEN_SHARDS)(self._reader)

    def shard(self, key: int) -> tuple[str, ShardReader]:
        """Path and reader of the shard that a key belongs to."""
        number, _ = locate(self.spec, np.array([key], dtype=np.uint64))
        return self._open(int(number[0]))

    def keys(self, shards: range | None = None) -> NDArray[np.uint64]:
        """All keys of the folder, or of some of its shards, ascending."""
        numbers = range(self.spec.shards) if shards is None else shards
        found = [np.empty(0, np.uint64), *(self._open(number)[1].keys() for number in numbers)]
        return np.sort(np.concatenate(found))

    def _reader(self, number: int) -> tuple[str, ShardReader]:
        path = f"{self.folder}/{shard_name(self.spec, number)}"
        return path, ShardReader(self.spec, lambda offset, size: self.store.read_range(path, offset, size), path)


class MeshReader(KeyedShards):
    """Multi-resolution meshes by label."""

    def manifest(self, label: int) -> Manifest | None:
        """The manifest of a label, None where it has no mesh."""
        data = self.shard(label)[1].get(label)
        return decode_manifest(data) if data is not None else None

    def read(self, label: int, lod: int = 0) -> tuple[NDArray[np.float64], NDArray[np.uint32]] | None:
        """Vertices (n, 3) in nm and faces (m, 3) of one level, its nodes side by side; None where there is no mesh."""
        path, reader = self.shard(label)
        at = reader.location(label)
        manifest = self.manifest(label)
        if at is None or manifest is None:
            return None
        lod = min(lod, len(manifest.lod_scales) - 1)
        sizes = np.concatenate([np.asarray(s, np.int64) for s in manifest.sizes])
        first = sum(len(s) for s in manifest.sizes[:lod])
        offset = at[0] - int(sizes.sum()) + int(sizes[:first].sum())
        side = np.asarray(manifest.chunk_shape, np.float64) * 2**lod
        steps = (1 << int(self.info["vertex_quantization_bits"])) - 1
        vertices, faces, count = [np.zeros((0, 3))], [np.zeros((0, 3), np.uint32)], 0
        for position, size in zip(manifest.positions[lod], manifest.sizes[lod], strict=True):
            if size:
                points, corners = decode_fragment(self.store.read_range(path, offset, int(size)))
                vertices.append(manifest.grid_origin + side * (position + points / steps))
                faces.append(corners + np.uint32(count))
                count += len(points)
            offset += int(size)
        return np.concatenate(vertices), np.concatenate(faces)


class SkeletonReader(KeyedShards):
    """Skeletons by label; their first attribute is the radius."""

    @property
    def attributes(self) -> tuple[VertexAttribute, ...]:
        """What every vertex carries, in the order of the folder's info."""
        return tuple(VertexAttribute(a["id"], a["num_components"]) for a in self.info["vertex_attributes"])

    def read(self, label: int) -> DecodedSkeleton | None:
        """The skeleton of a label, None where it has none."""
        data = self.shard(label)[1].get(label)
        return decode_skeleton(data, self.attributes) if data is not None else None

    def read_together(self, labels: Sequence[int]) -> list[DecodedSkeleton]:
        """The skeletons of labels that are all there, in their order, with few requests to a bucket for each shard."""
        numbers = locate(self.spec, np.array(labels, dtype=np.uint64))[0]
        found: dict[int, DecodedSkeleton] = {}
        for number in np.unique(numbers).tolist():
            path, reader = self._open(number)
            spans = {labels[i]: reader.location(labels[i]) for i in np.flatnonzero(numbers == number).tolist()}
            there = {label: span for label, span in spans.items() if span is not None}
            stored = self.store.read_ranges(path, list(there.values()))
            for label, data in zip(there, stored, strict=True):
                found[label] = decode_skeleton(reader.decoded(data), self.attributes)
        return [found[label] for label in labels]
