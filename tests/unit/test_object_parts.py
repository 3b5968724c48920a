"""Tables of objects in parts: what is held of them is bounded, and the same as of one table."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.kernels.label_stats import LabelStats
from ophiolite.layers.statistics import count_labels, read_stats_bytes, stats_bytes
from ophiolite.layers.store import Store
from ophiolite.stages import fragments
from ophiolite.stages.objects import largest_objects, object_columns


def stats_of(start: Any, extent: Any, voxels: Any) -> LabelStats:
    low = np.array(start, np.int64).reshape(-1, 3)
    high = low + np.array(extent, np.int64).reshape(-1, 3)
    n = len(low)
    labels = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(3)
    return LabelStats(labels, np.array(voxels, np.uint64), low, high, np.zeros((n, 3), np.int64))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("objects"))


@given(
    voxels=st.lists(st.integers(1, 4), max_size=40),
    parts=st.integers(1, 5),
    most=st.integers(1, 45),
    seed=st.integers(0, 99),
)
def test_the_largest_of_all_parts_are_those_of_the_whole_table(
    store: Store, voxels: list[int], parts: int, most: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.choice(10**6, len(voxels), replace=False).astype(np.uint64)
    cable = np.where(rng.random(len(voxels)) < 0.3, np.nan, 1.5 * labels)
    paths = []
    for part in range(parts):
        rows = np.arange(part, len(voxels), parts)
        rows = rows[np.argsort(labels[rows])]
        sizes = np.array(voxels, np.uint64)[rows]
        buffer = io.BytesIO()
        pq.write_table(pa.table({"label": labels[rows], "voxels": sizes, "cable": cable[rows]}), buffer)
        paths.append(f"d/objects/v/{part}.parquet")
        store.write(paths[-1], buffer.getvalue())
    whole = object_columns(store, paths, ["label", "voxels", "none", "cable"])
    assert list(whole) == ["label", "voxels", "cable"]
    by_label = np.argsort(whole["label"])
    whole = {name: values[by_label] for name, values in whole.items()}
    order = np.argsort(whole["voxels"], kind="stable")[::-1][:most]
    kept, count = largest_objects(store, paths, most)
    assert count == len(voxels)
    for name, values in whole.items():
        np.testing.assert_array_equal(kept[name], values[np.sort(order)])


@pytest.mark.parametrize("labels", [0, 1, 1000])
def test_labels_are_counted_from_the_head_of_a_file(store: Store, labels: int) -> None:
    stats = stats_of(np.arange(3 * labels), [[1, 2, 3]] * labels, [7] * labels)
    store.write("d/work/v/label_stats/0.npy", stats_bytes(stats))
    assert count_labels(store, "d/work/v/label_stats/0.npy") == labels
    back = read_stats_bytes(store.read("d/work/v/label_stats/0.npy"))
    for name in ("labels", "voxels", "start", "stop", "coordinate_sum"):
        np.testing.assert_array_equal(getattr(back, name), getattr(stats, name))


def test_what_holds_no_statistics_is_refused(store: Store) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(4))
    store.write("d/work/v/label_stats/1.npy", buffer.getvalue())
    with pytest.raises(ValueError, match="not label statistics"):
        count_labels(store, "d/work/v/label_stats/1.npy")


@given(st.integers(0, 2**32 - 1))
def test_the_dust_of_a_block_is_all_dust_that_its_tasks_can_see(seed: int) -> None:
    """Against every voxel of a coarse mip that a task reads, whichever label under it that shows."""
    rng = np.random.default_rng(seed)
    factor, size = np.array([2, 3, 1]), np.array([12, 9, 6])
    labels = rng.integers(0, 30, tuple(size * factor))
    names = [v for v in np.unique(labels) if v]
    where = {v: np.argwhere(labels == v) for v in names}
    stats = LabelStats(
        np.array(names, np.uint64),
        np.array([len(where[v]) for v in names], np.uint64),
        np.array([where[v].min(axis=0) for v in names]),
        np.array([where[v].max(axis=0) + 1 for v in names]),
        np.zeros((len(names), 3), np.int64),
    )
    least = int(np.median(stats.voxels)) + 1
    start = rng.integers(0, size - 3)
    core = fragments.Box.of(tuple(start.tolist()), (2, 2, 2))
    plan: Any = SimpleNamespace(options={"dust_vx": least}, mip=1)
    volume = SimpleNamespace(scales=[None, SimpleNamespace(factor=tuple(factor.tolist()))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fragments, "reduced_statistics", lambda job: iter([stats]))
        job: Any = SimpleNamespace(volume=volume)
        dust = set(fragments._dust(job, plan, [core], (1, 1)).tolist())
    low, high = np.maximum(start - 1, 0) * factor, np.minimum(start + 3, size) * factor
    seen = np.unique(labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]])
    small = set(stats.labels[stats.voxels < least].tolist())
    assert small & set(seen.tolist()) <= dust <= small
    far = fragments.Box.of((1000, 0, 0), (2, 2, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fragments, "reduced_statistics", lambda job: iter([stats]))
        assert len(fragments._dust(job, plan, [far], (0, 1))) == 0
