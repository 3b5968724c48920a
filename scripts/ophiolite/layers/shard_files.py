"""Shards as files of a store."""

from __future__ import annotations

from dataclasses import replace

from ophiolite.layers.store import Store, Written
from ophiolite.precomputed.shard_sums import entry_sums
from ophiolite.precomputed.sharding import ShardingSpec


def write_shard(store: Store, path: str, spec: ShardingSpec, shard: bytes) -> Written:
    """Write a shard; what is recorded of it tells its altered entries. Raises StoreError where the store refuses."""
    return replace(store.write(path, shard), entries=entry_sums(spec, shard))
