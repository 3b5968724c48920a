"""Which jobs made the intermediate files that a job reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ophiolite.errors import LayerError, StoreError
from ophiolite.layers.paths import FOLDERS, LayerPaths
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Store
from ophiolite.plan.model import VolumePlan


@dataclass(frozen=True)
class Needs:
    """A layer, of which is asked what its jobs read."""

    store: Store
    paths: LayerPaths
    plan: VolumePlan
    _merge_jobs: dict[str, dict[str, set[int]]] = field(default_factory=dict)

    def of(self, rule: str, item: str) -> Iterator[tuple[str, str]]:
        """(rule, item) of the jobs whose intermediate files a job reads: carries, statistics, fragments, index."""
        product, _, step = rule.rpartition("_")
        if rule == "label_stats":
            yield from (("pyramid_blocks", f"r0.{block}") for block in self.plan.rounds[0].block_names())
        elif rule == "pyramid_blocks":
            number, block = int(item[1:].partition(".")[0]), item.partition(".")[2]
            if number > 0:
                before = self.plan.rounds[number - 1]
                for name in self.plan.rounds[number].blocks_read(before, block):
                    yield "pyramid_blocks", f"r{before.number}.{name}"
        elif product in FOLDERS and step in ("shards", "objects"):
            yield f"{product}_index", ""
            wanted = {int(item)} if step == "shards" else None  # objects come from many merge jobs
            made = (f"{product}_fragments", f"{product}_objects") if step == "shards" else (f"{product}_fragments",)
            for maker in made:
                for name, jobs in self._written_for(maker).items():
                    if wanted is None or wanted & jobs:
                        yield maker, name

    def _written_for(self, rule: str) -> dict[str, set[int]]:
        """The merge jobs that each job of a rule left fragments for; a job without its receipt runs again anyway."""
        if rule not in self._merge_jobs:
            product, _, step = rule.rpartition("_")
            plan = dict(self.plan.products())[product]
            found = self._merge_jobs[rule] = {}
            for name in plan.block_names() if step == "fragments" else plan.object_job_names():
                try:
                    facts = read_receipt(self.store, self.paths.receipt(rule, name)).facts
                    found[name] = {int(job) for job, *_ in facts["ranges"]}
                except (LayerError, StoreError):
                    continue
        return self._merge_jobs[rule]
