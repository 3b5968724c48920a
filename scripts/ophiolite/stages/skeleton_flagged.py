"""Skeletons that the quality report flags, as a ready piece of config that has them traced from whole objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ophiolite.layers.store import Store
from ophiolite.parquet import read_parquet
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.stages.skeleton_quality_table import TABLE

FILE = "tables/skeleton_whole_labels.yaml"
TOLD = "Objects whose skeletons the quality report flags, to be traced once more, each from the whole object."
USED = "Copy this file and give it beside the config: snakemake skeleton quality --configfile CONFIG COPY"
# Of each layer at a time: a whole object may take as long as a task.
MOST = 100
# There is no object to look at.
_BEYOND = ("without voxels",)
# Above it, numbers do not go through every reader of YAML and JSON.
_LARGEST = 2**53
Place = tuple[str, str]


@dataclass(frozen=True)
class Flagged:
    """Of one layer: labels that the config names already, those to be named as well, and how many are flagged in all.

    named, more : ascending. found : flagged and not named, MOST of which are in `more`, the gravest.
    """

    named: tuple[int, ...]
    more: tuple[int, ...]
    found: int

    @property
    def line(self) -> str:
        """The line of config that names them all."""
        labels = (str(label) if label <= _LARGEST else f'"{label}"' for label in sorted({*self.named, *self.more}))
        return f"whole_labels: [{', '.join(labels)}]"

    @property
    def told(self) -> str:
        """How many they are, in words."""
        rest = self.found - len(self.more)
        text = f"{self.found:,} flagged" + (f", the gravest {len(self.more):,} of them named" if rest else "")
        return text + (f", beside {len(self.named):,} named already" if self.named else "")


def flagged(rows: Iterable[Mapping[str, Any]], named: Sequence[int]) -> Flagged:
    """Choose among the rows (`label`, `status`, `gravity`) of one layer's table: the gravest first, then by label."""
    found = sorted(
        (-int(row["gravity"]), int(row["label"]))
        for row in rows
        if row["gravity"] > 0 and row["status"] not in _BEYOND and int(row["label"]) not in named
    )
    return Flagged(tuple(sorted(named)), tuple(sorted(label for _, label in found[:MOST])), len(found))


def flagged_of(plan: ProjectPlan, rows: Mapping[Place, Iterable[Mapping[str, Any]]]) -> dict[Place, Flagged]:
    """What the rows of the layers (`dataset`, `layer`) that have skeletons flag."""
    out = {}
    for (dataset, layer), found in rows.items():
        volume = plan.datasets[dataset].layers[layer]
        assert isinstance(volume, VolumePlan)
        assert volume.skeleton is not None
        named = [int(label) for label in volume.skeleton.options["objects"]["whole_labels"]]
        out[dataset, layer] = flagged(found, named)
    return out


def write_flagged(plan: ProjectPlan, store: Store) -> None:
    """Write what the table of a project flags as config, to be given beside the project's own."""
    columns = ["dataset", "layer", "label", "status", "gravity"]
    table = read_parquet(store.read(f"tables/{TABLE.rule}.parquet"), columns)
    rows: dict[Place, list[Any]] = {place: [] for place in TABLE.places(plan)}
    for row in table.take(np.flatnonzero(table["gravity"].to_numpy() > 0)).to_pylist():
        rows[row["dataset"], row["layer"]].append(row)
    lines = [f"# {line}" for line in (TOLD, USED)] + ["datasets:"]
    before = ""
    for (dataset, layer), found in flagged_of(plan, rows).items():
        lines += [f"  {dataset}:", "    layers:"] if dataset != before else []
        lines += [f"      {layer}:", f"        # {found.told}", "        skeleton:", f"          {found.line}"]
        before = dataset
    store.write(FILE, ("\n".join(lines) + "\n").encode())
