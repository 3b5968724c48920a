"""Every file of an annotation layer: `info`, id index, an index per relationship, spatial levels; all sharded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ophiolite.kernels.annotation_index import Level as PlannedLevel
from ophiolite.kernels.annotation_index import ellipsoids_meet, plan_levels, segments_meet, snug_bounds
from ophiolite.precomputed.annotation import AnnotationInfo, AnnotationType, KeyedIndex, SpatialLevel, sort_properties
from ophiolite.precomputed.annotation_records import Records, encode_list, encode_singles
from ophiolite.precomputed.annotation_table import AnnotationTable, Related, relationship_keys
from ophiolite.precomputed.sharding import ShardingSpec, build_shard, hashed_sharding, locate, shard_name

# What a viewer draws from one cell before it asks for finer ones: some tens of kilobytes.
CELL_LIMIT = 1000


def annotation_files(
    table: AnnotationTable, cell_limit: int = CELL_LIMIT
) -> Iterator[tuple[str, bytes, ShardingSpec | None]]:
    """Every file of the layer as (path relative to the layer, bytes, sharding of a shard), `info` last, in fixed order.

    cell_limit : annotations wanted per cell of the spatial index. `info` states as a level's `limit` the count of its
    fullest cell, which by chance and in the last level may be higher.
    Raises FormatError where the annotations do not fit the format.
    """
    properties = sort_properties(table.properties)
    records = table.records(properties)
    # Gzip would lengthen records of some tens of bytes.
    by_id = KeyedIndex("by_id", hashed_sharding(len(table), data_encoding="raw"))
    singles = encode_singles(records, [(r.offsets, r.labels) for r in table.relationships.values()])
    yield from _shards(by_id, table.ids, singles.__getitem__)

    relationships = []
    for key, name in zip(relationship_keys(tuple(table.relationships)), table.relationships, strict=True):
        labels, starts, rows = _by_label(table.relationships[name])
        index = KeyedIndex(key, hashed_sharding(len(labels)))
        relationships.append((name, index))
        yield from _shards(index, labels, _lists(starts, rows, records, table.ids))

    levels = []
    lower, upper, planned = _plan(table, cell_limit)
    for number, level in enumerate(planned):
        # Hashed, not by Morton box: the cells in use may be few and far between.
        index = KeyedIndex(f"spatial{number}", hashed_sharding(len(level.codes)))
        levels.append(SpatialLevel(index, level.grid_shape, level.chunk_size, max(level.max_count, 1)))
        yield from _shards(index, level.codes, _lists(level.starts, level.rows, records, table.ids))

    info = AnnotationInfo(table.kind, lower, upper, properties, tuple(relationships), by_id, tuple(levels))
    yield "info", info.encode(), None


def _shards(
    index: KeyedIndex, keys: NDArray[np.uint64], value: Callable[[int], bytes]
) -> Iterator[tuple[str, bytes, ShardingSpec]]:
    """The shards, one after the other, that hold `value(i)` under `keys[i]`; shards without keys are not written."""
    shards, _ = locate(index.sharding, keys)
    order = np.argsort(shards, kind="stable")
    numbers, starts = np.unique(shards[order], return_index=True)
    for number, rows in zip(numbers.tolist(), np.split(order, starts[1:]), strict=False):
        entries = [(int(keys[i]), b"", value(i)) for i in rows.tolist()]
        path = f"{index.key}/{shard_name(index.sharding, number)}"
        yield path, build_shard(index.sharding, number, entries), index.sharding


def _lists(
    starts: NDArray[np.int64], rows: NDArray[np.int64], records: Records, ids: NDArray[np.uint64]
) -> Callable[[int], bytes]:
    """The encoded list of group i, `rows[starts[i]:starts[i + 1]]`."""
    return lambda i: encode_list(records, rows[starts[i] : starts[i + 1]], ids)


def _by_label(related: Related) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Labels, ascending, and the annotation rows of each: labels, starts, rows."""
    rows = np.repeat(np.arange(len(related.offsets) - 1, dtype=np.int64), np.diff(related.offsets))
    order = np.argsort(related.labels, kind="stable")
    labels, starts = np.unique(related.labels[order], return_index=True)
    return labels, np.concatenate([starts, [len(order)]]).astype(np.int64), rows[order]


Corner = tuple[float, float, float]


def _plan(table: AnnotationTable, cell_limit: int) -> tuple[Corner, Corner, list[PlannedLevel]]:
    ends, owner = table.ends()
    meets = None
    if table.kind is AnnotationType.ELLIPSOID:
        centers, radii = ends[:, 0], ends[:, 1]
        boxes, meets = np.stack([centers - radii, centers + radii], axis=1), ellipsoids_meet(centers, radii)
    else:
        boxes = np.sort(ends, axis=1)
        if table.kind in (AnnotationType.LINE, AnnotationType.POLYLINE):
            meets = segments_meet(ends)
    lower, upper = snug_bounds(boxes)
    levels = plan_levels(boxes, table.ids, (lower, upper), cell_limit, meets=meets, owner=owner)
    return _corner(lower), _corner(upper), levels


def _corner(vector: NDArray[np.float64]) -> Corner:
    x, y, z = vector.tolist()
    return x, y, z
