"""The table of encodings of the whole project, from the parts that its layers measured."""

from __future__ import annotations

from collections.abc import Sequence

from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.store import Store
from ophiolite.parquet import read_parquet
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.stages.compression_codec import table_bytes
from ophiolite.stages.tables import csv_bytes, parquet_bytes


def compression_tables(plan: ProjectPlan, store: Store) -> tuple[bytes, bytes]:
    """The table as CSV and as Parquet: layers by dataset and name, each in the order in which it was measured."""
    import pyarrow as pa

    parts = [table_bytes([])]
    for dataset, layer in measured_layers(plan):
        parts.append(store.read(LayerPaths(dataset, layer).quality("compression_codec", "all")))
    table = pa.concat_tables([read_parquet(part) for part in parts])
    return csv_bytes(table), parquet_bytes(table)


def measured_layers(plan: ProjectPlan) -> Sequence[tuple[str, str]]:
    """Dataset and name of every image and segmentation layer, sorted."""
    return sorted(
        (dataset, name)
        for dataset, data in plan.datasets.items()
        for name, layer in data.layers.items()
        if isinstance(layer, VolumePlan)
    )
