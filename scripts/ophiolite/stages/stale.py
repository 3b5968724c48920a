"""Receipts and timings of jobs that the plan no longer has, or has with other settings: a new plan removes them.

Snakemake asks for the planned outputs only, and compares a job's params with those of its *last* run. Without this, a
receipt of an older plan would count as done again when its settings come back, though its files have gone since.
"""

from __future__ import annotations

from collections.abc import Iterator

from ophiolite.errors import LayerError
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Store
from ophiolite.plan.model import AnnotationPlan, LayerPlan, ProjectPlan, Refused, VolumePlan
from ophiolite.plan.slide_digests import RULES


def remove_stale(store: Store, plan: ProjectPlan) -> int:
    """Remove what the plan does not know; layers that are refused keep theirs. Returns how many receipts went."""
    removed = 0
    for dataset, data in plan.datasets.items():
        for name, layer in data.layers.items():
            if isinstance(layer, Refused):
                continue
            paths = LayerPaths(dataset, name)
            planned = {paths.receipt(rule, item): layer.digests[rule] for rule, item in planned_jobs(layer)}
            timings = {paths.timing(rule, item) for rule, item in planned_jobs(layer)}
            for path in list(store.list(paths.receipts)):
                if _digest(store, path) != planned.get(path):
                    store.delete(path)
                    removed += 1
            for path in list(store.list(f"{dataset}/timings")):
                mine = path.rsplit("/", 1)[1].split(".")[0] == name
                if mine and path not in timings:
                    store.delete(path)
    return removed


def planned_jobs(layer: LayerPlan) -> Iterator[tuple[str, str]]:
    """(rule, item) of every job of a layer that leaves a receipt; the item is empty for one job per layer."""
    if isinstance(layer, AnnotationPlan):
        yield "annotation_layer", ""
    if not isinstance(layer, VolumePlan):
        return
    yield "layer_info", ""
    yield "layer_done", ""
    for r in layer.rounds:
        yield from (("pyramid_blocks", f"r{r.number}.{block}") for block in r.block_names())
    for part in range(layer.stats_parts):
        yield "label_stats", str(part)
        yield "object_table", str(part)
    for name, product in layer.products():
        yield from ((f"{name}_fragments", block) for block in product.block_names())
        yield from ((f"{name}_objects", job) for job in product.object_job_names())
        yield from ((f"{name}_shards", job) for job in product.job_names())
        yield f"{name}_index", ""
        yield f"{name}_done", ""
    if layer.skeleton:
        for rule in ("graph", *layer.skeleton.options["exports"]):
            yield from ((f"skeleton_{rule}", job) for job in layer.skeleton.export_job_names())
    if layer.properties:
        yield "segment_properties", ""
    yield from ((rule, "") for rule in RULES if rule in layer.digests)


def _digest(store: Store, path: str) -> str:
    """The digest in a receipt; empty where it is none."""
    try:
        return read_receipt(store, path).digest
    except LayerError:
        return ""
