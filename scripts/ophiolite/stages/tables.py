"""Tables of measures: rows to Arrow, the parts of a table as Parquet, whole tables as CSV and Parquet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.store import Store
from ophiolite.parquet import read_parquet, sorted_table
from ophiolite.plan.model import ProjectPlan, VolumePlan


def schema_of(columns: Mapping[str, str], lists: str = "") -> Any:
    """The Arrow schema of columns given as name -> type; those whose names begin with `lists` hold lists of it."""
    import pyarrow as pa

    kinds = {name: pa.type_for_alias(kind) for name, kind in columns.items()}
    return pa.schema([(n, pa.list_(kind) if lists and n.startswith(lists) else kind) for n, kind in kinds.items()])


def table_of(rows: Sequence[Mapping[str, Any]], schema: Any) -> Any:
    """Rows as an Arrow table with all columns of a schema; what a row lacks is null."""
    import pyarrow as pa

    return pa.Table.from_arrays([pa.array([row.get(f.name) for row in rows], f.type) for f in schema], schema=schema)


def parquet_bytes(table: Any) -> bytes:
    """An Arrow table as Parquet."""
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def csv_bytes(table: Any) -> bytes:
    """An Arrow table as CSV; lists are spelt with `;`."""
    import pyarrow.csv as csv

    out = io.BytesIO()
    csv.write_csv(_flat(table), out)
    return out.getvalue()


def write_table(store: Store, name: str, table: Any) -> None:
    """Write tables/<name>.csv and .parquet of a project."""
    store.write(f"tables/{name}.csv", csv_bytes(table))
    store.write(f"tables/{name}.parquet", parquet_bytes(table))


def _flat(table: Any) -> Any:
    """The table with its lists as text, which CSV can hold."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            lists = table[field.name].to_pylist()
            texts = [None if v is None else ";".join("" if x is None else str(x) for x in v) for v in lists]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table


@dataclass(frozen=True)
class ObjectTable:
    """A table with a row per object, measured by the merge jobs of `product` in the rule `<product>_quality`.

    columns : name -> Arrow type, with dataset, layer and label; lists : how the names of columns of lists begin.
    """

    product: str
    columns: Mapping[str, str]
    lists: str = ""

    @property
    def rule(self) -> str:
        """The rule that measures, which names the table too."""
        return f"{self.product}_quality"

    def part(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        """Rows as a part of the table."""
        return parquet_bytes(table_of(rows, schema_of(self.columns, self.lists)))

    def part_paths(self, plan: ProjectPlan, dataset: str, layer: str) -> list[str]:
        """The parts of one layer; none where it has no such product."""
        volume = plan.datasets[dataset].layers[layer]
        product = dict(volume.products()).get(self.product) if isinstance(volume, VolumePlan) else None
        return [LayerPaths(dataset, layer).quality(self.rule, job) for job in product.job_names()] if product else []

    def places(self, plan: ProjectPlan) -> list[tuple[str, str]]:
        """The (dataset, layer) that have the product."""
        places = [(dataset, layer) for dataset, data in plan.datasets.items() for layer in data.layers]
        return [place for place in places if self.part_paths(plan, *place)]

    def read(self, store: Store, paths: Sequence[str]) -> Any:
        """Parts as one Arrow table, ascending by dataset, layer and label."""
        import pyarrow as pa

        empty = schema_of(self.columns, self.lists).empty_table()
        found = [empty, *(read_parquet(store.read(path)) for path in paths)]
        return sorted_table(pa.concat_tables(found), "dataset", "layer", "label")

    def frames(self, plan: ProjectPlan, store: Store) -> dict[tuple[str, str], Any]:
        """The rows of each layer that has the product, as pandas, by dataset and layer."""
        paths = {place: self.part_paths(plan, *place) for place in self.places(plan)}
        return {place: self.read(store, found).to_pandas(use_threads=False) for place, found in paths.items()}

    def write(self, plan: ProjectPlan, store: Store) -> int:
        """Write the table of a project; returns the rows."""
        table = self.read(store, [path for place in self.places(plan) for path in self.part_paths(plan, *place)])
        write_table(store, self.rule, table)
        return int(table.num_rows)
