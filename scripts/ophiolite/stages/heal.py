"""The end of healing: files that were damaged are as their new receipts say."""

from __future__ import annotations

from ophiolite.errors import LayerError, explain
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan, Refused
from ophiolite.stages.verify import Fault, Verified, read_damage, record


def healed(store: Store, plan: ProjectPlan) -> str:
    """Read the files of all healed jobs back and forget the damage; returns a line that says how much there was.

    Raises LayerError where a file is still not what its receipt says.
    """
    faults = [f for f in read_damage(store) if _is_planned(plan, f)]
    if not faults:
        return "Nothing is known to be damaged; `snakemake verify` looks."
    jobs = sorted({(f.dataset, f.layer, f.rule, f.item) for f in faults})
    for dataset, layer, rule, item in jobs:
        for file in read_receipt(store, LayerPaths(dataset, layer).receipt(rule, item)).files:
            if store.size(file.path) != file.size_bytes or store.checksum(file.path) != file.sha256:
                raise LayerError(
                    explain(store.place(file.path), "is still damaged", do="Check the disk, then `snakemake verify`")
                )
    record(store, plan, Verified())
    files = {f.path for f in faults if f.fault in ("missing", "wrong size", "altered", "unreadable")}
    lost = sum(f.fault in ("receipt lost", "receipt unreadable") for f in faults)
    return f"Healed: {len(files)} files and {lost} receipts, by {len(jobs)} jobs."


def _is_planned(plan: ProjectPlan, fault: Fault) -> bool:
    """Whether the layer of a fault is still in the plan, and not refused: only those were healed."""
    dataset = plan.datasets.get(fault.dataset)
    layer = dataset.layers.get(fault.layer) if dataset else None
    return layer is not None and not isinstance(layer, Refused)
