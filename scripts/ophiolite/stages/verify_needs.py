"""Which jobs made the intermediate files that a job reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ophiolite.errors import LayerError, StoreError
from ophiolite.layers.paths import FOLDERS, LayerPaths
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Store
from ophiolite.plan.model import AnnotationPlan, VolumePlan

# What rules of slides read of the layer `objects`.
OF_MASK_OBJECTS = ("slide_objects", "slide_contours")


@dataclass(frozen=True)
class Needs:
    """A layer, of which is asked what its jobs read."""

    store: Store
    paths: LayerPaths
    plan: VolumePlan | AnnotationPlan
    _merge_jobs: dict[str, dict[str, set[int]]] = field(default_factory=dict)

    def of(self, rule: str, item: str) -> Iterator[tuple[str, str, str]]:
        """(layer, rule, item) of the jobs whose intermediate files a job reads.

        Those are carries, statistics, fragments and their index; the objects of a slide's mask and their outlines.
        """
        if isinstance(self.plan, VolumePlan):
            yield from ((self.paths.layer, *job) for job in self._of_volume(self.plan, rule, item))
        elif self.plan.outlines_of is not None:
            yield self.plan.outlines_of, "slide_contours", ""
            yield self.plan.outlines_of, "mask_objects", ""

    def _of_volume(self, plan: VolumePlan, rule: str, item: str) -> Iterator[tuple[str, str]]:
        product, _, step = rule.rpartition("_")
        if rule == "label_stats":
            yield from (("pyramid_blocks", f"r0.{block}") for block in plan.rounds[0].block_names())
        elif rule == "pyramid_blocks":
            number, block = int(item[1:].partition(".")[0]), item.partition(".")[2]
            if number > 0:
                before = plan.rounds[number - 1]
                for name in plan.rounds[number].blocks_read(before, block):
                    yield "pyramid_blocks", f"r{before.number}.{name}"
            elif plan.source.format == "mask_objects":
                yield "mask_objects", ""
        elif rule in OF_MASK_OBJECTS:
            yield "mask_objects", ""
        elif product in FOLDERS and step in ("shards", "objects"):
            yield f"{product}_index", ""
            wanted = {int(item)} if step == "shards" else None  # objects come from many merge jobs
            made = (f"{product}_fragments", f"{product}_objects") if step == "shards" else (f"{product}_fragments",)
            for maker in made:
                for name, jobs in self._written_for(plan, maker).items():
                    if wanted is None or wanted & jobs:
                        yield maker, name

    def _written_for(self, volume: VolumePlan, rule: str) -> dict[str, set[int]]:
        """The merge jobs that each job of a rule left fragments for; a job without its receipt runs again anyway."""
        if rule not in self._merge_jobs:
            product, _, step = rule.rpartition("_")
            plan = volume.product(product)
            found = self._merge_jobs[rule] = {}
            for name in plan.block_names() if step == "fragments" else plan.object_job_names():
                try:
                    facts = read_receipt(self.store, self.paths.receipt(rule, name)).facts
                    found[name] = {int(job) for job, *_ in facts["ranges"]}
                except (LayerError, StoreError):
                    continue
        return self._merge_jobs[rule]
